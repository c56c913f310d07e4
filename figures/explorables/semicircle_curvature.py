"""The semicircle: the same start followed on and off the manifold (MLAE Fig. 2)."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Line, Points
from companion.lab.picture import Axis, Panel, Picture
from companion.theory import semicircle

NAME = "semicircle"
BETAS = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
RADII = (0.002, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CONTROLS = {
    "beta": Control("β, weight of the reconstruction", BETAS, 2.0),
    "radius": Control("radius at the start", RADII, 0.1),
}
SIDES = "manifold", "data"
COLOURS = "orange", "green"
ENDINGS = {
    "collapsed": ("orange", "v"), "closed circle": ("purple", "o"), "flat arc": ("green", "s")
}  # fmt: skip
CENTRE, STD, NUM_POINTS = 1.5, (0.1, 1.0), 200
STEPS = 6000
TIMES = [0, *sorted({int(t) for t in np.geomspace(5, STEPS, 40)} | {60, 200})]
FRAMES = 0, 60, 200, STEPS  # "t = 0, 1, 2, ∞" of the figure


class Path(NamedTuple):
    """One descent: everything at the times ``TIMES``."""

    circles: np.ndarray  # (times, 3) of m, log r, log s
    nll: np.ndarray  # (times,) exact, in nats
    reconstruction: np.ndarray  # (times,)


def make_data(seed: int = 0) -> torch.Tensor:
    """N(0, diag(0.1², 1)), the flat cloud of the figure: ``(200, 2)``."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(NUM_POINTS, 2, generator=generator, dtype=torch.float64)
    return x * torch.tensor(STD, dtype=torch.float64)


def starts(radii=RADII) -> torch.Tensor:
    """Circles about (1.5, 0) with these radii and the best scale: ``(radii, 3)``."""
    return torch.stack([semicircle.circle(CENTRE, r, make_data()) for r in radii])


def path(side: str, beta: float, radius: float) -> Path:
    """One descent of the lattice, with its exact NLL and reconstruction error.

    >>> path("manifold", beta=2.0, radius=0.1).circles[-1, 1] < -20  # log r: the well
    np.True_
    """
    at = SIDES.index(side), BETAS.index(beta), RADII.index(radius)
    circles = STUDY.arrays["path"][at].astype(float)
    terms = semicircle.terms(torch.as_tensor(circles), make_data())
    return Path(circles, *(term.numpy() for term in terms))


def numbers(beta: float, radius: float) -> dict[str, Path]:
    """Both descents from one start, by side."""
    return {side: path(side, beta, radius) for side in SIDES}


def ending(circles: np.ndarray, x: torch.Tensor) -> str:
    """How a descent ended: collapsed, as a flat arc (still growing) or as a closed circle.

    >>> ending(np.array([[1.5, -20.0, 0.0]]), make_data())
    'collapsed'
    """
    m, log_r, _ = circles[-1]
    scale = float(x.square().sum(-1).mean().sqrt())
    if np.exp(log_r) < 0.05 * scale:
        return "collapsed"
    return "flat arc" if m > 3 * scale else "closed circle"


def circles(points: np.ndarray, frames: np.ndarray, colour: str, title: str) -> Panel:
    """A circle's way through its frames, the first black, with the data projected (MLAE Fig. 2).

    The half that faces the data is solid, the other dotted. Light lines, drawn for the last frame
    but one (or the only one), hold the points that share a code.

    Args:
        points: ``(n, 2)`` data.
        frames: ``(frames, 3)`` of m, log r, log s.
        colour: of all frames but the first.
        title: above.
    """
    centres, radii = frames[:, 0], np.exp(frames[:, 1])
    centre, reach = centres[-2:][0], radii[-2:][0]
    marks = [Points(*points.T, "grey", size=2.6, alpha=0.6), rays(centre, colour)]
    across, up = centre - points[:, 0], points[:, 1]
    share = reach / np.hypot(across, up)
    marks += [Points(centre - share * across, share * up, colour, size=3, alpha=0.7)]
    for i, (m, r) in enumerate(zip(centres, radii, strict=True)):
        half = min(np.pi / 2, 6 / r)  # of a large circle only what is in view, finely
        for low, high, dash in ((-half, half, "solid"), (np.pi / 2, 3 * np.pi / 2, "dotted")):
            angle, thick = np.linspace(low, high, 31), 1.2 + 0.5 * i
            x, y = m - r * np.cos(angle), r * np.sin(angle)
            marks += [Line(x, y, colour if i else "ink", width=thick, dash=dash)]
    axes = Axis("x₁", limits=(-2.2, 3.3)), Axis("x₂", limits=(-2.75, 2.75))
    return Panel(marks, *axes, title=title, note="black: start;  thicker: later", equal=True)


