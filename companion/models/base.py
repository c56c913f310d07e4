"""The contract of every model: what `fit`, `sweep` and the evaluation may ask of it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from math import e, log, pi
from numbers import Integral

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import UninitializedTensorMixin

from companion import jacobians
from companion.choices import near
from companion.contracts import LogProb, Map, Terms, as_float, bind

SAMPLES = 128  # of an importance-sampled log p(x), alike in all models (AEF App. D.6)
# what a loss or an estimator is given at every call
NO_OPTIONS = ("x", "z", "encode", "decode", "condition", "probes", "index", "generator")


def plain_numbers(method: Callable) -> Callable:
    """A model's method whose result has a graph only with ``differentiable=True``.

    It warns where the model is in training mode and its layers then see chance or other samples.

    >>> @plain_numbers
    ... def double(model, x):
    ...     return 2 * x
    >>> x = torch.ones(1, requires_grad=True)
    >>> double(nn.Identity(), x).requires_grad, double(nn.Identity(), x, differentiable=True)
    (False, tensor([2.], grad_fn=<MulBackward0>))
    """

    @wraps(method)
    def numbers(model: nn.Module, *args, differentiable: bool = False, **kwargs):
        for name, layer in model.named_modules():
            if layer.training and isinstance(layer, (_DropoutNd, nn.RReLU, _BatchNorm)):
                why = "couples samples" if isinstance(layer, _BatchNorm) else "is random"
                warnings.warn(
                    f"{type(model).__name__}.{method.__name__}: in training mode the layer '{name}'"
                    f" ({type(layer).__name__}) {why}; call model.eval() first",
                    stacklevel=2,
                )
                break
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            return method(model, *args, **kwargs)

    return numbers


class Model(nn.Module):
    """A generative autoencoder with a standard normal prior over its codes. Abstract.

    A subclass gives ``objective``, which ``loss`` asks for (or ``loss`` itself, where draws may be
    given in part), and ``log_prob``; ``encode`` and ``decode`` unless they are its networks
    ``encoder`` and ``decoder``; ``draw`` when its loss needs chance, ``advance`` when something is
    scheduled, ``prepare`` when data initialise it.
    Hyper-parameters that a sweep may vary are buffers, so that models which differ only in them
    train stacked. ``latents`` may be set after training (:func:`companion.latents.fit_latents`) and
    is saved with the model.

    A trained model is kept as torch keeps any module, ``torch.save(model.state_dict(), path)``, and
    comes back by ``load_state_dict`` into one that is made in the same way; of a run in a folder,
    :func:`companion.training.load_weights` takes ``best.pt``. ``encode``, ``decode``, ``sample``
    and ``log_prob`` are what it is used by.

    ``log_prob`` and ``sample`` give plain numbers, without a graph, unless ``differentiable=True``
    asks for one; ``loss``, ``encode`` and ``decode`` always have theirs.

    Args:
        data_shape: shape of one sample.
        latent_dim: size of one code.
    """

    takes_labels = False  # whether a condition may be (n,) labels, as of a classifier

    def __init__(self, data_shape: tuple[int, ...], latent_dim: int):
        super().__init__()
        _check_sizes(type(self).__name__, data_shape, latent_dim)
        self.data_shape, self.latent_dim = tuple(data_shape), latent_dim
        self.latents: nn.Module | None = None
        self.compares_samples = False  # whether a sample's loss depends on the others of its batch

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for name in ("log_prob", "sample"):
            if name in vars(cls):
                setattr(cls, name, plain_numbers(vars(cls)[name]))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(batch, *data) -> (batch, latent)``; by default the network ``encoder``."""
        return self.bound("encoder", condition)(self.data(x))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(batch, latent) -> (batch, *data)``; by default the network ``decoder``."""
        return self.bound("decoder", condition)(z)

    @property
    def encoder_size(self) -> int | None:
        """How many numbers the network ``encoder`` returns for a sample; ``None`` for any."""
        return self.latent_dim

    def data(self, x: Tensor) -> Tensor:
        """A batch of the model's data as floating-point numbers; bytes become numbers in [0, 1].

        Raises:
            ValueError: for data of another kind or shape.
        """
        name = type(self).__name__
        x = as_float(x, call=name)
        if x.shape[1:] != self.data_shape:
            sizes = ", ".join(map(str, self.data_shape))
            raise ValueError(f"{name}: data must be (batch, {sizes}), got {tuple(x.shape)}")
        return x

    def bound(self, name: str, condition: Tensor | None = None) -> Map:
        """The network ``encoder`` or ``decoder``, closed over a condition, held to its shape."""
        shape = self.data_shape if name == "decoder" else (self.encoder_size,)
        return bind(getattr(self, name), condition, f"{type(self).__name__}: the {name}", shape)

    def draw(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """All chance that one ``loss`` needs, drawn outside of compiled code.

        It depends on the batch's shape, type and device, not on its values.
        """
        return {}

    def loss(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: Generator | None = None,
        **draws,
    ) -> Terms:
        """Named per-sample terms ``(batch,)``, among them ``loss``.

        Args:
            x: ``(batch, *data)``, floating point, or bytes of images.
            condition: ``(batch, …)``, of conditional models.
            generator: of the chance that ``draws`` leave out.
            draws: as :meth:`draw` makes them.
        """
        x = self.data(x)
        return self.objective(x, condition, **(draws or self.draw(x, generator)))

    def objective(self, x: Tensor, condition: Tensor | None, **draws) -> Terms:
        """What ``loss`` returns, of a batch that is checked and with all its chance."""
        raise NotImplementedError

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> LogProb:
        """Log-density in nats ``(batch,)``, with the kind of number it is."""
        raise NotImplementedError

    @plain_numbers
    def sample(
        self,
        n: int,
        condition: Tensor | None = None,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Tensor:
        """Decode ``n`` codes from ``latents``, or else z ~ N(0, temperature²·1): ``(n, *data)``."""
        if temperature < 0:
            raise ValueError(f"sample: temperature must not be negative, got {temperature}")
        draw = self.draw_codes if self.latents is None else self.latents.sample
        return self.decode(draw(n, generator, temperature), condition)

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw z ~ N(0, temperature²·1): ``(n, latent)``; on the generator's device, then moved."""
        parameter = next(self.parameters())
        where = parameter.device if generator is None else generator.device
        options = {"generator": generator, "device": where, "dtype": parameter.dtype}
        return temperature * torch.randn(n, self.latent_dim, **options).to(parameter.device)

    def prior_entropy(self, z: Tensor) -> float:
        """H(p_Z) in nats: in closed form for N(0, 1); for a learned prior from its draws ``z``."""
        return 0.5 * self.latent_dim * log(2 * pi * e)

    def prepare(self, x: Tensor) -> None:
        """Set what depends on the first training batch, before the first step and only once."""

    def advance(self, progress: float, epoch: int) -> dict[str, Tensor]:
        """Move scheduled hyper-parameters; returns the buffers that changed, by name."""
        return {}


