"""2SVAE Fig. 1: γ falls while it is learned; noise on codes; the codes' spectra of both stages."""

from companion.lab.marks import Line
from companion.lab.picture import Axis, Panel, Picture
from figures.common import save
from figures.explorables import directions

SAMPLE, ROWS = 0, (0, 1, 2, 4, 7, 15)


STAGES = {"standard normal": "grey", "first stage": "orange", "second stage": "blue"}


def falling(gamma, error) -> Panel:
    """The learned γ and the error of a pixel, along the training."""
    epochs = range(1, len(gamma) + 1)
    marks = (
        Line(epochs, gamma, "blue", label="learned γ"),
        Line(epochs, error, "orange", label="mean squared error of a pixel"),
    )
    return Panel(marks, Axis("epoch"), Axis(scale="log"))


def spectra(codes) -> Panel:
    """Singular values of the codes, ``(3, latent)``."""
    index = range(1, codes.shape[1] + 1)
    marks = [
        Line(index, values, colour, marker="o", label=name)
        for (name, colour), values in zip(STAGES.items(), codes, strict=True)
    ]
    y = Axis("singular value of the codes / √n", limits=(0, 1.05 * codes.max()))
    return Panel(marks, Axis("index"), y)


def main() -> None:
    """The paper's three panels, on real 8×8 digits."""
    found, rows = directions.STUDY.arrays, list(ROWS)
    images, effects = found["images"][SAMPLE, rows] / 255, found["effect"][SAMPLE, rows]
    title = "noise along a direction; right: pixel variance"
    middle = directions.noise_rows(images, effects, found["variances"][rows], title)
    left, right = falling(found["gamma"], found["error"]), spectra(found["codes"])
    says = "γ while it is learned; decoded noise along latent directions; spectra of the codes."
    picture = Picture([left, middle, right], says, (11.1, 3.4))
    parameters = {"sample": SAMPLE, "lattice": directions.STUDY.about["sha256"]}
    numbers = {name: found[name].round(5).tolist() for name in ("gamma", "error", "codes")}
    save("fig01_two_stage", picture, "2SVAE Fig. 1, on 8×8 digits", parameters, numbers)


if __name__ == "__main__":
    main()
