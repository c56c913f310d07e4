"""What a panel in a browser is told: an explorable's controls, its points by key, its pictures."""

import json
from itertools import product
from pathlib import Path
from typing import Any

from companion.lab.explorable import Explorable

BROWSER = Path(__file__).parent / "browser"
SCRIPTS = tuple(BROWSER / f"{name}.js" for name in ("values", "picture", "panel"))  # in order
STYLE = BROWSER / "panel.css"
POOLED = 40  # letters of JSON from which a part of a picture is kept once for all pictures


def key(explorable: Explorable, seed: int, values: dict[str, float]) -> str:
    """A point as positions on the sliders: controls in order, then the seed."""
    where = [c.values.index(values[name]) for name, c in explorable.controls.items()]
    return "-".join(map(str, [*where, explorable.seeds.index(seed)]))


def points(explorable: Explorable) -> dict[str, tuple[int, dict[str, float]]]:
    """Every ``(seed, values)`` by its key."""
    axes = product(*(c.values for c in explorable.controls.values()), explorable.seeds)
    found = [(seed, dict(zip(explorable.controls, v, strict=True))) for *v, seed in axes]
    return {key(explorable, *point): point for point in found}


def facts(explorable: Explorable, held: list[str] = ()) -> dict:
    """What the controls of a panel must know, with positions instead of values."""
    controls = [
        {"name": name, "label": c.label, "texts": c.texts, "choice": bool(c.names)}
        for name, c in explorable.controls.items()
    ]
    seeds = [str(seed) for seed in explorable.seeds]
    controls += [{"name": "seed", "label": "seed", "texts": seeds, "choice": False}]
    presets = {
        label: {name: explorable.controls[name].values.index(v) for name, v in setting.items()}
        for label, setting in explorable.presets.items()
    }
    words = {
        "name": explorable.name,
        "title": explorable.title,
        "prompts": list(explorable.prompts),
    }
    found = words | {"controls": controls, "presets": presets, "held": list(held)}
    if explorable.question is not None:
        found |= {"question": explorable.question.told, "opening": explorable.opening}
    return found


def pack(pictures: dict[str, Any]) -> dict:
    """Pictures in which every part that several share is kept once.

    Returns:
        ``pool``, a list of parts, and ``pictures``, in which ``{"@": 3}`` stands for the fourth
        part; a part may hold others.

    >>> part = ["a part that is long enough to be kept once for all"]
    >>> packed = pack({"a": {"x": part, "y": 1}, "b": {"x": part, "y": 2}})
    >>> len(packed["pool"]), unpack(packed)["b"]["y"]
    (1, 2)
    """
    pool: list[Any] = []
    known: dict[str, int] = {}

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            value = {name: put(part) for name, part in value.items()}
        elif isinstance(value, (list, tuple)):
            value = [put(part) for part in value]
        else:
            if not isinstance(value, str):
                return value
        text = json.dumps(value, ensure_ascii=False)
        if len(text) < POOLED:
            return value
        if text not in known:
            known[text] = len(pool)
            pool.append(value)
        return {"@": known[text]}

    packed = {name: put(picture) for name, picture in pictures.items()}
    return {"pool": pool, "pictures": packed}


def unpack(packed: dict) -> dict[str, Any]:
    """The inverse of :func:`pack`, as the page does it."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if "@" in value:
                return whole(packed["pool"][value["@"]])
            return {name: whole(part) for name, part in value.items()}
        return [whole(part) for part in value] if isinstance(value, list) else value

    return {name: whole(picture) for name, picture in packed["pictures"].items()}
