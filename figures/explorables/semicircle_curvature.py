"""The semicircle: the same start followed on and off the manifold (MLAE Fig. 2)."""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from companion.lab.explorable import Computed, Control, Explorable
from companion.theory import semicircle
from figures import plots

NAME = "semicircle"
BETAS = (0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
RADII = (0.002, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CONTROLS = {
    "beta": Control("β, weight of the reconstruction", BETAS, 2.0),
    "radius": Control("radius at the start", RADII, 0.1),
}
SIDES = "manifold", "data"
COLOURS = plots.ORANGE, plots.GREEN
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


def circles(ax: Axes, points: np.ndarray, frames: np.ndarray, color: str) -> None:
    """A circle's way through its frames, the first black, with the data projected (MLAE Fig. 2).

    The half that faces the data is solid, the other dotted. Light lines, drawn for the last frame
    but one, hold the points that share a code.

    Args:
        ax: axes to draw into.
        points: ``(n, 2)`` data.
        frames: ``(frames, 3)`` of m, log r, log s.
        color: of all frames but the first.
    """
    centres, radii = frames[:, 0], np.exp(frames[:, 1])
    ax.scatter(*points.T, s=7, color=plots.GREY, alpha=0.6, linewidths=0)
    centre, radius = centres[-2], radii[-2]
    angle = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    rays = np.zeros((len(angle), 2, 2)) + (centre, 0)  # (ray, its two ends, 2)
    rays[:, 1] += 60 * np.stack([-np.cos(angle), np.sin(angle)], axis=-1)
    ax.add_collection(LineCollection(rays, colors=color, alpha=0.22, linewidths=0.7))
    across, up = centre - points[:, 0], points[:, 1]
    share = radius / np.hypot(across, up)
    projected = np.stack([centre - share * across, share * up])
    ax.scatter(*projected, s=9, color=color, alpha=0.7, linewidths=0, zorder=3)
    for i, (m, r) in enumerate(zip(centres, radii, strict=True)):
        thick = {"color": color if i else "black", "linewidth": 1.2 + 0.5 * i}
        half = min(np.pi / 2, 6 / r)  # of a large circle only what is in view, finely
        for low, high, style in ((-half, half, "-"), (np.pi / 2, 3 * np.pi / 2, ":")):
            angle = np.linspace(low, high, 200)
            ax.plot(m - r * np.cos(angle), r * np.sin(angle), style, **thick)
    ax.set(xlim=(-2.2, 3.3), ylim=(-2.75, 2.75), aspect="equal", xlabel="x₁", ylabel="x₂")


def draw(figure: Figure, both: dict[str, Path], beta: float, radius: float) -> str:
    """Both descents from one start, and curvature, NLL and reconstruction error over the steps."""
    figure.subplots_adjust(0.055, 0.13, 0.985, 0.91, wspace=0.26)
    *panels, right = figure.subplots(1, 3)
    names = "on the manifold, f'(x̂)", "off the manifold, f'(x)"
    at, x = [TIMES.index(step) for step in FRAMES], make_data()
    for ax, one, name, color in zip(panels, both.values(), names, COLOURS, strict=True):
        circles(ax, x.numpy(), one.circles[at], color)
        ax.set_title(f"{name}: {ending(one.circles, x)}", fontsize=9)
    over_steps(right, both)
    texts = []
    for one, name in zip(both.values(), ("on the manifold", "off it"), strict=True):
        end, radius_at_end = ending(one.circles, x), np.exp(one.circles[-1, 1])
        texts.append(
            f"{name} it ends {end if end == 'collapsed' else 'as a ' + end} (radius "
            f"{radius_at_end:.2g}, NLL {one.nll[-1]:.2f}, error {one.reconstruction[-1]:.3g})"
        )
    return f"Semicircle at β = {beta:g}, started at radius {radius:g}: {'; '.join(texts)}."


def over_steps(panel: Axes, both: dict[str, Path]) -> None:
    """Curvature, NLL and reconstruction error of both descents, one below the other."""
    panel.set_axis_off()
    rows = {
        "log₁₀ curvature": [-one.circles[:, 1] / np.log(10) for one in both.values()],
        "NLL (nats)": [one.nll for one in both.values()],
        "mean ‖x̂ − x‖²": [one.reconstruction for one in both.values()],
    }
    for i, (label, values) in enumerate(rows.items()):
        ax = panel.inset_axes((0.12, 0.7 - 0.35 * i, 0.88, 0.3))
        for one, color, name in zip(values, COLOURS, ("on", "off"), strict=True):
            ax.plot(TIMES, one, color=color, linewidth=1.6, label=name)
        ax.set_xscale("symlog", linthresh=10)
        ax.set(xlim=(0, TIMES[-1]), ylabel=label)
        ax.minorticks_off()
        ax.tick_params(labelbottom=i == 2, labelsize=8)
        ax.yaxis.label.set_size(8)
    ax.set_xlabel("step")
    ax.legend(frameon=False, fontsize=8)


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


STUDY = Computed(NAME, CONTROLS, (0,), numbers, check, compute)
EXPLORABLE = Explorable(
    title="The semicircle, on and off the manifold",
    study=STUDY,
    draw=draw,
    columns=3,
    size=(3.7, 3.9),
    presets={
        "inside the well": {"beta": 2.0, "radius": 0.05},
        "outside it": {"beta": 10.0, "radius": 1.0},
        "small β: no way out": {"beta": 0.5, "radius": 2.0},
    },
    prompts=(
        "The likelihood pulls points together, the error pushes the circle to them: who wins from "
        "a small circle, who from a large one?",
        "Will a larger β save the small circle on the left?",
    ),
)
