"""``companion data``: which files each data set needs, where they go, and what is where."""

import argparse
from collections.abc import Iterator

from companion.cli.places import Problem
from companion.data import images, tabular
from companion.data.fetch import (
    ChecksumError,
    Found,
    RemoteFile,
    data_directory,
    fetch,
    places,
    unchecked,
)
from companion.evaluation.features import INCEPTION


def files() -> dict[str, tuple[RemoteFile, ...]]:
    """The files of every set that needs some, and of the network ``--features inception``."""
    pictures = {name: chosen.files for name, chosen in images.SETS.items() if chosen.files}
    archived = ", ".join(name for name in tabular.BENCHMARK if name != "gas")
    tables = {archived: (tabular.ARCHIVE,), "gas": (tabular.GAS,)}
    return pictures | tables | {"inception": (INCEPTION,)}


def run(arguments: argparse.Namespace) -> int:
    """List the sets, or get one ready."""
    try:
        lines = list(prepare(arguments) if arguments.step == "prepare" else show(arguments.check))
    except (ValueError, OSError) as error:
        raise Problem(str(error)) from error
    print(*lines, sep="\n")
    return int(any(line.startswith("    WRONG") for line in lines))


def show(check: bool) -> Iterator[str]:
    """All the sets."""
    yield f"Files go into {data_directory()}; COMPANION_DATA names another folder."
    for name in files():
        yield from describe(name, check)


def describe(name: str, check: bool = False) -> Iterator[str]:
    """A set and its files, each here or not; with ``check`` the sums of those here as well."""
    by_hand = {file.source for file in files()[name] if not file.urls}
    how = f"by hand from {', '.join(sorted(by_hand))}" if by_hand else "downloaded when needed"
    yield f"{name}: {how}{decoded(name)}"
    for file in files()[name]:
        yield f"    {_state(file, check)}"


def _state(file: RemoteFile, check: bool) -> str:
    """Whether a file is here, under which name, and with ``check`` which sum it has."""
    there = places(file)
    if not there:
        return f"missing  {file.name}, {file.sum}"
    try:
        found = fetch(file, download=False) if check else Found(there[0], file.sum)
    except ChecksumError:  # damaged, or another file
        return f"WRONG    {file.name}, {file.sum}"
    name = found.path.relative_to(data_directory()).as_posix()
    known = f"{file.name}{'' if name == file.name else f' as {name}'}, {found.sum or file.sum}"
    return f"here     {known}{unchecked([found])}"


def decoded(name: str) -> str:
    """Which sizes and crops of a set are ready for training."""
    if name not in images.SETS or not images.SETS[name].recipe:
        return ""
    folders = sorted(path.parent.name for path in (data_directory() / name).glob("*/about.json"))
    ready = ", ".join(folder for folder in folders if not folder.endswith(".partial"))
    return f"; decoded as {ready}" if ready else "; not decoded yet"


def prepare(arguments: argparse.Namespace) -> Iterator[str]:
    """Download, check and decode one set."""
    options = {"download": not arguments.offline}
    if arguments.name not in tabular.NAMES:
        options |= {"size": arguments.size, "crop": arguments.crop}
    load = tabular.load if arguments.name in tabular.NAMES else images.load
    splits = load(arguments.name, **options)
    parts = [(part, getattr(splits, part)) for part in ("train", "valid", "test")]
    sizes = [f"{len(p.x if load is images.load else p):,} {part}" for part, p in parts]
    yield "; ".join((splits.note, *sizes))
