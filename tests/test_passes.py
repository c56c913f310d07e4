"""Passes over networks that people have: same numbers as torch's, or an error with a name."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import data, gradients, largest_difference
from torch import nn
from torch.autograd.functional import jacobian as autograd_jacobian

from companion import jacobians, kernels, passes
from companion.models import mlae_loss
from companion.networks import MLP, batch_norm


class BackwardOnly(torch.autograd.Function):
    """A tanh that has no forward derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.tanh()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0] ** 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 2, batch_first=True)

    def forward(self, z):
        return self.lstm(z.unflatten(1, (2, 2)))[0].flatten(1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 1, 4, dropout=0.0, batch_first=True)

    def forward(self, z):
        return self.layer(z.unflatten(1, (2, 2))).flatten(1)


def fused(z):
    q = z.view(len(z), 1, 2, 2)
    return F.scaled_dot_product_attention(q, q, q).flatten(1)


def distances(z):
    return torch.cdist(z.unflatten(1, (2, 2)), z.new_tensor([[1.0, 2.0], [0.3, -1.0]])).flatten(1)


MAPS = {
    "lstm": lambda: Recurrent().double(),
    "transformer": lambda: Attention().double(),
    "attention": lambda: fused,
    "cdist": lambda: distances,
    "rrelu": lambda: nn.RReLU().eval(),
    "backward only": lambda: BackwardOnly.apply,
}


@pytest.mark.parametrize("mode", ["auto", "backward"])
@pytest.mark.parametrize("name", MAPS)
def test_exact_jacobians_of_maps_whose_kernels_lack_derivatives(name, mode):
    torch.manual_seed(0)
    function, z = MAPS[name](), data((4,), batch=3)
    whole = autograd_jacobian(function, z)  # (batch, out, batch, in)
    expected = torch.stack([whole[i, :, i] for i in range(3)])
    assert torch.allclose(jacobians.jacobian(function, z, mode=mode), expected)
    values = jacobians.singular_values(function, z, mode=mode)
    assert torch.allclose(values, torch.linalg.svdvals(expected))


def test_a_missing_forward_derivative_is_named():
    with pytest.raises(
        passes.PassError, match='decoder: an operation has no forward .*mode="backward"'
    ):
        jacobians.log_volume(BackwardOnly.apply, data((4,)), mode="forward")


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.AlphaDropout(), nn.RReLU(-1.0, 1.0)])
def test_all_probes_see_one_map(layer):
    x, v = data((50,)), data((50,), seed=1)
    vectors = torch.stack([v, -2 * v])
    value, pushed = passes.over(lambda one: passes.jvp(layer, x, one), vectors)
    assert torch.equal(value[0], value[1]) and torch.allclose(pushed[1], -2 * pushed[0])


def test_a_random_map_has_no_exact_jacobian():
    with pytest.raises(passes.PassError, match="decoder: draws random numbers"):
        jacobians.log_volume(nn.Dropout(), data((4,)))


@pytest.mark.parametrize("transform", [passes.vjp, lambda f, x: passes.jvp(f, x, x)])
@pytest.mark.parametrize("reach", ["module", "closure", "method"])
def test_uninitialised_layers_are_refused_before_they_crash_the_interpreter(transform, reach):
    net = nn.Sequential(nn.LazyLinear(3), nn.Tanh())
    function = {"module": net, "closure": lambda x: net(x), "method": net.forward}[reach]
    with pytest.raises(passes.PassError, match="map: has a layer whose parameters are uninit"):
        transform(function, torch.ones(2, 4))
    assert net(torch.ones(2, 4)).shape == (2, 3)


def test_short_numbers_have_singular_values():
    net = nn.Linear(3, 5)
    expected = jacobians.log_volume(net, torch.zeros(1, 3))
    short = jacobians.log_volume(net.bfloat16(), torch.zeros(1, 3, dtype=torch.bfloat16))
    assert short.dtype == torch.float32 and torch.allclose(short, expected, atol=0.05)


