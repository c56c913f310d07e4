"""MLAE §5.1 on the 8×8 digits: how far the codes are from N(0, 1), against β."""

from figures.common import save
from figures.explorables import digit_figures, digits


def main() -> None:
    """Distances of held-out codes over the trainings, with the level of chance."""
    picture = digit_figures.quality()
    about = digits.RUNS.about
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    parameters |= {"beta": list(digits.BETAS), "gamma": list(digits.GAMMAS)}
    numbers = {
        name: {k: v.round(3).tolist() for k, v in digits.curves(name).items()}
        for name in ("error", "variety", "distance", "clean")
    }
    numbers["distance_chance"] = (
        digits.RUNS.arrays["distance_chance"].astype(float).round(3).tolist()
    )
    save("sec51_codes", picture, "MLAE §5.1, App. E.2", parameters, numbers)


if __name__ == "__main__":
    main()