def rays(centre: float, colour: str) -> Line:
    """Light lines from a circle's centre in 24 directions."""
    angle = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    far = 60 * np.stack([-np.cos(angle), np.sin(angle)])
    start, gap = np.zeros((2, 24)), np.full((2, 24), np.nan)
    x, y = np.stack([start, far, gap], axis=-1).reshape(2, -1)
    return Line(x + centre, y, colour, width=0.7, alpha=0.22)


def picture(both: dict[str, Path], beta: float, radius: float) -> Picture:
    """Both descents from one start, and curvature, NLL and reconstruction error over the steps."""
    at, x = [TIMES.index(step) for step in FRAMES], make_data()
    names = "on the manifold, f'(x̂)", "off the manifold, f'(x)"
    panels = [
        circles(x.numpy(), one.circles[at], colour, f"{name}: {ending(one.circles, x)}")
        for one, name, colour in zip(both.values(), names, COLOURS, strict=True)
    ]
    texts = []
    for one, name in zip(both.values(), ("on the manifold", "off it"), strict=True):
        end, radius_at_end = ending(one.circles, x), np.exp(one.circles[-1, 1])
        texts.append(
            f"{name} it ends {end if end == 'collapsed' else 'as a ' + end} (radius "
            f"{radius_at_end:.2g}, NLL {one.nll[-1]:.2f}, error {one.reconstruction[-1]:.3g})"
        )
    says = f"Semicircle at β = {beta:g}, started at radius {radius:g}: {'; '.join(texts)}."
    return Picture([*panels, over_steps(both)], says, (11.1, 4.2))


def opening(radius: float) -> Picture:
    """The data and a circle at its start: what a descent will make of it is not seen."""
    (start,) = starts((radius,)).numpy()
    panel = circles(make_data().numpy(), start[None], "orange", "before the first step")
    says = (
        f"{NUM_POINTS} points with standard deviations {STD[0]:g} and {STD[1]:g} about the origin, "
        f"and a circle of radius {radius:g} about ({CENTRE:g}, 0), onto which they are projected."
    )
    return Picture([replace(panel, note="black: the circle")], says, (4.2, 4.2))


def over_steps(both: dict[str, Path]) -> list[Panel]:
    """Curvature, NLL and reconstruction error of both descents, one below the other."""
    rows = {
        "log₁₀ curvature": [-one.circles[:, 1] / np.log(10) for one in both.values()],
        "NLL (nats)": [one.nll for one in both.values()],
        "mean ‖x̂ − x‖²": [one.reconstruction for one in both.values()],
    }
    panels = []
    for label, values in rows.items():
        lines = [
            Line(TIMES, one, colour, label=name)
            for one, colour, name in zip(values, COLOURS, ("on", "off"), strict=True)
        ]
        last = len(panels) == len(rows) - 1
        step = Axis("step" if last else "", "symlog", (0, STEPS), threshold=10)
        panels.append(Panel(lines, step, Axis(label), legend="inside" if last else ""))
    return panels


