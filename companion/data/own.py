"""Your own data: a CSV file of numbers, or a folder of images, split by chance into three parts."""

import csv
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

FEWEST = 20  # rows or images: a tenth of them validates, another tests
LARGEST = 1024  # pixels of a side that is asked for
SUFFIXES = (".png", ".jpg", ".jpeg")
GREY = ("1", "L", "LA")  # modes of Pillow with one channel of bytes


class OwnDataError(ValueError):
    """A file, or a folder, is not what can be trained on."""


class Own(NamedTuple):
    """Three parts that never overlap, and how they came about."""

    train: Tensor  # (n, columns) float32, z-scored; or (n, channels, size, size) uint8
    valid: Tensor
    test: Tensor
    note: str


def is_own(name: str) -> bool:
    """Whether a name is that of a CSV file or of a folder that is there.

    >>> is_own("my.csv"), is_own("mnist")
    (True, False)
    """
    return name.lower().endswith(".csv") or Path(name).is_dir()


def load(name: str | Path, seed: int = 0, size: int | None = None) -> Own:
    r"""Read a table or images, and split them 80/10/10.

    A table is z-scored with the means and standard deviations of its training part.

    Args:
        name: a ``.csv`` file of numbers, with a line of names or without; or a folder in which, or
            below which, are square PNG or JPEG images of one size.
        seed: of the split.
        size: crop each image to its central square, scaled to so many pixels.

    Raises:
        OwnDataError: naming the file, and the row and column where there are some.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "two.csv"
    >>> _ = path.write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(50)))
    >>> [tuple(part.shape) for part in load(path)[:3]]
    [(40, 2), (5, 2), (5, 2)]
    """
    if size is not None and not 1 <= size <= LARGEST:
        raise OwnDataError(f"size must be from 1 to {LARGEST} pixels, got {size}")
    path = Path(name)
    is_table = not path.is_dir()
    found = torch.from_numpy(_table(path) if is_table else _images(path, size))
    if len(found) < FEWEST:
        raise OwnDataError(f"{path} has {len(found)} samples, expected at least {FEWEST}")
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    parts = found[order].split([len(found) - 2 * (len(found) // 10), *2 * (len(found) // 10,)])
    if is_table:
        std, mean = torch.std_mean(parts[0], 0)
        if not (std > 0).all():
            column = int((std <= 0).nonzero()[0]) + 1
            raise OwnDataError(f"{path}: column {column} is constant; leave it out")
        parts = [((part - mean) / std).float() for part in parts]
    sizes = "/".join(str(len(part)) for part in parts)
    how = ", z-scored with the training part's statistics" if is_table else ""
    shape = "×".join(map(str, found.shape[1:]))
    return Own(*parts, f"{path.name}: {sizes} samples of {shape}, seed {seed}{how}")


def image_shape(folder: str | Path) -> tuple[int, int]:
    """Channels and width of a folder's images, from the first of them.

    Raises:
        OwnDataError: when there is none, or it cannot be read.
    """
    image = _opened(_files(Path(folder))[0], None)
    return 1 if image.mode in GREY else 3, image.width


def _table(path: Path) -> np.ndarray:
    """All numbers of a CSV file: ``(rows, columns)`` float64."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OwnDataError(f"cannot read {path}: {error}") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows = [(line, cells) for line, cells in enumerate(lines, 1) if any(map(str.strip, cells))]
    names = []
    if rows and not any(_number(cell) is not None for cell in rows[0][1]):
        names = [cell.strip() for cell in rows.pop(0)[1]]
    if not rows:
        raise OwnDataError(f"{path} has no rows of numbers")
    width = len(names or rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise OwnDataError(f"{path}, row {line}: expected {width} columns, got {len(cells)}")
        for column, cell in enumerate(cells):
            if _number(cell) is None:
                where = f"column {column + 1}" + (f" ({names[column]})" if names else "")
                what = f"expected a number, got {cell!r}" if cell.strip() else "there is no number"
                raise OwnDataError(
                    f"{path}, row {line}, {where}: {what}; leave the row or the column out"
                )
    return np.array([[float(cell) for cell in cells] for _, cells in rows])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _files(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != ".")
    if not (files := sorted(found)):
        raise OwnDataError(f"{folder} has no {', '.join(SUFFIXES)} files")
    return files


def _images(folder: Path, size: int | None) -> np.ndarray:
    """All images of a folder, grey where all are: ``(n, channels, side, side)`` uint8."""
    files = _files(folder)
    images = [_opened(path, size) for path in files]
    mode = "L" if all(image.mode in GREY for image in images) else "RGB"
    for path, image in zip(files, images, strict=True):
        if image.size != images[0].size or image.width != image.height:
            sizes = "×".join(map(str, image.size))
            raise OwnDataError(
                f"{path} has {sizes} pixels; all images must be square and of one size, or --size "
                f"crops and scales them, say --size {min(images[0].size) // 4 * 4 or 4}"
            )
    pixels = np.stack([np.asarray(image.convert(mode)) for image in images])
    return pixels[:, None] if mode == "L" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _opened(path: Path, size: int | None) -> Image.Image:
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise OwnDataError(f"cannot read the image {path}: {error}") from error
    except Image.DecompressionBombError as error:
        raise OwnDataError(f"the image {path} is too large: {error}") from error
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise OwnDataError(f"{path} has more than 8 bits a channel; convert it to 8")
    return image if size is None else ImageOps.fit(_plain(image), (size, size))


def _plain(image: Image.Image) -> Image.Image:
    """Grey or RGB bytes, which can be scaled."""
    return image.convert("L" if image.mode in GREY else "RGB")
