"""Images: digits and faces that are always there, and the papers' sets from their real files.

Small sets are read into memory; large ones are decoded once into a memory map of bytes. Either way
``x`` is a uint8 tensor, and a batch is one index into it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.data import celeba, chairs, cifar, faces, idx, imagenet32, omniglot, store
from companion.data.fetch import RemoteFile, check_writable, data_directory
from companion.data.splits import Images, Splits, permuted

NUM_CLASSES = 10


class ImageSet(NamedTuple):
    """Where a set's files come from, and the choices that it offers; the first is the default."""

    files: tuple[RemoteFile, ...]
    sizes: tuple[int, ...]
    crops: tuple[int | None, ...] = (None,)
    recipe: Callable[..., AbstractContextManager[store.Recipe]] | None = None  # if decoded once


SETS = {
    "digits": ImageSet((), (8,)),
    "synthetic-faces": ImageSet((), (64, 32)),
    **{name: ImageSet(files, (28,)) for name, files in idx.FILES.items()},
    "cifar10": ImageSet(cifar.FILES, (32,)),
    "omniglot": ImageSet(omniglot.FILES, (28,), recipe=omniglot.recipe),
    "imagenet32": ImageSet(imagenet32.FILES, (32,), recipe=imagenet32.recipe),
    "chairs": ImageSet(chairs.FILES, (64, 32), recipe=chairs.recipe),
    "celeba": ImageSet(celeba.FILES, (64, 32), (140, 128), recipe=celeba.recipe),
    "celeba-hq": ImageSet(celeba.HQ_FILES, (64, 32), recipe=celeba.recipe_hq),
}
NAMES = ("digits", *idx.FILES)  # the sets of grey digits, or of ten things like digits
WITHOUT_VALID = (*idx.FILES, "imagenet32")  # of whose training files a share may validate


def load(
    name: str = "digits",
    *,
    root: str | Path | None = None,
    download: bool = True,
    test_files_only: bool = False,
    seed: int = 0,
    size: int | None = None,
    crop: int | None = None,
    held_out: float | None = None,
    progress: bool = True,
) -> Splits:
    """Load images, split into training, validation and test.

    ``digits`` are the 1,797 real 8×8 digits inside scikit-learn, and ``synthetic-faces`` are drawn
    by :mod:`companion.data.faces`: both are always there. The others are read from their real
    files, in any layout that :func:`companion.data.fetch.places` finds; published sums are checked,
    and the note says where there is none.

    Args:
        name: one of ``SETS``.
        root: data directory; see :func:`companion.data.fetch.data_directory`.
        download: whether missing files may be downloaded.
        test_files_only: of MNIST and its like and CIFAR-10 use only the 10,000 official test
            images, split 8,000/1,000/1,000; the digits have no such files and stay as they are.
        seed: of the split where there is no official one, and of the synthetic faces.
        size: width and height in pixels, where a set is offered in several.
        crop: side of CelebA's central square, 140 or 128, which is scaled to ``size``.
        held_out: share of the training files that validates, of sets that have no validation
            files; by default 10,000 images.
        progress: show progress bars while images are decoded, which happens once.

    Returns:
        The :class:`Splits`; ``note`` says in words how they were made.

    Raises:
        ValueError: for an unknown name, size or crop, and a share that the set does not offer.
        companion.data.archives.FormatError: for a file that is not sound.
        companion.data.fetch.DataNotFoundError: saying which file to put where.

    >>> splits = load("digits")
    >>> len(splits.train.x), len(splits.valid.x), len(splits.test.x)
    (1297, 200, 300)
    """
    chosen, size, crop = _choose("images.load", name, size, crop)
    if held_out is not None and not (name in WITHOUT_VALID and 0 < held_out < 1):
        raise ValueError(
            f"images.load: held_out must be between 0 and 1, of one of {', '.join(WITHOUT_VALID)}, "
            f"got {held_out} of {name}"
        )
    if chosen.recipe:
        if test_files_only:
            raise ValueError(f"images.load: test_files_only is not offered for {name}")
        where = {"root": root, "download": download, "progress": progress}
        return store.read(prepare(name, size=size, crop=crop, **where), held_out)
    if name == "digits":
        return permuted(name, _digits(), (1297, 200, 300), seed, "the digits of scikit-learn")
    if name == "synthetic-faces":
        return faces.load(size, seed)
    if name == "cifar10":
        return cifar.load(root, download, test_files_only, seed)
    return idx.load(name, root, download, test_files_only, seed, held_out)


def prepare(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = True,
    size: int | None = None,
    crop: int | None = None,
    progress: bool = True,
) -> Path:
    """Decode a large set into its memory map, unless it is there; a killed run goes on.

    Raises:
        ValueError: for a set that needs no decoding; otherwise as :func:`load`.
    """
    chosen, size, crop = _choose("images.prepare", name, size, crop)
    if not chosen.recipe:
        raise ValueError(f"images.prepare: {name} needs no decoding; images.load reads it at once")
    folder = folder_of(name, size, crop, root)
    if not folder.is_dir():
        with chosen.recipe(root, download, size, crop) as recipe:
            check_writable(folder.parent)
            store.write(folder, recipe, progress)
    return folder


def folder_of(name: str, size: int, crop: int | None, root: str | Path | None = None) -> Path:
    """Where a decoded set lies.

    >>> folder_of("celeba", 64, 140, "data").relative_to(data_directory("data")).as_posix()
    'celeba/crop140-64'
    """
    return data_directory(root) / name / (f"crop{crop}-{size}" if crop else f"whole-{size}")


def _choose(
    call: str, name: str, size: int | None, crop: int | None
) -> tuple[ImageSet, int, int | None]:
    """The set and its settings, defaults filled in, anything else refused."""
    if name not in SETS:
        raise ValueError(f"{call}: name must be one of {', '.join(SETS)}, got {name!r}")
    chosen = SETS[name]
    given = {"size": (size, chosen.sizes), "crop": (crop, chosen.crops)}
    for what, (value, offered) in given.items():
        if value is not None and value not in offered:
            raise ValueError(f"{call}: {what} of {name} must be one of {offered}, got {value}")
    size = chosen.sizes[0] if size is None else size
    return chosen, size, chosen.crops[0] if crop is None else crop


def _digits() -> Images:
    from sklearn.datasets import load_digits  # here: a second of import that MNIST does not need

    x, y = load_digits(return_X_y=True)
    scaled = np.round(x * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Images(torch.from_numpy(scaled), torch.from_numpy(y).long())


def one_hot(y: Tensor, num_classes: int = NUM_CLASSES) -> Tensor:
    """Labels as the condition of a network: ``(n,) -> (n, num_classes)`` float.

    >>> one_hot(torch.tensor([1]), 3)
    tensor([[0., 1., 0.]])
    """
    return torch.nn.functional.one_hot(y, num_classes).float()
