"""Conjugate gradients against dense solves and the exact gradient; what a loose tolerance costs."""

import pytest
import torch
from helpers import data, gradients, largest_difference, pair
from torch.func import functional_call, stack_module_state, vmap

from companion import jacobians, probes, volume
from companion.networks import MLP
from companion.volume.conjugate import gram_product, solve

LATENT, DIM = 32, 48
TIGHT = {"tolerance": 1e-13, "max_iterations": 4 * LATENT}


def decoder(latent=LATENT, dim=DIM, spread=2.0):
    """A curved map whose Jacobian's singular values differ by a factor of about 10^(spread/2)."""
    torch.manual_seed(0)
    net = MLP(latent, dim, [64], activation="tanh").double()
    with torch.no_grad():
        net.body[0].weight.mul_(torch.logspace(-spread / 2, 0, latent) * 3)
    return net


def exact_gradient(net, z):
    volume = jacobians.log_volume(net, z, differentiable=True)
    return torch.cat([g.flatten() for g in gradients(volume, net)])


def cg_gradient(net, z, **options):
    out = volume.conjugate(net, z, **options)
    return torch.cat([g.flatten() for g in gradients(out.surrogate, net)]), out


def test_a_full_basis_gives_the_exact_gradient():
    net, z = decoder(), data((LATENT,), batch=3)
    expected = exact_gradient(net, z)
    ours, out = cg_gradient(net, z, num_probes=LATENT, kind="basis", **TIGHT)
    assert (ours - expected).abs().max() < 1e-9 * expected.abs().max()
    assert (out.residual < 1e-12).all() and (out.iterations > LATENT / 2).all()
    assert torch.allclose(out.surrogate, torch.full((3,), LATENT / 2).double())
    assert torch.equal(out.x_hat, net(z))


def test_the_gradient_reaches_the_code():
    net, z = decoder(), data((LATENT,), batch=2).requires_grad_()
    out = volume.conjugate(net, z, num_probes=LATENT, kind="basis", **TIGHT)
    exact = jacobians.log_volume(net, z, differentiable=True)
    ours, theirs = (torch.autograd.grad(v.sum(), z)[0] for v in (out.surrogate, exact))
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_few_probes_are_unbiased_unless_the_tolerance_is_loose():
    net, z = decoder(6, 9, 0.5), data((6,), batch=1).repeat(4000, 1).requires_grad_()
    exact = jacobians.log_volume(net, z[:1], differentiable=True)
    (expected,) = torch.autograd.grad(exact.sum(), z)

    def standard_errors_away(tolerance):
        chance = torch.Generator().manual_seed(0)
        out = volume.conjugate(net, z, tolerance=tolerance, max_iterations=24, generator=chance)
        (ours,) = torch.autograd.grad(out.surrogate.sum(), z)
        return float(((ours.mean(0) - expected[0]) / (ours.std(0) / 4000**0.5)).abs().max())

    assert standard_errors_away(1e-12) < 4 < 8 < standard_errors_away(0.3)


def test_a_loose_tolerance_is_biased():
    """The same full basis, so that no noise hides it: the bias grows with the tolerance."""
    net, z = decoder(), data((LATENT,), batch=3)
    expected, errors = exact_gradient(net, z), []
    for tolerance in (1e-6, 1e-2, 0.3, 0.9):
        ours, out = cg_gradient(net, z, num_probes=LATENT, kind="basis", tolerance=tolerance,
                                max_iterations=4 * LATENT)  # fmt: skip
        assert (out.residual <= tolerance).all()
        errors.append(float((ours - expected).norm() / expected.norm()))
    assert errors[0] < 1e-5 and errors == sorted(errors) and errors[-1] > 0.3


@pytest.mark.parametrize("rounds", [1, 3, 20])
def test_the_value_does_not_tell_how_well_it_is_solved(rounds):
    net, z = decoder(), data((LATENT,), batch=3)
    chance = torch.Generator().manual_seed(0)
    out = volume.conjugate(net, z, kind="sphere", max_iterations=rounds, generator=chance)
    assert torch.allclose(out.surrogate, torch.full((3,), LATENT / 2).double(), rtol=5e-2)
    assert (out.residual > 1e-2).all()


def test_forgetting_to_stop_the_solution_would_be_seen():
    net, z = decoder(6, 9), data((6,), batch=3)
    J = jacobians.jacobian(net, z, differentiable=True)
    gram = J.mT @ J
    unstopped = 0.5 * torch.linalg.solve(gram, gram).diagonal(dim1=1, dim2=2).sum(-1)
    wrong = torch.cat([g.flatten() for g in gradients(unstopped, net)])
    ours, _ = cg_gradient(net, z, num_probes=6, kind="basis", **TIGHT)
    assert wrong.abs().max() < 1e-10 < 1e-3 < ours.abs().max()


