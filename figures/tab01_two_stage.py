"""The comparison of 2SVAE's Table 1 on a toy: γ fixed, learned, with a second stage, and rivals."""

import numpy as np

from figures import plots
from figures.common import save
from figures.explorables import two_stages


def main() -> None:
    """Energy distance, Gaussian W₂² and distance to the curve of six models, five seeds each."""
    columns = {
        "energy": "energy distance on the curve",
        "w2": "W₂² of fitted Gaussians",
        "distance": "mean distance to the curve",
    }
    figure = plots.figure(len(columns), size=(3.6, 2.9))
    panels, numbers = figure.subplots(1, len(columns), sharey=True), {}
    for ax, (name, label) in zip(panels, columns.items(), strict=True):
        values = two_stages.STUDY.at(name)
        plots.strip(ax, two_stages.ARMS, values, label)
        median = np.median(values, 1).round(5).tolist()
        numbers[name] = dict(zip(two_stages.ARMS, median, strict=True))
    panels[0].set_ylim(len(two_stages.ARMS) - 0.5, -0.5)
    parameters = {
        "seeds": list(two_stages.SEEDS),
        "lattice": two_stages.STUDY.about["sha256"],
    }
    save("tab01_two_stage", figure, "2SVAE Table 1, on a toy", parameters, numbers)


if __name__ == "__main__":
    main()
