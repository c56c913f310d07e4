"""Labelled images and their three parts, which never overlap."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

NUM_VALID = 10_000  # the end of the training files (MLAE App. E.4)


class Images(NamedTuple):
    """Images of one split, in memory or mapped from disk."""

    x: Tensor  # (n, channels, height, width) uint8
    y: Tensor | None  # (n,) int64, or none where a set has no classes


class Splits(NamedTuple):
    """A data set in three parts that never overlap, and how they came about."""

    name: str
    train: Images
    valid: Images
    test: Images
    note: str


def official(name: str, rest: Images, test: Images, held_out: float | None = None) -> Splits:
    """The official test files, and the end of the training files as validation."""
    n = num_valid(len(rest.x), held_out)
    train, valid = cut(rest, (len(rest.x) - n, n))
    note = f"{name}: official test files; validation is the end of the training files"
    return Splits(name, train, valid, test, note + share_note(held_out))


def num_valid(n: int, held_out: float | None = None) -> int:
    """How many of the training images are held out: 10,000, fewer in small sets, or a share.

    >>> num_valid(60_000), num_valid(60), num_valid(60_000, 0.1)
    (10000, 10, 6000)
    """
    return min(NUM_VALID, n // 6) if held_out is None else round(held_out * n)


def share_note(held_out: float | None) -> str:
    """What a note adds where a share is held out.

    >>> share_note(0.1), share_note(None)
    (', 10 % of them', '')
    """
    return "" if held_out is None else f", {held_out:.0%} of them".replace("%", " %")


def cut(images: Images, sizes: tuple[int, ...]) -> list[Images]:
    """Consecutive parts; views, so that mapped images stay on disk."""
    x = images.x.split(sizes)
    y = [None] * len(sizes) if images.y is None else images.y.split(sizes)
    return [Images(*part) for part in zip(x, y, strict=True)]


def permuted(
    name: str, images: Images, sizes: tuple[int, int, int], seed: int, what: str
) -> Splits:
    """A seeded split where there is no official one."""
    order = torch.randperm(len(images.x), generator=Generator().manual_seed(seed))
    parts = [Images(images.x[part], images.y[part]) for part in order.split(sizes)]
    note = f"{name}: {what}, split {'/'.join(map(str, sizes))} by a permutation of seed {seed}"
    return Splits(name, *parts, note)
