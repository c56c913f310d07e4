"""MLAE Fig. 4: what keeping an eigen-direction costs, with the loop that follows from it."""

from companion.theory.linear import thresholds
from figures.common import save
from figures.explorables import linear_model


def main() -> None:
    """The cost curve of the paper, beside the data and the hysteresis that it implies."""
    beta, eigenvalues = 1.0, (0.05, linear_model.LARGE)
    numbers = thresholds(eigenvalues, latent=1)[0]._asdict()
    parameters = {"beta": beta, "eigenvalues": list(eigenvalues)}
    rounded = {name: round(value, 6) for name, value in numbers.items()}
    picture = linear_model.EXPLORABLE.render(0, beta=beta, small=eigenvalues[0])
    save("fig04_linear", picture, "MLAE Fig. 4", parameters, rounded)


if __name__ == "__main__":
    main()
