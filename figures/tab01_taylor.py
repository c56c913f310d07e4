"""SFVAE Table 1: the linearised spread of a VAE's outputs against that of samples."""

import torch
from torch import Generator

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import spread_quality
from companion.models import VAE, posterior_size
from companion.networks import MLP
from companion.training import TrainConfig, fit
from figures import plots
from figures.common import save

COUNTS, LATENT, VARIANCE, TRUE = (1, 5, 10, 25, 50, 70, 100, 235), 16, 0.04, 5000


def main() -> None:
    """Correlation of variances and Frobenius error against the number of samples."""
    digits, shape = images.load("digits"), (1, 8, 8)
    torch.manual_seed(0)
    nets = {"hidden": (128, 128), "activation": "relu"}
    networks = MLP(shape, posterior_size(LATENT), **nets), MLP(LATENT, shape, **nets)
    model = VAE(*networks, shape, LATENT, decoder_variance=VARIANCE)
    config = TrainConfig(epochs=60, batch_size=128, learning_rate=3e-3, device="cpu")
    fit(model, as_float(digits.train.x), None, config, progress=False)
    with torch.no_grad():
        q = model.posterior(as_float(digits.test.x[:50]))
    found = spread_quality(model.decode, q, COUNTS, TRUE, Generator().manual_seed(0))
    figure = plots.figure(2)
    labels = {"correlation": "correlation of variances", "frobenius": "relative Frobenius error"}
    for ax, (name, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        taylor, *sampled = (getattr(quality, name) for quality in found.values())
        ax.plot(COUNTS, sampled, "o-", color=plots.BLUE, label="samples")
        ax.axhline(taylor, color=plots.ORANGE, label="Taylor, no samples")
        ax.set(xscale="log", xlabel="number of samples", ylabel=label)
        ax.legend(frameon=False)
    numbers = {str(n or "taylor"): quality._asdict() for n, quality in found.items()}
    parameters = {"data": "digits", "latent": LATENT, "variance": VARIANCE, "true samples": TRUE}
    save("tab01_taylor", figure, "SFVAE Table 1", parameters, numbers, tolerance=0.15)


if __name__ == "__main__":
    main()
