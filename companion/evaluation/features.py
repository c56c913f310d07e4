"""What a Fréchet distance looks at: features of images, and who made them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from sklearn.metrics import r2_score
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from companion.contracts import as_float
from companion.data import images
from companion.data.faces import Faces
from companion.data.fetch import RemoteFile, fetch
from companion.models.base import Model, evaluating
from companion.training import TrainConfig, fit

CHUNK = 250  # images looked at together
NUM_FEATURES = 128
DIGITS_LEARNED = 797  # training digits from which their classifier learns; not the other 500
FACES_LEARNED, FACES_HELD_OUT = 2400, 600

_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION = RemoteFile(
    f"inception/{_WEIGHTS}",
    (f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_WEIGHTS}",),
    "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)

Target = Literal["classes", "turns", "numbers"]


class Seen(NamedTuple):
    """What a network makes of images."""

    features: Tensor  # (n, features), on the CPU
    logits: Tensor | None = None  # (n, classes), or none where it does not classify
    numbers: Tensor | None = None  # (n, numbers), or none where it predicts none

    def classes(self, threshold: float = 0.9) -> Tensor:
        """The recognised class of each image, −1 where none has ``threshold`` probability.

        >>> Seen(torch.zeros(2, 1), torch.tensor([[0.0, 5.0], [0.0, 0.1]])).classes()
        tensor([ 1, -1])
        """
        probability, likeliest = self.logits.softmax(1).max(1)
        return torch.where(probability >= threshold, likeliest, -1)


@dataclass(frozen=True)
class Features:
    """A way to look at data, with its name: distances by different ones must not be compared.

    Args:
        name: in words, shown with every distance.
        look: ``(batch, *data)`` to features, and to logits or numbers.
        accuracy: of the classifier whose features they are, on data that it has not seen: the
            share that is right, of predicted numbers the share of their variance.
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
    columns = zip(*parts, strict=True)
    return Seen(*(None if c[0] is None else torch.cat([t.cpu() for t in c]) for c in columns))


def identity() -> Features:
    """Tables are looked at as they are: the distance is MLAE Table 1's "FID-like metric".

    >>> identity()(torch.zeros(3, 2)).features.shape
    torch.Size([3, 2])
    """
    return Features("the data themselves", lambda x: Seen(x.flatten(1)))


class ClassifierTerms(NamedTuple):
    """The cross-entropy, or the squared error of numbers, is the loss."""

    loss: Tensor  # (batch,)


