"""Explorables: pictures that answer to β and γ, each in a file of its own."""

from companion.explorables import (
    ablation,
    batch_orthogonal,
    benchmark,
    bounds,
    digits,
    directions,
    faces,
    interval,
    linear,
    mnist_full,
    mnist_gpu,
    rectangular,
    relaxed,
    semicircle,
    sinusoid,
    sinusoid_full,
    stages,
    taylor,
    traces,
    variance,
    within_flows,
)
from companion.explorables.base import Control, Explorable

MODULES = (
    sinusoid,
    semicircle,
    linear,
    interval,
    traces,
    rectangular,
    bounds,
    relaxed,
    within_flows,
    variance,
    directions,
    stages,
    taylor,
    faces,
    benchmark,
    digits,
    ablation,
)
BY_NAME = {module.NAME: module for module in MODULES}
# no sliders; up to an hour each, or ten minutes of a GPU
LONG = {m.NAME: m for m in (sinusoid_full, mnist_full, mnist_gpu, batch_orthogonal)}


def rebuild(name: str | None = None, check: bool = False) -> list[str]:
    """Retrain the lattice of one explorable, or of all; with ``check`` only compare one point.

    The numbers in ``LONG`` are trained again only when they are named.

    Returns:
        Lines to print; with ``check`` a line that ends in OUTSIDE is a failure.

    Raises:
        ValueError: for an unknown name.
    """
    known = BY_NAME | LONG
    if name is not None and name not in known:
        raise ValueError(f"rebuild: no explorable {name!r}; there are {', '.join(known)}")
    lines = []
    for module in [known[name]] if name else BY_NAME.values():
        if check:
            lines += module.check()
        else:
            module.build()
            lines.append(f"{module.NAME}: rebuilt")
    return lines


__all__ = ["BY_NAME", "Control", "Explorable", "rebuild"]
