"""Omniglot: 1,623 characters of 50 alphabets, each drawn by the same twenty people."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, open_members
from companion.data.decode import read_square
from companion.data.fetch import RemoteFile, fetch
from companion.data.store import Recipe, Row, listed

_RAW = "https://github.com/brendenlake/omniglot/raw/master/python"
FILES = (  # the sums of TensorFlow Datasets
    RemoteFile(
        "omniglot/images_background.zip",
        (f"{_RAW}/images_background.zip",),
        "sha256:ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
    ),
    RemoteFile(
        "omniglot/images_evaluation.zip",
        (f"{_RAW}/images_evaluation.zip",),
        "sha256:1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
    ),
)


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """Ink white on black as in MNIST; a class is a character of an alphabet.

    Paths are ``…/alphabet/character/NNNN_DD.png`` with the drawer DD from 01 to 20. The official
    evaluation alphabets test; the last two drawers of the others validate. (The 28×28 set with
    24,345 training images that much of the literature uses is another file and another split.)
    """
    with ExitStack() as stack:
        reads, rows = {}, []
        for number, file in enumerate(FILES):
            members = stack.enter_context(open_members(fetch(file, root, download)))
            for path in (name for name in members.names if name.endswith(".png")):
                character, _, drawing = path.rpartition("/")
                drawer = drawing.removesuffix(".png").rpartition("_")[2]
                if character.count("/") != 2 or not drawer.isdecimal():
                    raise FormatError(f"omniglot: {path} is no alphabet/character/NNNN_DD.png")
                reads[path] = members.read
                rows.append(Row(2 if number else int(int(drawer) >= 19), character, path))

        def decode(path: str) -> np.ndarray:
            return 255 - read_square(reads[path](path), path, "L", size)

        note = "omniglot: official evaluation alphabets test, drawers 19 and 20 validate"
        yield listed(note, sorted(rows), decode, (1, size, size), {f.name: f.sum for f in FILES})