def test_large_silus_have_the_derivatives_of_small_ones(monkeypatch):
    """Of all orders and in all modes: the whole in one kernel each beside torch's own formulas."""
    x, w, u, v = (data((5,), seed=seed) for seed in range(4))

    def derivatives():
        def slope(x, w):
            return passes.vjp(F.silu, x)[1](w)

        def bend(x):
            return torch.func.vjp(slope, x, w)[1](u)

        third = torch.func.vjp(lambda x: bend(x)[0], x)[1](v)
        forward = torch.func.jvp(slope, (x, w), (u, v))
        stacked = torch.func.vmap(lambda one: slope(x, one))(torch.stack([w, u]))
        stopped = passes.jvp(F.silu, x, w, detach=True)
        return [F.silu(x), *bend(x), *third, *forward, stacked, *stopped]

    expected = derivatives()
    monkeypatch.setattr(kernels, "LARGE", 0)
    for a, b in zip(expected, derivatives(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "_silu_bend", lambda w, x: 0 * w * x)
        assert not torch.allclose(expected[1], derivatives()[1])


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def with_hook():
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    net[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    return net


SPLIT = {
    "MLP": lambda: MLP(4, 2, [3]),
    "MLP with a condition": lambda: MLP(4, 2, [3], condition_dim=4),
    "MLP of one layer": lambda: MLP((2, 2), (2, 1), []),
    "sequential": lambda: nn.Sequential(nn.Linear(4, 3), nn.SiLU(), nn.Linear(3, 2)),
    "images": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh()),
}
WHOLE = {
    "residual": lambda: MLP(4, 2, [3], residual=True),
    "function": lambda: torch.tanh,
    "empty": nn.Sequential,
    "other first layer": lambda: nn.Sequential(nn.Tanh(), nn.Linear(4, 3)),
    "subclass": lambda: Doubled(nn.Linear(4, 3)),
    "hook": with_hook,
    "parametrised": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
}


@pytest.mark.parametrize("name", SPLIT)
def test_a_map_is_its_first_layer_and_the_rest(name):
    torch.manual_seed(0)
    function = SPLIT[name]().double()
    x, u = (
        data((2, 2) if name in ("images", "MLP of one layer") else (4,), seed=i) for i in (0, 1)
    )
    condition = data((4,), seed=2) if "condition" in name else None
    parts = passes.first_layer(function, condition)
    expected = function(x) if condition is None else function(x, condition)
    assert torch.equal(parts.rest(parts.first(x)), expected)
    assert torch.allclose(parts.linear(u), torch.func.jvp(parts.first, (x,), (u,))[1])


@pytest.mark.parametrize("name", WHOLE)
def test_a_map_that_may_do_more_is_left_whole(name):
    assert passes.first_layer(WHOLE[name]()) is None


NORMS = {
    "batch": (nn.BatchNorm1d, 6),
    "layer": (nn.LayerNorm, (6, 4)),
    "group": (lambda n: nn.GroupNorm(2, n), 6),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_normalisation_in_plain_operations_is_torchs(name, training, monkeypatch):
    make, size = NORMS[name]
    one, two = (make(size).double().train(training) for _ in range(2))
    for layer in (one, two):
        layer.weight.data = data(layer.weight.shape, batch=1)[0]
        if name == "batch":
            layer.num_batches_tracked = None
            layer.running_mean.fill_(0.3)
    x, v = data((6, 4)), data((6, 4), seed=1)
    expected = torch.func.jvp(one, (x,), (v,))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for a, b in zip(expected, passes.jvp(two, x, v), strict=True):
        assert torch.allclose(a, b)
    for a, b in zip(one.buffers(), two.buffers(), strict=True):
        assert torch.allclose(a, b)


def normalised(*sizes):
    width = sizes[1]
    norms = [batch_norm(width, image=False), nn.GroupNorm(2, width), nn.LayerNorm(width)]
    return nn.Sequential(nn.Linear(*sizes[:2]), *norms, nn.Tanh(), nn.Linear(*sizes[1:])).double()


def test_normalised_networks_compile_in_one_graph():
    """Value, gradients and running statistics as eagerly."""
    torch.manual_seed(0)
    encode, decode = normalised(4, 6, 2), normalised(2, 6, 4)
    twins = copy.deepcopy((encode, decode))
    x, v = data((4,)), data((2,)).unsqueeze(0)

    def run(encode, decode):
        return mlae_loss(x, encode, decode, 10.0, probes=v).loss

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    a, b = run(encode, decode), compiled(*twins)
    assert torch.allclose(a, b)
    assert largest_difference(gradients(a, encode, decode), gradients(b, *twins)) < 1e-10
    for one, two in zip((encode, decode), twins, strict=True):
        assert largest_difference(one.buffers(), two.buffers()) < 1e-10
