"""The one-pass surrogate against the dense trace, in every variant; what may not be forgotten."""

from itertools import product

import pytest
import torch
from helpers import BATCH, DIM, LATENT, data, exact_trace, gradients, largest_difference, pair
from torch import nn

from companion import jacobians, probes, volume
from companion.networks import MLP
from companion.volume import one_pass

SIDES, SPACES, ATS = ("encoder", "decoder"), ("latent", "data"), ("data", "manifold")
MODES = ("mixed", "backward", "forward")
VARIANTS = [
    {"side": s, "space": p, "at": a, "mode": m} for s, p, a, m in product(SIDES, SPACES, ATS, MODES)
]


def full(space, kind):
    return {"num_probes": LATENT if space == "latent" else DIM, "kind": kind}


@pytest.mark.parametrize("kind", ["basis", "orthogonal"])
@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_a_full_set_of_probes_gives_the_exact_value_and_gradient(options, kind):
    encode, decode = pair()
    x = data()
    out = volume.surrogate(x, encode, decode, **options, **full(options["space"], kind))
    exact = exact_trace(x, encode, decode, options["side"], options["at"])
    assert (out.surrogate - exact).abs().max() < 1e-10
    ours, theirs = gradients(out.surrogate, encode, decode), gradients(exact, encode, decode)
    assert largest_difference(ours, theirs) < 1e-10


@pytest.mark.parametrize("num_probes", [1, 2])
@pytest.mark.parametrize(("side", "space", "at"), [*product(SIDES, SPACES, ATS)])
def test_the_three_modes_agree_for_the_same_probes(side, space, at, num_probes):
    encode, decode = pair()
    x = data()
    like = x if space == "data" else x[:, :LATENT]
    v = probes.sample("gaussian", num_probes, like, torch.Generator().manual_seed(0))
    outs = [
        volume.surrogate(x, encode, decode, side=side, space=space, at=at, mode=m, probes=v)
        for m in MODES
    ]
    expected = gradients(outs[0].surrogate, encode, decode)
    for out in outs[1:]:
        assert torch.allclose(out.surrogate, outs[0].surrogate, atol=1e-12)
        assert largest_difference(gradients(out.surrogate, encode, decode), expected) < 1e-12


def test_forgetting_the_stop_gradient_would_be_seen():
    encode, decode = pair()
    x = data()
    out = volume.surrogate(x, encode, decode, **full("latent", "basis"))
    both = exact_trace_without_stop(x, encode, decode)
    assert torch.allclose(out.surrogate, both)  # the value does not tell …
    ours = gradients(out.surrogate, encode, decode, keep=True)
    assert largest_difference(ours, gradients(both, encode, decode)) > 1e-3  # … the gradient does
    decoder_gradient = gradients(out.surrogate, decode)
    assert (
        largest_difference(decoder_gradient, [torch.zeros_like(g) for g in decoder_gradient]) == 0
    )


def exact_trace_without_stop(x, encode, decode):
    z = encode(x)
    f = jacobians.jacobian(encode, x, differentiable=True)
    return (f @ jacobians.jacobian(decode, z, differentiable=True)).diagonal(dim1=1, dim2=2).sum(-1)


def circle_maps(centre, log_r, log_s):
    """Orthogonal projection onto a circle and its parametrisation by a scaled angle."""
    origin = torch.stack([centre, torch.zeros_like(centre)])

    def encode(x):
        y = x - origin
        return (torch.atan2(y[:, 1], y[:, 0]) * log_s.exp()).unsqueeze(1)

    def decode(z):
        angle = z / log_s.exp()
        return origin + log_r.exp() * torch.cat([angle.cos(), angle.sin()], 1)

    return encode, decode


def test_on_the_manifold_the_gradient_goes_through_the_reconstruction(monkeypatch):
    """FACTS: for a circle the gradient of −log-volume in (centre, log r, log s) is (0, 1, −1)."""
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, 0.4, 0.2)]
    encode, decode = circle_maps(*parameters)
    x = data((2,), batch=20)

    def gradient():
        out = volume.surrogate(x, encode, decode, at="manifold", num_probes=1, kind="basis")
        grads = torch.autograd.grad(-out.surrogate.mean(), parameters, materialize_grads=True)
        return torch.stack(grads)

    expected = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    assert torch.allclose(gradient(), expected, atol=1e-10)

    class Detached(one_pass._Jacobian):
        def __init__(self, function, point, rows, **options):
            on_manifold = point.shape[1] == 2  # the encoder's point, not the decoder's
            super().__init__(function, point.detach() if on_manifold else point, rows, **options)

    monkeypatch.setattr(one_pass, "_Jacobian", Detached)  # what a careless detach would do
    assert (gradient() - expected).abs().max() > 0.05


