"""SFVAE Table 4: (ε, δ)-collapse of 40 latent dimensions on 1,000 digits in full batches.

The paper has 200 dimensions of 28×28 digits, 1,000 steps and ten trainings. Here as there SFVAE's
gradient goes through all tangents, so that only the VAE's is noisy.
"""

from companion.lab.picture import Axis, Picture
from figures import draw
from figures.common import save
from figures.explorables import estimators

TITLE = "{} full-batch steps"


def main() -> None:
    """The share of collapsed dimensions and the error of each training."""
    study = estimators.COLLAPSE
    panels, numbers = [], {}
    for steps in estimators.STEPS:
        found = {
            name: {
                m: study.at(m, estimator=name, steps=steps).round(4).tolist() for m in study.metrics
            }
            for name in estimators.COLLAPSING
        }
        shares = [one["share"] for one in found.values()]
        axis = Axis(f"collapsed share of {estimators.WIDE} dimensions", limits=(-0.05, 1.05))
        panels.append(draw.strip(tuple(found), shares, axis, TITLE.format(steps)))
        numbers[TITLE.format(steps)] = found
    says = "The share of collapsed latent dimensions in each training, by estimator and steps."
    picture = Picture(panels, says, (4.2 * len(panels), 2.6))
    save("tab04_collapse", picture, "SFVAE Table 4", study.made, numbers)


if __name__ == "__main__":
    main()
