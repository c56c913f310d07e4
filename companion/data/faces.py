"""Synthetic faces: drawn by formulas from a few known factors, so that all about them is known.

They stand in for photographs where those are missing, and are called synthetic wherever they are
shown. The factors f are standard normal and the drawing g is smooth and injective, so the faces lie
on a manifold of known dimension with the log-density log N(f; 0, I) − ½ log det g′ᵀg′.
"""

from dataclasses import dataclass
from math import log, pi

import torch
from torch import Generator, Tensor
from torch.func import jacfwd, vmap
from torch.nn.functional import softplus

from companion.contracts import FORWARD_MODE
from companion.data.splits import Images, Splits, cut

LABEL = "synthetic faces"
FACTORS = "turn nod tilt smile eyes width hair tone hue light".split()
NUM = (2000, 500, 500)  # training, validation and test faces of a data set
CHUNK = 16  # faces drawn at once: a layer of them fits a cache


@dataclass(frozen=True)
class Faces:
    """Faces of ``dim`` factors; those that are not named stay at their mean.

    Args:
        size: width and height in pixels.
        factors: a choice of ``FACTORS``: the head's turn, nod and tilt, the smile, the size of the
            eyes, the face's width, the hair's length, the skin's tone, the hue of hair, clothes and
            backdrop, and the side that the light comes from.

    Raises:
        ValueError: for an unknown or repeated factor, or a size below 8.

    >>> faces = Faces(size=32, factors=("turn", "smile"))
    >>> faces.render(torch.zeros(1, 2)).shape
    torch.Size([1, 3, 32, 32])
    """

    size: int = 64
    factors: tuple[str, ...] = tuple(FACTORS)

    def __post_init__(self):
        if not self.factors or len(set(self.factors) & set(FACTORS)) != len(self.factors):
            raise ValueError(f"Faces: factors must be some of {FACTORS}, got {self.factors}")
        if self.size < 8:
            raise ValueError(f"Faces: size must be at least 8, got {self.size}")

    @property
    def dim(self) -> int:
        """The dimension of the faces' manifold."""
        return len(self.factors)

    def sample_factors(
        self,
        n: int,
        generator: Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw ``(n, dim)`` factors from the standard normal."""
        return torch.randn(n, self.dim, generator=generator, dtype=dtype, device=device)

    def log_prob_factors(self, f: Tensor) -> Tensor:
        """log N(f; 0, I) in nats: ``(batch, dim) -> (batch,)``."""
        return -0.5 * (f.square() + log(2 * pi)).sum(-1)

    def render(self, f: Tensor) -> Tensor:
        """Draw faces, smoothly: ``(batch, dim) -> (batch, 3, size, size)`` in [0, 1].

        ``torch.func.jacfwd`` of it is exact. A factor acts through erf(f/√2), which is uniform on
        (−1, 1), so that no face is a caricature.
        """
        ones = torch.erf(f / 2**0.5)[:, :, None, None]  # (batch, dim, 1, 1)
        values = {name: torch.zeros_like(ones[:, 0]) for name in FACTORS}
        values |= {name: ones[:, i] for i, name in enumerate(self.factors)}
        edge = (torch.arange(self.size, dtype=f.dtype, device=f.device) + 0.5) * 2 / self.size - 1
        return _draw(_Canvas(edge[None, :], edge[:, None], 0.7 / self.size), **values)

    def log_prob(self, f: Tensor) -> Tensor:
        """The exact log-density of the faces g(f) on their manifold: ``(batch, dim) -> (batch,)``.

        log N(f; 0, I) − ½ log det g′(f)ᵀg′(f), per unit of dim-dimensional area in pixel space.
        """
        jacobian = jacfwd(lambda one: self.render(one[None]).flatten())
        with FORWARD_MODE:
            matrices = (vmap(jacobian)(part) for part in f.split(CHUNK))
            volumes = [torch.linalg.svdvals(m).log().sum(-1) for m in matrices]
        return self.log_prob_factors(f) - torch.cat(volumes)

    def images(self, f: Tensor) -> Tensor:
        """The faces as bytes: ``(batch, dim) -> (batch, 3, size, size)`` uint8."""
        with torch.no_grad():
            parts = [(255 * self.render(part)).round().byte() for part in f.split(CHUNK)]
        return torch.cat(parts)

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw n faces as bytes, and the factors that made them."""
        f = self.sample_factors(n, generator)
        return self.images(f), f


def load(size: int, seed: int) -> Splits:
    """A data set of seeded faces, which says that it is synthetic."""
    x, _ = Faces(size).sample(sum(NUM), Generator().manual_seed(seed))
    note = f"{LABEL}: drawn from {len(FACTORS)} known factors with seed {seed}, no photographs"
    return Splits(LABEL, *cut(Images(x, None), NUM), note)


class _Canvas:
    """Layers of colour over each other; x runs right and y down, both over [−1, 1]."""

    def __init__(self, x: Tensor, y: Tensor, softness: float):
        self.x, self.y, self.softness = x, y, softness
        self.pixels: Tensor | None = None

    def cover(self, inside: Tensor) -> Tensor:
        """Opacity from a distance that is positive inside, with edges one pixel soft."""
        return torch.sigmoid(inside / self.softness)

    def paint(self, opacity: Tensor, colour: Tensor) -> None:
        """Lay a colour ``(batch, 3, …)`` over everything, opacity ``(batch, size, size)``."""
        opacity = opacity.unsqueeze(-3)  # (…, 1, size, size)
        self.pixels = torch.lerp(self.pixels, colour, opacity)


def _oval(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float, power: int = 2) -> Tensor:
    """About the distance to the edge of |x/a|ᵖ + |y/b|ᵖ = 1, positive inside; smooth everywhere."""
    thinner = torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
    return (1 - (x / a) ** power - (y / b) ** power) * thinner / power


def _colour(rgb: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(rgb, dtype=like.dtype, device=like.device)[:, None, None]  # (3, 1, 1)


def _mix(first: tuple, second: tuple, share: Tensor) -> Tensor:
    """A colour between two: share ``(batch, 1, 1)`` -> ``(batch, 3, 1, 1)``."""
    return torch.lerp(_colour(first, share), _colour(second, share), share[:, None])


def _wheel(angle: Tensor, base: float, strength: float) -> Tensor:
    """A colour on the wheel: ``(batch, 1, 1) -> (batch, 3, 1, 1)``."""
    shift = torch.tensor([0, 2 * pi / 3, 4 * pi / 3], dtype=angle.dtype, device=angle.device)
    return (base + strength * torch.cos(angle - shift)).movedim(-1, 1)[..., None]


def _draw(c: _Canvas, turn, nod, tilt, smile, eyes, width, hair, tone, hue, light) -> Tensor:
    """Paint from back to front; every factor is in (−1, 1), ``(batch, 1, 1)``."""
    skin = _mix((0.99, 0.86, 0.76), (0.45, 0.28, 0.19), 0.5 + 0.5 * tone)
    dark = _mix((0.15, 0.10, 0.09), (0.72, 0.42, 0.18), 0.5 - 0.5 * hue)  # the hair
    cloth = _wheel(3.4 + 1.4 * hue, 0.50, 0.24)
    side = 0.40 * light
    c.pixels = _wheel(5.2 + 1.4 * hue, 0.76, 0.12) * (1 - 0.10 * c.y + side * 0.4 * c.x)[:, None]
    c.paint(c.cover(_oval(c.x, c.y - 1.06, 0.80, 0.44)), cloth * (1 + side * c.x)[:, None])

    # the head's own axes: tilted about the neck
    angle = 0.30 * tilt
    x = c.x * angle.cos() + (c.y - 0.45) * angle.sin()
    y = (c.y - 0.45) * angle.cos() - c.x * angle.sin() + 0.50
    head_a, head_b = 0.45 * (1 + 0.13 * width), 0.60
    yaw, pitch = 0.55 * turn, 0.30 * nod

    def at(longitude: float, latitude: float) -> tuple[Tensor, Tensor, Tensor]:
        """A place on the head: axes about it, and how much it is seen from the side."""
        across = yaw + longitude
        x0 = head_a * torch.sin(across) * 0.92
        return x - x0, y - head_b * torch.sin(pitch + latitude), across.cos()

    back, bottom = x + 0.25 * head_a * yaw, 0.42 + 0.38 * hair
    c.paint(c.cover(_oval(back, y + 0.10, head_a + 0.13, 0.66)), dark * 0.8)
    half = (bottom + 0.15) / 2
    c.paint(c.cover(_oval(back, y + 0.15 - half, head_a + 0.12, half, power=4)), dark * 0.8)
    c.paint(c.cover(_oval(c.x, c.y - 0.60, 0.20, 0.36, power=4)), skin * 0.80)
    for sign in (-1, 1):
        dx, dy, _ = at(sign * 1.45, 0.05)
        c.paint(c.cover(_oval(dx, dy, 0.08, 0.13)), skin * 0.88)

    jaw = head_a * (1 - 0.20 * torch.sigmoid(6 * (y - 0.25)))
    head = c.cover(_oval(x, y, jaw, head_b))
    rim = (x / head_a) ** 2 + (y / head_b) ** 2
    shade = 1 + side * 0.9 * x / head_a - 0.10 * y / head_b - 0.12 * rim
    c.paint(head, skin * shade[:, None])
    _draw_features(c, at, skin, dark, shade, smile, eyes)

    dx, dy, _ = at(0.25, -0.62)  # the fringe is above a curve that turns with the head
    fringe = c.cover(0.10 - dy - 1.1 * dx**2) * c.cover(
        _oval(x, y + 0.05, head_a + 0.045, head_b + 0.045)
    )
    gloss = torch.exp(-(((dx + 0.25 - 0.5 * side) / 0.22) ** 2) - ((dy + 0.10) / 0.10) ** 2)
    c.paint(fringe, dark * (1 + 0.5 * gloss)[:, None])
    return 1 - softplus(1 - c.pixels, beta=20)  # bends smoothly into white


def _draw_features(c: _Canvas, at, skin, dark, shade, smile, eyes) -> None:
    """Cheeks, nose, eyes, brows and mouth."""
    red, white = _colour((0.80, 0.30, 0.28), skin), _colour((0.97, 0.97, 0.97), skin)
    for sign in (-1, 1):
        dx, dy, seen = at(sign * 0.62, 0.30)
        c.paint(0.22 * torch.exp(-((dx / (0.12 * seen)) ** 2) - (dy / 0.09) ** 2), red)
        _draw_eye(c, *at(sign * 0.45, -0.10), 1 + 0.32 * eyes, white, dark)
        dx, dy, seen = at(sign * 0.45, -0.42)
        arch = dy + 0.8 * (dx / seen) ** 2 + 0.05 * eyes
        c.paint(c.cover(_oval(dx, arch, 0.13 * seen, 0.028, power=4)), dark * 0.7)

    dx, dy, seen = at(0.0, 0.26)
    c.paint(0.85 * c.cover(_oval(dx, dy, 0.070, 0.034)), skin * (0.80 * shade)[:, None])
    c.paint(0.55 * torch.exp(-((dx / 0.035) ** 2) - ((dy + 0.12) / 0.13) ** 2), skin * 1.08)

    dx, dy, seen = at(0.0, 0.62)
    wide = (0.17 + 0.04 * smile) * seen
    curve = dy + 2.6 * smile * (dx / seen) ** 2 - 0.03 * smile
    c.paint(c.cover(_oval(dx, curve, wide, 0.052, power=4)), red * (0.9 * shade)[:, None])
    teeth = 0.008 + 0.022 * torch.sigmoid(4 * smile)
    c.paint(c.cover(_oval(dx, curve, 0.82 * wide, teeth, power=4)), white)


def _draw_eye(c: _Canvas, dx, dy, seen, scale, white, dark) -> None:
    """Lid, white, iris, pupil and a light in it."""
    a, b = 0.115 * scale * seen, 0.078 * scale
    c.paint(c.cover(_oval(dx, dy + 0.018, a * 1.10, b * 1.08)), dark * 0.45)
    open_eye = c.cover(_oval(dx, dy, a, b))
    c.paint(open_eye, white)
    r = 0.062 * scale
    c.paint(open_eye * c.cover(_oval(dx, dy, r * seen, r)), _colour((0.28, 0.34, 0.54), dark))
    c.paint(open_eye * c.cover(_oval(dx, dy, 0.5 * r * seen, 0.5 * r)), 0.08 * white)
    c.paint(c.cover(_oval(dx + 0.02, dy + 0.022, 0.016, 0.016)), white)
