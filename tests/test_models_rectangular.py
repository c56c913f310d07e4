"""Rectangular flows: exact inverses, and estimators against the exact loss."""

import pytest
import torch
from helpers import data, gradients, largest_difference
from torch import nn

from companion import jacobians
from companion.models import RectangularFlow, rectangular_loss
from companion.networks import MLP, EncoderDecoder, InjectiveFlow, batch_norm
from companion.networks.flows import realnvp
from companion.training import TrainConfig, fit, sweep

DIM, LATENT = 6, 3


def network(dim=DIM, latent=LATENT):
    torch.manual_seed(0)
    net = InjectiveFlow(realnvp(dim, hidden=[8], activation=nn.SiLU), latent).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.3)  # away from the identity
    return net


def model(estimator="conjugate", seed=0, beta=50.0, prior=True, **options):
    torch.manual_seed(seed)
    flow, over = (realnvp(dim, hidden=[8], activation=nn.SiLU) for dim in (DIM, LATENT))
    network, over = InjectiveFlow(flow, LATENT), over if prior else None
    return RectangularFlow(network, over, (DIM,), LATENT, beta, estimator, **options)


@pytest.mark.parametrize("latent", [1, 3, 6])
def test_the_encoder_is_an_exact_left_inverse(latent):
    net, z, x = network(latent=latent), data((latent,)), data((DIM,))
    assert (net.encode(net.decode(z)) - z).abs().max() < 1e-12
    once = net.decode(net.encode(x))
    assert (net.decode(net.encode(once)) - once).abs().max() < 1e-11
    assert (once - x).abs().max() < 1e-12 if latent == DIM else (once - x).abs().max() > 0.1


def test_the_projection_is_not_orthogonal():
    """f'g' = 1 at every point of the manifold, and f' still is not g's Moore-Penrose inverse."""
    defect = jacobians.defect(data((DIM,)), network().encode, network().decode)
    assert defect.identity.max() < 1e-12 and defect.log_volume.min() > 1e-3


def test_the_likelihood_is_that_of_prior_and_network_in_one():
    m, x = model().double(), data((DIM,))
    u = m.encode(x)
    whole = -0.5 * u.square().sum(1) - 0.5 * LATENT * torch.log(torch.tensor(2 * torch.pi))
    whole = whole - jacobians.log_volume(m.decode, u)
    assert torch.allclose(m.log_prob(x).value, whole)


def test_the_likelihood_integrates_to_one():
    """On a curve in the plane, by quadrature over arc length."""
    m = RectangularFlow(network(2, 1), None, (2,), 1)
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64).unsqueeze(1)
    with torch.no_grad():
        curve = m.decode(z)
        density = m.log_prob(curve).value.exp()
    length = curve.diff(dim=0).norm(dim=1)
    assert abs(float((density[:-1] * length).sum()) - 1) < 1e-2


def test_the_exact_loss_is_likelihood_and_distance():
    m, x = model("exact", beta=3.0).double(), data((DIM,))
    distance = (m.decode(m.encode(x)) - x).square().sum(1)
    assert torch.allclose(m.loss(x).loss, 3.0 * distance - m.log_prob(x).value)


def test_conjugate_gradients_give_the_exact_losses_gradient():
    net, x = network(), data((DIM,))
    exact = rectangular_loss(x, net.encode, net.decode, 3.0, estimator="exact").loss
    cg = rectangular_loss(
        x, net.encode, net.decode, 3.0, num_probes=LATENT, kind="basis", tolerance=1e-12,
        max_iterations=20,
    )  # fmt: skip
    assert largest_difference(gradients(cg.loss, net), gradients(exact, net)) < 1e-8
    assert (cg.iterations >= LATENT).all() and (cg.residual < 1e-12).all()


