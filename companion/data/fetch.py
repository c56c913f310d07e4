"""Verified files: found in a data directory, or downloaded, checked, and only then put there."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pooch

from companion.data.archives import FormatError, open_members, read_plain

ATTEMPTS_FAIL = (OSError, ValueError)  # what a closed network, a 404 or a wrong sum raises
MAX_BYTES = 2**26  # of what is summed in memory: a file of MNIST, a batch of CIFAR-10
DEPTH = 4  # folders that people have put around a file


class DataNotFoundError(FileNotFoundError):
    """A file is neither there nor to be had; the message says which one to put where."""


class ChecksumError(ValueError):
    """A file is not the one that its sum promises."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set.

    Args:
        name: path below the data directory, with forward slashes.
        urls: mirrors, tried in order; none where a page must be asked in person.
        known_hash: ``md5:…`` or ``sha256:…``, as public lists give it; empty where none does, and
            then the file is filled in by hand and taken as it is.
        source: that page.
        content: sums of what is inside, by the names of members; under ``""`` the sum of a file
            that is packed by gzip. They count where the file is unpacked, or packed anew.
        also: other files and folders that hold the same, each with its own sum or none.
    """

    name: str
    urls: tuple[str, ...] = ()
    known_hash: str = ""
    source: str = ""
    content: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def sum(self) -> str:
        """The sum in words."""
        return self.known_hash.replace(":", " ") or "no public sum is known"

    @property
    def sums(self) -> dict[str, str]:
        """Sums by all the names that the file may have, plain."""
        names = {self.name.rpartition("/")[2]: self.known_hash, **self.also}
        return {_plain(name): known for name, known in names.items()}


class Found(NamedTuple):
    """Where a file lies, and which published sum it has, in words; none where none is known."""

    path: Path
    sum: str


def unchecked(found: Iterable[Found]) -> str:
    """What a note has to add about files that no published sum vouches for.

    >>> unchecked([Found(Path("a.gz"), "md5 1"), Found(Path("set/b"), "")])
    '; b: content not checked against a published sum'
    """
    names = ", ".join(one.path.name for one in found if not one.sum)
    return f"; {names}: content not checked against a published sum" if names else ""


def data_directory(root: str | Path | None = None) -> Path:
    """Where data lie: the argument, else ``COMPANION_DATA``, else the platform's cache folder.

    Raises:
        NotADirectoryError: when something else lies there.

    >>> data_directory("somewhere").name, data_directory("~").is_absolute()
    ('somewhere', True)
    """
    named = root or os.environ.get("COMPANION_DATA") or pooch.os_cache("companion")
    place = Path(os.path.expanduser(named)).absolute()
    if place.exists() and not place.is_dir():
        raise NotADirectoryError(
            f"data_directory: {place} is no folder; let COMPANION_DATA name one that holds the data"
        )
    return place


def places(file: RemoteFile, root: str | Path | None = None) -> list[Path]:
    """Where a file lies in the data directory: its own place first, then what people have.

    Names count in any case, with any dots, dashes and underscores, packed by gzip or not: in the
    folder of the set, at most four deep, and beside it for names that only one set has.

    >>> from tempfile import TemporaryDirectory
    >>> file = RemoteFile("fashion-mnist/train-images-idx3-ubyte.gz")
    >>> with TemporaryDirectory() as root:
    ...     theirs = Path(root) / "FashionMNIST" / "raw" / "train-images.idx3-ubyte"
    ...     theirs.parent.mkdir(parents=True)
    ...     theirs.touch()
    ...     [path.name for path in places(file, root)]
    ['train-images.idx3-ubyte']
    """
    place, sums = data_directory(root), file.sums
    folders = {_plain(name) for name in file.also}
    found = [place / file.name]
    for top in sorted(place.iterdir()) if place.is_dir() else ():
        if folders and _plain(top.name) in sums:
            found.append(top)
        elif _plain(top.name) == _plain(file.name.rpartition("/")[0]):
            for here, inside, names in os.walk(top):
                depth = len(Path(here).relative_to(top).parts)
                found += (Path(here, n) for n in sorted(names + inside) if _plain(n) in sums)
                inside[:] = (n for n in inside if depth < DEPTH and _plain(n) not in folders)
    usable = (p for p in found if p.is_file() or (_plain(p.name) in folders and p.is_dir()))
    return list(dict.fromkeys(usable))


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower().removesuffix(".gz")))


def fetch(file: RemoteFile, root: str | Path | None = None, download: bool = True) -> Found:
    """A verified file, downloaded first if need be.

    The download goes to a temporary file in the same folder, is checked there and renamed only when
    its sum is right, so that nothing unchecked ever has the final name.

    Args:
        file: what.
        root: data directory, see :func:`data_directory`.
        download: whether the network may be used.

    Returns:
        Its path (see :func:`places`) and the sum that it has.

    Raises:
        ChecksumError: when what is already there has another sum.
        DataNotFoundError: when it is not there and no mirror gives it.
        OSError: when the folder cannot be written to; before anything is downloaded.

    >>> from tempfile import TemporaryDirectory
    >>> file = RemoteFile("set/a.txt", (), "md5:0cc175b9c0f1b6a831c399e269772661")
    >>> with TemporaryDirectory() as root:
    ...     (Path(root) / "set").mkdir()
    ...     _ = (Path(root) / "set" / "a.txt").write_bytes(b"a")  # filled in by hand
    ...     found = fetch(file, root, download=False)
    >>> found.path.name, found.sum
    ('a.txt', 'md5 0cc175b9c0f1b6a831c399e269772661')
    """
    path, unsure, wrong = data_directory(root) / file.name, [], []
    for there in places(file, root):
        try:
            found = Found(there, _checked(file, there))
        except ChecksumError as error:
            wrong.append(error)
            continue
        if found.sum:
            return found
        unsure.append(found)
    if wrong:
        raise wrong[0]
    if unsure:
        return unsure[0]
    failures = ["downloading was not allowed"]
    if download:
        failures = _download(file, path) or ["it has to be fetched by hand"]
    if path.is_file():
        return Found(path, file.sum)
    source = next(filter(None, (file.source, *file.urls)), "")
    odd = ", for what has its name is no regular file" if path.exists() else ""
    raise DataNotFoundError(
        f"fetch: put the file {path.name} ({file.sum}) into {path.parent}"
        f"{f', for example from {source}' if source else ''}. "
        f"It is not there{odd}, and: {'; '.join(failures)}"
    )


def _checked(file: RemoteFile, path: Path) -> str:
    """The published sum that it has: its own, or those of what is inside."""
    wrong, known = "", file.sums[_plain(path.name)]
    unpacked = file.name.endswith(".gz") and not path.name.lower().endswith(".gz")
    if path.is_file() and known and not unpacked:
        algorithm, _, expected = known.partition(":")
        with path.open("rb") as stream:
            got = hashlib.file_digest(stream, algorithm).hexdigest()
        if got == expected:
            return known.replace(":", " ")
        wrong = f"has {algorithm} {got}, expected {expected}"
    if file.content:
        try:
            got = _inside(file, path)
        except FormatError as error:
            got, wrong = {}, f"is not sound ({error})"
        if got == file.content:
            only = next(iter(got.values())).replace(":", " ")
            return f"content {only}" if len(got) == 1 else f"the sums of {len(got)} files inside"
        if got:
            pairs = (", ".join(sums.values()) for sums in (got, file.content))
            wrong = "has content {}, expected {}".format(*pairs)
    if wrong:
        raise ChecksumError(
            f"fetch: {path} {wrong}; it is damaged or another file: delete it and try again"
        )
    return ""


def _inside(file: RemoteFile, path: Path) -> dict[str, str]:
    """Sums of the content that :attr:`RemoteFile.content` names, as far as it is there."""

    def summed(content: bytes, known: str) -> str:
        algorithm = known.partition(":")[0]
        return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"

    if "" in file.content:
        return {"": summed(read_plain(path, MAX_BYTES), file.content[""])}
    with open_members(path, MAX_BYTES) as members:
        names = {name.rpartition("/")[2].lower(): name for name in members.names}
        return {n: summed(members.read(names[n]), s) for n, s in file.content.items() if n in names}


def _download(file: RemoteFile, path: Path) -> list[str]:
    """Try every mirror; pooch checks the sum and renames. Returns why each mirror failed."""
    failures = []
    if file.urls:
        check_writable(path.parent)
    for url in file.urls:
        try:
            pooch.retrieve(
                url,
                known_hash=file.known_hash,
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
            )
            return failures
        except ATTEMPTS_FAIL as error:
            reason = str(error).partition("\n")[0][:200]
            failures.append(f"{url}: {type(error).__name__}: {reason}")
    return failures


def check_writable(folder: Path) -> None:
    """Try to write into a folder, made if need be, before anything long begins.

    Raises:
        OSError: saying what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"check_writable: cannot write into {folder} ({error.strerror}); "
            "let COMPANION_DATA name a folder that can be written to"
        ) from error
