"""Build networks from layer tables that read like the papers': one tuple for each printed row."""

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from companion.networks.mlp import MLP

NORMS = ("none", "batch", "group")


class Context(NamedTuple):
    """What a part may need to know beside the shape of its input."""

    code_dim: int
    condition_dim: int
    norm: str


class Part(NamedTuple):
    """One entry of a row: how the paper writes it, and the module for a given input shape."""

    label: str
    make: Callable[[tuple[int, ...], Context], nn.Module | None]


Row = tuple[Part, ...]


class Table(NamedTuple):
    """An encoder and a decoder as a paper's table gives them."""

    data_shape: tuple[int, ...]
    latent_dim: int
    encoder: Sequence[Row]
    decoder: Sequence[Row]


class Pair(NamedTuple):
    """What a model's constructor takes first: ``MLAE(*pair, beta=10.0)``."""

    encoder: nn.Module
    decoder: nn.Module
    data_shape: tuple[int, ...]
    latent_dim: int


def batch_norm(channels: int, image: bool = True) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Batch normalisation that torch.func can differentiate: it keeps no counter of batches.

    Args:
        channels: of an image, or the width of a fully connected layer.
        image: which of the two.

    >>> batch_norm(3).num_batches_tracked is None
    True
    """
    layer = (nn.BatchNorm2d if image else nn.BatchNorm1d)(channels)
    layer.num_batches_tracked = None
    return layer


def build(
    table: Table,
    latent_dim: int | None = None,
    condition_dim: int = 0,
    norm: str = "batch",
    heads: int = 1,
) -> Pair:
    """The encoder and the decoder of a table.

    Args:
        table: one of :mod:`companion.experiments.papers`, or your own.
        latent_dim: another size of the code than the paper's.
        condition_dim: size of the condition; every fully connected part sees it.
        norm: what stands where the table says BN: ``batch`` (couples the samples of a batch),
            ``group`` (one group of all channels: does not couple them) or ``none``.
        heads: numbers that the encoder gives for each latent dimension; 2 for a VAE.

    Raises:
        ValueError: for an unknown norm, and for a condition that no part would see.

    >>> from companion.experiments.papers import CONVNET
    >>> encoder, decoder, *_ = build(CONVNET["mnist"], norm="none")
    >>> z = encoder(torch.zeros(2, 1, 28, 28))
    >>> z.shape, decoder(z).shape
    (torch.Size([2, 16]), torch.Size([2, 1, 28, 28]))
    """
    if norm not in NORMS:
        raise ValueError(f"build: norm must be one of {', '.join(NORMS)}, got {norm!r}")
    latent_dim = latent_dim or table.latent_dim
    context = Context(latent_dim * heads, condition_dim, norm)
    encoder = TableNetwork(table.encoder, table.data_shape, context)
    decoder = TableNetwork(table.decoder, (latent_dim,), context)
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        if condition_dim and not any(map(_sees_condition, network.modules())):
            raise ValueError(f"build: no part of the table's {name} sees a condition")
    return Pair(encoder, decoder, table.data_shape, latent_dim)


class TableNetwork(nn.Module):
    """The rows of a table, one after another; every fully connected part sees the condition."""

    def __init__(self, rows: Sequence[Row], in_shape: tuple[int, ...], context: Context):
        super().__init__()
        self.rows = nn.ModuleList()
        for row in rows:
            self.rows.append(TableRow(row, in_shape, context))
            in_shape = self.rows[-1].out_shape

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for row in self.rows:
            x = row(x, condition)
        return x


class TableRow(nn.Module):
    """One row: its parts in order, under the name that the paper prints."""

    def __init__(self, row: Row, in_shape: tuple[int, ...], context: Context):
        super().__init__()
        self.parts, labels = nn.ModuleList(), []
        for part in row:
            module = part.make(in_shape, context)
            if module is not None:
                self.parts.append(module)
                labels.append("GN" if part is BN and context.norm == "group" else part.label)
                in_shape = _shape_after(module, in_shape, context.condition_dim)
        self.label, self.out_shape = ", ".join(labels), in_shape

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for part in self.parts:
            x = part(x, condition) if _sees_condition(part) else part(x)
        return x


class Residual(nn.Module):
    """x + body(x), with a linear skip where the widths differ."""

    def __init__(self, body: nn.Module, skip: nn.Module | None = None):
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: Tensor, *condition: Tensor | None) -> Tensor:
        return (x if self.skip is None else self.skip(x)) + self.body(x, *condition)


class Gain(nn.Module):
    """a ⊙ x + b with one a and b for each channel, at first 1 and 0."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x + self.bias


class Pad(nn.Module):
    """Zeros around an image; negative widths crop."""

    def __init__(self, *widths: int):
        super().__init__()
        self.widths = widths

    def forward(self, x: Tensor) -> Tensor:
        return pad(x, self.widths)