@pytest.mark.parametrize("at", ATS)
def test_sides_have_opposite_signs_at_a_pseudo_inverse_pair(at):
    torch.manual_seed(0)
    A = nn.Parameter(torch.randn(LATENT, DIM, dtype=torch.float64))
    encode, decode = (lambda x: x @ A.T), (lambda z: z @ torch.linalg.pinv(A).T)
    x = data()
    toward = {}
    for side in SIDES:
        out = volume.surrogate(x, encode, decode, side=side, at=at, **full("latent", "basis"))
        (toward[side],) = torch.autograd.grad(out.surrogate.sum(), A)
    assert torch.allclose(toward["encoder"], -toward["decoder"], atol=1e-10)
    (exact,) = torch.autograd.grad(
        jacobians.log_volume_encoder(encode, x, differentiable=True).sum(), A
    )
    assert torch.allclose(toward["encoder"], exact, atol=1e-10)  # + the log-volume of the encoder


def test_fraction_is_unbiased_and_zero_elsewhere():
    encode, decode = pair()
    x = data(batch=8)
    exact = volume.surrogate(x, encode, decode, **full("latent", "basis")).surrogate.mean()
    generator = torch.Generator().manual_seed(0)
    means = []
    for _ in range(300):
        out = volume.surrogate(x, encode, decode, fraction=0.25, num_probes=1, generator=generator)
        assert (out.surrogate != 0).sum() == 2
        means.append(out.surrogate.mean().detach())
    means = torch.stack(means)
    assert abs(means.mean() - exact) < 3 * means.std() / len(means) ** 0.5


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_networks_whose_first_layer_is_known_give_what_whole_ones_do(options, fraction):
    encode, decode = pair(condition_dim=2)
    x, c = data(), data((2,), seed=3)
    more = {"num_probes": 2, "index": slice(int(fraction * BATCH)), **options}
    outs = [
        volume.surrogate(x, *maps, c, generator=torch.Generator().manual_seed(0), **more)
        for maps in ((encode, decode), (lambda *a: encode(*a), lambda *a: decode(*a)))
    ]
    for a, b in zip(*outs, strict=True):
        assert torch.allclose(a, b, rtol=1e-12)
    ours, theirs = (gradients(out.surrogate, encode, decode) for out in outs)
    assert largest_difference(ours, theirs) < 1e-12


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_probes_orthogonal_across_the_batch_steady_the_mean_gradient(fraction):
    encode, decode = pair()
    x, generator, variance = data(batch=12), torch.Generator().manual_seed(0), {}
    options = {"fraction": fraction, "generator": generator, "index": slice(round(12 * fraction))}
    exact = volume.surrogate(x, encode, decode, index=options["index"], **full("latent", "basis"))
    exact = torch.cat([g.flatten() for g in gradients(exact.surrogate, encode)])
    for kind in ("sphere", "batch-orthogonal"):
        found = []
        for _ in range(100):
            out = volume.surrogate(x, encode, decode, kind=kind, **options)
            found.append(torch.cat([g.flatten() for g in gradients(out.surrogate, encode)]))
        off = torch.stack(found) - exact
        assert off.mean(0).norm() < 3 * off.norm() / len(off)  # both unbiased
        variance[kind] = off.square().sum(1).mean()
    assert variance["batch-orthogonal"] < 0.8 * variance["sphere"]


