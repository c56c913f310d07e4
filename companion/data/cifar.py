"""CIFAR-10 in its binary version, or in the Python version, whose pickles are never run."""

import pickletools
from pathlib import Path

import numpy as np
import torch

from companion.data import idx
from companion.data.archives import FormatError, damage, open_members
from companion.data.fetch import MAX_BYTES, RemoteFile, fetch, unchecked
from companion.data.splits import Images, Splits, official

NUM_CLASSES = 10
_BATCHES = ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)))
_MD5 = (  # of the Python version's batches, which torchvision checks
    "40351d587109b95175f43aff81a1287e",
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
)
FILES = (
    RemoteFile(
        "cifar10/cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        content={name: f"md5:{md5}" for name, md5 in zip(_BATCHES, _MD5, strict=True)},
        also={
            "cifar-10-batches-bin": "",
            "cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a",
            "cifar-10-batches-py": "",
        },
    ),
)
SIZE = 10_000  # images of a batch
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS  # a label, then the red, green and blue planes


def load(root: Path | None, download: bool, test_files_only: bool, seed: int) -> Splits:
    """CIFAR-10: 50,000 images of which the last 10,000 validate, and 10,000 to test."""
    found = fetch(FILES[0], root, download)
    test, rest = read(found.path, None if found.sum else SIZE)
    splits = idx.only("cifar10", test, seed) if test_files_only else official("cifar10", rest, test)
    return splits._replace(note=splits.note + unchecked([found]))


def read(path: Path, size: int | None = None) -> tuple[Images, Images]:
    """Read the archive or the folder: test images and training images, ``(n, 3, 32, 32)``.

    Args:
        path: of either version.
        size: how many images each batch must have.

    Raises:
        FormatError: when a batch is missing or not sound.
    """
    parts = []
    with open_members(path, MAX_BYTES) as members:
        named = {name.rpartition("/")[2].lower(): name for name in members.names}
        for batch in _BATCHES:
            binary, pickled = f"{batch}.bin", batch in named
            if not pickled and binary not in named:
                raise FormatError(f"cifar.read: {path.name} has no {binary}")
            content = members.read(named[batch if pickled else binary])
            parts.append(read_batch(records(content, batch) if pickled else content, batch))
            if size and len(parts[-1].x) != size:
                message = f"{batch} of {path} has {len(parts[-1].x)} images, expected {size}"
                raise FormatError(f"cifar.read: {message}")
    rest = Images(*(torch.cat(tensors) for tensors in zip(*parts[1:], strict=True)))
    return parts[0], rest


def records(content: bytes, name: str) -> bytes:
    """A batch of the Python version as one of the binary version.

    Its labels and its one block of pixels are picked out of the pickle's operations. None of these
    is carried out, so no code can run.

    Raises:
        FormatError: when they are not there.
    """
    texts = ("SHORT_BINSTRING", "BINSTRING")  # bytes of Python 2
    labels, pixels, key = bytearray(), b"", ""
    with damage("cifar.records", name):
        for operation, value, _ in pickletools.genops(content):
            if operation.name in texts and len(value) >= _PIXELS:
                pixels = value.encode("latin-1")
            elif operation.name in texts:
                key = value
            elif operation.name == "BININT1" and key == "labels":
                labels.append(value)
    if len(pixels) != _PIXELS * len(labels):
        raise FormatError(
            f"cifar.records: {name} has {len(pixels)} pixel bytes for {len(labels)} labels"
        )
    columns = (np.frombuffer(part, np.uint8).reshape(len(labels), -1) for part in (labels, pixels))
    return np.hstack([*columns]).tobytes() if labels else b""


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
