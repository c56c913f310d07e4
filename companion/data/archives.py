"""Folders, zip and tar archives read member by member: nothing is ever unpacked onto the disk.

What a stranger's archive could do is refused by name: entries that climb out of their folder, links
and devices, two entries of one name, and entries that grow beyond a limit.
"""

import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MAX_MEMBERS = 1_000_000
MAX_BYTES = 2**24  # of an image


class FormatError(ValueError):
    """A file is not what its format or its data set promises."""


class Members(NamedTuple):
    """The regular files of a folder or an archive, by relative name; threads may read at once."""

    names: tuple[str, ...]
    read: Callable[[str], bytes]


@contextmanager
def damage(call: str, what: str) -> Iterator[None]:
    """Let whatever a library raises about a damaged file become one error that names both.

    Which exceptions the decoders raise is not documented, hence all of them.

    Raises:
        FormatError: in their place.

    >>> with damage("read", "a.zip"):
    ...     raise zipfile.BadZipFile("no end")
    Traceback (most recent call last):
    companion.data.archives.FormatError: read: a.zip is damaged (BadZipFile: no end)
    """
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        message = f"{call}: {what} is damaged ({type(error).__name__}: {reason})"
        raise FormatError(message) from error


@contextmanager
def open_members(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[Members]:
    """Open a folder, a zip or a tar archive (plain or compressed).

    Args:
        path: which; its kind is read from its content.
        max_bytes: no member may be larger.

    Raises:
        FormatError: for a damaged archive, and for one that no honest packer makes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with zipfile.ZipFile(Path(folder) / "a.zip", "w") as archive:
    ...         archive.writestr("set/one.txt", b"1")
    ...     with open_members(Path(folder) / "a.zip") as members:
    ...         members.names, members.read("set/one.txt")
    (('set/one.txt',), b'1')
    """
    if path.is_dir():
        yield _folder(path, max_bytes)
        return
    with damage("open_members", path.name):
        opener = zipfile.ZipFile if zipfile.is_zipfile(path) else tarfile.open
        archive = opener(path)
    with archive:
        with damage("open_members", path.name):
            found = (_of_zip if opener is zipfile.ZipFile else _of_tar)(archive, path.name)
            index = _index(found, path.name, max_bytes)
        lock = threading.Lock()

        def read(name: str) -> bytes:
            with damage("open_members", f"{name} in {path.name}"), lock:
                if isinstance(archive, zipfile.ZipFile):
                    content = archive.read(index[name])
                else:
                    content = archive.extractfile(index[name]).read()
            if len(content) != _size(index[name]):
                raise FormatError(f"open_members: {name} in {path.name} is cut off")
            return content

        yield Members(tuple(index), read)


def _folder(path: Path, max_bytes: int) -> Members:
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

    def read(name: str) -> bytes:
        with (path / name).open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise FormatError(f"open_members: {name} in {path.name} is over {max_bytes:,} bytes")
        return content

    return Members(tuple(names), read)


def _of_zip(archive: zipfile.ZipFile, what: str) -> Iterator[zipfile.ZipInfo]:
    for info in archive.infolist():
        if stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 1:
            raise FormatError(f"open_members: {what} has a link or a locked entry: {info.filename}")
        if not info.is_dir():
            yield info


def _of_tar(archive: tarfile.TarFile, what: str) -> Iterator[tarfile.TarInfo]:
    for info in archive:
        if not (info.isdir() or info.isreg()) or info.issparse():
            raise FormatError(f"open_members: {what} has a link or a device: {info.name}")
        if not info.isdir():
            yield info


def _size(info: zipfile.ZipInfo | tarfile.TarInfo) -> int:
    return info.file_size if isinstance(info, zipfile.ZipInfo) else info.size


def _index(found: Iterator, what: str, max_bytes: int) -> dict:
    """Members by name, each checked as its header is met, before anything of it is unpacked."""
    index = {}
    for info in found:
        name = info.filename if isinstance(info, zipfile.ZipInfo) else info.name
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
            raise FormatError(f"open_members: {what} has an entry that climbs out: {name!r}")
        if _size(info) > max_bytes:
            raise FormatError(
                f"open_members: {name} in {what} unpacks to {_size(info):,} bytes, "
                f"expected at most {max_bytes:,}"
            )
        if str(path) in index or len(index) == MAX_MEMBERS:
            raise FormatError(f"open_members: {what} has {name!r} twice, or too many entries")
        index[str(path)] = info
    return index