def conv(out: int, kernel: int, stride: int, padding: int | str = "half") -> Part:
    """Conv(out, kernel, stride) as the papers write it, without its activation.

    ``padding`` is ``half`` (⌊(kernel − 1)/2⌋ on each side), ``same`` (TensorFlow's: ⌈size/stride⌉
    pixels come out, the odd zero at the end) or a number.
    """

    def make(shape: tuple[int, ...], _: Context) -> nn.Module:
        if padding != "same":
            width = (kernel - 1) // 2 if padding == "half" else padding
            return nn.Conv2d(shape[0], out, kernel, stride, width)
        total = [max((ceil(n / stride) - 1) * stride + kernel - n, 0) for n in shape[1:]]
        widths = [w for t in reversed(total) for w in (t // 2, t - t // 2)]
        return nn.Sequential(Pad(*widths), nn.Conv2d(shape[0], out, kernel, stride))

    return Part(f"Conv({out}, {kernel}, {stride})", make)


def conv_t(out: int, kernel: int, stride: int, to: int | None = None) -> Part:
    """ConvT(out, kernel, stride) to images of ``to`` pixels a side; by default stride times."""

    def make(shape: tuple[int, ...], _: Context) -> nn.Module:
        sizes = [to or n * stride for n in shape[1:]]
        surplus = [
            (n - 1) * stride + kernel - size for n, size in zip(shape[1:], sizes, strict=True)
        ]
        if stride > 1:  # the padding takes away an even number, output_padding gives one back
            padding = tuple((s + 1) // 2 for s in surplus)
            odd = tuple(s % 2 for s in surplus)
            return nn.ConvTranspose2d(shape[0], out, kernel, stride, padding, odd)
        layer = nn.ConvTranspose2d(shape[0], out, kernel, stride, tuple(s // 2 for s in surplus))
        crop = [w for s in reversed(surplus) for w in (0, -(s % 2))]
        return nn.Sequential(layer, Pad(*crop)) if any(crop) else layer

    return Part(f"ConvT({out}, {kernel}, {stride})", make)


def linear(*out: int) -> Part:
    """Linear(in, out) of the flattened input and the condition, reshaped if ``out`` is an image."""
    return Part(
        f"Linear({' × '.join(map(str, out))})",
        lambda shape, context: MLP(shape, out, (), context.condition_dim),
    )


def dense(out: int) -> Part:
    """A fully connected part of a residual block; it does not see the condition."""
    return Part(f"Linear({out})", lambda shape, _: nn.Linear(shape[0], out))


def fc_block(inner: int, activation: str = "silu", hidden: int = 2) -> Part:
    """MLAE's ResBlock of Table 9: x + Linear(SiLU(Linear(SiLU(Linear(x))))), or of other depth."""

    def make(shape: tuple[int, ...], context: Context) -> nn.Module:
        return Residual(MLP(shape, shape, hidden * (inner,), context.condition_dim, activation))

    return Part(f"ResBlock({inner})", make)


def block(label: str, *body: Part) -> Part:
    """A residual block of other parts; its skip is linear where they change the width."""

    def make(shape: tuple[int, ...], context: Context) -> nn.Module:
        layers, at = [], shape
        for part in body:
            module = part.make(at, context)
            if module is not None:
                layers.append(module)
                at = _shape_after(module, at, 0)
        skip = None if at == shape else nn.Linear(prod(shape), prod(at), bias=False)
        return Residual(nn.Sequential(*layers), skip)

    return Part(label, make)


def plain(label: str, layer: Callable[[], nn.Module]) -> Part:
    """A part without parameters, such as an activation."""
    return Part(label, lambda shape, context: layer())


def image(channels: int, side: int = 1) -> Part:
    """A vector read as an image of so many channels, a square of ``side`` pixels a side."""
    shape = channels, side, side
    return plain(f"{channels} × {side} × {side}", lambda: nn.Unflatten(1, shape))


def _norm(shape: tuple[int, ...], context: Context) -> nn.Module | None:
    if context.norm == "batch":
        return batch_norm(shape[0], len(shape) == 3)
    return nn.GroupNorm(1, shape[0]) if context.norm == "group" else None


BN = Part("BN", _norm)
CODE = Part(
    "Linear(latent)", lambda s, context: MLP(s, context.code_dim, (), context.condition_dim)
)
GAIN = Part("Gain", lambda shape, _: Gain(shape[0]))
FLAT = plain("Flatten", nn.Flatten)
RELU, ELU, GELU = plain("ReLU", nn.ReLU), plain("ELU", nn.ELU), plain("GELU", nn.GELU)
LEAKY, TANH = plain("lReLU", lambda: nn.LeakyReLU(0.2)), plain("tanh", nn.Tanh)
SIGMOID = plain("Sigmoid", nn.Sigmoid)
HALVE, QUARTER = (plain(f"AvgPool({n})", lambda n=n: nn.AvgPool2d(n)) for n in (2, 4))
DOUBLE, TIMES_FOUR = (
    plain(f"Upsample({n})", lambda n=n: nn.Upsample(scale_factor=n)) for n in (2, 4)
)


SAME_SHAPE = (nn.ReLU, nn.ELU, nn.GELU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, Gain)


def _sees_condition(part: nn.Module) -> bool:
    return isinstance(part.body if isinstance(part, Residual) else part, MLP)


def _shape_after(module: nn.Module, shape: tuple[int, ...], condition_dim: int) -> tuple[int, ...]:
    """The output shape, found without computing anything and without touching statistics."""
    if isinstance(module, SAME_SHAPE) or isinstance(module, Residual) and module.skip is None:
        return shape
    state = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in module.state_dict().items()
    }
    inputs = [torch.empty(2, *shape, device="meta")]
    if condition_dim and _sees_condition(module):
        inputs.append(torch.empty(2, condition_dim, device="meta"))
    return tuple(functional_call(module, state, tuple(inputs)).shape[1:])
