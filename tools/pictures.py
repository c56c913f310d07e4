"""Whether a change left all explorables as they were: every picture's numbers and words.

`tools/pictures.py FILE` writes what this checkout draws at the corners of each explorable's
lattice and at twenty random points of it; after a change, `tools/pictures.py --compare FILE` says
what differs. Numbers are those of one machine and one environment: make the file where you compare.
"""

import argparse
import hashlib
import json
import random
import time
from itertools import product
from pathlib import Path

from companion.atomic import write
from companion.lab.explorable import Explorable
from figures.explorables import BY_NAME

NUM_RANDOM = 20
Drawn = dict[str, list[str]]  # by point: the picture's SHA-256 sum, and its words


def points(explorable: Explorable) -> list[tuple[int, dict[str, float]]]:
    """All corners of a lattice, seeds included, and random points of it, the same each time."""
    axes = [explorable.seeds, *(control.values for control in explorable.controls.values())]
    corners = dict.fromkeys(product(*((axis[0], axis[-1]) for axis in axes)))
    others = [point for point in product(*axes) if point not in corners]
    chosen = random.Random(explorable.name).sample(others, min(NUM_RANDOM, len(others)))
    names = list(explorable.controls)
    return [(seed, dict(zip(names, at, strict=True))) for seed, *at in [*corners, *chosen]]


def draw(explorable: Explorable) -> Drawn:
    """Draw and describe an explorable at its points, and say how long it took."""
    start, drawn = time.perf_counter(), {}
    for seed, values in points(explorable):
        picture = explorable.render(seed, **values).data()
        words = picture.pop("says")
        key = ", ".join(f"{name} = {value:g}" for name, value in ({"seed": seed} | values).items())
        drawn[key] = [hashlib.sha256(json.dumps(picture).encode()).hexdigest(), words]
    seconds = time.perf_counter() - start
    print(f"{explorable.name}: {len(drawn)} points, {seconds:.1f} s", flush=True)
    return drawn


def differences(before: dict[str, Drawn], now: dict[str, Drawn]) -> list[str]:
    """One line for each point that is gone or new, for each other picture and other words."""
    old, new = ({(n, at): d[n][at] for n in d for at in d[n]} for d in (before, now))
    lines = [f"{name} at {at}: gone" for name, at in old if (name, at) not in new]
    for point, (picture, words) in new.items():
        place = " at ".join(point)
        if point not in old:
            lines.append(f"{place}: new")
            continue
        lines += [f"{place}: another picture"] * (picture != old[point][0])
        lines += [f"{place}: was {old[point][1]!r}, is {words!r}"] * (words != old[point][1])
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="where the sums and words are, or are written")
    parser.add_argument("--compare", action="store_true", help="with the file; 1 if any differs")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=BY_NAME, default=list(BY_NAME))
    asked = parser.parse_args(argv)
    now = {name: draw(BY_NAME[name]) for name in asked.only}
    if not asked.compare:
        write(asked.file, json.dumps(now, indent=1, ensure_ascii=False) + "\n")
        return 0
    before = json.loads(asked.file.read_text("utf-8"))
    if asked.only != list(BY_NAME):
        before = {name: before[name] for name in asked.only if name in before}
    found = differences(before, now)
    verdict = f"{len(found)} differences" if found else "pictures and words are the same"
    print(
        *found, f"{len(now)} explorables, {sum(map(len, now.values()))} points: {verdict}", sep="\n"
    )
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
