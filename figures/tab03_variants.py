"""MLAE Table 3: the four variants of the surrogate in three modes, their noise and their cost."""

import time
from itertools import product
from statistics import median

import numpy as np
import torch

from companion import volume
from figures import plots
from figures.common import digits_model, save

SIDES, SPACES = ("encoder", "decoder"), ("latent", "data")
MODES, BATCH, DRAWS, ROUNDS, SEED = ("mixed", "backward", "forward"), 64, 10, 7, 0


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

    figure = plots.figure(2)
    left, right = figure.subplots(1, 2)
    names = [f"{side},\n{space}" for side, space in variants]
    left.bar(names, noises.values(), color=plots.BLUE)
    left.set(ylabel="relative gradient distance", title="noise of one probe")
    for i, (mode, color) in enumerate(
        zip(MODES, (plots.BLUE, plots.GREEN, plots.ORANGE), strict=True)
    ):
        right.bar(np.arange(4) + 0.27 * (i - 1), costs[mode], 0.25, color=color, label=mode)
    right.set_xticks(range(4), names)
    right.set(ylabel="time over (encoder, latent, mixed)", title="cost of a gradient")
    right.set_ylim(0, 1.3 * max(max(c) for c in costs.values()))
    right.legend(frameon=False, ncols=3, loc="upper center")
    rounded = {mode: [round(c, 3) for c in values] for mode, values in costs.items()}
    parameters = {"seed": SEED, "batch": BATCH, "draws": DRAWS, "rounds": ROUNDS, "device": "cpu"}
    save("tab03_variants", figure, "MLAE Table 3", parameters, {"noise": noises}, 0.3, rounded)


if __name__ == "__main__":
    main()
