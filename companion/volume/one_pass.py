"""The one-pass estimator of the log-volume's gradient, for any encoder and decoder.

Maximum likelihood needs the gradient of log-volumes: ½ log det(f'f'ᵀ) of the encoder f, or
½ log det(g'ᵀg') of the decoder g. When f' and g' are pseudo-inverse to each other that gradient is
tr(f'·∂g') = tr(∂g'·f') for the decoder and tr(∂f'·g') for the encoder (MLAE eqs 32, 39): the other
network's Jacobian, held constant, stands in for an inverse. A probe v with E[vvᵀ] = I makes the
trace a product of vectors that automatic differentiation gives in one pass (MLAE eqs 11, 12, 18).
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from companion import probes as _probes
from companion.contracts import Map, Surrogate, as_float, bind
from companion.passes import jvp, over, vjp

Side = Literal["encoder", "decoder"]
Space = Literal["latent", "data"]
At = Literal["data", "manifold"]
Mode = Literal["mixed", "backward", "forward"]


def surrogate(
    x: Tensor,
    encode: Map,
    decode: Map,
    condition: Tensor | None = None,
    num_probes: int = 1,
    kind: _probes.Kind = "orthogonal",
    side: Side = "encoder",
    space: Space = "latent",
    at: At = "data",
    mode: Mode = "mixed",
    fraction: float = 1.0,
    probes: Tensor | None = None,
    index: Tensor | slice | None = None,
    generator: Generator | None = None,
) -> Surrogate:
    """Encode, decode, and attach the gradient of a log-volume, all in one pass.

    With f the encoder, g the decoder, z = f(x), x̂ = g(z), p the point of ``at`` and sg the
    stop-gradient, the surrogate of one sample is

    ========  =========================================  =======================================
    space     side ``encoder``                           side ``decoder``
    ========  =========================================  =======================================
    latent    (1/K) Σ vᵀ f'(p) sg[g'(z) v]               (1/K) Σ sg[vᵀ f'(p)] g'(z) v
    data      (1/K) Σ sg[vᵀ g'(z)] f'(p) v               (1/K) Σ vᵀ g'(z) sg[f'(p) v]
    ========  =========================================  =======================================

    Its gradient follows **plus** the log-volume of f (side encoder: a loss subtracts it) or
    **plus** the log-volume of g (side decoder: a loss adds it). Its value is about the latent size
    near a good fit and is not a log-determinant. Only the stopped product is detached; z and x̂
    stay attached, so that ``at="manifold"`` differentiates through x̂.

    Args:
        x: ``(batch, *data)``; left untouched.
        encode: ``(batch, *data) -> (batch, latent)``, with the condition as second argument if any.
        decode: ``(batch, latent) -> (batch, *data)``, likewise.
        condition: ``(batch, …)`` or nothing.
        num_probes: K; all probes share one primal pass.
        kind: distribution of the probes, see :func:`companion.probes.sample`;
            ``batch-orthogonal`` has the least noise in the batch mean at K = 1, above all on a
            fraction.
        side: whose log-volume gets the gradient.
        space: where the trace is taken; ``latent`` has the lower variance (MLAE App. D.1).
        at: where f' is evaluated: ``data`` is p = x (eq. 18), ``manifold`` is p = x̂ (eq. 12).
        mode: which products are used: ``mixed`` (vᵀf' backward, g'v forward), ``backward`` or
            ``forward`` only. Equal in value and gradient. Where the straight order would put the
            stopped product in the gradient's way, that product goes through the transposed map.
        fraction: evaluate it on max(1, round(fraction·batch)) random samples only, scaled up so
            that the batch mean stays unbiased; the rest get zero. The maps must treat samples
            independently then (no batch normalisation in training mode).
        probes: ``(probe, batch, latent)``, or ``(probe, batch, *data)`` for ``space="data"``, drawn
            outside; with ``index`` their batch follows it. Overrides ``num_probes`` and ``kind``.
        index: which samples instead of a random ``fraction``: ``(m,)`` distinct positions drawn
            outside, or ``slice(m)``, the first m, which moves no data. Only where the batch comes
            in random order, as ``fit`` shuffles it, is the latter unbiased.
        generator: where chance comes from when probes and index are not given.

    Returns:
        ``Surrogate(z, x_hat, surrogate)`` of shapes ``(batch, latent)``, ``(batch, *data)``,
        ``(batch,)``.

    Raises:
        ValueError: for an unknown option, a fraction outside (0, 1], a wrong number or shape of
            probes, or a slice that is not the first samples.

    Source: MLAE eqs 11, 12, 18, Table 3 (whose decoder column has the wrong sign and g'(x) for
    g'(z)) and App. D.2.

    >>> A = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    >>> out = surrogate(torch.ones(4, 3), lambda x: x @ A.T, lambda z: z @ torch.linalg.pinv(A).T,
    ...                 num_probes=2, kind="basis")
    >>> out.surrogate.round()  # tr(f'g') = tr(1) = 2
    tensor([2., 2., 2., 2.])
    """
    _check(side, space, at, mode, fraction)
    x, batch = as_float(x, call="volume.surrogate"), x.shape[0]
    latent = probes.shape[-1] if probes is not None and space == "latent" else None

    def maps(c):  # not annotated: torch.compile would evaluate that
        return (
            bind(encode, c, "volume.surrogate: the encoder", (latent,)),
            bind(decode, c, "volume.surrogate: the decoder", x.shape[1:]),
        )

    def draw(like: Tensor) -> Tensor:
        if probes is None:
            return _probes.sample(kind, num_probes, like, generator, call="volume.surrogate")
        if probes.shape[1:] != like.shape:
            raise ValueError(
                f"volume.surrogate: probes must be (probe, {', '.join(map(str, like.shape))}), "
                f"got {tuple(probes.shape)}"
            )
        return probes.to(like.dtype)

    if index is None:
        m = num_chosen(fraction, batch)
        index = slice(batch) if m == batch else draw_index(fraction, batch, x.device, generator)
    if isinstance(index, slice):
        on, which = _on_first, _num_first(index, batch)
    else:
        on, which = _on_fraction, index
    return on(x, maps, condition, which, draw, side, space, at, mode)


def num_chosen(fraction: float, batch: int) -> int:
    """How many of ``batch`` samples a ``fraction`` selects: at least one, if there are any."""
    return min(batch, max(1, round(fraction * batch)))


def draw_index(
    fraction: float,
    batch: int,
    device: torch.device | str = "cpu",
    generator: Generator | None = None,
) -> Tensor:
    """Distinct random positions for :func:`surrogate`'s ``index``: ``(m,)``."""
    return torch.randperm(batch, device=device, generator=generator)[: num_chosen(fraction, batch)]


def _num_first(index: slice, batch: int) -> int:
    chosen = range(batch)[index]
    if len(chosen) == 0 < batch or chosen != range(len(chosen)):
        raise ValueError(
            f"volume.surrogate: a slice as index must be slice(m), the first m of {batch} samples "
            f"with m > 0, got {index}"
        )
    return len(chosen)


def _check(side: str, space: str, at: str, mode: str, fraction: float) -> None:
    options = {"side": (side, Side), "space": (space, Space), "at": (at, At), "mode": (mode, Mode)}
    for name, (value, allowed) in options.items():
        if value not in get_args(allowed):
            expected = " or ".join(map(repr, get_args(allowed)))
            raise ValueError(f"volume.surrogate: {name} must be {expected}, got {value!r}")
    if not 0 < fraction <= 1:
        raise ValueError(f"volume.surrogate: fraction must be in (0, 1], got {fraction}")


class _Jacobian:
    """The Jacobian of one map at one point, as products that share the map's primal pass.

    ``pull=True`` prepares products from the left, ``tangent=v`` computes the one with v from the
    right; either gives the map's value on the way. With ``detach`` products from the right are
    constants.
    """

    def __init__(
        self,
        function: Map,
        point: Tensor,
        pull: bool = False,
        tangent: Tensor | None = None,
        detach: bool = False,
        name: str = "map",
    ):
        self.function, self.point, self.tangent, self.detach = function, point, tangent, detach
        self.name = name
        if tangent is not None:
            self.value, self.pushed = self._jvp(tangent)
        elif pull:
            self.value, self._pull = vjp(function, point, name)
        else:
            self.value = function(point)

    def left(self, w: Tensor) -> Tensor:
        """wᵀJ, backward mode."""
        return self._over_probes(self._pull, w)

    def right(self, v: Tensor) -> Tensor:
        """Jv, forward mode."""
        return self.pushed if v is self.tangent else self._jvp(v)[1]

    def right_transposed(self, v: Tensor) -> Tensor:
        """Jv by backward mode alone: w ↦ wᵀJ is linear in w, and its own transpose is v ↦ Jv."""
        _, push = vjp(self._pull, torch.zeros_like(self.value), self.name)
        return self._over_probes(push, v)

    def _jvp(self, v: Tensor) -> tuple[Tensor, Tensor]:
        def push(one: Tensor) -> tuple[Tensor, Tensor]:
            return jvp(self.function, self.point, one, self.detach, self.name)

        if len(v) == 1:
            value, tangent = push(v[0])
            return value, tangent.unsqueeze(0)
        value, tangent = over(push, v, name=self.name)
        return value[0], tangent  # the value does not depend on the probe: computed once, a view

    def _over_probes(self, product: Map, vectors: Tensor) -> Tensor:
        """Apply a product to each probe, in one vectorised call."""
        if len(vectors) == 1:
            return product(vectors[0]).unsqueeze(0)
        return over(product, vectors, name=self.name)


def _one_pass(
    x: Tensor,
    encode: Map,
    decode: Map,
    draw: Callable[[Tensor], Tensor],
    side: str,
    space: str,
    at: str,
    mode: str,
) -> Surrogate:
    """The surrogate on all samples. The trace is of outer·inner: f'g' or g'f', by the space."""
    stop_inner = (side == "encoder") == (space == "latent")
    outer = {"pull": not (stop_inner and mode == "forward")}
    z = encode(x) if at == "manifold" else None

    def inner(v: Tensor) -> dict:
        return {"pull": True} if mode == "backward" else {"tangent": v, "detach": stop_inner}

    if space == "latent":
        if at == "data":
            f = _Jacobian(encode, x, name="encoder", **outer)
            z = f.value
        v = draw(z)
        g = _Jacobian(decode, z, name="decoder", **inner(v))
        if at == "manifold":
            f = _Jacobian(encode, g.value, name="encoder", **outer)
        trace = _trace(f, g, v, stop_inner, mode)
    else:
        v = draw(x)
        if at == "data":
            f = _Jacobian(encode, x, name="encoder", **inner(v))
            z = f.value
        g = _Jacobian(decode, z, name="decoder", **outer)
        if at == "manifold":
            f = _Jacobian(encode, g.value, name="encoder", **inner(v))
        trace = _trace(g, f, v, stop_inner, mode)
    return Surrogate(z, g.value, trace)


def _trace(outer: _Jacobian, inner: _Jacobian, v: Tensor, stop_inner: bool, mode: str) -> Tensor:
    """(1/K) Σ vᵀ·outer·inner·v with one of the two products detached: ``(batch,)``."""
    if stop_inner:
        u = (inner.right_transposed(v) if mode == "backward" else inner.right(v)).detach()
        return _mean_dot(v, outer.right(u)) if mode == "forward" else _mean_dot(outer.left(v), u)
    w = outer.left(v).detach()
    return _mean_dot(inner.left(w), v) if mode == "backward" else _mean_dot(w, inner.right(v))


def _mean_dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(2).sum(-1).mean(0)  # (probe, batch, …) -> (batch,)


def _on_fraction(
    x: Tensor,
    maps: Callable[[Tensor | None], tuple[Map, Map]],
    condition: Tensor | None,
    index: Tensor,
    *rest_of_it,
) -> Surrogate:
    """The surrogate on the samples of ``index``: they go first, and all go back afterwards."""
    batch, m = x.shape[0], index.shape[0]
    chosen = torch.zeros(batch, dtype=torch.int8, device=x.device).index_fill(0, index, 1)
    others = torch.argsort(chosen, stable=True)[: batch - m]  # static shapes, for compile and vmap
    order = torch.cat([index, others])
    conditions = None if condition is None else condition[order]
    out = _on_first(x[order], maps, conditions, m, *rest_of_it)
    back = torch.argsort(order)
    return Surrogate(*(part[back] for part in out))


def _on_first(
    x: Tensor,
    maps: Callable[[Tensor | None], tuple[Map, Map]],
    condition: Tensor | None,
    m: int,
    draw: Callable[[Tensor], Tensor],
    *options: str,
) -> Surrogate:
    """The surrogate on the first m samples, scaled by batch/m; the others only autoencode."""
    batch = x.shape[0]
    some, other = (None, None) if condition is None else (condition[:m], condition[m:])
    part = _one_pass(x[:m], *maps(some), draw, *options)
    if m == batch:
        return part
    encode, decode = maps(other)
    z = encode(x[m:])
    x_hat = decode(z)
    zeros = part.surrogate.new_zeros(batch - m)
    return Surrogate(
        torch.cat([part.z, z]),
        torch.cat([part.x_hat, x_hat]),
        torch.cat([part.surrogate * (batch / m), zeros]),
    )
