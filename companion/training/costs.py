"""What an experiment costs: products of matrices counted without computing them."""

# training, validation and test samples as the loaders cut them
SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "kmnist": (50_000, 10_000, 10_000),
    "cifar10": (40_000, 10_000, 10_000),
    "celeba": (162_770, 19_867, 19_962),
}