def phases(x, y, endings, y_axis: Axis, edge=None, edge_label: str = "", title: str = "") -> Panel:
    """A map of how descents ended, over β and another setting, with the predicted edge as a line.

    Args:
        x: ``(m,)`` β, evenly spaced in the logarithm.
        y: ``(n,)``.
        endings: ``(m, n)`` of "collapsed", "closed circle" and "flat arc".
        y_axis: of the other setting.
        edge: pair of arrays of the line, or nothing.
        edge_label: what predicts it.
        title: above.

    >>> panel = phases([1.0, 9.0], [0.1], [["collapsed"], ["flat arc"]], Axis("radius"))
    >>> [(mark.label, mark.x.tolist()) for mark in panel.marks]
    [('collapsed', [1.0]), ('flat arc', [9.0])]
    """
    across, up = np.meshgrid(x, y)
    marks = []
    for word, (colour, marker) in ENDINGS.items():
        at = word == np.transpose(endings)  # (n, m), as meshgrid lays it out
        if at.any():
            marks += [Points(across[at], up[at], colour, marker=marker, size=6, label=word)]
    if edge is not None:
        marks += [Line(*edge, "ink", width=1.6, label=edge_label)]
    beta = Axis("β", "log", (x[0] / 1.3, x[-1] * 1.3))
    return Panel(marks, beta, y_axis, title=title, legend="above")


def descend(radii=RADII, betas=BETAS) -> torch.Tensor:
    """All descents of a grid at once: ``(side, beta, radius, times, 3)``."""
    shape = len(betas), len(radii)
    begin = starts(radii).expand(*shape, 3)
    weight = torch.tensor(betas, dtype=begin.dtype)[:, None].expand(shape)
    found = [semicircle.descend(begin, make_data(), weight, side, TIMES) for side in SIDES]
    return torch.stack(found).movedim(1, -2)


def compute() -> tuple[dict[str, np.ndarray], dict]:
    """Follow every start of the lattice; takes some seconds."""
    about = {
        "parameters": {"beta": BETAS, "radius": RADII, "centre": CENTRE, "std": STD},
        "steps": STEPS,
    }
    return {"path": descend().numpy().astype(np.float32)}, about


def check() -> list[str]:
    """Follow one start again and compare where it ends."""
    lines = []
    for i, side in enumerate(SIDES):
        again = descend((0.1,), (2.0,))[i, 0, 0].numpy()
        kept = path(side, 2.0, 0.1).circles
        same = ending(again, make_data()) == ending(kept, make_data())
        apart = float(np.abs(again - kept).max())
        verdict = "ok" if same and apart < 0.05 else "OUTSIDE"
        lines.append(f"semicircle, {side}: largest difference along the way {apart:.1e}: {verdict}")
    return lines


def ruled_out() -> tuple[int, str]:
    """Whether some β saves every circle on the manifold, over all starts of the lattice."""
    x, ends = make_data(), STUDY.arrays["path"][SIDES.index("manifold")]
    fallen = np.array([[ending(one, x) == "collapsed" for one in row] for row in ends])
    counts = fallen.sum(1)  # (beta,) of the starts
    low, high = counts[0], counts[-1]
    return 0 if counts.min() == 0 else 2 if low == high else 1, (
        f"On the manifold {low} of {len(RADII)} starts collapse at β = {BETAS[0]:g} and {high} at "
        f"β = {BETAS[-1]:g}: the well shrinks. But the smallest circle, of radius {RADII[0]:g}, "
        f"falls into it at {fallen[:, 0].sum()} of {len(BETAS)} β."
    )


STUDY = Computed(NAME, CONTROLS, (0,), numbers, check, compute)
EXPLORABLE = Explorable(
    title="The semicircle, on and off the manifold",
    study=STUDY,
    draw=picture,
    presets={
        "inside the well": {"beta": 2.0, "radius": 0.05},
        "outside it": {"beta": 10.0, "radius": 1.0},
        "small β: no way out": {"beta": 0.5, "radius": 2.0},
    },
    prompts=(
        "The likelihood pulls points together, the error pushes the circle to them: who wins from "
        "a small circle, who from a large one?",
        "Off the manifold nothing collapses. Which starts end flat there, and which closed?",
    ),
    question=Question(
        "At small β the circle on the left may collapse. Is there a β that saves it, however small "
        "it starts?",
        (
            "yes, the error outweighs the likelihood in the end",
            "no, a small enough circle always collapses",
            "no, β makes no difference",
        ),
        ruled_out,
    ),
)