def test_one_pass_is_exact_for_orthogonal_projections_only():
    A = nn.Parameter(torch.tensor([[2.0, 0.3, 0.0], [0.0, 0.5, 0.1]], dtype=torch.float64))

    def difference(encode, decode, x, parameters, latent):
        losses = [
            rectangular_loss(x, encode, decode, 3.0, estimator=estimator, **options).loss.sum()
            for estimator, options in
            [("exact", {}), ("one-pass", {"num_probes": latent, "kind": "basis"})]
        ]  # fmt: skip
        return largest_difference(*(torch.autograd.grad(loss, parameters) for loss in losses))

    x = data((3,))
    tied = difference(lambda x: x @ A.T, lambda z: z @ torch.linalg.pinv(A).T, x, [A], 2)
    net = network()
    injective = difference(net.encode, net.decode, data((DIM,)), [*net.parameters()], LATENT)
    assert tied < 1e-9 and injective > 0.1


def test_without_a_volume_the_loss_is_the_error_alone():
    m, x = model("none", prior=False), data((DIM,), batch=8).float()
    terms = m.loss(x)
    assert torch.equal(terms.loss, 50 * terms.reconstruction) and (terms.prior > 0).all()
    with pytest.raises(ValueError, match="estimator none trains no prior; pass prior=None"):
        model("none")


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["conjugate", "exact", "one-pass"])
def test_training_lowers_the_negative_log_likelihood(estimator):
    torch.manual_seed(0)
    x = torch.randn(256, LATENT) @ torch.randn(LATENT, DIM) + 0.05 * torch.randn(256, DIM)
    m = model(estimator)
    log = fit(m, x, x, TrainConfig(epochs=10, batch_size=64, learning_rate=2e-2), progress=False)
    first, last = log.rows[0], log.rows[-1]
    assert last["valid_nll"] < first["valid_nll"] - 0.3
    assert last["valid_reconstruction"] < 0.5 * first["valid_reconstruction"]
    assert (last["iterations"] > 1) == (estimator == "conjugate")


def test_a_sweep_takes_the_same_steps_and_says_when_it_cannot():
    x = data((DIM,), batch=64).float()
    configs = [TrainConfig(epochs=2, batch_size=32, seed=s, device="cpu") for s in (0, 1)]

    def models(**options):
        return [model(seed=s, beta=10.0**s, **options) for s in (0, 1)]

    stacked, alone = (models(stop_early=False, max_iterations=3) for _ in range(2))
    sweep(stacked, [x, x], configs, progress=False)
    for m, config in zip(alone, configs, strict=True):
        fit(m, x, None, config, progress=False)
    for ours, theirs in zip(stacked, alone, strict=True):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-4)
    with pytest.raises(ValueError, match="pass stop_early=False"):
        sweep(models(), [x, x], configs, progress=False)


@pytest.mark.parametrize("estimator", ["exact", "one-pass"])
def test_the_other_estimators_stack(estimator):
    x = data((DIM,), batch=64).float()
    configs = [TrainConfig(epochs=1, batch_size=32, device="cpu")] * 2
    logs = sweep([model(estimator), model(estimator, seed=1)], [x, x], configs, progress=False)
    assert all(log.rows[-1]["loss"] < float("inf") for log in logs)


def test_refusals():
    net, x = network(), data((DIM,))
    with pytest.raises(ValueError, match="estimator must be one of .*none, got 'cg'"):
        rectangular_loss(x, net.encode, net.decode, estimator="cg")
    with pytest.raises(ValueError, match="RectangularFlow: estimator must be one of"):
        model("cg")
    with pytest.raises(ValueError, match="beta must not be negative, got -1"):
        rectangular_loss(x, net.encode, net.decode, -1)
    with pytest.raises(ValueError, match="RectangularFlow: beta must not be negative, got -1"):
        model(beta=-1.0)
    with pytest.raises(
        ValueError, match="InjectiveFlow: latent_dim must be between 1 and 6, got 7"
    ):
        network(latent=7)
    coupled = EncoderDecoder(nn.Sequential(nn.Linear(6, 3), nn.Identity()), MLP(3, 6))
    coupled.encoder[1] = batch_norm(3)
    with pytest.raises(ValueError, match="treat samples independently"):
        RectangularFlow(coupled, None, (6,), 3)
