"""MLAE Table 5, MNIST with ResNets: three models at the paper's settings, trained on a GPU."""

from figures.common import save
from figures.explorables import mnist


def main() -> None:
    """Samples, and Fréchet distances by where codes come from, from the package's record."""
    about = mnist.PAPER.about
    numbers = {
        column: {name: round(float(v[0]), 3) for name, v in mnist.PAPER.runs(column).items()}
        for column in (*mnist.PAPER.columns, "error", "seconds")
    }
    kept = ("data", "preset", "device", "trained_with", "sha256")
    parameters = {name: about[name] for name in kept}
    save("tab05_mnist_resnet", mnist.paper_picture(), "MLAE Tables 5 and 8", parameters, numbers)


if __name__ == "__main__":
    main()
