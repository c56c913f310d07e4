"""The papers' claims, and the one rule by which measurements bear them out or do not.

The claims are in ``claims.toml``: what a paper says, which measured value would bear it out, and
why that bound. Nothing there is a result.

The rule, for every claim: **it holds where every training bears it out, or where the 95 % interval
of the trainings' mean lies within the bound; it fails where no training does, or where the interval
lies wholly beyond; else it is undecided.** Fewer than three trainings decide nothing. Of several
cases all have to hold, and one that fails is enough to fail; several measures of one thing have to
agree.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf, sqrt
from statistics import mean, stdev
from typing import NamedTuple

EVIDENCE = {
    "identity": "algebra: exact, or to rounding",
    "toy": "data made for the purpose, in few dimensions",
    "scaled": "real data or networks like a paper's, made smaller",
    "paper": "a paper's own data, networks and epochs",
}
VERDICTS = "holds", "fails", "undecided"
OVER = (
    "",
    "cases",
    "trainings",
    "cases, trainings",
    "measures, trainings",
)  # the axes of a measured value
TESTS = {"close": ("bound", "tolerance"), "below": ("bound",), "above": ("bound",), "holds": ()}
FEWEST = 3  # trainings that decide anything


@dataclass(frozen=True)
class Claim:
    """One testable statement of a paper.

    Args:
        id: how notebooks call it; begins with the paper's short name.
        paper: short name.
        place: equation, table or figure.
        says: the statement, in our words.
        measures: what the recorded value is.
        test: ``close`` (to ``bound``, within the relative ``tolerance``), ``below`` or ``above``
            (the ``bound``), or ``holds`` (the value is true).
        evidence: one of ``EVIDENCE``; a measurement may be of the paper's own size.
        why: the reason for the bound, and what it would take to fail.
        bound: see ``test``.
        tolerance: see ``test``.
        over: the axes of a value, one of ``OVER``; of one number none.
        paper_number: what the paper prints, if it prints a number.
        ended: of a claim that is no longer measured: its last verdict, why, and what replaced it.
    """

    id: str
    paper: str
    place: str
    says: str
    measures: str
    test: str
    evidence: str = ""
    why: str = ""
    bound: float | None = None
    tolerance: float | None = None
    over: str = ""
    paper_number: float | None = None
    ended: str = ""

    def __post_init__(self):
        kinds = {"test": TESTS, "over": OVER} | ({} if self.ended else {"evidence": EVIDENCE})
        for name, known in kinds.items():
            if (value := getattr(self, name)) not in known:
                words = ", ".join(map(repr, known))
                raise ValueError(f"claim {self.id}: {name} must be one of {words}, got {value!r}")
        if not self.why and not self.ended:
            raise ValueError(f"claim {self.id}: why is missing: the reason for its bound")
        given = tuple(n for n in ("bound", "tolerance") if getattr(self, n) is not None)
        if given != TESTS[self.test]:
            wanted = " and ".join(TESTS[self.test]) or "neither bound nor tolerance"
            raise ValueError(f"claim {self.id}: test {self.test!r} takes {wanted}, got {given}")

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that bears the claim out."""
        if self.test == "holds":
            return 1.0, inf
        if self.test == "close":
            room = self.tolerance * abs(self.bound)
            return self.bound - room, self.bound + room
        return (-inf, self.bound) if self.test == "below" else (self.bound, inf)

    def verdict(self, value: bool | float | list) -> str:
        """What a measured value says of the claim: ``holds``, ``fails`` or ``undecided``.

        Raises:
            ValueError: for a value with other axes than ``over`` names.

        >>> sooner = Claim("a", "MLAE", "", "", "", "below", "toy", "so", 1.0, over="trainings")
        >>> [sooner.verdict(v) for v in ([0.5, 0.9, 0.7], [0.5, 0.9, 1.2], [0.5, 0.9], [2, 3, 2])]
        ['holds', 'undecided', 'undecided', 'fails']
        """
        words = {self._verdict(runs) for runs in self.cases(value)}
        if len(words) == 1:
            return words.pop()
        return "fails" if "fails" in words and "measures" not in self.over else "undecided"

    def cases(self, value: bool | float | list) -> list[list]:
        """The trainings of each case; without trainings the one value of each."""
        axes = self.over.split(", ") if self.over else []
        if _depth(value) != len(axes):
            wanted = f"a list over {self.over}" if axes else "one number"
            raise ValueError(f"claim {self.id}: a measurement is {wanted}, got {value!r:.60}")
        cases = [value] if axes in ([], ["trainings"]) else value
        return [list(case) if "trainings" in axes else [case] for case in cases]

    def _verdict(self, runs: Sequence[float]) -> str:
        low, high = self.limits
        fits = [low <= value <= high for value in runs]
        if "trainings" not in self.over:
            return "holds" if fits[0] else "fails"
        if len(runs) < FEWEST:
            return "undecided"
        bottom, top = interval(runs)
        if all(fits) or (low <= bottom and top <= high):
            return "holds"
        return "fails" if not any(fits) or top < low or bottom > high else "undecided"


class Interval(NamedTuple):
    """From here to there."""

    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """The 95 % interval of the mean of some trainings, by Student's t; everything for one.

    >>> low, high = interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    from scipy.stats import t  # here: most who read claims need no interval

    if len(values) < 2:
        return Interval(-inf, inf)
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(map(float, values)) / sqrt(len(values))
    return Interval(mean(values) - half, mean(values) + half)


@cache
def registry() -> dict[str, Claim]:
    """All claims of ``claims.toml`` by id, in its order; those that have ended, too.

    Raises:
        ValueError: for an entry that does not say what it is or how it is tested.

    >>> registry()["mlae-c-bottom-vanishes"].paper
    'MLAE'
    """
    return parse((files("companion.lab") / "claims.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Claim]:
    """Claims from the text of a TOML file; see :func:`registry`."""
    claims = {}
    for id, entry in tomllib.loads(text).items():
        try:
            claims[id] = Claim(id, **entry)
        except TypeError as error:
            raise ValueError(f"claim {id}: {str(error).partition(') ')[2]}") from error
    return claims


def _depth(value: object) -> int:
    """How many lists lie around a number."""
    return 1 + _depth(value[0]) if isinstance(value, list) and value else isinstance(value, list)