def test_cross_terms_of_a_batch_norm_vanish_with_probes_orthogonal_across_the_batch():
    """Samples coupled: vᵀ J v has terms of different samples' probes, whose mean must be zero."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(7, track_running_stats=False)
    encode = nn.Sequential(nn.Linear(DIM, 7), norm, nn.Tanh(), nn.Linear(7, LATENT)).double()
    decode, x = pair()[1], data(batch=8)
    z = encode(x).detach()
    f, g = torch.func.jacrev(encode)(x).flatten(2), torch.func.jacrev(decode)(z).flatten(2)
    coupled = (f.flatten(0, 1) @ g.flatten(0, 1)).detach()  # (batch·latent, batch·latent)

    def estimates(v):
        return torch.einsum("ki,ij,kj->k", v.flatten(1), coupled, v.flatten(1)) / len(x)

    v = probes.sample("batch-orthogonal", 20_000, z, torch.Generator().manual_seed(0))
    out = volume.surrogate(x, encode, decode, probes=v[:5]).surrogate.mean()
    assert torch.allclose(out, estimates(v[:5]).mean())
    exact, found = coupled.trace() / len(x), estimates(v)
    assert (found.mean() - exact).abs() < 4 * found.std() / len(found) ** 0.5
    normal = torch.randn(20_000 * 3, LATENT, LATENT, dtype=torch.float64)
    unsigned = torch.linalg.qr(normal).Q.mT.reshape(20_000, 9, LATENT)[:, :8] * LATENT**0.5
    biased = estimates(unsigned)
    assert (biased.mean() - exact).abs() > 4 * biased.std() / len(biased) ** 0.5


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_the_first_samples_are_those_of_their_positions(options):
    encode, decode = pair(condition_dim=2)
    x, c = data(), data((2,), seed=3)
    kind = full(options["space"], "basis")
    for m in (1, 4, BATCH):
        first = volume.surrogate(x, encode, decode, c, index=slice(m), **kind, **options)
        drawn = volume.surrogate(x, encode, decode, c, index=torch.arange(m), **kind, **options)
        for ours, theirs in zip(first, drawn, strict=True):
            assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"fraction": 0.5}, {"kind": "batch-orthogonal"}])
def test_an_empty_batch_gives_empty_tensors(options):
    out = volume.surrogate(data()[:0], *pair(), **options)
    assert [tuple(part.shape) for part in out] == [(0, LATENT), (0, DIM), (0,)]


@pytest.mark.parametrize("index", [slice(1, 3), slice(0), slice(0, 6, 2), slice(-2, None)])
def test_a_slice_is_the_first_samples(index):
    with pytest.raises(ValueError, match=r"must be slice\(m\), the first m of 6 samples"):
        volume.surrogate(data(), *pair(), index=index)


@pytest.mark.parametrize("space", SPACES)
def test_fraction_keeps_the_order_of_the_samples(space):
    encode, decode = pair(condition_dim=2)
    x, c = data(), data((2,), seed=3)
    index = torch.tensor([4, 0])
    out = volume.surrogate(x, encode, decode, c, index=index, space=space, **full(space, "basis"))
    whole = volume.surrogate(x, encode, decode, c, space=space, **full(space, "basis"))
    assert torch.allclose(out.z, whole.z) and torch.allclose(out.x_hat, whole.x_hat)
    expected = torch.zeros(BATCH, dtype=torch.float64)
    expected[index] = whole.surrogate[index] * BATCH / 2
    assert torch.allclose(out.surrogate, expected)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_images_and_conditions(options):
    encode, decode = pair(data_shape=(1, 2, 3), condition_dim=2)
    x, c = data((1, 2, 3)), data((2,), seed=3)
    size = LATENT if options["space"] == "latent" else 6
    out = volume.surrogate(x, encode, decode, c, **options, num_probes=size, kind="basis")
    exact = torch.cat(
        [
            exact_trace(x[i : i + 1], lambda p, i=i: encode(p, c[i : i + 1]),
                        lambda q, i=i: decode(q, c[i : i + 1]), options["side"], options["at"])
            for i in range(BATCH)
        ]
    )  # fmt: skip
    assert out.x_hat.shape == x.shape
    assert torch.allclose(out.surrogate, exact, atol=1e-10)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_x_is_left_alone(options):
    encode, decode = pair()
    x = data()
    before = x.clone()
    volume.surrogate(x, encode, decode, **options, num_probes=2).surrogate.sum().backward()
    assert torch.equal(x, before) and x.grad is None and not x.requires_grad


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_one_primal_pass_for_any_number_of_probes(options):
    """The networks run equally often for one probe and for three."""
    counts = []
    for num_probes in (1, 3):
        encode, decode = pair()
        calls = []
        encode.register_forward_pre_hook(lambda *_: calls.append("f"))  # noqa: B023
        decode.register_forward_pre_hook(lambda *_: calls.append("g"))  # noqa: B023
        volume.surrogate(data(), encode, decode, **options, num_probes=num_probes)
        counts.append(len(calls))
    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_it_runs_under_vmap(fraction):
    x = torch.stack([data(seed=s) for s in range(3)])
    encode, decode = pair()
    m = round(fraction * BATCH)
    v = probes.sample("sphere", 2, torch.zeros(3, m, LATENT, dtype=torch.float64)).transpose(0, 1)
    index = torch.stack([torch.randperm(BATCH)[:m] for _ in range(3)])

    def one(x, v, i):
        return volume.surrogate(x, encode, decode, probes=v, index=i).surrogate

    stacked = torch.func.vmap(one)(x, v, index)
    assert torch.allclose(stacked, torch.stack([one(*a) for a in zip(x, v, index, strict=True)]))


@pytest.mark.parametrize(("num_probes", "which"), [(1, "all"), (2, "drawn"), (2, "first")])
def test_it_compiles_without_a_graph_break(num_probes, which):
    encode, decode = pair()
    x, m = data(), BATCH if which == "all" else BATCH // 2
    v = probes.sample("orthogonal", num_probes, x[:m, :LATENT])
    index = torch.randperm(BATCH)[:m] if which == "drawn" else None

    def loss(x, v, index):
        index = slice(m) if which == "first" else index
        out = volume.surrogate(x, encode, decode, probes=v, index=index)
        return out.z.square().sum() - out.surrogate.sum() + (out.x_hat - x).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    value = compiled(x, v, index)
    assert torch.allclose(value, loss(x, v, index))
    ours, theirs = gradients(value, encode, decode), gradients(loss(x, v, index), encode, decode)
    assert largest_difference(ours, theirs) < 1e-10


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_it_runs_under_autocast(options):
    torch.manual_seed(0)
    encode, decode = MLP(DIM, LATENT, [8]), MLP(LATENT, DIM, [8])
    x = data().float()
    like = x[:, :LATENT] if options["space"] == "latent" else x
    v = probes.sample("sphere", 2, like, torch.Generator().manual_seed(0))
    exact = volume.surrogate(x, encode, decode, **options, probes=v).surrogate
    with torch.autocast("cpu", torch.bfloat16):
        rough = volume.surrogate(x, encode, decode, **options, probes=v).surrogate
    assert (rough - exact).abs().max() < 0.05 * (1 + exact.abs().max())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(o.values()))
def test_cuda_gives_the_same(options):
    encode, decode = pair()
    x = data()
    kind = full(options["space"], "basis")
    here = volume.surrogate(x, encode, decode, **options, **kind).surrogate
    expected = gradients(here, encode, decode)
    there = volume.surrogate(x.cuda(), encode.cuda(), decode.cuda(), **options, **kind).surrogate
    assert torch.allclose(here, there.cpu(), atol=1e-10)
    ours = [g.cpu() for g in gradients(there, encode, decode)]
    assert largest_difference(ours, expected) < 1e-10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": "both"}, "side must be 'encoder' or 'decoder', got 'both'"),
        ({"space": "pixel"}, "space must be"),
        ({"at": "x"}, "at must be"),
        ({"mode": "reverse"}, "mode must be"),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0.0"),
        ({"num_probes": 4}, "volume.surrogate: num_probes must be between 1 and the size 3"),
        ({"probes": torch.zeros(1, 2, 3)}, r"probes must be \(probe, 6, 3\), got \(1, 2, 3\)"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        volume.surrogate(data(), *pair(), **options)


def test_the_cosine_is_one_at_a_pseudo_inverse_pair_and_less_elsewhere():
    encode, decode = pair()
    parameters = [*encode.parameters(), *decode.parameters()]
    A = nn.Parameter(torch.randn(LATENT, DIM, dtype=torch.float64))
    inverse = (lambda x: x @ A.T), (lambda z: z @ torch.linalg.pinv(A).T)
    for side in SIDES:
        assert volume.gradient_cosine(data(), encode, decode, parameters, side=side) < 0.99
        assert volume.gradient_cosine(data(), *inverse, [A], side=side) == pytest.approx(1.0)


def test_the_distance_to_the_full_set_falls_with_probes_and_batch_and_ends_at_zero():
    """MLAE Fig. 5 on a small pair: orthogonal below independent, exact at K = d."""
    encode, decode = pair()
    parameters = list(encode.parameters())

    def distance(num_probes, kind="orthogonal", space="latent", batch=6):
        return volume.gradient_distance(
            data(batch=batch), encode, decode, parameters, draws=40, num_probes=num_probes,
            kind=kind, space=space, generator=torch.Generator().manual_seed(0),
        ).mean()  # fmt: skip

    assert distance(LATENT) < 1e-12 and distance(DIM, space="data") < 1e-12
    assert distance(2) < distance(2, "sphere") < distance(1)
    assert distance(1, batch=200) < 0.5 * distance(1)
    assert distance(1) < distance(1, space="data")


@pytest.mark.parametrize("side", SIDES)
def test_the_cosine_is_that_of_the_dense_gradients(side):
    encode, decode = pair()
    x = data()
    if side == "encoder":
        exact = jacobians.log_volume_encoder(encode, x, differentiable=True)
    else:
        exact = jacobians.log_volume(decode, encode(x), differentiable=True)
    values = exact_trace(x, encode, decode, side), exact
    ours, theirs = (
        torch.cat([g.flatten() for g in gradients(value, encode, decode)]) for value in values
    )
    parameters = [*encode.parameters(), *decode.parameters()]
    found = volume.gradient_cosine(x, encode, decode, parameters, side=side)
    assert torch.allclose(found, torch.cosine_similarity(ours, theirs, dim=0))
