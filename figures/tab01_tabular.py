"""MLAE Table 1: FID-like scores, ours on a table inside scikit-learn beside the paper's.

Ours are what notebook 06 recorded when it ran.
"""

import numpy as np
from nbformat import read

from companion.lab.claims import collect
from figures import plots
from figures.common import HERE, save

PAPER = {  # POWER, GAS, HEPMASS, MINIBOONE: mean and spread over five runs
    "rectangular flow": [(0.083, 0.015), (0.110, 0.021), (0.779, 0.191), (1.001, 0.051)],
    "MLAE": [(0.109, 0.052), (0.377, 0.038), (0.710, 0.020), (0.772, 0.034)],
}
TABLES = ("POWER", "GAS", "HEPMASS", "MINIBOONE")


def main() -> None:
    """Left the paper's scores, right ours, one dot a seed."""
    record = collect(read(HERE.parent / "notebooks" / "06_rectangular_flows.ipynb", 4))
    names, runs = record["fid_like_of"], record["fid_like_range"]
    figure = plots.figure(2, size=(4.6, 3))
    left, right = figure.subplots(1, 2)
    styles = zip(PAPER.items(), (plots.BLUE, plots.ORANGE), (-0.12, 0.12), strict=True)
    for (name, scores), color, aside in styles:
        mean, spread = np.transpose(scores)
        at = np.arange(len(TABLES)) + aside
        left.errorbar(at, mean, spread, fmt="o", color=color, label=name, capsize=3)
    left.set_xticks(range(len(TABLES)), TABLES)
    left.set(ylabel="FID-like score", ylim=(0, 1.2), title="the paper's Table 1 (quoted)")
    left.legend(fontsize=8)
    plots.strip(right, [name.partition(": ")[2] for name in names], runs, "FID-like score")
    right.axvline(record["floor"][0], color=plots.GREY, linestyle="--", label="training data")
    right.set(xscale="linear", xlim=(0, None), title=f"ours: {names[0].partition(':')[0]}, quick")
    right.legend(fontsize=8, loc="lower left")
    numbers = {"ours": dict(zip(names, runs, strict=True)), "paper": PAPER}
    parameters = {"notebook": "06", "profile": "quick", "floor": round(record["floor"][0], 5)}
    save("tab01_tabular", figure, "MLAE Table 1", parameters, numbers)


if __name__ == "__main__":
    main()
