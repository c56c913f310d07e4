"""MLAE Table 1: FID-like scores, ours on a table inside scikit-learn beside the paper's.

Ours are what notebook 06 recorded when it ran.
"""

import numpy as np
from nbformat import read

from companion.lab.claims import collect
from companion.lab.marks import Mark, Points, Rule
from companion.lab.picture import Axis, Panel, Picture
from figures import draw
from figures.common import HERE, save

PAPER = {  # POWER, GAS, HEPMASS, MINIBOONE: mean and spread over five runs
    "rectangular flow": [(0.083, 0.015), (0.110, 0.021), (0.779, 0.191), (1.001, 0.051)],
    "MLAE": [(0.109, 0.052), (0.377, 0.038), (0.710, 0.020), (0.772, 0.034)],
}
TABLES = ("POWER", "GAS", "HEPMASS", "MINIBOONE")


def quoted() -> Panel:
    """The paper's means with their spread."""
    marks: list[Mark] = []
    styles = zip(PAPER.items(), ("blue", "orange"), (-0.12, 0.12), strict=True)
    for (name, scores), colour, aside in styles:
        at = np.arange(len(TABLES)) + aside
        marks += draw.error_bars(at, *np.transpose(scores), colour, label=name)
    x = Axis(limits=(-0.5, len(TABLES) - 0.5), ticks=tuple(range(len(TABLES))), names=TABLES)
    y = Axis("FID-like score", limits=(0, 1.2))
    return Panel(marks, x, y, title="the paper's Table 1 (quoted)")


def ours(names: list[str], runs: list, floor: float) -> Panel:
    """One dot a seed and a bar at the median, one row for each model."""
    marks: list[Mark] = [Rule(floor, dash="dashed", label="training data")]
    for row, values in enumerate(runs):
        marks += [Points(values, np.full(len(values), row), alpha=0.6)]
        marks += [Points([np.median(values)], [row], "orange", marker="|", size=18)]
    x = Axis("FID-like score", limits=(0, 1.05 * np.max(runs)), grid=True)
    rows = tuple(name.partition(": ")[2] for name in names)
    y = Axis(limits=(len(rows) - 0.5, -0.5), ticks=tuple(range(len(rows))), names=rows)
    return Panel(marks, x, y, title=f"ours: {names[0].partition(':')[0]}, quick")


def main() -> None:
    """Left the paper's scores, right ours, one dot a seed."""
    record = collect(read(HERE.parent / "notebooks" / "06_rectangular_flows.ipynb", 4))
    names, runs = record["fid_like_of"], record["fid_like_range"]
    panels = quoted(), ours(names, runs, record["floor"][0])
    picture = Picture(panels, "FID-like scores, the paper's and ours.", (9.2, 3))
    numbers = {"ours": dict(zip(names, runs, strict=True)), "paper": PAPER}
    parameters = {"notebook": "06", "profile": "quick", "floor": round(record["floor"][0], 5)}
    save("tab01_tabular", picture, "MLAE Table 1", parameters, numbers)


if __name__ == "__main__":
    main()
