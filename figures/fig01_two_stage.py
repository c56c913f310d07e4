"""2SVAE Fig. 1: γ falls while it is learned; noise on codes; the codes' spectra of both stages."""

from figures import plots
from figures.common import save
from figures.explorables import directions

SAMPLE, ROWS = 0, (0, 1, 2, 4, 7, 15)


def main() -> None:
    """The paper's three panels, on real 8×8 digits."""
    found = directions.STUDY.arrays
    figure = plots.figure(3, size=(3.7, 3.4))
    left, middle, right = figure.subplots(1, 3)
    epochs = range(1, len(found["gamma"]) + 1)
    left.plot(epochs, found["gamma"], color=plots.BLUE, label="learned γ")
    left.plot(epochs, found["error"], color=plots.ORANGE, label="mean squared error of a pixel")
    left.set(xlabel="epoch", yscale="log")
    left.legend(fontsize=8)
    rows = list(ROWS)
    images, effects = found["images"][SAMPLE, rows] / 255, found["effect"][SAMPLE, rows]
    plots.noise_rows(middle, images, effects, found["variances"][rows])
    middle.set_title("noise along a direction; right: pixel variance", fontsize=9)
    names = ("standard normal", "first stage", "second stage")
    colors = (plots.GREY, plots.ORANGE, plots.BLUE)
    for name, values, color in zip(names, found["codes"], colors, strict=True):
        right.plot(range(1, len(values) + 1), values, "o-", color=color, markersize=3, label=name)
    right.set(xlabel="index", ylabel="singular value of the codes / √n", ylim=(0, None))
    right.legend(fontsize=8)
    parameters = {"sample": SAMPLE, "lattice": directions.STUDY.about["sha256"]}
    numbers = {name: found[name].round(5).tolist() for name in ("gamma", "error", "codes")}
    save("fig01_two_stage", figure, "2SVAE Fig. 1, on 8×8 digits", parameters, numbers)


if __name__ == "__main__":
    main()
