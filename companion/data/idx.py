"""IDX files, the format of MNIST, Fashion-MNIST and KMNIST."""

import math
from pathlib import Path

import numpy as np
import torch

from companion.data.archives import FormatError, read_plain
from companion.data.fetch import MAX_BYTES, RemoteFile, fetch, unchecked
from companion.data.splits import Images, Splits, official, permuted

NUM_CLASSES = 10
_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
_MD5 = {  # the sums that torchvision checks, in the order of _NAMES
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
_CONTENT_MD5 = {  # of the unpacked files; several public lists agree; there is none for KMNIST
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion-mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    "kmnist": ("",) * 4,
}
FILES = {
    name: tuple(
        RemoteFile(
            f"{name}/{file}",
            tuple(mirror + file for mirror in _MIRRORS[name]),
            f"md5:{md5}",
            content={"": f"md5:{inside}"} if inside else {},
        )
        for file, md5, inside in zip(_NAMES, sums, _CONTENT_MD5[name], strict=True)
    )
    for name, sums in _MD5.items()
}
SIZES = 60_000, 10_000  # of the training and the test files


def load(
    name: str,
    root: Path | None,
    download: bool,
    test_files_only: bool,
    seed: int,
    held_out: float | None = None,
) -> Splits:
    """One of the three sets; with ``test_files_only`` the 10,000 test images, split 8:1:1."""
    test, note = _pair(FILES[name][2:], root, download, SIZES[1])
    if test_files_only:
        splits = only(name, test, seed)
    else:
        rest, more = _pair(FILES[name][:2], root, download, SIZES[0])
        splits, note = official(name, rest, test, held_out), more + note
    return splits._replace(note=splits.note + note)


def _pair(
    files: tuple[RemoteFile, ...], root: Path | None, download: bool, size: int
) -> tuple[Images, str]:
    """Images with their labels, and what their note has to add."""
    found = [fetch(file, root, download) for file in files]
    images, note = read_pair(*(one.path for one in found)), unchecked(found)
    if note and images.x.shape != (size, 1, 28, 28):
        raise FormatError(
            f"idx.load: {found[0].path} has images {tuple(images.x.shape)}, expected "
            f"{(size, 1, 28, 28)}"
        )
    return images, note


def only(name: str, test: Images, seed: int) -> Splits:
    """The test files alone, split 8:1:1."""
    tenth = len(test.x) // 10
    sizes = (len(test.x) - 2 * tenth, tenth, tenth)
    return permuted(name, test, sizes, seed, f"the official test files of {name} alone")


def read_pair(images: Path, labels: Path) -> Images:
    """Read an IDX file of images and the one of their labels.

    Raises:
        FormatError: when either is not sound, counts differ, or a label is not a digit.
    """
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.ndim != 1:
        raise FormatError(
            f"read_pair: expected images of 3 axes and labels of 1, got {x.ndim} in {images.name} "
            f"and {y.ndim} in {labels.name}"
        )
    if len(x) != len(y):
        raise FormatError(
            f"read_pair: {images.name} has {len(x)} images but {labels.name} has {len(y)} labels"
        )
    if y.size and y.max() >= NUM_CLASSES:
        raise FormatError(f"read_pair: {labels.name} has label {y.max()}, expected 0 to 9")
    return Images(torch.from_numpy(x).unsqueeze(1), torch.from_numpy(y).long())


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of bytes, gzipped or plain, checking all that its header promises.

    The format: two zero bytes, a type code (8 for unsigned bytes), the number of axes, one
    big-endian 32-bit size for each axis, then the numbers.

    Returns:
        A uint8 array of the header's shape.

    Raises:
        FormatError: saying what is wrong with the file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1]) + bytes([0, 0, 0, 3]) + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    content = read_plain(path, MAX_BYTES)
    if len(content) < 4 or content[:2] != b"\0\0":
        message = f"{path.name} does not start as an IDX file (wrong magic number)"
        raise FormatError(f"read_idx: {message}")
    code, axes = content[2], content[3]
    if code != 8:
        raise FormatError(f"read_idx: {path.name} holds numbers of type {code:#04x}, expected 0x08")
    if not 1 <= axes <= 4 or len(content) < 4 + 4 * axes:
        message = f"{path.name} has a header of {axes} axes that is cut off or odd"
        raise FormatError(f"read_idx: {message}")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, offset=4))
    promised, held = math.prod(shape), len(content) - 4 - 4 * axes
    if promised != held:
        raise FormatError(
            f"read_idx: {path.name} promises {'×'.join(map(str, shape))} = {promised} bytes "
            f"but holds {held}"
        )
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
