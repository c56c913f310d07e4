"""MLAE Fig. 3: one latent dimension on a noisy sinusoid, from too small to large enough a β."""

from companion.lab.picture import Picture
from figures import draw
from figures.common import save
from figures.explorables import sinusoid

NOISE, SEED, SHOWN = 0.1, 0, (0.01, 100.0)


def main() -> None:
    """Two manifolds with the trade-off between them, as in the paper."""
    ends = {beta: sinusoid.STUDY(SEED, beta=beta, noise=NOISE) for beta in SHOWN}
    left, right = (sinusoid.of_codes(result, f"β = {beta:g}") for beta, result in ends.items())
    curves = sinusoid.trade_off(NOISE)
    says = " ".join(sinusoid.words(result, beta, NOISE) for beta, result in ends.items())
    picture = Picture([left, draw.trade_off(**curves), right], says, (10.8, 3.1))
    numbers = {name: values.round(5).tolist() for name, values in curves.items()}
    parameters = {"noise": NOISE, "shown_seed": SEED, "seeds": list(sinusoid.SEEDS)}
    parameters["lattice"] = sinusoid.STUDY.about["sha256"]
    save("fig03_sinusoid", picture, "MLAE Fig. 3", parameters, numbers)


if __name__ == "__main__":
    main()
