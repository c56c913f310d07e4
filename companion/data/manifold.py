"""A curved manifold of known dimension inside a larger space, with known coordinates on it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Manifold:
    """Noise-free data on the graph x = Q (u, ½ sin(Bu + b)), Q a rotation: a manifold for r < D.

    The graph form makes the chart injective whatever B is, and gives back the coordinates of any
    point x, on the manifold or beside it, as the first r entries of Qᵀx.

    Args:
        intrinsic: dimension r of the manifold.
        dim: dimension D of the data.
        density: of each coordinate u: ``uniform`` of variance 1, or two ``clusters`` at ±1 with
            standard deviation 0.2.
        seed: of Q, B and b.

    Raises:
        ValueError: when not 1 ≤ r < D, or for an unknown density.

    >>> data = Manifold(2, 5)
    >>> x = data.sample(4, torch.Generator().manual_seed(0))
    >>> x.shape, bool(data.distance(x).max() < 1e-5)
    (torch.Size([4, 5]), True)
    """

    intrinsic: int
    dim: int
    density: Literal["uniform", "clusters"] = "uniform"
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.intrinsic < self.dim:
            raise ValueError(
                f"Manifold: needs 1 ≤ intrinsic < dim, got {self.intrinsic} and {self.dim}"
            )
        if self.density not in ("uniform", "clusters"):
            raise ValueError(f"Manifold: density must be uniform or clusters, got {self.density!r}")

    def _maps(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        generator = Generator().manual_seed(self.seed)
        random = {"generator": generator, "dtype": torch.float64}
        Q = torch.linalg.qr(torch.randn(self.dim, self.dim, **random)).Q
        B = torch.randn(self.intrinsic, self.dim - self.intrinsic, **random) / self.intrinsic**0.5
        b = torch.randn(self.dim - self.intrinsic, **random)
        return Q.to(like), B.to(like), b.to(like)

    def coordinates(self, n: int, generator: Generator | None = None) -> Tensor:
        """Draw u: ``(n, intrinsic)``."""
        shape = (n, self.intrinsic)
        if self.density == "uniform":
            return (2 * torch.rand(shape, generator=generator) - 1) * 3**0.5
        sign = 2.0 * torch.randint(2, shape, generator=generator) - 1
        return sign + 0.2 * torch.randn(shape, generator=generator)

    def chart(self, u: Tensor) -> Tensor:
        """The point of each coordinate: ``(n, intrinsic) -> (n, dim)``."""
        Q, B, b = self._maps(u)
        return torch.cat([u, 0.5 * (u @ B + b).sin()], dim=1) @ Q.T

    def project(self, x: Tensor) -> Tensor:
        """Coordinates of the point straight below x: ``(n, dim) -> (n, intrinsic)``."""
        return x @ self._maps(x)[0][:, : self.intrinsic]

    def plane(self, x: Tensor) -> Tensor:
        """What a picture shows: the first coordinate and the first curved one, ``(n, 2)``."""
        return x @ self._maps(x)[0][:, [0, self.intrinsic]]

    def distance(self, x: Tensor) -> Tensor:
        """‖x − chart(project(x))‖, zero exactly on the manifold: ``(n,)``."""
        return (x - self.chart(self.project(x))).norm(dim=1)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Draw ``(n, dim)`` points."""
        return self.chart(self.coordinates(n, generator))
