"""The differentiated pass over a map: forward mode, backward mode, and either for many vectors.

Whatever a network holds runs inside these three, so that what torch's transforms cannot take is
met once: kernels without the derivatives that a pass needs are replaced by operations that have
them, all probes see the same random masks, and what is left raises a :class:`PassError`.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from traceback import walk_tb
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.parameter import UninitializedTensorMixin
from torch.overrides import TorchFunctionMode

from companion import kernels
from companion.contracts import FORWARD_MODE, Map
from companion.networks.mlp import MLP, with_condition

LINEAR_LAYERS = (
    F.linear, F.conv1d, F.conv2d, F.conv3d,
    F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
)  # fmt: skip


class PassError(RuntimeError):
    """A map that cannot be differentiated as asked: which one, the operation, and the cure.

    ``no_forward`` says that it is the forward derivative that is missing; backward mode may work.
    """

    no_forward = False


def jvp(
    function: Map, point: Tensor, tangent: Tensor, detach: bool = False, name: str = "map"
) -> tuple[Tensor, Tensor]:
    """A map's value and its Jacobian times a vector, in one forward-mode pass.

    The same numbers as :func:`torch.func.jvp`, but faster: for a layer W x + b torch computes
    W ẋ + Ẇ x with an explicit Ẇ = 0, and the second product costs as much as the first. Here the
    layers of ``LINEAR_LAYERS`` skip it.

    Threads wait for each other, since torch's forward mode is one for all of them.

    Args:
        function: any map.
        point: where, ``(batch, *in)``.
        tangent: the vector, like ``point``.
        detach: the product needs no gradient, so that its graph need not be recorded.
        name: what errors call the map.

    Returns:
        Value and product, both ``(batch, *out)``.

    Raises:
        PassError: when the map cannot be differentiated so.

    >>> jvp(lambda x: x**2, torch.tensor([3.0]), torch.tensor([1.0]))
    (tensor([9.]), tensor([6.]))
    """

    def inside(dual):
        with _Pass(forward=True, detach=detach):
            return function(dual)

    if torch.compiler.is_compiling():
        value, product = torch.func.jvp(inside, (point,), (tangent,))
    else:
        with FORWARD_MODE, named(name):
            value, product = torch.func.jvp(inside, (point,), (tangent,))
    return value, product.detach() if detach else product


def vjp(
    function: Map, point: Tensor, name: str = "map"
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """A map's value and w ↦ wᵀJ, its Jacobian's products from the left, in backward mode.

    Arguments and errors are those of :func:`jvp`.

    >>> value, pull = vjp(lambda x: x**2, torch.tensor([3.0]))
    >>> pull(torch.tensor([1.0]))
    tensor([6.])
    """

    def inside(x):
        with _Pass(forward=False, detach=False):
            return function(x)

    if torch.compiler.is_compiling():
        value, pull = torch.func.vjp(inside, point)
        return value, lambda w: pull(w)[0]
    with named(name):
        value, pull = torch.func.vjp(inside, point)

    def pulled(w):
        with named(name):
            return pull(w)[0]

    return value, pulled


def over(
    product: Map,
    vectors: Tensor,
    randomness: Literal["same", "error"] = "same",
    chunk_size: int | None = None,
    name: str = "map",
):
    """A product with each vector of a leading axis, in one vectorised call.

    Random masks that the map draws are the same for all vectors: one map has one Jacobian. With
    ``chunk_size`` the map runs more than once, so that it may draw none: ``randomness="error"``.

    >>> over(lambda v: 2 * v, torch.eye(2))
    tensor([[2., 0.],
            [0., 2.]])
    """
    vectorised = torch.func.vmap(product, randomness=randomness, chunk_size=chunk_size)
    with nullcontext() if torch.compiler.is_compiling() else named(name):
        return vectorised(vectors)


class FirstLayer(NamedTuple):
    """A map in two parts, so that f(x) = rest(first(x)), and the first one's Jacobian.

    A product wᵀf'(x)u needs no pass back through the first layer: w comes back to its output, u
    goes forward to it. On wide data that saves one of a network's largest matrix products.
    """

    first: Map
    linear: Map  # u ↦ first'(x)u, which depends on no x
    rest: Map


def first_layer(function: Map, condition: Tensor | None = None) -> FirstLayer | None:
    """The parts of an ``MLP``, or of an ``nn.Sequential`` that begins with ``nn.Linear``.

    Where the parts are not sure to be the whole, say with hooks, a parametrised weight, or a class
    of the user's own, there are none.

    >>> parts = first_layer(nn.Sequential(nn.Linear(2, 3), nn.Tanh()))
    >>> parts.rest(parts.first(torch.zeros(1, 2))).shape
    torch.Size([1, 3])
    >>> first_layer(torch.tanh)
    """
    if type(function) is MLP and function.skip is None:
        layers, modules = [*function.body], [function, function.body]
        size, shape = function.condition_dim, function.out_shape
        flatten = partial(torch.flatten, start_dim=1)
    elif type(function) is nn.Sequential and condition is None:
        layers, modules, size, shape = [*function], [function], 0, None
        flatten = layers.pop(0) if layers and type(layers[0]) is nn.Flatten else nn.Identity()
        modules.append(flatten)
    else:
        return None
    if not layers or type(layers[0]) is not nn.Linear or any(map(_hooked, [*modules, layers[0]])):
        return None
    one, *others = layers

    def linear(u: Tensor) -> Tensor:
        u = flatten(u)
        return F.linear(u, one.weight[:, : u.shape[-1]])  # the condition's columns come last

    def rest(h: Tensor) -> Tensor:
        for layer in others:
            h = layer(h)
        return h if shape is None else h.reshape(len(h), *shape)

    return FirstLayer(
        lambda x: one(with_condition(flatten(x), condition, size, "MLP")), linear, rest
    )


def _hooked(module: nn.Module) -> bool:
    """Whether calling it does more than its ``forward``."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


