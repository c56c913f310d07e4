"""Files, folders, zip and tar archives read within bounds: nothing is unpacked onto the disk.

What a stranger's archive could do is refused by name: entries that climb out of their folder, links
and devices, two entries of one name, and entries that grow beyond a limit. No header is believed:
whatever it promises, no more is read than the limit.
"""

import gzip
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

MAX_MEMBERS = 1_000_000
MAX_BYTES = 2**24  # of an image
BLOCK = 2**20  # what is read at once
MAX_HEADER = 2**16  # of one entry of a tar archive, long names included


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
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """A regular file, seen through gzip where it is packed; a pipe would wait for ever.

    Raises:
        FormatError: for anything but a regular file.
    """
    if not path.is_file():
        raise FormatError(f"open_plain: {path} is no regular file")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(path, "rb") as file:
        yield file


def read_plain(path: Path, max_bytes: int) -> bytes:
    """The content of a file, packed by gzip or not.

    Raises:
        FormatError: when it is damaged, no regular file, or unpacks to more than ``max_bytes``.
    """
    with damage("read_plain", path.name), open_plain(path) as file:
        return _within(file, max_bytes, path.name)


def _within(file: BinaryIO, max_bytes: int, what: str) -> bytes:
    content = io.BytesIO()
    while block := file.read(BLOCK):
        content.write(block)
        if content.tell() > max_bytes:
            raise FormatError(f"read: {what} unpacks to more than {max_bytes:,} bytes")
    return content.getvalue()


@contextmanager
def open_members(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[Members]:
    """Open a folder, a zip or a tar archive (plain or packed by gzip).

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
    with open_plain(path) as stream, _archive(path, stream) as archive:
        with damage("open_members", path.name):
            found = (_of_zip if isinstance(archive, zipfile.ZipFile) else _of_tar)(archive, path)
            index = _index(found, path.name, max_bytes)
        lock = threading.Lock()

        def read(name: str) -> bytes:
            size = _size(index[name])
            with damage("open_members", f"{name} in {path.name}"), lock:
                if isinstance(archive, zipfile.ZipFile):
                    member = archive.open(index[name])
                else:
                    archive.fileobj.budget = size + MAX_HEADER
                    member = archive.extractfile(index[name])
                with member:
                    content = _within(member, size, name)
            if len(content) != size:
                raise FormatError(f"open_members: {name} in {path.name} is cut off")
            return content

        yield Members(tuple(index), read)


def _archive(path: Path, stream: BinaryIO) -> zipfile.ZipFile | tarfile.TarFile:
    with damage("open_members", path.name):
        if zipfile.is_zipfile(path):
            return zipfile.ZipFile(path)
        return tarfile.TarFile(fileobj=_Budgeted(stream, path.name))


class _Budgeted:
    """A stream that gives no more than its budget: tarfile reads a header as long as it claims."""

    def __init__(self, stream: BinaryIO, name: str):
        self.stream, self.name, self.budget = stream, name, MAX_HEADER
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        self.budget -= size
        if self.budget < 0:
            raise FormatError(
                f"open_members: a header of {self.name} promises more than {MAX_HEADER:,} bytes"
            )
        return self.stream.read(size)


def _folder(path: Path, max_bytes: int) -> Members:
    files = (file for file in path.rglob("[!.]*") if file.is_file())  # hidden ones are a system's
    names = (file.relative_to(path).as_posix() for file in files)

    def read(name: str) -> bytes:
        with (path / name).open("rb") as file:
            return _within(file, max_bytes, f"{name} in {path.name}")

    return Members(tuple(names), read)


def _of_zip(archive: zipfile.ZipFile, path: Path) -> Iterator[zipfile.ZipInfo]:
    for info in archive.infolist():
        odd = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if odd or stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 1:
            kinds = "a link, a locked entry or one not packed by deflate"
            raise FormatError(f"open_members: {path.name} has {kinds}: {info.filename}")
        if not info.is_dir():
            yield info


def _of_tar(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    for info in archive:
        archive.fileobj.budget = MAX_HEADER  # for the next one
        if not (info.isdir() or info.isreg()) or info.issparse():
            raise FormatError(f"open_members: {path.name} has a link or a device: {info.name}")
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
        if not 0 <= _size(info) <= max_bytes:
            raise FormatError(
                f"open_members: {name} in {what} unpacks to {_size(info):,} bytes, "
                f"expected at most {max_bytes:,}"
            )
        if str(path) in index or len(index) == MAX_MEMBERS:
            raise FormatError(f"open_members: {what} has {name!r} twice, or too many entries")
        index[str(path)] = info
    return index
