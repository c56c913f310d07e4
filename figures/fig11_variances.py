"""2SVAE Fig. 11: the posterior variances lie near zero or near one."""

import numpy as np

from companion.lab.marks import Bars
from companion.lab.picture import Axis, Panel, Picture
from figures.common import save
from figures.explorables import decoder_variance, directions

GAMMA, SEED = 0.003, 0
EDGES = np.linspace(0, 1.05, 22)


def main() -> None:
    """Real digits beside three manifolds whose dimension is known."""
    found = {"8×8 digits": directions.STUDY.arrays["variances"]}
    for r in decoder_variance.DIMENSIONS:
        found[f"manifold, r = {r}"] = decoder_variance.STUDY(
            SEED, gamma=GAMMA, dimension=r
        ).spectrum
    axes = Axis("posterior variance λ"), Axis("directions", ticks=tuple(range(0, 17, 2)))
    panels = [
        Panel([Bars(EDGES, np.histogram(values, EDGES)[0], alpha=1)], *axes, title=name)
        for name, values in found.items()
    ]
    says = "Posterior variances on digits and on manifolds of known dimension r."
    studies = directions.STUDY, decoder_variance.STUDY
    parameters = {study.name: study.about["sha256"] for study in studies}
    numbers = {name: np.asarray(values).round(5).tolist() for name, values in found.items()}
    picture = Picture(panels, says, (2.9 * len(panels), 2.6))
    save("fig11_variances", picture, "2SVAE Fig. 11", parameters, numbers)


if __name__ == "__main__":
    main()
