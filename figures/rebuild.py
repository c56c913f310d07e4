"""Retrain the lattices of the explorables, or check them: what `companion rebuild` runs."""

import argparse
import sys

from figures.explorables import rebuild


def main(argv: list[str]) -> int:
    """Rebuild or check one explorable or all; 1 if a point lies outside, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="companion rebuild", description=__doc__)
    parser.add_argument("name", nargs="?", help="one explorable; default: all")
    parser.add_argument("--check", action="store_true", help="retrain a point and compare")
    asked = parser.parse_args(argv)
    try:
        lines = rebuild(asked.name, check=asked.check)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    print(*lines, sep="\n")
    return int(any(line.endswith("OUTSIDE") for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
