"""Images decoded once: a folder with a uint8 memory map, its labels and what it was made from.

The folder appears under its name only when it is whole. Until then ``….partial`` holds what is
done, so that a run that was killed goes on where it stopped.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from tqdm.auto import tqdm

from companion.data.archives import FormatError, damage
from companion.data.splits import Images, Splits, cut, num_valid, share_note

PIECE = 256  # images decoded between two entries of the log


class Piece(NamedTuple):
    """Some consecutive images and what decodes them; pieces are made in threads."""

    start: int
    stop: int
    make: Callable[[], np.ndarray]  # () -> (stop - start, channels, height, width) uint8


class Recipe(NamedTuple):
    """All that a folder is made of; training images first, then validation, then test."""

    name: str
    sizes: tuple[int, int, int]  # of the three parts
    shape: tuple[int, int, int]  # (channels, height, width)
    pieces: Sequence[Piece]
    y: np.ndarray | None  # (n,) int64
    made_from: dict[str, str]  # files and their sums, settings: another recipe starts anew
    note: str  # how the parts came about
    workers: int = os.cpu_count() or 1

    @property
    def about(self) -> dict:
        """What the folder says of itself."""
        return {
            "name": self.name,
            "sizes": list(self.sizes),
            "shape": list(self.shape),
            "made_from": self.made_from,
            "note": self.note,
        }


class Row(NamedTuple):
    """One image of an archive."""

    part: int  # 0 training, 1 validation, 2 test
    label: str  # its class, or nothing where a set has none
    path: str


def listed(
    note: str,  # "name: how the parts came about"
    rows: Sequence[Row],
    decode: Callable[[str], np.ndarray],
    shape: tuple[int, int, int],
    made_from: dict[str, str],
) -> Recipe:
    """The recipe of a set whose images are decoded one by one, path by path.

    Raises:
        FormatError: when a part has no images.

    >>> rows = [Row(2, "b", "3"), Row(0, "a", "1"), Row(1, "a", "2")]
    >>> decode = lambda path: np.full((1, 2, 2), int(path), np.uint8)
    >>> recipe = listed("toy: as listed", rows, decode, (1, 2, 2), {})
    >>> recipe.y, recipe.pieces[0].make()[:, 0, 0, 0], recipe.sizes
    (array([0, 0, 1]), array([1, 2, 3], dtype=uint8), (1, 1, 1))
    """
    name, rows = note.partition(":")[0], sorted(rows, key=lambda row: row.part)  # else as listed
    sizes = tuple(sum(row.part == part for row in rows) for part in range(3))
    if not all(sizes):
        raise FormatError(f"{name}: training, validation and test have {sizes} images")
    labels = sorted({row.label for row in rows})
    number = {label: i for i, label in enumerate(labels)}

    def piece(start: int) -> Piece:
        paths = [row.path for row in rows[start : start + PIECE]]
        return Piece(start, start + len(paths), lambda: np.stack([decode(p) for p in paths]))

    return Recipe(
        name=name,
        sizes=sizes,
        shape=shape,
        pieces=[piece(start) for start in range(0, len(rows), PIECE)],
        y=np.array([number[row.label] for row in rows]) if any(labels) else None,
        made_from=made_from,
        note=f"{note}, {shape[1]}×{shape[2]} pixels",
    )


def write(folder: Path, recipe: Recipe, progress: bool = True) -> None:
    """Decode into ``folder``, going on where an earlier run was stopped.

    The GIL is free while Pillow decodes and scales, hence threads, on every platform alike. Only
    one process decodes; others wait and find the folder there.

    Raises:
        FormatError: for a damaged image; nothing is left then.
        OSError: when the disk is full.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"store.write: {folder} is no folder: delete it and try again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, lock = (folder.with_name(folder.name + end) for end in (".partial", ".lock"))
    with _alone(lock):
        if folder.is_dir():
            return
        try:
            _fill(partial, recipe, _begin(partial, recipe), progress)
            partial.replace(folder)  # the one step from partial to whole
        except ValueError:  # the files are wrong: what was made from them is, too
            _discard(partial)
            raise


