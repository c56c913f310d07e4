"""The one-pass estimator of the log-volume's gradient, for any encoder and decoder.

Maximum likelihood needs the gradient of log-volumes: ½ log det(f'f'ᵀ) of the encoder f, or
½ log det(g'ᵀg') of the decoder g. When f' and g' are pseudo-inverse to each other that gradient is
tr(f'·∂g') = tr(∂g'·f') for the decoder and tr(∂f'·g') for the encoder (MLAE eqs 32, 39): the other
network's Jacobian, held constant, stands in for an inverse. A probe v with E[vvᵀ] = I makes the
trace a product of vectors that automatic differentiation gives in one pass (MLAE eqs 11, 12, 18).
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor

from companion import probes as _probes
from companion.contracts import Map, Surrogate, as_float, bind
from companion.passes import first_layer, jvp, over, vjp

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
    maps = (
        _Map(encode, condition, "encoder", (latent,)),
        _Map(decode, condition, "decoder", x.shape[1:]),
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
    return on(x, maps, which, draw, side, space, at, mode)


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


class _Map(NamedTuple):
    """An encoder or a decoder with its condition, what errors call it, and what it returns."""

    function: Map
    condition: Tensor | None
    name: str
    shape: Sequence[int | None]

    def hold(self, function: Map, which: slice | Tensor = slice(None)) -> Map:
        """A map of these samples, held to the contract."""
        condition = self.at(which).condition
        return bind(function, condition, f"volume.surrogate: the {self.name}", self.shape)

    def at(self, which: slice | Tensor) -> "_Map":
        same = self.condition is None or (isinstance(which, slice) and which == slice(None))
        return self if same else self._replace(condition=self.condition[which])


class _Jacobian:
    """A map's value at all points, and its Jacobian at the first ``rows`` of them as products.

    The products share the value's pass. ``pull=True`` prepares products from the left; with
    ``halved`` only :meth:`dot`, which can stop at the map's first layer, is asked for.
    ``tangent=v`` computes the product with v from the right. With ``detach`` products from the
    right are constants.
    """

    def __init__(
        self,
        of: _Map,
        point: Tensor,
        rows: int,
        pull: bool = False,
        halved: bool = False,
        tangent: Tensor | None = None,
        detach: bool = False,
    ):
        self.name, self.tangent, self.detach = of.name, tangent, detach
        self.linear, rest = None, of.function
        split = first_layer(of.function, of.condition) if pull and halved else None
        if split is not None:
            first, self.linear, rest = split
            of = of._replace(condition=None)
            point = first(point)
        self.point, others = _parted(point, rows)
        self.function = of.hold(rest, slice(rows))
        if tangent is not None and detach and others is not None:
            self.value, others = of.hold(rest)(point), None
            with torch.no_grad():
                self.pushed = self._jvp(tangent)[1]
        elif tangent is not None:
            self.value, self.pushed = self._jvp(tangent)
        elif pull:
            self.value, self._pull = vjp(self.function, self.point, self.name)
        else:
            self.value = self.function(self.point)
        if others is not None:
            self.value = torch.cat([self.value, of.hold(rest, slice(rows, None))(others)])

    def left(self, w: Tensor) -> Tensor:
        """wᵀJ, backward mode."""
        return self._over_probes(self._pull, w)

    def dot(self, w: Tensor, u: Tensor) -> Tensor:
        """(1/K) Σ wᵀJu, backward mode down to the first layer, which carries u to meet it."""
        if self.linear is not None:
            u = self.linear(u.flatten(0, 1)).unflatten(0, u.shape[:2])
        return _mean_dot(self.left(w), u)

    def right(self, v: Tensor) -> Tensor:
        """Jv, forward mode."""
        return self.pushed if v is self.tangent else self._jvp(v)[1]

    def right_transposed(self, v: Tensor) -> Tensor:
        """Jv by backward mode alone: w ↦ wᵀJ is linear in w, and its own transpose is v ↦ Jv."""
        value, _ = _parted(self.value, len(self.point))
        _, push = vjp(self._pull, torch.zeros_like(value), self.name)
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


def _parted(x: Tensor, rows: int) -> tuple[Tensor, Tensor | None]:
    """The first rows and the others, if there are any."""
    return (x, None) if len(x) == rows else x.split([rows, len(x) - rows])


def _one_pass(
    x: Tensor,
    maps: tuple[_Map, _Map],
    m: int,
    draw: Callable[[Tensor], Tensor],
    side: str,
    space: str,
    at: str,
    mode: str,
) -> Surrogate:
    """All samples, and the surrogate ``(m,)`` of the first: the trace of f'g' or g'f', by space."""
    encode, decode = maps
    stop_inner = (side == "encoder") == (space == "latent")
    outer = {"pull": not (stop_inner and mode == "forward"), "halved": stop_inner}
    z = encode.hold(encode.function)(x) if at == "manifold" else None

    def inner(v: Tensor) -> dict:
        return {"pull": True} if mode == "backward" else {"tangent": v, "detach": stop_inner}

    if space == "latent":
        if at == "data":
            f = _Jacobian(encode, x, m, **outer)
            z = f.value
        v = draw(_parted(z, m)[0])
        g = _Jacobian(decode, z, m, **inner(v))
        if at == "manifold":
            f = _Jacobian(encode.at(slice(m)), _parted(g.value, m)[0], m, **outer)
        trace = _trace(f, g, v, stop_inner, mode)
    else:
        v = draw(_parted(x, m)[0])
        if at == "data":
            f = _Jacobian(encode, x, m, **inner(v))
            z = f.value
        g = _Jacobian(decode, z, m, **outer)
        if at == "manifold":
            f = _Jacobian(encode.at(slice(m)), _parted(g.value, m)[0], m, **inner(v))
        trace = _trace(g, f, v, stop_inner, mode)
    return Surrogate(z, g.value, trace)


def _trace(outer: _Jacobian, inner: _Jacobian, v: Tensor, stop_inner: bool, mode: str) -> Tensor:
    """(1/K) Σ vᵀ·outer·inner·v with one of the two products detached: ``(m,)``."""
    if stop_inner:
        u = (inner.right_transposed(v) if mode == "backward" else inner.right(v)).detach()
        return _mean_dot(v, outer.right(u)) if mode == "forward" else outer.dot(v, u)
    w = outer.left(v).detach()
    return _mean_dot(inner.left(w), v) if mode == "backward" else _mean_dot(w, inner.right(v))


def _mean_dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(2).sum(-1).mean(0)  # (probe, batch, …) -> (batch,)


def _on_fraction(x: Tensor, maps: tuple[_Map, _Map], index: Tensor, *rest_of_it) -> Surrogate:
    """The surrogate on the samples of ``index``: they go first, and all go back afterwards."""
    batch, m = x.shape[0], index.shape[0]
    chosen = torch.zeros(batch, dtype=torch.int8, device=x.device).index_fill(0, index, 1)
    others = torch.argsort(chosen, stable=True)[: batch - m]  # static shapes, for compile and vmap
    order = torch.cat([index, others])
    ordered = tuple(one.at(order) for one in maps)
    out = _on_first(x[order], ordered, m, *rest_of_it)
    back = torch.argsort(order)
    return Surrogate(*(part[back] for part in out))


def _on_first(x: Tensor, maps: tuple[_Map, _Map], m: int, *rest_of_it) -> Surrogate:
    """The surrogate on the first m samples, scaled by batch/m; the others only autoencode."""
    batch, out = x.shape[0], _one_pass(x, maps, m, *rest_of_it)
    if m == batch:
        return out
    scaled = torch.cat([out.surrogate * (batch / m), out.surrogate.new_zeros(batch - m)])
    return out._replace(surrogate=scaled)
