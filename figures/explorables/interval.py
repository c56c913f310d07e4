"""A latent interval pushed through a decoder: stretched and thinned, its mass kept (MLAE eq. 2)."""

from math import erf, exp, pi
from typing import NamedTuple

import numpy as np
import torch

from companion.lab.explorable import Computed, Control, Explorable, Question
from companion.lab.marks import Line, Mark, Points, Strip
from companion.lab.picture import Axis, Panel, Picture

NAME = "interval"
REACH = 3.0  # the curve is drawn for codes from −REACH to REACH
ALONG, TOP = (-3.3, 6.1), 0.48  # axes that hold every setting, so that areas can be compared
FACTORS = 1.0, 1.5, 3.0, 10.0  # among which one predicts
CONTROLS = {
    "centre": Control("centre of the interval", (-2.0, -1.5, -0.75, 0.0, 0.75, 1.5, 2.0), 0.75),
    "width": Control("its width", (0.5, 1.0), 0.5),
    "stretch": Control("stretch k of the decoder", (0.0, 0.2, 0.4), 0.4),
    "bend": Control("bend ω of the decoder", (0.0, 0.5, 1.0), 1.0),
}  # fmt: skip


def decode(z: torch.Tensor, stretch: float = 0.4, bend: float = 1.0) -> torch.Tensor:
    """A spiral whose speed and direction are separate knobs: ``(batch, 1) -> (batch, 2)``.

    g(z) = ∫₀ᶻ exp(kt) (cos ωt, sin ωt) dt, with k the stretch and ω the bend, so that
    ‖g'(z)‖ = exp(kz) whatever the bend. A line for ω = 0, a circle of radius 1/ω for k = 0.

    >>> decode(torch.tensor([[2.0]]), stretch=0.0, bend=0.0)
    tensor([[2., 0.]])
    """
    if stretch == bend == 0:
        return torch.cat([z, torch.zeros_like(z)], 1)
    grown = torch.exp(stretch * z)
    a, b = grown * torch.cos(bend * z) - 1, grown * torch.sin(bend * z)  # exp((k + iω)z) − 1
    turned = torch.cat([a * stretch + b * bend, b * stretch - a * bend], 1)  # times k − iω
    return turned / (stretch**2 + bend**2)


def pole(stretch: float, bend: float) -> tuple[float, float]:
    """The point that the spiral winds about, where g goes for z → −∞; for k > 0.

    >>> pole(0.5, 0.0)
    (-2.0, 0.0)
    """
    return -stretch / (stretch**2 + bend**2), bend / (stretch**2 + bend**2)


def radius_code(x: torch.Tensor, stretch: float = 0.4, bend: float = 1.0) -> torch.Tensor:
    """An encoder with f∘g = 1 that reads the distance from the pole: ``(batch, 2) -> (batch, 1)``.

    f(x) = log(|c|·‖x − pole‖)/k with c = k + iω. Its gradient points away from the pole and not
    along the curve: f' is no pseudo-inverse of g' unless ω = 0, but |c|/k times too long.

    >>> z = torch.tensor([[-1.0], [2.0]])
    >>> torch.allclose(radius_code(decode(z)), z, atol=1e-6)
    True
    """
    return _polar(x, stretch, bend)[0] / stretch


def spiral_code(x: torch.Tensor, stretch: float = 0.4, bend: float = 1.0) -> torch.Tensor:
    """An encoder with f∘g = 1 and f' the pseudo-inverse of g': ``(batch, 2) -> (batch, 1)``.

    f(x) = Re(log(1 + cx)/c) for x read as a complex number and c = k + iω, on the branch |ωz| < π.
    The logarithm keeps angles, so that lines of equal code cross the curve at right angles.

    >>> z = torch.tensor([[-1.0], [2.0]])
    >>> torch.allclose(spiral_code(decode(z)), z, atol=1e-6)
    True
    """
    log_radius, angle = _polar(x, stretch, bend)
    return (stretch * log_radius + bend * angle) / (stretch**2 + bend**2)


