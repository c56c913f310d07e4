"""What explorables share that put MLAE's β beside a VAE's fixed and learned γ: β = 1/2γ."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from companion.lab.explorable import Control
from companion.lab.marks import Points
from companion.lab.picture import Axis, Panel
from companion.lab.study import Study
from companion.models import MLAE, VAE, Model
from figures import draw

COLOURS = ("blue", "orange", "green")


@dataclass(frozen=True)
class ErrorWeights:
    """Models by the weight of their reconstruction error: ``mlae β``, ``vae γ``, ``learned``.

    Args:
        betas: MLAE's β, ascending; the VAE's γ are 1/2β.
        start: where the slider of β starts, that of γ at the same weight, and a learned γ.

    >>> weights = ErrorWeights((1.0, 10.0), 10.0)
    >>> weights.gammas, weights.keys
    ((0.05, 0.5), ('mlae 1', 'mlae 10', 'vae 0.05', 'vae 0.5', 'learned'))
    """

    betas: tuple[float, ...]
    start: float

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
    def axis(self) -> dict[str, Control]:
        """The axis of a study of all models."""
        return {"key": Control("model", self.keys, f"mlae {self.start:g}", names=self.keys)}

    @property
    def controls(self) -> dict[str, Control]:
        """The two sliders, through which three models are seen at once."""
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
        """One of ``keys`` with seeded weights; ``networks(heads)`` gives encoder and decoder."""
        kind, _, value = key.partition(" ")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = networks(1 if kind == "mlae" else 2)
            if kind == "mlae":
                return MLAE(*nets, shape, latent, beta=float(value))
            variance = float(value or 0.5 / self.start)
            return VAE(*nets, shape, latent, decoder_variance=variance, learn_variance=not value)

    def three(self, study: Study, beta: float, gamma: float) -> dict[str, tuple]:
        """The numbers of the three models that a picture compares, by their captions."""
        learned = float(np.median(study.arrays["learned_gamma"]))
        return {
            f"MLAE, β = {beta:g}": study.typical(key=f"mlae {beta:g}"),
            f"VAE, γ = {gamma:g}": study.typical(key=f"vae {gamma:g}"),
            f"VAE, γ learned: {learned:.2g}": study.typical(key="learned"),
        }

    def learned(self, models: dict[tuple, Model]) -> np.ndarray:
        """The γ that were learned, ``(run,)``, of a study's trained models by key and seed."""
        found = [model.variance.item() for at, model in models.items() if at[0] == "learned"]
        return np.array(found, np.float32)

    def curves(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Numbers ``(key, run)`` by model: ``beta`` and ``gamma`` ``(weight, run)``, ``learned``.

        >>> found = ErrorWeights((1.0, 2.0), 1.0).curves(np.ones((5, 3)))
        >>> {name: values.shape for name, values in found.items()}
        {'beta': (2, 3), 'gamma': (2, 3), 'learned': (3,)}
        """
        n = len(self.betas)
        return {"beta": values[:n], "gamma": values[n : 2 * n], "learned": values[2 * n]}

    def panel(self, study: Study, found: dict[str, np.ndarray], y: Axis, **rest) -> Panel:
        """Such curves against the weight of an error, the learned γ's runs at their own.

        Args:
            study: whose runs they are.
            found: the curves.
            y: the axis of what was measured.
            rest: of the panel; ``marks`` are drawn beside the curves.
        """
        own = 0.5 / study.arrays["learned_gamma"]
        marks = draw.spread(self.betas, found["beta"], COLOURS[0], "MLAE")
        marks += draw.spread(self.betas, found["gamma"][::-1], COLOURS[1], "VAE")
        marks += (Points(own, found["learned"], COLOURS[2], marker="s", label="VAE, γ learned"),)
        x = Axis("price of an error, β or 1/2γ", "log")
        return Panel(marks + tuple(rest.pop("marks", ())), x, y, **rest)

    def styles(self) -> dict[str, dict]:
        """A colour, a shade and a label for each key, where all are drawn into one panel."""
        n, found = len(self.betas), {}
        for at, key in enumerate(self.keys):
            kind, _, value = key.partition(" ")
            colour, label = {"mlae": (COLOURS[0], "β = "), "vae": (COLOURS[1], "γ = ")}.get(
                kind, (COLOURS[2], "γ learned")
            )
            shade = 0.4 + 0.6 * (at % n) / (n - 1) if value else 1.0
            found[key] = {"colour": colour, "alpha": shade, "label": label + value}
        return found
