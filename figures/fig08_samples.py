"""MLAE Fig. 8 on the 8×8 digits: conditional samples at β = 0.1, 1, 10 and 100, T = 1."""

from figures.common import save
from figures.explorables import digit_figures, digits


def main() -> None:
    """Samples of the lattice's first trainings, and how much they vary within a class."""
    picture = digit_figures.samples()
    about = digits.RUNS.about
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    parameters |= {"beta": list(digit_figures.FIG8), "temperature": 1.0}
    at = [digits.BETAS.index(beta) for beta in digit_figures.FIG8]
    numbers = {
        name: digits.curves(name)["beta"][at].round(3).tolist()
        for name in ("variety", "recognised", "distance")
    }
    numbers["variety_of_real_digits"] = round(float(digits.RUNS.arrays["variety_real"]), 3)
    numbers["recognised_real_digits"] = round(float(digits.RUNS.arrays["recognised_real"]), 3)
    save("fig08_samples", picture, "MLAE Fig. 8", parameters, numbers)


if __name__ == "__main__":
    main()
