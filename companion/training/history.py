"""The log of a run."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from companion.atomic import writing


@dataclass
class History:
    """The log of a run: one dict for each epoch, and whether somebody stopped it."""

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs that have it."""
        return [row[name] for row in self.rows if name in row]

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """One quantity with the epochs that have it, to draw it."""
        rows = [row for row in self.rows if name in row]
        return [row["epoch"] for row in rows], [row[name] for row in rows]

    def save(self, path: Path) -> None:
        """Write all rows as CSV."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with writing(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)


class NonFiniteLossError(RuntimeError):
    """Training diverged; the model holds the last good state and ``history`` what happened."""

    def __init__(self, message: str, history: History | list[History]):
        super().__init__(message)
        self.history = history
