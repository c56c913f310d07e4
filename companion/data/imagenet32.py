"""ImageNet at 32×32 pixels, in the arrays of its authors; objects in them are never unpickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, open_members
from companion.data.decode import read_npy
from companion.data.fetch import RemoteFile, fetch
from companion.data.splits import num_valid
from companion.data.store import Piece, Recipe

_PAGE = "https://image-net.org/download-images.php (an account; unpack Imagenet32_*_npz.zip)"
_MD5 = {  # two public lists agree on these, and differ on the zips that hold them
    "train_data_batch_1.npz": "464fde20de6eb44c28cc1a8c11544bb1",
    "train_data_batch_2.npz": "bdb56e71882c3fd91619d789d5dd7c79",
    "train_data_batch_3.npz": "83ff36d76ea26867491a281ea6e1d03b",
    "train_data_batch_4.npz": "98ff184fe109d5c2a0f6da63843880c7",
    "train_data_batch_5.npz": "62b8803e13c3e6de9498da7aaaae57c8",
    "train_data_batch_6.npz": "e0b06665f890b029f1d8d0a0db26e119",
    "train_data_batch_7.npz": "9731f469aac1622477813c132c5a847a",
    "train_data_batch_8.npz": "60aed934b9d26b7ee83a1a83bdcfbe0f",
    "train_data_batch_9.npz": "b96328e6affd718660c2561a6fe8c14c",
    "train_data_batch_10.npz": "1dc618d544c554220dd118f72975470c",
    "val_data.npz": "a8c04a389f2649841fb7a01720da9dd9",
}
FILES = tuple(
    RemoteFile(f"imagenet32/{name}", (), f"md5:{md5}", _PAGE) for name, md5 in _MD5.items()
)
NUM_CLASSES = 1000


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """The official validation images test; the last 10,000 of the training images validate."""
    paths = [fetch(file, root, download).path for file in FILES]  # each has a sum
    y = [read_labels(path) for path in paths]
    ends = np.cumsum([len(part) for part in y])
    rest, test = int(ends[-2]), len(y[-1])
    pieces = [
        Piece(int(end) - len(part), int(end), lambda path=path: read_pixels(path))
        for path, part, end in zip(paths, y, ends, strict=True)
    ]
    yield Recipe(
        name="imagenet32",
        sizes=(rest - num_valid(rest), num_valid(rest), test),
        shape=(3, 32, 32),
        pieces=pieces,
        y=np.concatenate(y),
        made_from={file.name: file.sum for file in FILES},
        note="imagenet32: official validation files as test, the end of the training files "
        "as validation",
        workers=1,  # a file is 400 MB when unpacked
    )


def read_labels(path: Path) -> np.ndarray:
    """Classes from 0, ``(n,)`` int64; the files count from 1."""
    y = _member(path, "labels.npy")
    if y.ndim != 1 or y.dtype.kind not in "iu" or not ((y >= 1) & (y <= NUM_CLASSES)).all():
        raise FormatError(f"read_labels: {path.name} has labels other than 1 to {NUM_CLASSES}")
    return y.astype(np.int64) - 1


def read_pixels(path: Path) -> np.ndarray:
    """Images ``(n, 3, 32, 32)`` uint8."""
    x = _member(path, "data.npy")
    if x.ndim != 2 or x.shape[1] != 3 * 32 * 32 or x.dtype != np.uint8:
        raise FormatError(f"read_pixels: {path.name} holds {x.dtype} {x.shape}, expected (n, 3072)")
    return x.reshape(-1, 3, 32, 32)


def _member(path: Path, name: str) -> np.ndarray:
    with open_members(path, max_bytes=2**29) as members:
        if name not in members.names:
            raise FormatError(f"imagenet32: {path.name} has no {name}")
        return read_npy(members.read(name), f"{name} in {path.name}")
