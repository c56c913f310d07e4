"""Where the commands find things, and how they say that they do not."""

import os
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]  # when installed with `pip install -e`
# where `companion lab` keeps the user's notebooks; not ~/companion, which may be a clone
WORKING_COPY = Path("~/companion-notebooks")


class Problem(Exception):
    """Something the user can put right: said in one paragraph, without a traceback."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


def user_path(text: str) -> Path:
    """A path as somebody wrote it: ``~`` is their home, also where no shell has seen it.

    >>> user_path("~/data") == Path.home() / "data", user_path("a[1] b").name
    (True, 'a[1] b')
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # no such user, or no home
        raise Problem(f"{text}: {error}", 2) from error


def notebooks_folder() -> Path:
    """The notebooks: in ``COMPANION_NOTEBOOKS``, else in the checkout, else here."""
    places = [CHECKOUT / "notebooks", Path.cwd() / "notebooks"]
    if "COMPANION_NOTEBOOKS" in os.environ:
        places = [Path(os.environ["COMPANION_NOTEBOOKS"]).resolve()]
    for place in places:
        if place.is_dir():
            return place
    raise Problem(
        f"no notebooks in {' or '.join(map(str, places))}; call this in a clone of the project, "
        "or let COMPANION_NOTEBOOKS name the folder"
    )


def find(folder: Path, name: str, pattern: str) -> Path:
    """The one file of a folder that has this stem, begins with it, or with this number."""
    files = {path.stem: path for path in sorted(folder.glob(pattern))}
    prefix = f"{int(name):02d}_" if name.isdecimal() else name
    found = [stem for stem in files if stem == name or stem.startswith(prefix)]
    if len(found) == 1:
        return files[found[0]]
    close = found or get_close_matches(name, files) or list(files)
    raise Problem(f"{name!r} is not in {folder}; there is {', '.join(close) or 'nothing'}", 2)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution.

    >>> installed("no-such-thing") is None
    True
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
