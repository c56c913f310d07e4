"""The comparison of 2SVAE's Table 1 on a toy: γ fixed, learned, with a second stage, and rivals."""

import numpy as np

from companion.lab.picture import Axis, Picture
from figures import draw
from figures.common import save
from figures.explorables import two_stages

COLUMNS = {
    "energy": "energy distance on the curve",
    "w2": "W₂² of fitted Gaussians",
    "distance": "mean distance to the curve",
}


def main() -> None:
    """Energy distance, Gaussian W₂² and distance to the curve of six models, five seeds each."""
    panels, numbers = [], {}
    for name, label in COLUMNS.items():
        values = two_stages.STUDY.at(name)
        panels.append(draw.strip(two_stages.ARMS, values, Axis(label, "log")))
        median = np.median(values, 1).round(5).tolist()
        numbers[name] = dict(zip(two_stages.ARMS, median, strict=True))
    parameters = {
        "seeds": list(two_stages.SEEDS),
        "lattice": two_stages.STUDY.about["sha256"],
    }
    says = "Six models of two clusters on a curve, five trainings each, by three distances."
    picture = Picture(panels, says, (12.6, 2.9))
    save("tab01_two_stage", picture, "2SVAE Table 1, on a toy", parameters, numbers)


if __name__ == "__main__":
    main()