class WithPrior(Model):
    """A model whose ``prior`` may be learned: None is N(0, 1). Abstract.

    A learned one has ``log_prob(z)`` in nats, ``(batch,)``, and ``sample(n, generator,
    temperature)``, ``(n, latent)``.
    """

    prior: nn.Module | None

    def draw_codes(
        self, n: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw z from the prior, a flow's through its base at ``temperature``: ``(n, latent)``."""
        if self.prior is None:
            return super().draw_codes(n, generator, temperature)
        return self.prior.sample(n, generator, temperature)

    def prior_entropy(self, z: Tensor) -> float:
        if self.prior is None:
            return super().prior_entropy(z)
        return -float(self.prior.log_prob(z).mean())


def _check_sizes(call: str, data_shape: tuple[int, ...], latent_dim: int) -> None:
    def size(value: object) -> bool:
        return isinstance(value, Integral) and not isinstance(value, bool) and value > 0

    if not (isinstance(data_shape, tuple | list) and all(map(size, data_shape))):
        raise ValueError(
            f"{call}: data_shape must be the shape of one sample, such as (5,) or (1, 28, 28), got "
            f"{data_shape!r}"
        )
    if not size(latent_dim):
        raise ValueError(f"{call}: latent_dim must be a whole number above 0, got {latent_dim!r}")


def check_options(call: str, options: Mapping, *functions: Callable) -> None:
    """Refuse options that none of some functions takes; tensors and maps are no options.

    Raises:
        ValueError: naming the option, what there is, and which one was probably meant.

    >>> check_options("MLAE", {"num_prob": 3}, lambda num_probes=1, side="encoder": None)
    Traceback (most recent call last):
    ValueError: MLAE: no option 'num_prob'; there is num_probes, side (did you mean 'num_probes'?)
    """
    taken = [p.name for f in functions for p in signature(f).parameters.values()]
    names = [name for name in dict.fromkeys(taken) if name not in NO_OPTIONS]
    for name in options:
        if name not in names:
            there = ", ".join(names) or "none"
            raise ValueError(f"{call}: no option {name!r}; there is {there}{near(name, names)}")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put all modules into eval mode and back into what each of them was, whatever happens.

    >>> layer = nn.Dropout()
    >>> with evaluating(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def standard_normal_nll(z: Tensor) -> Tensor:
    """−log N(z; 0, 1) = ½‖z‖² + (latent/2) log 2π, in nats: ``(batch,)``.

    >>> standard_normal_nll(torch.zeros(1, 2))
    tensor([1.8379])
    """
    return 0.5 * z.square().sum(-1) + 0.5 * z.shape[-1] * log(2 * pi)


def manifold_log_prob(
    model: Model, x: Tensor, condition: Tensor | None = None, prior_weight: float | Tensor = 0.5
) -> LogProb:
    """log p(x̂) = log p(z) − ½ log det(g'(z)ᵀg'(z)) at z = f(x), x̂ = g(z) (MLAE eq. 2).

    The prior is N(0, 1/(2w)), w its ``prior_weight``. The value can be differentiated and costs one
    Jacobian-vector product for each latent dimension.

    Raises:
        ValueError: when a layer normalises over the batch in eval mode too.
    """
    for name, layer in batch_norms(model):
        if layer.running_mean is None:
            raise ValueError(
                f"log_prob: layer '{name}' ({type(layer).__name__}) keeps no running statistics: a "
                "sample's density depends on its batch; build it with "
                "track_running_stats=True"
            )
    z = model.encode(x, condition)
    differentiable = torch.is_grad_enabled()
    log_volume = jacobians.log_volume(model.decode, z, condition, differentiable=differentiable)
    kind = "exact, on the manifold at the reconstruction"
    w = torch.as_tensor(prior_weight, dtype=z.dtype, device=z.device)
    log_prior = -standard_normal_nll(z * (2 * w).sqrt()) + z.shape[1] / 2 * (2 * w).log()
    return LogProb(log_prior - log_volume, kind)


def check_batch_coupling(module: nn.Module) -> bool:
    """Whether a network couples the samples of a batch while it trains, as BatchNorm does.

    Such layers change what a Jacobian means (samples depend on each other), so this warns once.
    Their counter of batches cannot be updated inside ``torch.func``: a layer that keeps one is
    refused.

    Raises:
        ValueError: naming the layer whose ``num_batches_tracked`` is not ``None``, and the cure.

    >>> check_batch_coupling(nn.Linear(2, 1))
    False
    """
    coupled = batch_norms(module)
    refuse_counters(module)
    if coupled:
        warnings.warn(
            f"layer '{coupled[0][0]}' normalises over the batch: in training mode a sample's "
            "Jacobian then depends on the other samples; use zero-mean probes (all kinds but "
            "basis) and evaluate in eval mode",
            stacklevel=3,
        )
    return bool(coupled)


def batch_norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers of a network that normalise over the batch, by name."""
    return [(name, m) for name, m in module.named_modules() if isinstance(m, _BatchNorm)]


def refuse_counters(module: nn.Module) -> None:
    """Refuse batch normalisation that counts its batches in place, which torch.func forbids.

    Raises:
        ValueError: naming the layer and the cure.
    """
    for name, layer in batch_norms(module):
        if layer.num_batches_tracked is not None and layer.training:
            raise ValueError(
                f"layer '{name}' ({type(layer).__name__}) counts batches in place, which "
                "torch.func forbids; set layer.num_batches_tracked = None with a fixed momentum, "
                "or build it with companion.networks.batch_norm"
            )


def refuse_uninitialised(call: str, module: nn.Module) -> None:
    """Refuse lazy layers that have not seen a batch: nothing can train or count them.

    Raises:
        ValueError: naming the parameter and the cure.

    >>> refuse_uninitialised("fit", nn.LazyLinear(2))
    Traceback (most recent call last):
    ValueError: fit: parameter 'weight' is uninitialised (nn.Lazy…); encode and decode a batch first
    """
    for name, parameter in module.named_parameters():
        if isinstance(parameter, UninitializedTensorMixin):
            raise ValueError(
                f"{call}: parameter '{name}' is uninitialised (nn.Lazy…); encode and decode a "
                "batch first"
            )
