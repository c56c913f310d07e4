"""CIFAR-10 in its binary version; the Python version is pickled and could run code."""

from pathlib import Path

import numpy as np
import torch

from companion.data import idx
from companion.data.archives import FormatError, open_members
from companion.data.fetch import DataNotFoundError, RemoteFile, data_directory, fetch
from companion.data.splits import Images, Splits, official

NUM_CLASSES = 10
FILES = (
    RemoteFile(
        "cifar10/cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)
_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes
_BATCHES = ("test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6)))


def load(root: Path | None, download: bool, test_files_only: bool, seed: int) -> Splits:
    """CIFAR-10: 50,000 images of which the last 10,000 validate, and 10,000 to test."""
    try:
        archive = fetch(FILES[0], root, download)
    except DataNotFoundError as error:
        if (data_directory(root) / "cifar10" / "cifar-10-python.tar.gz").exists():
            message = f"{error}. cifar-10-python.tar.gz is no use: its pickles could run code"
            raise DataNotFoundError(message) from error
        raise
    test, rest = read(archive)
    return idx.only("cifar10", test, seed) if test_files_only else official("cifar10", rest, test)


def read(path: Path) -> tuple[Images, Images]:
    """Read the archive: test images and training images, ``(n, 3, 32, 32)``.

    Raises:
        FormatError: for the pickled version, and when a batch is missing or not sound.
    """
    parts = []
    with open_members(path, max_bytes=2**26) as members:
        named = {name.rpartition("/")[2]: name for name in members.names}
        if "test_batch" in named:
            raise FormatError(
                f"cifar.read: {path.name} is the Python version, whose pickles could run code; "
                f"get {FILES[0].urls[0]}"
            )
        for batch in _BATCHES:
            if batch not in named:
                raise FormatError(f"cifar.read: {path.name} has no {batch}")
            parts.append(read_batch(members.read(named[batch]), batch))
    rest = Images(*(torch.cat(tensors) for tensors in zip(*parts[1:], strict=True)))
    return parts[0], rest


def read_batch(content: bytes, name: str) -> Images:
    """Records of a label byte and 3,072 pixel bytes.

    >>> read_batch(bytes([7]) + bytes(3072), "one").y
    tensor([7])
    """
    if not content or len(content) % _RECORD:
        raise FormatError(
            f"cifar.read_batch: {name} has {len(content)} bytes, expected a multiple of {_RECORD}"
        )
    records = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(-1, _RECORD).copy())
    y = records[:, 0].long()
    if y.max() >= NUM_CLASSES:
        raise FormatError(f"cifar.read_batch: {name} has label {y.max()}, expected 0 to 9")
    return Images(records[:, 1:].reshape(-1, 3, 32, 32), y)