def _polar(x: torch.Tensor, k: float, w: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The logarithm of 1 + cx, its real and imaginary part: two ``(batch, 1)``."""
    a, b = 1 + k * x[:, :1] - w * x[:, 1:], w * x[:, :1] + k * x[:, 1:]
    return 0.5 * torch.log(a**2 + b**2), torch.atan2(b, a)


class Numbers(NamedTuple):
    """Everything that the picture shows."""

    z: np.ndarray  # (codes,)
    density_z: np.ndarray  # (codes,) the prior N(0, 1)
    curve: np.ndarray  # (codes, 2)
    density_x: np.ndarray  # (codes,) per unit of arc length: density_z / ‖g'(z)‖
    arc: np.ndarray  # (codes,) arc length from z = 0
    inside: np.ndarray  # (codes,) bool: in the interval, ends included
    mass_z: float  # of the interval, from the error function
    mass_x: float  # of its image: the density summed over chords of the curve
    length: float  # of its image


def numbers(
    centre: float, width: float, stretch: float, bend: float, step: float = 0.01
) -> Numbers:
    """Push N(0, 1) through the decoder by MLAE eq. 2 and measure the interval on both sides.

    The mass on the curve does not use eq. 2 twice: lengths are chords between points of the plane.

    >>> n = numbers(0.75, 0.5, stretch=0.4, bend=1.0)
    >>> round(n.mass_z, 4), round(n.mass_x, 4), round(n.length, 3)
    (0.1499, 0.1499, 0.676)
    """
    z = np.linspace(-REACH, REACH, round(2 * REACH / step) + 1)
    density_z = np.exp(-(z**2) / 2) / np.sqrt(2 * pi)
    density_x = density_z * np.exp(-stretch * z)  # ‖g'(z)‖ = exp(kz)
    curve = decode(torch.tensor(z)[:, None], stretch, bend).numpy()
    chords = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    arc = np.concatenate([[0.0], chords.cumsum()])
    low, high = centre - width / 2, centre + width / 2
    inside = (z > low - step / 2) & (z < high + step / 2)
    pieces = inside[:-1] & inside[1:]
    between = (density_x[:-1] + density_x[1:]) / 2
    return Numbers(
        z, density_z, curve, density_x, arc - np.interp(0.0, z, arc), inside,
        (erf(high / 2**0.5) - erf(low / 2**0.5)) / 2,
        float((between * chords)[pieces].sum()), float(chords[pieces].sum()),
    )  # fmt: skip


def marked_density(x, density, chosen, ticks, top: float) -> list[Mark]:
    """The area under a density, coloured by its height, with one piece of it outlined.

    Args:
        x: ``(m,)`` ascending.
        density: ``(m,)``.
        chosen: ``(m,)`` bool, the piece.
        ticks: indices, or a slice, of points to mark on the axis.
        top: the density that is brightest.

    >>> marks = marked_density([0, 1, 2], [1, 2, 1], [True, True, False], [0, 2], top=2)
    >>> [mark.kind for mark in marks]
    ['strip', 'line', 'points']
    """
    x, density = np.asarray(x), np.asarray(density)
    floor = np.zeros(len(x))
    marks = _strip(np.stack([x, floor], 1), np.stack([x, density], 1), density, chosen, top)
    return [*marks, Points(x[ticks], floor[ticks], "ink", size=4)]


def ribbon(curve, density, chosen, ticks, top: float, width: float = 1.1) -> list[Mark]:
    """A curve in the plane, thick and bright where the density on it is high.

    Args:
        curve: ``(m, 2)``.
        density: ``(m,)`` per unit of arc length.
        chosen: ``(m,)`` bool, a piece to outline.
        ticks: indices, or a slice, of points to mark.
        top: the density that is brightest.
        width: the ribbon's for density 1.
    """
    curve, density = np.asarray(curve), np.asarray(density)
    along = np.gradient(curve, axis=0)
    normal = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True)
    aside = width / 2 * density[:, None] * normal
    marks = _strip(curve - aside, curve + aside, density, chosen, top)
    return [*marks, Line(*curve.T, "ink", width=0.7), Points(*curve[ticks].T, "ink", size=4)]


def _strip(one, other, values, chosen, top: float) -> list[Mark]:
    """The strip between two lines ``(m, 2)``, coloured by values, with one piece outlined."""
    outline = np.concatenate([one[chosen], other[chosen][::-1], one[chosen][:1]])
    body = Strip(*one.T, *other.T, shade=np.asarray(values) / top)
    return [body, Line(*outline.T, "orange", width=2.5)]


def picture(n: Numbers, centre: float, width: float, stretch: float, bend: float) -> Picture:
    """The codes, the curve that they become, the density along it, the interval marked in each."""
    thin = slice(None, None, 5)  # enough to draw
    style = {"chosen": n.inside[thin], "ticks": slice(None, None, 20), "top": TOP}  # whole codes
    density = Axis("density", limits=(-0.02, TOP))
    latent = Panel(
        marked_density(n.z[thin], n.density_z[thin], **style),
        Axis("code z", limits=ALONG), density,
        title=f"N(0, 1): length {width:g}, mass {n.mass_z:.3f}",
    )  # fmt: skip
    arc = Panel(
        marked_density(n.arc[thin], n.density_x[thin], **style),
        Axis("arc length from g(0)", limits=ALONG), density,
        title=f"on the curve: length {n.length:.2f}, mass {n.mass_x:.3f}",
    )  # fmt: skip
    decoder = f"decoder of stretch {stretch:g} and bend {bend:g}"
    plane = Panel(
        ribbon(n.curve[thin], n.density_x[thin], **style),
        Axis("x₁", limits=ALONG), Axis("x₂", limits=(-0.7, 4.4)),
        title=f"{decoder}: thick is dense, dots are whole codes", equal=True,
    )  # fmt: skip
    says = (
        f"The codes from {centre - width / 2:g} to {centre + width / 2:g} hold mass "
        f"{n.mass_z:.3f} on a length of {width:g}. "
        f"A {decoder} lays them on {n.length:.2f} units of "
        f"curve with the same mass {n.mass_x:.3f}: mean density {n.mass_x / n.length:.3f} per unit "
        f"of arc length, after {n.mass_z / width:.3f} per unit of code."
    )
    return Picture([[latent, arc], plane], says, (10.4, 4.6), (4, 6))


def check() -> list[str]:
    """Compare lengths with their closed form (exp kb − exp ka)/k, and masses with each other."""
    n, k = numbers(0.75, 0.5, stretch=0.4, bend=1.0), 0.4
    length = (exp(k * 1.0) - exp(k * 0.5)) / k
    good = abs(n.length - length) < 1e-4 and abs(n.mass_x - n.mass_z) < 1e-4
    return [f"interval: length {n.length:.4f}, mass {n.mass_x:.4f}: {'ok' if good else 'OUTSIDE'}"]


def longer() -> tuple[int, str]:
    """Of two pieces of curve with the same mass, how much longer one is, at the largest stretch."""
    k, w = CONTROLS["stretch"].values[-1], CONTROLS["bend"].values[-1]
    small, large = (numbers(centre, 1.0, k, w) for centre in (-1.5, 1.5))
    ratio = large.length / small.length
    return int(np.abs(np.log(ratio / np.array(FACTORS))).argmin()), (
        f"Mass {small.mass_x:.3f} lies on a length of {small.length:.2f} for the small codes and "
        f"on {large.length:.2f} for the large ones, {ratio:.1f} times as long: there the curve is "
        "so much less dense."
    )


EXPLORABLE = Explorable(
    title="A latent interval, stretched and thinned",
    study=Computed(NAME, CONTROLS, (0,), numbers, check),
    draw=picture,
    presets={
        "a line laid down as it is": {"stretch": 0.0, "bend": 0.0},
        "bent only": {"stretch": 0.0, "bend": 1.0},
        "stretched only": {"stretch": 0.4, "bend": 0.0},
        "both": {"stretch": 0.4, "bend": 1.0},
    },
    prompts=(
        "Bend the line without stretching it: does the density along it change?",
        "With stretch, move the interval from −2 to 2: at which code does it keep its length?",
    ),
    question=Question(
        "The codes from −2 to −1 and those from 1 to 2 hold the same mass. With stretch 0.4, how "
        "much longer is the second piece of curve?",
        ("as long, for the mass is the same", *(f"about {f:g} times" for f in FACTORS[1:])),
        longer,
    ),
    opening=0,
)
