"""2SVAE Fig. 10: noise along every latent direction, ordered by its posterior variance."""

from companion.lab.picture import Picture
from figures.common import save
from figures.explorables import directions

SAMPLES, TITLE = (0, 1, 2), "rows: directions; right: pixel variance"


def main() -> None:
    """All directions of three digits."""
    found = directions.STUDY.arrays
    panels = [
        directions.noise_rows(
            found["images"][i] / 255, found["effect"][i], found["variances"], TITLE
        )
        for i in SAMPLES
    ]
    says = f"Noise along each latent direction of {len(SAMPLES)} digits, and what it changes."
    parameters = {"lattice": directions.STUDY.about["sha256"]}
    numbers = {name: found[name].round(5).tolist() for name in ("variances", "effect")}
    picture = Picture(panels, says, (4.5 * len(panels), 4.6))
    save("fig10_noise", picture, "2SVAE Fig. 10, on 8×8 digits", parameters, numbers)


if __name__ == "__main__":
    main()
