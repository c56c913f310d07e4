"""2SVAE Fig. 11: the posterior variances lie near zero or near one."""

import numpy as np

from figures import plots
from figures.common import save
from figures.explorables import decoder_variance, directions

GAMMA, SEED = 0.003, 0


def main() -> None:
    """Real digits beside three manifolds whose dimension is known."""
    panels = {"8×8 digits": directions.STUDY.arrays["variances"]}
    for r in decoder_variance.DIMENSIONS:
        panels[f"manifold, r = {r}"] = decoder_variance.STUDY(
            SEED, gamma=GAMMA, dimension=r
        ).spectrum
    figure = plots.figure(len(panels), size=(2.9, 2.6))
    for ax, (name, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        ax.hist(values, np.linspace(0, 1.05, 22), color=plots.BLUE)
        ax.set(title=name, xlabel="posterior variance λ", ylabel="directions")
    studies = directions.STUDY, decoder_variance.STUDY
    parameters = {study.name: study.about["sha256"] for study in studies}
    numbers = {name: np.asarray(values).round(5).tolist() for name, values in panels.items()}
    save("fig11_variances", figure, "2SVAE Fig. 11", parameters, numbers)


if __name__ == "__main__":
    main()
