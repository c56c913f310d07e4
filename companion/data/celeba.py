"""CelebA and CelebA-HQ: JPEGs in a zip or a folder, split by CelebA's official partition."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, Members, damage, open_members
from companion.data.decode import read_square
from companion.data.fetch import RemoteFile, data_directory, fetch
from companion.data.store import Recipe, Row, listed

_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
_HQ_PAGE = "https://github.com/switchablenorms/CelebAMask-HQ"
PARTITION = RemoteFile(
    "celeba/list_eval_partition.txt",
    known_hash="sha256:fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
    source=_PAGE,
)
FILES = (  # the sums of TensorFlow Datasets; the page hands files out only to browsers
    RemoteFile(
        "celeba/img_align_celeba.zip",
        known_hash="sha256:46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
        source=_PAGE,
    ),
    PARTITION,
)
HQ_FILES = (RemoteFile("celeba-hq/CelebAMask-HQ.zip", source=_HQ_PAGE), PARTITION)
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
SIZE = (178, 218)  # width and height of the aligned images


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: int) -> Iterator[Recipe]:
    """CelebA: the central square of ``crop`` pixels, scaled to ``size`` with antialiasing."""
    parts = read_partition(fetch(PARTITION, root, download))
    with _opened(FILES[0], "img_align_celeba", root, download) as (members, made_from):
        found = _by_file_name(name for name in members.names if name.endswith(".jpg"))
        odd = sorted(parts.keys() ^ found.keys())
        if odd:
            raise FormatError(
                f"celeba.recipe: the partition lists {len(parts)} images, there are {len(found)}; "
                f"only one of the two has {odd[0]}"
            )
        rows = [Row(part, "", found[name]) for name, part in parts.items()]
        note = "celeba: the official partition"
        yield _recipe(note, members, rows, size, crop, made_from)


@contextmanager
def recipe_hq(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """CelebA-HQ from ``CelebAMask-HQ.zip``: whole images, each in the part of its original."""
    parts = read_partition(fetch(PARTITION, root, download))
    with _opened(HQ_FILES[0], "CelebAMask-HQ", root, download) as (members, made_from):
        inside = _by_file_name(name for name in members.names if "CelebA-HQ-img/" in name)
        found = {name.partition(".")[0]: path for name, path in inside.items()}
        table = [name for name in members.names if name.rpartition("/")[2] == MAPPING]
        if len(table) != 1:
            raise FormatError(f"celeba.recipe_hq: expected one {MAPPING}, got {len(table)}")
        originals = read_mapping(members.read(table[0]))
        if set(originals) != set(found) or not set(originals.values()) <= set(parts):
            raise FormatError(
                f"celeba.recipe_hq: {len(found)} images do not fit the mapping's {len(originals)}"
            )
        rows = [Row(parts[original], "", found[n]) for n, original in originals.items()]
        note = "celeba-hq: each image in the official part of its original in celeba"
        yield _recipe(note, members, rows, size, crop, made_from)


@contextmanager
def _opened(
    file: RemoteFile, folder: str, root: Path | None, download: bool
) -> Iterator[tuple[Members, dict[str, str]]]:
    """The archive, or the folder that a user has unpacked beside its place."""
    unpacked = (data_directory(root) / file.name).with_name(folder)
    path = unpacked if unpacked.is_dir() else fetch(file, root, download)
    with open_members(path) as members:
        yield members, {path.name: file.sum if path.is_file() else f"{len(members.names)} files"}


def _by_file_name(paths: Iterable[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        name = path.rpartition("/")[2]
        if name in found:
            raise FormatError(f"celeba: two files are called {name}")
        if not name.startswith("."):  # what some systems put beside each file
            found[name] = path
    return found


def _recipe(
    note: str,
    members: Members,
    rows: list[Row],
    size: int,
    crop: int | None,
    made_from: dict[str, str],
) -> Recipe:
    def decode(path: str) -> np.ndarray:
        return read_square(members.read(path), path, "RGB", size, crop, SIZE if crop else None)

    made_from = made_from | {"partition": PARTITION.sum, "crop": str(crop)}
    note = f"{note}, {f'crop {crop}' if crop else 'whole images'}"
    return listed(note, rows, decode, (3, size, size), made_from)


def read_partition(path: Path) -> dict[str, int]:
    """Lines ``000001.jpg 0`` with 0, 1, 2 for training, validation, test.

    Raises:
        FormatError: for any other line, a name twice, or a part without images.
    """
    parts = {}
    with damage("read_partition", path.name):
        lines = path.read_text("ascii").splitlines()
    for number, line in enumerate(lines, 1):
        name, _, part = line.partition(" ")
        if part.strip() not in ("0", "1", "2") or not name.endswith(".jpg") or name in parts:
            raise FormatError(f"read_partition: line {number} of {path.name} is {line[:60]!r}")
        parts[name] = int(part)
    if set(parts.values()) != {0, 1, 2}:
        raise FormatError(f"read_partition: {path.name} has no images in one of its three parts")
    return parts


def read_mapping(content: bytes) -> dict[str, str]:
    r"""The name of each CelebA-HQ image's original, by number, after a line of headings.

    >>> read_mapping(b"idx orig_idx orig_file\n0  119613  119614.jpg\n")
    {'0': '119614.jpg'}
    """
    originals = {}
    with damage("read_mapping", MAPPING):
        for line in content.decode("ascii").splitlines()[1:]:
            number, _, original = line.split()
            originals[str(int(number))] = original
    return originals