class Classifier(Model):
    """A small convolutional classifier on the model contract, so that ``fit`` trains it.

    ``encode`` gives its last hidden layer, the features; the condition of its loss is the class.
    Without classes it learns by how many quarter turns an image was turned, or predicts numbers.

    Args:
        data_shape: ``(channels, height, width)``.
        num_outputs: how many classes or numbers; of turns four.
        target: ``classes``, ``turns`` or ``numbers``.

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

    def __init__(self, data_shape: tuple[int, ...], num_outputs: int, target: Target = "classes"):
        super().__init__(data_shape, NUM_FEATURES)
        self.target = target
        width = 64 * (data_shape[1] // 4) * (data_shape[2] // 4)
        self.body = nn.Sequential(
            nn.Conv2d(data_shape[0], 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(width, NUM_FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(NUM_FEATURES, num_outputs)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.body(x)

    def look(self, x: Tensor) -> Seen:
        """Features, and the logits of classes or the numbers."""
        features = self.body(x.to(self.head.weight))
        kind = {"classes": "logits", "numbers": "numbers"}.get(self.target)
        return Seen(features, **({kind: self.head(features)} if kind else {}))

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        if self.target != "turns":
            return {}
        return {"turns": torch.randint(4, (len(x),), generator=generator, device=x.device)}

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> ClassifierTerms:
        """The error of the classes or numbers in ``condition``, or of the turns drawn."""
        if self.target == "turns":
            condition = draws["turns"]
            x = turned(x, condition)
        output = self.head(self.body(x))
        if self.target == "numbers":
            return ClassifierTerms((output - condition).square().sum(1))
        return ClassifierTerms(cross_entropy(output, condition, reduction="none"))

    def accuracy(self, x: Tensor, y: Tensor | None) -> float:
        """The share of images, or of their four turns, that are right; R² of numbers."""
        x = as_float(x)
        if self.target == "turns":
            y = torch.arange(4).repeat_interleave(len(x))
            x = turned(x.repeat(4, 1, 1, 1), y)
        with evaluating(self), torch.no_grad():
            parts = [self.head(self.body(p.to(self.head.weight))).cpu() for p in x.split(CHUNK)]
        output = torch.cat(parts)
        if self.target == "numbers":
            return float(r2_score(y.cpu(), output))
        return float((output.argmax(1) == y.cpu()).float().mean())


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
        y: ``(n,)`` their classes, ``(n, numbers)`` what is known of them, or nothing.
        test: images that it does not train on, for its accuracy.
        y_test: as y.
        steps: of the optimiser, at batches of 128.
        seed: of its weights and its batches.
        device: where it trains.

    >>> from companion.data import images
    >>> splits = images.load("digits")
    >>> features = classifier(*splits.train, *splits.test, steps=150, device="cpu")
    >>> features.accuracy > 0.85, features(splits.test.x).features.shape
    (True, torch.Size([300, 128]))
    """
    if y is None:
        target, outputs = "turns", 4
    elif y.is_floating_point():
        target, outputs = "numbers", y.shape[1]
    else:
        target, outputs = "classes", int(y.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(tuple(train.shape[1:]), outputs, target)
    epochs = ceil(steps * 128 / len(train))
    config = TrainConfig(
        epochs=epochs, batch_size=128, learning_rate=2e-3, seed=seed, device=device
    )
    with torch.enable_grad():  # a classifier may be asked for where nothing else is trained
        fit(model, train, config=config, condition=y, progress=False)
    model.eval().requires_grad_(False)
    what = {
        "turns": "quarter turns (the set has no classes)",
        "numbers": f"{outputs} known numbers",
    }
    what = what.get(target, f"{outputs} classes")
    name = f"a small classifier of {what}, {steps} steps on {len(train):,} images, seed {seed}"
    return Features(name, model.look, model.accuracy(test, y_test))


@cache
def digit_features(seed: int = 0) -> Features:
    """The classifier by which all 8×8 digits are compared, whoever made them.

    It learns from the first ``DIGITS_LEARNED`` training digits, so that a distance between the
    500 others and the 500 held-out ones is what real digits have.

    Args:
        seed: of the digits' split.

    >>> digit_features().name
    'a small classifier of 10 classes, 500 steps on 797 images, seed 0'
    """
    parts = images.load("digits", seed=seed)
    held_out = (torch.cat(pair) for pair in zip(parts.valid, parts.test, strict=True))
    return classifier(*(part[:DIGITS_LEARNED] for part in parts.train), *held_out, device="cpu")


@cache
def face_features(size: int) -> Features:
    """The network by which all synthetic faces are compared: it predicts their ten factors.

    Its numbers are u = erf(f/√2) in (−1, 1), through which a factor acts
    (:meth:`companion.data.faces.Faces.render`). No data set has the faces from which it learns.

    Args:
        size: width and height in pixels.

    >>> from companion.data.faces import FACTORS
    >>> seen = face_features(8)(torch.rand(3, 3, 8, 8))
    >>> seen.features.shape, seen.numbers.shape[1] == len(FACTORS)
    (torch.Size([3, 128]), True)
    """
    faces, n = Faces(size), FACES_LEARNED
    x, f = faces.sample(n + FACES_HELD_OUT, Generator().manual_seed(10_000))
    mean, u = faces.render(torch.zeros(1, faces.dim)), torch.erf(f / 2**0.5)
    x = as_float(x) - mean
    found = classifier(x[:n], u[:n], x[n:], u[n:], steps=300, device="cpu")
    return replace(found, look=lambda x: found.look(x.cpu() - mean))


def inception(
    root: str | Path | None = None, download: bool = True, device: str = "auto"
) -> Features:
    """The Inception network of the papers' tables, through torchmetrics and torch-fidelity.

    Images are rounded to bytes, as the real ones are, and scaled to its 299 pixels by the network
    itself; grey ones are shown in all three channels. Its 2,048 pooled features and 1,008 logits
    without bias are those of the public implementations, by the sum of its weights.

    Args:
        root: the data directory that has the file ``INCEPTION``, see
            :func:`companion.data.fetch.data_directory`.
        download: whether it may be downloaded (95 MB).
        device: where it runs; ``auto`` is a GPU where there is one.

    Raises:
        ImportError: when torch-fidelity is not installed, saying how to install it.
        companion.data.fetch.DataNotFoundError: saying which file to put where.
        companion.data.fetch.ChecksumError: for a file with another sum.
    """
    if find_spec("torch_fidelity") is None:
        raise ImportError(
            "inception: its network is torch-fidelity's, which is not installed: "
            'pip install -e ".[inception]" -c constraints.txt; or take the features of a classifier'
        )
    weights = fetch(INCEPTION, root, download).path
    from torchmetrics.image.fid import NoTrainInceptionV3  # seconds, and few need it

    names = ["2048", "logits_unbiased"]
    network = NoTrainInceptionV3("inception-v3-compat", names, str(weights), antialias=False)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device)

    def look(x: Tensor) -> Seen:
        coloured = x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)
        shown = (255 * coloured.clamp(0, 1)).round().byte().to(device)
        return Seen(*network._torch_fidelity_forward(shown))  # its forward gives the first only

    return Features("Inception v3 (2,048 pooled features)", look)
