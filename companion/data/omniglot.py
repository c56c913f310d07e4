"""Omniglot: 1,623 characters of 50 alphabets, each drawn by the same twenty people."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, open_members
from companion.data.decode import read_square
from companion.data.fetch import RemoteFile, fetch, unchecked
from companion.data.store import Recipe, Row, listed

_RAW = "https://github.com/brendenlake/omniglot/raw/master/python"
FILES = (  # the sums of TensorFlow Datasets
    RemoteFile(
        "omniglot/images_background.zip",
        (f"{_RAW}/images_background.zip",),
        "sha256:ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
        also={"images_background": ""},
    ),
    RemoteFile(
        "omniglot/images_evaluation.zip",
        (f"{_RAW}/images_evaluation.zip",),
        "sha256:1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
        also={"images_evaluation": ""},
    ),
)


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """Ink white on black as in MNIST; a class is a character of an alphabet.

    Paths are ``…/alphabet/character/NNNN_DD.png`` with the drawer DD from 01 to 20. The official
    evaluation alphabets test; the last two drawers of the others validate. (The 28×28 set with
    24,345 training images that much of the literature uses is another file and another split.)
    """
    found = [fetch(file, root, download) for file in FILES]
    with ExitStack() as stack:
        reads, rows = {}, []
        for number, file in enumerate(found):
            members = stack.enter_context(open_members(file.path))
            for path in (name for name in members.names if name.lower().endswith(".png")):
                character, drawing = path.split("/")[-3:-1], path.rpartition("/")[2]
                drawer = drawing[:-4].rpartition("_")[2]
                if len(character) != 2 or not drawer.isdecimal():
                    raise FormatError(f"omniglot: {path} is no alphabet/character/NNNN_DD.png")
                part, label = 2 if number else int(int(drawer) >= 19), "/".join(character)
                reads[f"{number}/{path}"] = members.read
                rows.append(Row(part, f"{number}/{label}", f"{number}/{path}"))

        def decode(path: str) -> np.ndarray:
            return 255 - read_square(reads[path](path[2:]), path, "L", size)

        note = "omniglot: official evaluation alphabets test, drawers 19 and 20 validate"
        note += unchecked(found)
        made_from = {file.path.name: file.sum or f"{len(rows)} images" for file in found}
        yield listed(note, sorted(rows), decode, (1, size, size), made_from)
