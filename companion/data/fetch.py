"""Verified files: found in a data directory, or downloaded, checked, and only then put there."""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch

ATTEMPTS_FAIL = (OSError, ValueError)  # what a closed network, a 404 or a wrong sum raises


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
    """

    name: str
    urls: tuple[str, ...] = ()
    known_hash: str = ""
    source: str = ""

    @property
    def sum(self) -> str:
        """The sum in words."""
        return self.known_hash.replace(":", " ") or "no public sum is known"


def data_directory(root: str | Path | None = None) -> Path:
    """Where data lie: the argument, else ``COMPANION_DATA``, else the platform's cache folder.

    >>> data_directory("somewhere").name
    'somewhere'
    """
    if root is not None:
        return Path(root)
    return Path(os.environ.get("COMPANION_DATA") or pooch.os_cache("companion"))


def fetch(file: RemoteFile, root: str | Path | None = None, download: bool = True) -> Path:
    """The path of a verified file, downloaded first if need be.

    The download goes to a temporary file in the same folder, is checked there and renamed only when
    its sum is right, so that nothing unchecked ever has the final name.

    Args:
        file: what.
        root: data directory, see :func:`data_directory`.
        download: whether the network may be used.

    Returns:
        Path of the file.

    Raises:
        ChecksumError: when the file that is already there has another sum.
        DataNotFoundError: when it is not there and no mirror gives it.

    >>> from tempfile import TemporaryDirectory
    >>> file = RemoteFile("set/a.txt", (), "md5:0cc175b9c0f1b6a831c399e269772661")
    >>> with TemporaryDirectory() as root:
    ...     (Path(root) / "set").mkdir()
    ...     _ = (Path(root) / "set" / "a.txt").write_bytes(b"a")  # filled in by hand
    ...     fetch(file, root, download=False).name
    'a.txt'
    """
    path = data_directory(root) / file.name
    if path.exists():
        algorithm, _, expected = file.known_hash.partition(":")
        got = pooch.file_hash(str(path), alg=algorithm) if expected else ""
        if got != expected:
            raise ChecksumError(
                f"fetch: {path} has {algorithm} {got}, expected {expected}; "
                "it is damaged or another file: delete it and try again"
            )
        return path
    failures = ["downloading was not allowed"]
    if download:
        failures = _download(file, path) or ["it has to be fetched by hand"]
    if path.exists():
        return path
    source = next(filter(None, (file.source, *file.urls)), "")
    raise DataNotFoundError(
        f"fetch: put the file {path.name} ({file.sum}) into {path.parent}"
        f"{f', for example from {source}' if source else ''}. "
        f"It is not there, and: {'; '.join(failures)}"
    )


def _download(file: RemoteFile, path: Path) -> list[str]:
    """Try every mirror; pooch checks the sum and renames. Returns why each mirror failed."""
    failures = []
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
