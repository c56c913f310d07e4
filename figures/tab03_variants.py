"""MLAE Table 3: the four variants of the surrogate in three modes, their noise and their cost."""

import time
from itertools import product
from statistics import median

import numpy as np
import torch

from companion import volume
from companion.lab.marks import Bars
from companion.lab.picture import Axis, Panel, Picture
from figures.common import digits_model, save

SIDES, SPACES = ("encoder", "decoder"), ("latent", "data")
COLOURS = {"mixed": "blue", "backward": "green", "forward": "orange"}
MODES, BATCH, DRAWS, ROUNDS, SEED = tuple(COLOURS), 64, 10, 7, 0


def bars(heights, colour: str, shift: float = 0.0, width: float = 0.8, label: str = "") -> Bars:
    """A bar for each variant, around its place on the axis."""
    places = np.arange(len(heights)) + shift
    edges = np.stack([places - width / 2, places + width / 2], axis=-1).ravel()
    between = np.zeros(len(heights) - 1)
    heights = np.append(np.stack([heights[:-1], between], axis=-1).ravel(), heights[-1])
    return Bars(edges, heights, colour, alpha=1, label=label)


def panels(names: tuple[str, ...], noises: list, costs: dict[str, list]) -> list[Panel]:
    """The noise of each variant and, in each mode, its cost."""
    x = Axis(ticks=tuple(range(len(names))), names=names, limits=(-0.6, len(names) - 0.4))
    noise, cost = Axis("relative gradient distance"), Axis("time over (encoder, latent, mixed)")
    found = [
        bars(costs[mode], colour, 0.27 * (i - 1), 0.25, mode)
        for i, (mode, colour) in enumerate(COLOURS.items())
    ]
    return [
        Panel([bars(noises, "blue")], x, noise, title="noise of one probe"),
        Panel(found, x, cost, title="cost of a gradient", legend="above"),
    ]


def main() -> None:
    """Noise of one probe (eq. 89) as bars, and a gradient's time over the preferred variant's."""
    model, x, labels = digits_model(SEED)
    x, labels, maps = x[:BATCH], labels[:BATCH], (model.encode, model.decode)

    def own(side: str) -> list:
        return list((model.encoder if side == "encoder" else model.decoder).parameters())

    def noise(side: str, space: str) -> float:
        options = {"side": side, "space": space, "num_probes": 1}
        generator = torch.Generator().manual_seed(SEED)
        found = volume.gradient_distance(x, *maps, own(side), labels, DRAWS, generator, **options)
        return float(found.mean())

    def seconds(side: str, space: str, mode: str) -> float:
        begin = time.process_time()
        out = volume.surrogate(x, *maps, labels, side=side, space=space, mode=mode)
        torch.autograd.grad(out.surrogate.mean(), own(side), allow_unused=True)
        return time.process_time() - begin

    variants = list(product(SIDES, SPACES))
    noises = {" / ".join(v): round(noise(*v), 4) for v in variants}
    keys = list(product(variants, MODES))
    times = {key: [] for key in keys}
    for _, key in product(range(ROUNDS + 1), keys):
        times[key].append(seconds(*key[0], key[1]))
    middle = {key: median(values[1:]) for key, values in times.items()}
    costs = {mode: [middle[v, mode] / middle[keys[0]] for v in variants] for mode in MODES}

    names = tuple(f"{side},\n{space}" for side, space in variants)
    says = "Noise and cost of the surrogate's four variants, in three modes."
    picture = Picture(panels(names, list(noises.values()), costs), says)
    rounded = {mode: [round(c, 3) for c in values] for mode, values in costs.items()}
    parameters = {"seed": SEED, "batch": BATCH, "draws": DRAWS, "rounds": ROUNDS, "device": "cpu"}
    save("tab03_variants", picture, "MLAE Table 3", parameters, {"noise": noises}, 0.3, rounded)


if __name__ == "__main__":
    main()
