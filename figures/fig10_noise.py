"""2SVAE Fig. 10: noise along every latent direction, ordered by its posterior variance."""

from figures import plots
from figures.common import save
from figures.explorables import directions

SAMPLES = (0, 1, 2)


def main() -> None:
    """All directions of three digits."""
    found = directions.STUDY.arrays
    figure = plots.figure(len(SAMPLES), size=(4.5, 4.6))
    for ax, i in zip(figure.subplots(1, len(SAMPLES)), SAMPLES, strict=True):
        images, effects = found["images"][i] / 255, found["effect"][i]
        plots.noise_rows(ax, images, effects, found["variances"])
        ax.set_title("rows: directions; right: pixel variance", fontsize=9)
    parameters = {"lattice": directions.STUDY.about["sha256"]}
    numbers = {name: found[name].round(5).tolist() for name in ("variances", "effect")}
    save("fig10_noise", figure, "2SVAE Fig. 10, on 8×8 digits", parameters, numbers)


if __name__ == "__main__":
    main()