def _discard(partial: Path) -> None:
    """First what makes the rest count, so that a kill in between leaves nothing that does."""
    with suppress(OSError):
        (partial / "about.json").unlink()
    shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait for other processes; the system frees the lock of one that dies."""
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):  # where an open file cannot be deleted
                lock.unlink()


def _begin(partial: Path, recipe: Recipe) -> set[int]:
    """Make the empty map, or find one of the same recipe; returns the pieces already there."""
    about, log, x = (partial / name for name in ("about.json", "done.txt", "x.npy"))
    if all(file.is_file() for file in (about, log, x)) and _reads(about) == _json(recipe.about):
        lines = _reads(log).splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n") and line.strip().isdecimal()]
        log.write_text("".join(whole), "utf-8")  # what a kill has torn would spoil the next line
        return {int(line) for line in whole}
    _discard(partial)
    n, free = sum(recipe.sizes), shutil.disk_usage(partial.parent).free
    if n * prod(recipe.shape) > free:
        raise OSError(
            f"store.write: {recipe.name} needs {n * prod(recipe.shape):,} bytes in "
            f"{partial.parent}, but {free:,} are free"
        )
    partial.mkdir()
    header = {"descr": "|u1", "fortran_order": False, "shape": (n, *recipe.shape)}
    with x.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + n * prod(recipe.shape))
    if recipe.y is not None:
        np.save(partial / "y.npy", recipe.y)
    log.touch()
    about.write_text(_json(recipe.about), "utf-8")  # last: before it nothing counts
    return set()


def _fill(partial: Path, recipe: Recipe, done: set[int], progress: bool) -> None:
    """Decode what is missing; a piece enters the log once it is safely on the disk."""
    todo = [piece for piece in recipe.pieces if piece.start not in done]
    total = sum(recipe.sizes)
    bar = tqdm(total=total, disable=not progress, desc=recipe.name, unit="image", leave=False)
    bar.update(total - sum(piece.stop - piece.start for piece in todo))
    with (
        bar,
        (partial / "x.npy").open("r+b") as x,
        (partial / "done.txt").open("a", encoding="utf-8") as log,
        ThreadPoolExecutor(recipe.workers) as pool,
    ):
        begin = x.seek(0, os.SEEK_END) - total * prod(recipe.shape)
        for first in range(0, len(todo), recipe.workers):
            batch = todo[first : first + recipe.workers]
            for piece, made in zip(batch, pool.map(lambda p: p.make(), batch), strict=True):
                _put(x, begin, piece, made, recipe)
                log.write(f"{piece.start}\n")
                log.flush()
                bar.update(len(made))


def _put(x: BinaryIO, begin: int, piece: Piece, made: np.ndarray, recipe: Recipe) -> None:
    expected = (piece.stop - piece.start, *recipe.shape)
    if made.shape != expected or made.dtype != np.uint8:
        raise FormatError(
            f"store.write: images {piece.start} to {piece.stop} of {recipe.name} are {made.dtype} "
            f"{made.shape}, expected uint8 {expected}"
        )
    try:
        x.seek(begin + piece.start * prod(recipe.shape))
        x.write(np.ascontiguousarray(made))
        x.flush()
        os.fsync(x.fileno())
    except OSError as error:
        done = f"store.write: {recipe.name} is decoded up to image {piece.start}"
        raise OSError(f"{done}, to go on from there: {error}") from error


def _reads(file: Path) -> str:
    return file.read_text("utf-8", errors="replace")


def _json(about: dict) -> str:
    return json.dumps(about, indent=2, sort_keys=True) + "\n"


def read(folder: Path, held_out: float | None = None) -> Splits:
    """The three parts as tensors over the memory map; rows are read when they are indexed.

    With ``held_out`` that share of the training and validation images validates, from their end.

    The map is copy-on-write: a tensor over it may be written to, and the file never changes.

    Raises:
        FormatError: when the folder is not whole.
    """
    with damage("store.read", f"{folder}, decoded again once you delete it,"):
        for name in ("about.json", "x.npy", "y.npy"):
            if (folder / name).exists() and not (folder / name).is_file():
                raise ValueError(f"{name} is no regular file")
        about = json.loads((folder / "about.json").read_text("utf-8"))
        sizes, shape = tuple(about["sizes"]), tuple(about["shape"])
        x = torch.from_numpy(np.load(folder / "x.npy", mmap_mode="c"))
        has_y = (folder / "y.npy").is_file()
        y = torch.from_numpy(np.array(np.load(folder / "y.npy", mmap_mode="r"))) if has_y else None
        if tuple(x.shape) != (sum(sizes), *shape) or x.dtype != torch.uint8:
            raise ValueError(f"it holds {x.dtype} {tuple(x.shape)}")
        if y is not None and (y.shape != x.shape[:1] or y.dtype != torch.int64):
            raise ValueError(f"it holds labels {y.dtype} {tuple(y.shape)}")
        if held_out is not None:
            rest = sizes[0] + sizes[1]
            sizes = (rest - num_valid(rest, held_out), num_valid(rest, held_out), sizes[2])
        note = about["note"] + share_note(held_out)
        return Splits(about["name"], *cut(Images(x, y), sizes), note)
