"""AEF Table 7: which flow does the work, the prior's, the core encoder's or the posterior's."""

import numpy as np

from companion.lab.marks import Line, Mark, Points
from companion.lab.picture import Axis, Panel, Picture
from figures.common import save
from figures.explorables import within_flows

NAMES = ("no flows", "core or posterior", "prior", "both")


LABELS = {"bits": "bits per dimension", "frechet": "squared Fréchet distance of features"}
STYLES = {"VAE": ("orange", "o"), "AEF": ("blue", "s")}


def panel(key: str, runs: dict[str, np.ndarray]) -> Panel:
    """Medians of one measure with the range of the trainings, ``(flows, seed)`` by model."""
    marks: list[Mark] = []
    for shift, (who, (colour, marker)) in zip((-0.16, 0.16), STYLES.items(), strict=True):
        values, at = runs[who], np.arange(len(NAMES)) + shift
        ends = np.stack([values.min(1), values.max(1), np.full(len(NAMES), np.nan)], axis=-1)
        marks += [Line(np.repeat(at, 3), ends.ravel(), colour)]
        marks += [Points(at, np.median(values, 1), colour, marker=marker, size=6, label=who)]
    x = Axis(ticks=tuple(range(len(NAMES))), names=NAMES, limits=(-0.5, len(NAMES) - 0.5))
    return Panel(marks, x, Axis(LABELS[key]))


def main() -> None:
    """Bits per dimension and Fréchet distance of the eight combinations, medians and ranges."""
    panels, numbers, arrays = [], {}, within_flows.STUDY.arrays
    for key in LABELS:
        runs = dict(zip(STYLES, arrays[f"ablation_{key}"].astype(float), strict=True))
        panels.append(panel(key, runs))
        numbers |= {f"{who} {key}": np.round(one, 4).tolist() for who, one in runs.items()}
    parameters = {
        "lattice": within_flows.STUDY.about["sha256"],
        "latents": 8,
        "flows": list(NAMES),
    }
    says = "Bits and Fréchet distance of a VAE and an AEF, without flows, with one, with both."
    picture = Picture(panels, says, (9.6, 3.2))
    save("tab07_aef_flows", picture, "AEF Table 7", parameters, numbers)


if __name__ == "__main__":
    main()