def test_the_product_is_that_of_the_dense_matrix():
    net, z, v = decoder(6, 9), data((6,), batch=3), data((3, 6), batch=4)
    J = jacobians.jacobian(net, z)
    expected = (J.mT @ J @ v.unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(gram_product(net, z)(v), expected)
    assert torch.allclose(gram_product(net, z)(v[:1]), expected[:1])


def spectrum_system(values, systems=5):
    q = torch.linalg.qr(data((len(values),), batch=len(values))).Q
    A = q * torch.as_tensor(values, dtype=torch.float64) @ q.T
    return A, data((len(values),), batch=systems)


def test_it_ends_after_as_many_rounds_as_there_are_eigenvalues():
    A, b = spectrum_system([1.0] * 10 + [2.0] * 10 + [5.0] * 12)
    out = solve(lambda x: x @ A, b, 1e-10)
    assert (out.iterations == 3).all() and torch.allclose(out.x @ A, b)


def test_every_round_lowers_the_error_where_the_residual_may_rise():
    A, b = spectrum_system(torch.logspace(-4, 0, 24))
    exact, before = torch.linalg.solve(A, b.T).T, float("inf")
    residuals = []
    for rounds in range(1, 40):
        out = solve(lambda x: x @ A, b, 1e-14, rounds)
        error = ((out.x - exact) @ A * (out.x - exact)).sum(-1).sum()
        assert error <= before + 1e-12
        before = error
        residuals.append(float(out.residual.max()))
    assert max(residuals) > 1 and min(residuals) < 1e-2


def test_solved_systems_rest_and_stopping_early_changes_nothing():
    A, b = spectrum_system(torch.linspace(1, 9, 12))
    b[0], b[1] = torch.linalg.eigh(A).eigenvectors[:, 3], 0.0  # one round, and none
    free = solve(lambda x: x @ A, b, 1e-8, 40)
    fixed = solve(lambda x: x @ A, b, 1e-8, 40, stop_early=False)
    assert all(torch.equal(a, c) for a, c in zip(free, fixed, strict=True))
    assert free.iterations[:2].tolist() == [1, 0] and (free.iterations[2:] > 5).all()
    assert free.iterations.max() < 40 and torch.allclose(free.x @ A, b, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_system_breaks_down_quietly(dtype):
    A, b = (t.to(dtype) for t in spectrum_system([0.0] * 4 + [1.0, 2.0, 3.0, 4.0]))
    out = solve(lambda x: x @ A, b, 1e-12, 64)
    assert out.x.isfinite().all() and (out.iterations <= 8).all()
    assert (out.residual > 0.1).all()  # and says that it was not solved
    nothing = solve(torch.zeros_like, b)
    assert (
        (nothing.x == 0).all() and (nothing.iterations == 0).all() and (nothing.residual == 1).all()
    )


def test_a_decoder_that_ignores_a_code_stays_finite():
    net = decoder(4, 9)
    with torch.no_grad():
        net.body[0].weight[:, 2] = 0.0
    ours, out = cg_gradient(net, data((4,), batch=3), num_probes=4, kind="basis")
    assert ours.isfinite().all() and (out.residual > 0.9).all()


def test_under_vmap_and_its_refusal():
    nets = [pair(seed=s)[1] for s in (0, 1)]
    z, v = data((3,)), probes.sample("rademacher", 2, data((3,)))
    parameters, _ = stack_module_state(nets)

    def run(parameters, **options):
        decode = lambda z: functional_call(nets[0], parameters, (z,))  # noqa: E731
        return volume.conjugate(decode, z, probes=v, tolerance=1e-10, **options).surrogate

    stacked = vmap(lambda p: run(p, stop_early=False))(parameters)
    for net, ours in zip(nets, stacked, strict=True):
        assert torch.allclose(ours, run(dict(net.named_parameters())))
    with pytest.raises(ValueError, match="volume.conjugate: stopping early .* vmap forbids"):
        vmap(run)(parameters)


@pytest.mark.slow
def test_compiled_in_one_graph():
    net, z = decoder(4, 9).float(), data((4,)).float()
    v = probes.sample("rademacher", 2, z)

    def run(z):
        return volume.conjugate(net, z, probes=v, max_iterations=4, stop_early=False).surrogate

    ours, theirs = (
        gradients(f(z), net) for f in (torch.compile(run, fullgraph=True, backend="aot_eager"), run)
    )
    assert largest_difference(ours, theirs) < 1e-4


def test_condition_and_images():
    net, z, c = pair((2, 3), condition_dim=2)[1], data((3,)), data((2,), seed=2)
    out = volume.conjugate(net, z, c, num_probes=3, kind="basis", tolerance=1e-12)
    assert out.x_hat.shape == (6, 2, 3)
    exact = jacobians.log_volume(net, z, c, differentiable=True)
    assert largest_difference(gradients(out.surrogate, net), gradients(exact, net)) < 1e-8


def test_refusals():
    net, z = decoder(4, 9), data((4,))
    with pytest.raises(
        ValueError, match="volume.conjugate: tolerance must not be negative, got -1"
    ):
        volume.conjugate(net, z, tolerance=-1)
    with pytest.raises(
        ValueError, match="volume.conjugate: max_iterations must be at least 1, got 0"
    ):
        volume.conjugate(net, z, max_iterations=0)
    with pytest.raises(ValueError, match=r"probes must be \(probe, 6, 4\), got \(2, 6, 3\)"):
        volume.conjugate(net, z, probes=torch.zeros(2, 6, 3))
    with pytest.raises(ValueError, match="volume.conjugate: num_probes must be between 1 and"):
        volume.conjugate(net, z, num_probes=5)
