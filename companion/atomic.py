"""The one way to write a file: beside its place, then renamed, so that it is there whole or not."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any


@contextmanager
def writing(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO]:
    """A new file, open, which takes the place of ``path`` when the block ends without an error.

    Whatever happens, also a power cut, ``path`` holds its old content or its new one. Of processes
    that write at once, each has a file of its own, and one of them comes last.

    Args:
        path: what is written; its folder is made.
        mode: to open it with.
        options: to open it with.

    Raises:
        OSError: where it cannot be written; then ``path`` is as it was, and nothing lies beside it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with writing(Path(folder) / "a.txt", "w") as file:
    ...         _ = file.write("whole")
    ...     [(made.name, made.read_text()) for made in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{token_hex(4)}.partial")
    try:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file as :func:`writing` does; text as UTF-8 with its line ends as they are."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain values for people to read, as :func:`writing` does."""
    write(path, json.dumps(content, indent=2) + "\n")


def sweep(folder: Path) -> None:
    """Delete what killed processes have left half-written in a folder that is ours alone."""
    for left in folder.glob(f"*.{'[0-9a-f]' * 8}.partial"):
        left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
