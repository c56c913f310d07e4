"""Omniglot's characters and the 3D Chairs: many small grey images inside an archive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from companion.data.archives import FormatError, damage, open_members, read_image, to_array
from companion.data.fetch import RemoteFile, fetch
from companion.data.store import Recipe, pieces_of

_RAW = "https://github.com/brendenlake/omniglot/raw/master/python"
OMNIGLOT_FILES = (  # the sums of TensorFlow Datasets
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
CHAIRS_FILES = (
    RemoteFile(
        "chairs/rendered_chairs.tar",
        source="https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",
    ),
)


@contextmanager
def omniglot(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """Omniglot, ink white on black as in MNIST; a class is a character of an alphabet.

    Paths are ``…/alphabet/character/NNNN_DD.png`` with the drawer DD from 01 to 20. The official
    evaluation alphabets test; the last two drawers of the others validate.
    """
    with ExitStack() as stack:
        reads, rows = {}, []
        for number, file in enumerate(OMNIGLOT_FILES):
            members = stack.enter_context(open_members(fetch(file, root, download)))
            for path in (name for name in members.names if name.endswith(".png")):
                character, _, drawing = path.rpartition("/")
                drawer = drawing.removesuffix(".png").rpartition("_")[2]
                if character.count("/") != 2 or not drawer.isdecimal():
                    raise FormatError(f"omniglot: {path} is no alphabet/character/NNNN_DD.png")
                reads[path] = members.read
                rows.append((2 if number else int(drawer) >= 19, character, path))
        note = "omniglot: official evaluation alphabets test, drawers 19 and 20 validate"
        yield _recipe(note, rows, reads, size, OMNIGLOT_FILES)


@contextmanager
def chairs(root: Path | None, download: bool, size: int, crop: None) -> Iterator[Recipe]:
    """3D Chairs, grey; a class is a chair, seen from 62 sides.

    Paths are ``…/chair/renders/….png``. There is no official split: of the chairs, sorted by their
    random names, the last tenth tests and the tenth before it validates.
    """
    with open_members(fetch(CHAIRS_FILES[0], root, download)) as members:
        paths = [name for name in members.names if name.endswith(".png")]
        if not all(path.split("/")[-2:-1] == ["renders"] for path in paths):
            raise FormatError("chairs: an image is not in a folder chair/renders")
        of = {path: path.rsplit("/", 2)[0] for path in paths}
        names = sorted(set(of.values()))
        tenth = len(names) // 10
        part = {n: 2 - (i >= tenth) - (i >= 2 * tenth) for i, n in enumerate(reversed(names))}
        rows = [(part[of[path]], of[path], path) for path in paths]
        reads = dict.fromkeys(paths, members.read)
        yield _recipe("chairs: split 8:1:1 by chair", rows, reads, size, CHAIRS_FILES)


def _recipe(
    note: str,
    rows: list[tuple[int, str, str]],  # part, class and path of each image
    reads: dict[str, Callable[[str], bytes]],
    size: int,
    files: tuple[RemoteFile, ...],
) -> Recipe:
    name, rows = note.partition(":")[0], sorted(rows)
    counts = np.bincount([row[0] for row in rows], minlength=3)
    if not counts.all():
        raise FormatError(f"{name}: a part has no images, {counts.tolist()}")
    number = {label: i for i, label in enumerate(sorted({row[1] for row in rows}))}
    paths = [row[2] for row in rows]
    return Recipe(
        name=name,
        sizes=tuple(int(n) for n in counts),
        shape=(1, size, size),
        pieces=pieces_of(
            paths, lambda path: decode(reads[path](path), path, size, name == "omniglot")
        ),
        y=np.array([number[row[1]] for row in rows]),
        made_from={file.name: file.sum for file in files} | {"size": str(size)},
        note=f"{note}, {size}×{size} pixels",
    )


def decode(content: bytes, name: str, size: int, inverted: bool) -> np.ndarray:
    """A square PNG as ``(1, size, size)`` grey, scaled with antialiasing."""
    image = read_image(content, name, "L")
    if image.width != image.height or image.width < size:
        raise FormatError(f"drawings.decode: {name} has {image.width}×{image.height} pixels")
    with damage("drawings.decode", name):
        grey = image.resize((size, size), Image.Resampling.BILINEAR)
        return to_array(ImageOps.invert(grey) if inverted else grey)
