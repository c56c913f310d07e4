"""SFVAE Table 1: the linearised spread of a VAE's outputs against that of samples."""

import torch
from torch import Generator

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import spread_quality
from companion.lab.marks import Line, Rule
from companion.lab.picture import Axis, Panel, Picture
from companion.models import VAE, posterior_size
from companion.networks import MLP
from companion.training import TrainConfig, fit
from figures.common import save

COUNTS, LATENT, VARIANCE, TRUE = (1, 5, 10, 25, 50, 70, 100, 235), 16, 0.04, 5000
LABELS = {"correlation": "correlation of variances", "frobenius": "relative Frobenius error"}


def panel(name: str, found: dict) -> Panel:
    """One measure of the spread against the number of samples, and without any."""
    taylor, *sampled = (getattr(quality, name) for quality in found.values())
    marks = (
        Line(COUNTS, sampled, "blue", marker="o", label="samples"),
        Rule(y=taylor, colour="orange", dash="solid", label="Taylor, no samples"),
    )
    return Panel(marks, Axis("number of samples", "log"), Axis(LABELS[name]))


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
    says = "The spread of a VAE's outputs, linearised, against that of samples."
    picture = Picture([panel(name, found) for name in LABELS], says)
    numbers = {str(n or "taylor"): quality._asdict() for n, quality in found.items()}
    parameters = {"data": "digits", "latent": LATENT, "variance": VARIANCE, "true samples": TRUE}
    save("tab01_taylor", picture, "SFVAE Table 1", parameters, numbers, tolerance=0.15)


if __name__ == "__main__":
    main()
