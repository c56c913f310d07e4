"""3D Chairs: rendered views of chairs, whose pose is all that changes within a class."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from companion.data.archives import FormatError, open_members
from companion.data.decode import read_square
from companion.data.fetch import RemoteFile, fetch, unchecked
from companion.data.store import Recipe, Row, listed

FILES = (
    RemoteFile(
        "chairs/rendered_chairs.tar",
        source="https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",
        also={"rendered_chairs": ""},
    ),
)


@contextmanager
def recipe(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """Grey images; a class is a chair, seen from 62 sides.

    Paths are ``…/chair/renders/….png``. There is no official split: of the chairs, sorted by their
    random names, the last tenth tests and the tenth before it validates.
    """
    file = fetch(FILES[0], root, download)
    with open_members(file.path) as members:
        paths = [name for name in members.names if name.lower().endswith(".png")]
        if not all(path.split("/")[-2:-1] == ["renders"] for path in paths):
            raise FormatError("chairs: an image is not in a folder chair/renders")
        chair = {path: path.rsplit("/", 2)[0] for path in paths}
        names = sorted(set(chair.values()))
        tenth, n = len(names) // 10, len(names)
        part = {name: (i >= n - 2 * tenth) + (i >= n - tenth) for i, name in enumerate(names)}
        rows = sorted(Row(part[chair[path]], chair[path], path) for path in paths)

        def decode(path: str) -> np.ndarray:
            return read_square(members.read(path), path, "L", size)

        made_from = {file.path.name: file.sum or f"{len(paths)} files"}
        note = f"chairs: split 8:1:1 by chair{unchecked([file])}"
        yield listed(note, rows, decode, (1, size, size), made_from)
