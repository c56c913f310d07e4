"""What explorables share that put MLAE's β beside a VAE's fixed and learned γ: β = 1/2γ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from companion.lab.explorable import Control, compare, load_lattice
from companion.models import MLAE, VAE, Model
from figures import plots

COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN)


@dataclass(frozen=True)
class Price:
    """The models of such an explorable, by key: ``mlae β``, ``vae γ`` for each price, ``learned``.

    Args:
        name: of the explorable and its lattice.
        betas: MLAE's β, ascending; the VAE's γ are 1/2β.
        start: where the slider of β starts, and that of γ at the same price.
        metrics: numbers of one model that the lattice holds.
        runs: seeds of the trainings behind each number.

    >>> price = Price("toy", (1.0, 10.0), 10.0, ("error",))
    >>> price.gammas, price.keys
    ((0.05, 0.5), ('mlae 1', 'mlae 10', 'vae 0.05', 'vae 0.5', 'learned'))
    """

    name: str
    betas: tuple[float, ...]
    start: float
    metrics: tuple[str, ...]
    runs: tuple[int, ...] = (0, 1, 2)

    @property
    def gammas(self) -> tuple[float, ...]:
        """1/2β, ascending."""
        return tuple(0.5 / beta for beta in reversed(self.betas))

    @property
    def keys(self) -> tuple[str, ...]:
        """All models, in the order of the lattice."""
        mlae, vae = (f"mlae {b:g}" for b in self.betas), (f"vae {g:g}" for g in self.gammas)
        return (*mlae, *vae, "learned")

    @property
    def controls(self) -> dict[str, Control]:
        """The two sliders."""
        return {
            "beta": Control("MLAE's β", self.betas, self.start),
            "gamma": Control("VAE's γ", self.gammas, 0.5 / self.start),
        }

    def make(
        self,
        key: str,
        seed: int,
        networks: Callable[[int], tuple[nn.Module, nn.Module]],
        shape: tuple[int, ...],
        latent: int,
    ) -> Model:
        """One of ``keys`` with seeded weights; ``networks(heads)`` gives encoder and decoder.

        The learned γ starts at the price where the sliders do.
        """
        kind, _, value = key.partition(" ")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = networks(1 if kind == "mlae" else 2)
            if kind == "mlae":
                return MLAE(*nets, shape, latent, beta=float(value))
            variance = float(value or 0.5 / self.start)
            return VAE(*nets, shape, latent, decoder_variance=variance, learn_variance=not value)

    def lattice(self) -> dict[str, np.ndarray]:
        """All arrays, read once."""
        return _read(self.name)

    def stored(self, result: type[tuple], key: str, pictures: Sequence[str]) -> tuple:
        """What the lattice holds of one key: of the first run ``pictures``, medians of the rest."""
        arrays, at, values = self.lattice(), self.keys.index(key), {}
        for name in result._fields:
            one = arrays[name][at]
            if name in pictures:
                values[name] = one / 255
            elif name in self.metrics:
                values[name] = float(np.median(one))
            else:
                values[name] = one[0].astype(float)
        return result(**values)

    def trio(self, numbers: Callable[[str], tuple], beta: float, gamma: float) -> dict[str, tuple]:
        """The three models that a picture compares, by their captions."""
        learned = float(np.median(self.lattice()["learned_gamma"]))
        return {
            f"MLAE, β = {beta:g}": numbers(f"mlae {beta:g}"),
            f"VAE, γ = {gamma:g}": numbers(f"vae {gamma:g}"),
            f"VAE, γ learned: {learned:.2g}": numbers("learned"),
        }

    def curves(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Numbers ``(key, run)`` by model: ``beta`` and ``gamma`` ``(price, run)``, ``learned``.

        >>> {k: v.shape for k, v in Price("a", (1.0, 2.0), 1.0, ()).curves(np.ones((5, 3))).items()}
        {'beta': (2, 3), 'gamma': (2, 3), 'learned': (3,)}
        """
        n = len(self.betas)
        return {"beta": values[:n], "gamma": values[n : 2 * n], "learned": values[2 * n]}

    def draw(self, ax: Axes, found: dict[str, np.ndarray], label: str) -> None:
        """Such curves against the price of an error, the learned γ's runs at their own."""
        plots.band(ax, self.betas, found["beta"], COLOURS[0], "MLAE")
        plots.band(ax, self.betas, found["gamma"][::-1], COLOURS[1], "VAE")
        own = 0.5 / self.lattice()["learned_gamma"]
        ax.plot(own, found["learned"], "s", color=COLOURS[2], label="VAE, γ learned")
        ax.set(xscale="log", xlabel="price of an error, β or 1/2γ", ylabel=label)
        ax.minorticks_off()

    def looks(self) -> dict[str, dict]:
        """A colour, a shade and a label for each key, where all are drawn into one panel."""
        n, found = len(self.betas), {}
        for at, key in enumerate(self.keys):
            kind, _, value = key.partition(" ")
            colour, label = {"mlae": (COLOURS[0], "β = "), "vae": (COLOURS[1], "γ = ")}.get(
                kind, (COLOURS[2], "γ learned")
            )
            shade = 0.4 + 0.6 * (at % n) / (n - 1) if value else 1.0
            found[key] = {"color": colour, "alpha": shade, "label": label + value}
        return found

    def build(
        self,
        train: Callable[[Sequence[str], Sequence[int], bool], list[Model]],
        measure: Callable[[Model, int], NamedTuple],
        pictures: Sequence[str],
        progress: bool = True,
    ) -> dict[str, np.ndarray]:
        """Train and measure every model; the arrays of the lattice ``(key, run, …)``."""
        n = len(self.betas)
        kinds = self.keys[:n], self.keys[n : 2 * n], self.keys[2 * n :]
        models = [model for kind in kinds for model in train(kind, self.runs, progress)]
        found = [measure(m, s) for m, s in zip(models, self.runs * len(self.keys), strict=True)]
        arrays = {}
        for name in found[0]._fields:
            if name in pictures:
                shown = [as_bytes(getattr(r, name)) for r in found[:: len(self.runs)]]
                arrays[name] = np.stack(shown)
                continue
            stacked = np.stack([getattr(r, name) for r in found]).astype(np.float32)
            arrays[name] = stacked.reshape(len(self.keys), len(self.runs), *stacked.shape[1:])
        learned = [m.log_decoder_variance.exp().item() for m in models[-len(self.runs) :]]
        return arrays | {"learned_gamma": np.array(learned, np.float32)}

    @property
    def about(self) -> dict:
        """What the lattice's description says of its axes."""
        return {"models": list(self.keys), "runs": list(self.runs)}

    def check(self, key: str, result: NamedTuple) -> list[str]:
        """Compare one model that was trained again with the band of the lattice's runs."""
        at = self.keys.index(key)
        return compare(
            result, {name: self.lattice()[name][at].astype(float) for name in self.metrics}
        )


def as_bytes(images) -> np.ndarray:
    """Images in [0, 1], and what lies beyond cut off, as the lattice keeps them.

    >>> as_bytes([0.0, 0.5, 1.2]).tolist()
    [0, 128, 255]
    """
    return (np.clip(np.asarray(images), 0, 1) * 255).round().astype(np.uint8)


@cache
def _read(name: str) -> dict[str, np.ndarray]:
    return load_lattice(name)[0]
