"""Images with labels: the digits inside scikit-learn, and the IDX sets of the MNIST family."""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from companion.data.fetch import RemoteFile, fetch


class Images(NamedTuple):
    """Labelled images of one split."""

    x: Tensor  # (n, channels, height, width) uint8
    y: Tensor  # (n,) int64


class Splits(NamedTuple):
    """A data set in three parts that never overlap, and how they came about."""

    name: str
    train: Images
    valid: Images
    test: Images
    note: str


class IdxError(ValueError):
    """A file is no sound IDX file, or two of them do not belong together."""


_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MD5 = {  # the sums that torchvision checks, in the order of _FILES
    "mnist": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion-mnist": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}
NAMES = ("digits", *_MD5)
NUM_CLASSES = 10
NUM_VALID = 10_000  # the end of the training files (MLAE App. E.4)


def load(
    name: str = "digits",
    *,
    root: str | Path | None = None,
    download: bool = True,
    test_files_only: bool = False,
    seed: int = 0,
) -> Splits:
    """Load labelled images, split into training, validation and test.

    ``digits`` are the 1,797 real 8×8 digits inside scikit-learn, always there. The others are read
    from their official IDX files, whose sums are checked.

    Args:
        name: ``digits``, ``mnist``, ``fashion-mnist`` or ``kmnist``.
        root: data directory; see :func:`companion.data.fetch.data_directory`.
        download: whether missing files may be downloaded.
        test_files_only: use only the 10,000 official test images, split 8,000/1,000/1,000;
            the digits have no such files and stay as they are.
        seed: of the split where there is no official one.

    Returns:
        The :class:`Splits`; ``note`` says in words how they were made.

    Raises:
        ValueError: for an unknown name.
        IdxError: for a file that is not sound.
        companion.data.fetch.DataNotFoundError: saying which file to put where.

    >>> splits = load("digits")
    >>> len(splits.train.x), len(splits.valid.x), len(splits.test.x)
    (1297, 200, 300)
    """
    if name not in NAMES:
        raise ValueError(f"images.load: name must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "digits":
        return _split(name, _digits(), (1297, 200, 300), seed, "the digits of scikit-learn")
    files = [
        RemoteFile(
            f"{name}/{file}", tuple(mirror + file for mirror in _MIRRORS[name]), f"md5:{md5}"
        )
        for file, md5 in zip(_FILES, _MD5[name], strict=True)
    ]
    test = read_pair(*(fetch(file, root, download) for file in files[2:]))
    if test_files_only:
        sizes = (len(test.x) - 2 * (len(test.x) // 10), len(test.x) // 10, len(test.x) // 10)
        return _split(name, test, sizes, seed, f"the official test files of {name} alone")
    rest = read_pair(*(fetch(file, root, download) for file in files[:2]))
    train, valid = (Images(*(t[part] for t in rest)) for part in _ends(len(rest.x)))
    note = f"{name}: official test files; validation is the end of the training files"
    return Splits(name, train, valid, test, note)


def _ends(n: int) -> tuple[slice, slice]:
    valid = min(NUM_VALID, n // 6)
    return slice(n - valid), slice(n - valid, n)


def _digits() -> Images:
    from sklearn.datasets import load_digits  # here: a second of import that MNIST does not need

    x, y = load_digits(return_X_y=True)
    scaled = np.round(x * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Images(torch.from_numpy(scaled), torch.from_numpy(y).long())


def _split(name: str, images: Images, sizes: tuple[int, int, int], seed: int, what: str) -> Splits:
    order = torch.randperm(len(images.x), generator=Generator().manual_seed(seed))
    parts = [Images(images.x[part], images.y[part]) for part in order.split(sizes)]
    note = f"{name}: {what}, split {'/'.join(map(str, sizes))} by a permutation of seed {seed}"
    return Splits(name, *parts, note)


def read_pair(images: Path, labels: Path) -> Images:
    """Read an IDX file of images and the one of their labels.

    Raises:
        IdxError: when either is not sound, counts differ, or a label is not a digit.
    """
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.ndim != 1:
        raise IdxError(
            f"read_pair: expected images of 3 axes and labels of 1, got {x.ndim} in {images.name} "
            f"and {y.ndim} in {labels.name}"
        )
    if len(x) != len(y):
        raise IdxError(
            f"read_pair: {images.name} has {len(x)} images but {labels.name} has {len(y)} labels"
        )
    if y.size and y.max() >= NUM_CLASSES:
        raise IdxError(f"read_pair: {labels.name} has label {y.max()}, expected 0 to 9")
    return Images(torch.from_numpy(x).unsqueeze(1), torch.from_numpy(y).long())


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of bytes, gzipped or plain, checking all that its header promises.

    The format: two zero bytes, a type code (8 for unsigned bytes), the number of axes, one
    big-endian 32-bit size for each axis, then the numbers.

    Returns:
        A uint8 array of the header's shape.

    Raises:
        IdxError: saying what is wrong with the file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1]) + bytes([0, 0, 0, 3]) + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise IdxError(f"read_idx: {path.name} does not start as an IDX file (wrong magic number)")
    code, axes = content[2], content[3]
    if code != 8:
        raise IdxError(f"read_idx: {path.name} holds numbers of type {code:#04x}, expected 0x08")
    if not 1 <= axes <= 4 or len(content) < 4 + 4 * axes:
        raise IdxError(f"read_idx: {path.name} has a header of {axes} axes that is cut off or odd")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, offset=4))
    promised, held = math.prod(shape), len(content) - 4 - 4 * axes
    if promised != held:
        raise IdxError(
            f"read_idx: {path.name} promises {'×'.join(map(str, shape))} = {promised} bytes "
            f"but holds {held}"
        )
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        if path.suffix == ".gz":
            raise IdxError(f"read_idx: {path.name} is not a gzip file")
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise IdxError(f"read_idx: {path.name} is a damaged gzip file ({error})") from error


def one_hot(y: Tensor, num_classes: int = NUM_CLASSES) -> Tensor:
    """Labels as the condition of a network: ``(n,) -> (n, num_classes)`` float.

    >>> one_hot(torch.tensor([1]), 3)
    tensor([[0., 1., 0.]])
    """
    return torch.nn.functional.one_hot(y, num_classes).float()
