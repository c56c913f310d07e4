"""Explorables: pictures that answer to sliders, and the trainings behind them, a file each."""

from pathlib import Path

from companion.lab.explorable import LATTICES
from figures.explorables import (
    ablation,
    batch_orthogonal,
    benchmark,
    conjugate_gradients,
    decoder_variance,
    digits,
    directions,
    estimators,
    face_models,
    frobenius_bounds,
    interval,
    linear_model,
    mnist,
    relaxed_flow,
    semicircle_curvature,
    sinusoid,
    sinusoid_full,
    taylor_vae,
    trace_probes,
    two_stages,
    within_flows,
)

EXPLORABLES = tuple(
    module.EXPLORABLE
    for module in (
        sinusoid,
        semicircle_curvature,
        linear_model,
        interval,
        trace_probes,
        conjugate_gradients,
        frobenius_bounds,
        relaxed_flow,
        within_flows,
        decoder_variance,
        directions,
        two_stages,
        taylor_vae,
        face_models,
        benchmark,
        digits,
        ablation,
    )
)
BY_NAME = {explorable.name: explorable for explorable in EXPLORABLES}
# no sliders; up to an hour each, or ten minutes of a GPU
LONG = {
    study.name: study
    for study in (
        sinusoid_full.STUDY,
        mnist.SHORT,
        mnist.PAPER,
        batch_orthogonal.STUDY,
        estimators.NLL,
        estimators.COLLAPSE,
    )
}


def rebuild(name: str | None = None, check: bool = False) -> list[str]:
    """Retrain the lattice of one explorable, or of all; with ``check`` only compare one point.

    The numbers in ``LONG`` are trained again only when they are named, and go on in ``runs`` where
    they were stopped.

    Returns:
        Lines to print; with ``check`` a line that ends in OUTSIDE is a failure.

    Raises:
        ValueError: for an unknown name.
    """
    studies = {one.name: one.study for one in BY_NAME.values()} | LONG
    if name is not None and name not in studies:
        raise ValueError(f"rebuild: no explorable {name!r}; there are {', '.join(studies)}")
    lines = []
    for one in [name] if name else BY_NAME:
        if check:
            lines += studies[one].check()
        else:
            studies[one].build(Path("runs", one) if one in LONG else None)
            kept = (LATTICES / f"{one}.npz").exists()
            lines.append(f"{one}: " + ("rebuilt" if kept else "computed as it is shown"))
    return lines


__all__ = ["BY_NAME", "EXPLORABLES", "LONG", "rebuild"]
