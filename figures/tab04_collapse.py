"""SFVAE Table 4: (ε, δ)-collapse of 200 latent dimensions on 1,000 digits in full batches."""

import numpy as np
import torch

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import posterior_collapse
from companion.models import VAE, TaylorVAE, posterior_size
from companion.networks import MLP
from companion.training import TrainConfig, fit
from figures import plots
from figures.common import save

LATENT, STEPS, VARIANCE, SEEDS = 200, 30, 0.04, (0, 1, 2)
KINDS = {
    "VAE": (VAE, {}),
    "SFVAE": (TaylorVAE, {}),
    "exact expectation": (TaylorVAE, {"expectation": "exact"}),
}


def train(kind, options: dict, seed: int) -> dict[str, list[float]]:
    """Collapsed share, reconstruction error and KL after every fifth step."""
    x, shape = as_float(images.load("digits").train.x[:1000]), (1, 8, 8)
    torch.manual_seed(seed)
    encoder = MLP(shape, posterior_size(LATENT), (128, 64), activation="relu")
    decoder = MLP(LATENT, shape, (64, 128), activation="relu")
    model = kind(encoder, decoder, shape, LATENT, decoder_variance=VARIANCE, **options)
    found = {"steps": [], "share": [], "reconstruction": [], "kl": []}

    def look(row: dict) -> None:
        if row["epoch"] % 5:
            return
        with torch.no_grad():
            q = model.posterior(x)
            error = (model.decode(q.mean) - x).square().flatten(1).sum(1).mean()
        collapse = posterior_collapse(q)
        values = (row["epoch"], collapse.share, float(error), float(collapse.kl.sum()))
        for name, value in zip(found, values, strict=True):
            found[name].append(round(value, 3))

    config = TrainConfig(STEPS, len(x), 1e-3, "constant", seed=seed, device="cpu")
    fit(model, x, None, config, progress=False, callback=look)
    return found


def main() -> None:
    """The share of collapsed dimensions over the steps, medians and ranges over seeds."""
    runs = {name: [train(*kind, seed) for seed in SEEDS] for name, kind in KINDS.items()}
    figure = plots.figure()
    ax, colors = figure.subplots(), (plots.BLUE, plots.ORANGE, plots.GREEN)
    numbers, steps = {}, runs["VAE"][0]["steps"]
    for color, (name, found) in zip(colors, runs.items(), strict=True):
        kept = {k: np.array([run[k] for run in found]).T for k in found[0] if k != "steps"}
        plots.band(ax, steps, kept["share"], color, name)
        numbers[name] = {"steps": steps} | {k: v.tolist() for k, v in kept.items()}
    ax.set(xlabel="full-batch step", ylabel="collapsed share of 200 dimensions", ylim=(0, 1.05))
    ax.legend(frameon=False)
    parameters = {"data": "digits", "latent": LATENT, "variance": VARIANCE, "steps": STEPS}
    parameters["seeds"] = list(SEEDS)
    save("tab04_collapse", figure, "SFVAE Table 4", parameters, numbers, tolerance=0.25)


if __name__ == "__main__":
    main()
