"""MLAE Table 5, MNIST with ResNets: three models at the paper's settings, trained on a GPU."""

from figures.common import save
from figures.explorables import mnist_gpu


def main() -> None:
    """Samples, and Fréchet distances by where codes come from, from the package's record."""
    about = mnist_gpu.STUDY.about
    numbers = {
        column: {name: round(mnist_gpu.of(name, column), 3) for name in mnist_gpu.MODELS}
        for column in (*mnist_gpu.COLUMNS, "error", "seconds")
    }
    kept = ("data", "preset", "device", "trained_with", "sha256")
    parameters = {name: about[name] for name in kept}
    save("tab05_mnist_resnet", mnist_gpu.picture()[0], "MLAE Tables 5 and 8", parameters, numbers)


if __name__ == "__main__":
    main()
