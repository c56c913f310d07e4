"""MLAE Fig. 3: one latent dimension on a noisy sinusoid, from too small to large enough a β."""

from figures import plots
from figures.common import save
from figures.explorables import sinusoid

NOISE, SEED, SHOWN = 0.1, 0, (0.01, 100.0)


def main() -> None:
    """Two manifolds with the trade-off between them, as in the paper."""
    figure = plots.figure(3, size=(3.6, 3.1))
    left, middle, right = figure.subplots(1, 3)
    for ax, beta in zip((left, right), SHOWN, strict=True):
        result = sinusoid.STUDY(SEED, beta=beta, noise=NOISE)
        plots.manifold(ax, result.points, result.codes, result.curve, sinusoid.CODES)
        ax.set_title(f"β = {beta:g}")
    curves = sinusoid.trade_off(NOISE)
    plots.trade_off(middle, **curves)
    numbers = {name: values.round(5).tolist() for name, values in curves.items()}
    parameters = {"noise": NOISE, "shown_seed": SEED, "seeds": list(sinusoid.SEEDS)}
    parameters["lattice"] = sinusoid.STUDY.about["sha256"]
    save("fig03_sinusoid", figure, "MLAE Fig. 3", parameters, numbers)


if __name__ == "__main__":
    main()
