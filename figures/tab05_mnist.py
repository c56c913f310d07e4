"""MLAE Table 5's direction on real MNIST digits: three models, four samplers, three trainings."""

from figures.common import save
from figures.explorables import mnist


def main() -> None:
    """Fréchet distances of all trainings, from the package's record of them."""
    about = mnist.SHORT.about
    numbers = {
        column: {name: v.round(3).tolist() for name, v in mnist.SHORT.runs(column).items()}
        for column in (*mnist.SHORT.columns, "error")
    }
    parameters = {name: about[name] for name in ("data", "preset", "training", "sha256")}
    save("tab05_mnist", mnist.short_picture(), "MLAE Tables 5 and 6", parameters, numbers)


if __name__ == "__main__":
    main()
