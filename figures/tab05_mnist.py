"""MLAE Table 5's direction on real MNIST digits: three models, four samplers, three trainings."""

from figures.common import save
from figures.explorables import mnist_full


def main() -> None:
    """Fréchet distances of all trainings, from the package's record of them."""
    about = mnist_full.STUDY.about
    numbers = {
        column: {name: v.round(3).tolist() for name, v in mnist_full.runs(column).items()}
        for column in (*mnist_full.COLUMNS, "error")
    }
    parameters = {name: about[name] for name in ("data", "preset", "training", "sha256")}
    save("tab05_mnist", mnist_full.picture()[0], "MLAE Tables 5 and 6", parameters, numbers)


if __name__ == "__main__":
    main()
