"""What can be chosen by name: profiles and devices, and what to say of a name that is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

PROFILES = ("quick", "standard", "full")
DEVICES = ("auto", "cpu", "cuda", "mps")


def present(name: Any) -> bool:
    """Whether this machine has a device of that name; ``auto`` and ``cpu`` it always has.

    >>> present("cpu"), present("gpu")
    (True, False)
    """
    if name not in DEVICES:
        return False
    if name in ("auto", "cpu"):
        return True
    import torch  # only here: a notebook on the CPU need not wait for it

    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()


def unknown(name: str, known: Iterable[str], where: str = "this notebook") -> str:
    """Say that a parameter is unknown, which there are, and which one was probably meant.

    >>> unknown("sed", {"profile": "quick", "seed": 0})
    "unknown parameter 'sed'; this notebook has profile, seed (did you mean 'seed'?)"
    """
    return (
        f"unknown parameter {name!r}; {where} has {', '.join(known) or 'none'}{near(name, known)}"
    )


def near(name: str, known: Iterable[str]) -> str:
    """Ask for the known name that was probably meant, if one is near.

    >>> near("sed", ["profile", "seed"]), near("sed", ["profile"])
    (" (did you mean 'seed'?)", '')
    """
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