class _Pass(TorchFunctionMode):
    """What a layer runs as inside a pass."""

    def __init__(self, forward: bool, detach: bool):
        super().__init__()
        self.forward, self.detach = forward, detach

    def __torch_function__(self, layer, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if args and isinstance(args[0], UninitializedTensorMixin):
            raise RuntimeError("uninitialised parameters")  # going on crashes the interpreter
        if self.forward and layer in LINEAR_LAYERS and len(args) >= 2 and "bias" not in kwargs:
            return self._linear(layer, args, kwargs)
        if layer is F.silu and not torch.compiler.is_compiling():
            return self._silu(*args, **kwargs)
        if torch.compiler.is_compiling() and layer in kernels.PLAIN_NORMS:
            return kernels.PLAIN_NORMS[layer](*args, **kwargs)
        return kernels.INSTEAD.get(layer, layer)(*args, **kwargs)

    def _linear(self, layer, args, kwargs):
        """A linear layer whose weight is constant maps tangent to tangent."""
        x, weight, bias, *rest = (*args, None)[: max(3, len(args))]
        value, tangent = forward_ad.unpack_dual(x)
        constant = all(
            p is None or forward_ad.unpack_dual(p).tangent is None for p in (weight, bias)
        )
        if tangent is None or not constant:
            return layer(*args, **kwargs)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach):
            pushed = layer(tangent, weight, None, *rest, **kwargs)
        return forward_ad.make_dual(layer(value, weight, bias, *rest, **kwargs), pushed)

    def _silu(self, x, inplace=False):
        if inplace:
            return F.silu(x, True)
        if not self.forward:
            return kernels.silu(x)
        value, tangent = forward_ad.unpack_dual(x)
        if tangent is None or not self.detach:
            return F.silu(x)
        return forward_ad.make_dual(F.silu(value), kernels.silu_slope(tangent, value))


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say which map, which operation and what to do where a transform fails inside.

    Errors that are not torch's, such as a network's own ``ValueError``, pass as they are.

    Raises:
        PassError: from the original.

    >>> with named("decoder"):
    ...     raise RuntimeError("the derivative for 'foo' is not implemented.")
    Traceback (most recent call last):
    companion.passes.PassError: decoder: 'foo' has no second derivative; write it in plain \
operations of torch
    """
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, PassError | torch.OutOfMemoryError):
            raise
        raise _explained(name, error) from error


CAUSES = (  # the first speaks of the missing forward derivative
    (
        r"forward AD with (\S+) that does not support|must implement the jvp",
        '{} has no forward derivative; use mode="backward" (in RIF\'s bounds '
        'how="backward"), or write it in plain operations of torch',
    ),
    (
        r"derivative for '?(?:aten::)?(\S+?)'? is not implemented|Double backwards is not "
        r"supported for (\S+)",
        "{} has no second derivative; write it in plain operations of torch",
    ),
    (
        r"saved tensor hooks|checkpoint\.py",
        "activation checkpointing cannot run inside a differentiated pass; switch it off in the "
        "network (a smaller batch bounds the memory)",
    ),
    (
        r"must override the setup_context staticmethod",
        "an autograd.Function in the old style; give it a forward without ctx, setup_context, and "
        "generate_vmap_rule = True",
    ),
    (
        r"vmap over (\S+), but it does not have vmap support",
        "the autograd.Function {} cannot be vectorised; set generate_vmap_rule = True in it",
    ),
    (
        r"\.item\(\) on a Tensor|data-dependent control flow",
        "a branch on values, or .item(); use torch.where, or train one model with fit instead of "
        "many with sweep",
    ),
    (
        r"data pointer of Tensor that doesn't have storage|access storage of|call numpy\(\)",
        "NumPy, or other code that reads a tensor's memory; use operations of torch",
    ),
    (
        r"in-place operation \((?:aten::)?(\S+?)\) that would mutate|vmap: inplace arithmetic",
        "{} changes a buffer in place, such as a counter or a running mean; do that outside of "
        "the map, or not in training mode (batch normalisation: num_batches_tracked = None)",
    ),
    (
        r"uninitialised parameters",
        "has a layer whose parameters are uninitialised (nn.Lazy…); call it once on a batch "
        "before anything differentiates it",
    ),
    (
        r"randomness error mode",
        "draws random numbers where the map must stay the same; call model.eval(), or draw them "
        "outside and pass them in as the condition",
    ),
    (
        r"do not yet support (\S+?)\.? |[Bb]atching rule not implemented for (\S+?);",
        "{} cannot be vectorised; write it in plain operations of torch",
    ),
)


def _explained(name: str, error: Exception) -> PassError:
    places = " ".join(frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
    said = str(error) + (
        " checkpoint.py" if "utils/checkpoint.py" in places.replace("\\", "/") else ""
    )
    for cause, cure in CAUSES:
        found = re.search(cause, said)
        if found:
            operation = next((f"'{g.rstrip('.,')}'" for g in found.groups() if g), "an operation")
            explained = PassError(f"{name}: {cure.format(operation)}")
            explained.no_forward = cause is CAUSES[0][0]
            return explained
    first = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return PassError(f"{name}: fails when it is differentiated, with {first}")
