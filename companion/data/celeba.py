"""CelebA and CelebA-HQ: JPEGs in a zip or a folder, split by CelebA's official partition."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, Members, damage, open_members
from companion.data.decode import read_square
from companion.data.fetch import Found, RemoteFile, fetch, unchecked
from companion.data.store import Recipe, Row, listed

_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
_HQ_PAGE = "https://github.com/switchablenorms/CelebAMask-HQ"
FILES = (  # the sum of TensorFlow Datasets; the page hands files out only to browsers
    RemoteFile(
        "celeba/img_align_celeba.zip",
        known_hash="sha256:46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
        source=_PAGE,
        also={"img_align_celeba": "", "celeba-dataset.zip": "", "celeba-dataset": ""},  # Kaggle's
    ),
)
HQ_FILES = (RemoteFile("celeba-hq/CelebAMask-HQ.zip", source=_HQ_PAGE, also={"CelebAMask-HQ": ""}),)
ENDS = (162_770, 182_637, 202_599)  # numbers of the last images of the three parts
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
SIZE = (178, 218)  # width and height of the aligned images


def partition() -> dict[str, int]:
    """The official partition: 0, 1, 2 for training, validation, test, by the file's name.

    Written as lines ``000001.jpg 0`` (with the ends of Windows) it is ``list_eval_partition.txt``,
    by its published sum.

    >>> list(partition().values()).count(1)
    19867
    """
    numbers = range(1, ENDS[2] + 1)
    return {f"{n:06d}.jpg": (n > ENDS[0]) + (n > ENDS[1]) for n in numbers}


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: int) -> Iterator[Recipe]:
    """CelebA: the central square of ``crop`` pixels, scaled to ``size`` with antialiasing."""
    parts, file = partition(), fetch(FILES[0], root, download)
    with open_members(file.path) as members:
        found = _by_file_name(name for name in members.names if name.lower().endswith(".jpg"))
        odd = sorted(parts.keys() ^ found.keys())
        if odd:
            raise FormatError(
                f"celeba.recipe: the partition lists {len(parts)} images, there are {len(found)}; "
                f"only one of the two has {odd[0]}"
            )
        rows = [Row(part, "", found[name]) for name, part in parts.items()]
        yield _recipe("celeba: the official partition", members, rows, size, crop, file)


@contextmanager
def recipe_hq(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """CelebA-HQ from ``CelebAMask-HQ.zip``: whole images, each in the part of its original."""
    parts, file = partition(), fetch(HQ_FILES[0], root, download)
    with open_members(file.path) as members:
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
        yield _recipe(note, members, rows, size, crop, file)


def _by_file_name(paths: Iterable[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        name = path.rpartition("/")[2].lower()
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
    file: Found,
) -> Recipe:
    def decode(path: str) -> np.ndarray:
        return read_square(members.read(path), path, "RGB", size, crop, SIZE if crop else None)

    made_from = {file.path.name: file.sum or f"{len(members.names)} files", "crop": str(crop)}
    note = f"{note}, {f'crop {crop}' if crop else 'whole images'}{unchecked([file])}"
    return listed(note, rows, decode, (3, size, size), made_from)


def read_mapping(content: bytes) -> dict[str, str]:
    r"""The name of each CelebA-HQ image's original, by number, after a line of headings.

    >>> read_mapping(b"idx orig_idx orig_file\n0  119613  119614.jpg\n")
    {'0': '119614.jpg'}
    """
    originals = {}
    with damage("read_mapping", MAPPING):
        for line in content.decode("utf-8-sig").split("\n")[1:]:
            if not line.strip():
                continue
            number, _, original = line.split()
            originals[str(int(number))] = original
    return originals
