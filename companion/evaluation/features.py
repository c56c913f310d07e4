"""What a Fréchet distance looks at: features of images, and who made them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from companion.contracts import as_float
from companion.models.base import Model, evaluating
from companion.training import TrainConfig, fit

CHUNK = 250  # images looked at together
NUM_FEATURES = 128


class Seen(NamedTuple):
    """What a network makes of images."""

    features: Tensor  # (n, features), on the CPU
    logits: Tensor | None  # (n, classes), or none where it does not classify


@dataclass(frozen=True)
class Features:
    """A way to look at data, with its name: distances by different ones must not be compared.

    Args:
        name: in words, shown with every distance.
        look: ``(batch, *data)`` to features and logits.
        accuracy: of the classifier whose features they are, on data that it has not seen.
    """

    name: str
    look: Callable[[Tensor], Seen]
    accuracy: float | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Seen:
        """Features of data or of bytes ``(n, *data)``, a chunk at a time."""
        return joined([self.look(as_float(chunk)) for chunk in x.split(CHUNK)])


def joined(parts: Sequence[Seen]) -> Seen:
    """What was seen of some chunks, as of one."""
    features, logits = zip(*parts, strict=True)
    together = torch.cat([f.cpu() for f in features])
    return Seen(together, None if logits[0] is None else torch.cat([p.cpu() for p in logits]))


def identity() -> Features:
    """Tables are looked at as they are: the distance is MLAE Table 1's "FID-like metric".

    >>> identity()(torch.zeros(3, 2)).features.shape
    torch.Size([3, 2])
    """
    return Features("the data themselves", lambda x: Seen(x.flatten(1), None))


class ClassifierTerms(NamedTuple):
    """The cross-entropy is the loss."""

    loss: Tensor  # (batch,)


class Classifier(Model):
    """A small convolutional classifier on the model contract, so that ``fit`` trains it.

    ``encode`` gives its last hidden layer, the features; the condition of its loss is the class.
    Without classes it learns by how many quarter turns an image was turned.

    Args:
        data_shape: ``(channels, height, width)``.
        num_classes: how many, or nothing for quarter turns.

    Source: turns: Gidaris et al., *Unsupervised representation learning by predicting image
    rotations*, 2018.

    >>> _ = torch.manual_seed(0)
    >>> model = Classifier((1, 8, 8), 10)
    >>> model.encode(torch.rand(3, 1, 8, 8)).shape
    torch.Size([3, 128])
    >>> model.loss(torch.rand(3, 1, 8, 8), torch.tensor([0, 1, 2])).loss.shape
    torch.Size([3])
    """

    takes_labels = True

    def __init__(self, data_shape: tuple[int, ...], num_classes: int | None):
        super().__init__(data_shape, NUM_FEATURES)
        self.turns = num_classes is None
        width = 64 * (data_shape[1] // 4) * (data_shape[2] // 4)
        self.body = nn.Sequential(
            nn.Conv2d(data_shape[0], 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(width, NUM_FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(NUM_FEATURES, 4 if self.turns else num_classes)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.body(x)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        if not self.turns:
            return {}
        return {"turns": torch.randint(4, (len(x),), generator=generator, device=x.device)}

    def loss(self, x: Tensor, condition=None, generator=None, **draws) -> ClassifierTerms:
        """Cross-entropy with the classes in ``condition``, or with the turns drawn."""
        if self.turns:
            condition = draws["turns"] if draws else self.draw(x, generator)["turns"]
            x = turned(x, condition)
        return ClassifierTerms(cross_entropy(self.head(self.body(x)), condition, reduction="none"))

    def accuracy(self, x: Tensor, y: Tensor | None) -> float:
        """The share of images, or of their four turns, that it classifies rightly."""
        x = as_float(x)
        if self.turns:
            y = torch.arange(4).repeat_interleave(len(x))
            x = turned(x.repeat(4, 1, 1, 1), y)
        with evaluating(self), torch.no_grad():
            right = [
                self.head(self.body(part.to(self.head.weight))).argmax(1).cpu() == label
                for part, label in zip(x.split(CHUNK), y.split(CHUNK), strict=True)
            ]
        return float(torch.cat(right).float().mean())


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Square images, each turned by its number of quarter turns.

    >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1]))
    tensor([[[[2, 4],
              [1, 3]]]])
    """
    every = torch.stack([x.rot90(k, (-2, -1)) for k in range(4)])  # (4, batch, …)
    return every[turns, torch.arange(len(x), device=x.device)]


def classifier(
    train: Tensor,
    y: Tensor | None,
    test: Tensor,
    y_test: Tensor | None,
    steps: int = 500,
    seed: int = 0,
    device: str = "auto",
) -> Features:
    """Train a small classifier on real images and look through its last hidden layer.

    Args:
        train: ``(n, *data)`` images, as bytes or in [0, 1].
        y: ``(n,)`` their classes, or nothing where the set has none.
        test: images that it does not train on, for its accuracy.
        y_test: their classes.
        steps: of the optimiser, at batches of 128.
        seed: of its weights and its batches.
        device: where it trains.

    >>> from companion.data import images
    >>> splits = images.load("digits")
    >>> features = classifier(*splits.train, *splits.test, steps=150, device="cpu")
    >>> features.accuracy > 0.85, features(splits.test.x).features.shape
    (True, torch.Size([300, 128]))
    """
    classes = None if y is None else int(y.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(tuple(train.shape[1:]), classes)
    epochs = ceil(steps * 128 / len(train))
    config = TrainConfig(
        epochs=epochs, batch_size=128, learning_rate=2e-3, seed=seed, device=device
    )
    fit(model, train, config=config, condition=y, progress=False)
    model.eval().requires_grad_(False)
    what = f"{classes} classes" if classes else "quarter turns (the set has no classes)"
    name = f"a small classifier of {what}, {steps} steps on {len(train):,} images, seed {seed}"
    weight = model.head.weight

    def look(x: Tensor) -> Seen:
        features = model.body(x.to(weight))
        return Seen(features, model.head(features) if classes else None)

    return Features(name, look, model.accuracy(test, y_test))


def inception(weights: str | None = None, device: str = "cpu") -> Features:
    """The Inception network of the papers' tables, through torchmetrics and torch-fidelity.

    Images are rounded to bytes, as the real ones are, and scaled to its 299 pixels by the network
    itself; grey ones are shown in all three channels. Its 2,048 pooled features and 1,008 logits
    without bias are those of the public implementations.

    Args:
        weights: path of its weights; by default torch-fidelity downloads them.
        device: where it runs.

    Raises:
        ImportError: when torch-fidelity is not installed, saying how to install it.
        OSError: when the weights are neither there nor to be had.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    names = ["2048", "logits_unbiased"]
    try:
        network = NoTrainInceptionV3("inception-v3-compat", names, weights, antialias=False)
    except ModuleNotFoundError as error:
        raise ImportError(
            "inception: its features need torch-fidelity and its weights (about 95 MB): "
            'pip install "torchmetrics[image]"; or take the features of a classifier'
        ) from error
    network = network.to(device)

    def look(x: Tensor) -> Seen:
        coloured = x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)
        shown = (255 * coloured.clamp(0, 1)).round().byte().to(device)
        return Seen(*network._torch_fidelity_forward(shown))  # its forward gives the first only

    return Features("Inception v3 (2,048 pooled features)", look)
