"""SFVAE Table 4: (ε, δ)-collapse of 40 latent dimensions on 1,000 digits in full batches.

The paper has 200 dimensions of 28×28 digits, 1,000 steps and ten trainings. Here as there SFVAE's
gradient goes through all tangents, so that only the VAE's is noisy.
"""

from figures import plots
from figures.common import save
from figures.explorables import estimators

TITLE = "{} full-batch steps"


def main() -> None:
    """The share of collapsed dimensions and the error of each training."""
    study = estimators.COLLAPSE
    figure, numbers = plots.figure(len(estimators.STEPS), size=(4.2, 2.6)), {}
    for ax, steps in zip(figure.subplots(1, len(estimators.STEPS)), estimators.STEPS, strict=True):
        found = {
            name: {
                m: study.at(m, estimator=name, steps=steps).round(4).tolist() for m in study.metrics
            }
            for name in estimators.COLLAPSING
        }
        shares = [one["share"] for one in found.values()]
        plots.strip(ax, tuple(found), shares, f"collapsed share of {estimators.WIDE} dimensions")
        ax.set(title=TITLE.format(steps), xscale="linear", xlim=(-0.05, 1.05))
        numbers[TITLE.format(steps)] = found
    save("tab04_collapse", figure, "SFVAE Table 4", study.made, numbers)


if __name__ == "__main__":
    main()
