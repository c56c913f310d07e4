"""``companion data``: which files each data set needs, where they go, and what is there."""

import argparse
from collections.abc import Iterator

from companion.cli.places import Problem
from companion.data import images, tabular
from companion.data.fetch import ChecksumError, RemoteFile, data_directory, fetch


def files() -> dict[str, tuple[RemoteFile, ...]]:
    """The files of every set that needs some."""
    pictures = {name: chosen.files for name, chosen in images.SETS.items() if chosen.files}
    return pictures | {", ".join(tabular.BENCHMARK): (tabular.ARCHIVE,)}


def run(arguments: argparse.Namespace) -> int:
    """List the sets, or get one ready."""
    if arguments.step == "prepare":
        return prepare(arguments)
    print(f"Files go into {data_directory()}; COMPANION_DATA names another folder.")
    lines = [line for name in files() for line in describe(name, arguments.check)]
    print(*lines, sep="\n")
    return int(any(line.startswith("    WRONG") for line in lines))


def describe(name: str, check: bool = False) -> Iterator[str]:
    """A set and its files, each here or not; with ``check`` the sums of those here as well."""
    by_hand = {file.source for file in files()[name] if not file.urls}
    how = f"by hand from {', '.join(sorted(by_hand))}" if by_hand else "downloaded when needed"
    yield f"{name}: {how}{decoded(name)}"
    for file in files()[name]:
        state = "here" if (data_directory() / file.name).exists() else "missing"
        if check and state == "here":
            try:
                fetch(file, download=False)
            except ChecksumError:
                state = "WRONG"  # damaged, or another file
        yield f"    {state:9}{file.name}, {file.sum}"


def decoded(name: str) -> str:
    """Which sizes and crops of a set are ready for training."""
    if name not in images.SETS or not images.SETS[name].recipe:
        return ""
    folders = sorted(path.parent.name for path in (data_directory() / name).glob("*/about.json"))
    ready = ", ".join(folder for folder in folders if not folder.endswith(".partial"))
    return f"; decoded as {ready}" if ready else "; not decoded yet"


def prepare(arguments: argparse.Namespace) -> int:
    """Download, check and decode one set."""
    options = {"download": not arguments.offline}
    if arguments.name not in tabular.NAMES:
        options |= {"size": arguments.size, "crop": arguments.crop}
    load = tabular.load if arguments.name in tabular.NAMES else images.load
    try:
        splits = load(arguments.name, **options)
    except (ValueError, OSError) as error:
        raise Problem(str(error)) from error
    parts = [(part, getattr(splits, part)) for part in ("train", "valid", "test")]
    sizes = [f"{len(p.x if load is images.load else p):,} {part}" for part, p in parts]
    print(splits.note, *sizes, sep="; ")
    return 0
