"""MLAE Fig. 7 on the 8×8 digits: the decoder's spectrum against β, conditional models."""

from figures.common import save
from figures.explorables import digit_figures, digits


def main() -> None:
    """Spectra of the lattice's models, and how many singular values are large."""
    picture = digit_figures.spectra()
    about = digits.RUNS.about
    parameters = {"lattice": about["sha256"], "data": about["data"], "training": about["training"]}
    parameters |= {"beta": digits.BETAS, "threshold": digits.THRESHOLD}
    parameters = {k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()}
    spectra = digits.RUNS.arrays["spectrum"][: len(digits.BETAS)].astype(float)
    numbers = {
        "mean": spectra.mean(1).round(4).tolist(),
        "std_over_trainings": spectra.std(1).round(4).tolist(),
        "values_of_at_least_threshold": digits.curves("count")["beta"].tolist(),
        "values_of_at_least_one": (spectra >= 1).sum(-1).tolist(),
        "entropy": digits.curves("entropy")["beta"].round(3).tolist(),
    }
    save("fig07_spectra", picture, "MLAE Fig. 7", parameters, numbers)


if __name__ == "__main__":
    main()
