"""Two steps: a manifold by least squares, then a flow on codes that no longer move."""

import pytest
import torch
from helpers import data
from torch import nn

from companion import jacobians
from companion.models import Autoencoder, RectangularFlow, TwoStepFlow
from companion.networks import MLP, InjectiveFlow
from companion.networks.flows import realnvp
from companion.training import TrainConfig, fit, sweep

DIM, LATENT = 6, 3


def first_step(seed=0):
    torch.manual_seed(seed)
    network = InjectiveFlow(realnvp(DIM, hidden=[8], activation=nn.SiLU), LATENT)
    return RectangularFlow(network, None, (DIM,), LATENT, estimator="none")


def second_step(first, seed=0):
    torch.manual_seed(seed)
    return TwoStepFlow(first, realnvp(LATENT, hidden=[8], activation=nn.SiLU))


def weights(model):
    return [value.clone() for value in model.state_dict().values()]


def plane(n=256):
    torch.manual_seed(0)
    return torch.randn(n, LATENT) @ torch.randn(LATENT, DIM) + 0.05 * torch.randn(n, DIM)


def test_each_step_has_its_own_schedule_and_the_second_moves_no_weight_of_the_first():
    """Nor does the momentum or the weight decay of an optimiser that knew them."""
    x, config = plane(), TrainConfig(
        epochs=8, batch_size=32, learning_rate=1e-2, weight_decay=1e-2, device="cpu"
    )  # fmt: skip
    first = first_step()
    rates = fit(first, x, config=config, progress=False).column("learning_rate")
    assert rates[-1] < 1e-3 * config.learning_rate < 0.5 * max(rates)
    before, error = weights(first), first.loss(x).reconstruction
    model = second_step(first)
    log = fit(model, x, config=config, progress=False)
    assert all(map(torch.equal, before, weights(model.first)))
    assert torch.equal(first.loss(x).reconstruction, error)
    assert log.column("learning_rate") == rates and log.rows[-1]["loss"] < log.rows[0]["loss"]


def test_the_density_is_that_of_flow_and_network_in_one():
    model, x = second_step(first_step()).double(), data((DIM,))
    z = model.first.encode(x)
    expected = model.prior.log_prob(z) - jacobians.log_volume(model.first.network.decode, z)
    assert torch.allclose(model.log_prob(x).value, expected)
    assert torch.equal(model.loss(x).loss, -model.prior.log_prob(z))
    assert torch.allclose(model.decode(model.encode(x)), model.first.decode(z))


def test_both_steps_stack_like_one_by_one():
    x = plane(64)
    configs = [TrainConfig(epochs=2, batch_size=32, seed=s, device="cpu") for s in (0, 1)]
    stacked, alone = ([first_step(s) for s in (0, 1)] for _ in range(2))
    for make in (lambda one, s: one, second_step):
        stacked = [make(one, s) for s, one in enumerate(stacked)]
        alone = [make(one, s) for s, one in enumerate(alone)]
        sweep(stacked, [x, x], configs, progress=False)
        for one, config in zip(alone, configs, strict=True):
            fit(one, x, config=config, progress=False)
    for ours, theirs in zip(stacked, alone, strict=True):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-4)


@pytest.mark.slow
def test_the_second_step_lowers_the_negative_log_likelihood():
    x = plane()
    first = Autoencoder(MLP(DIM, LATENT, [16]), MLP(LATENT, DIM, [16]), (DIM,), LATENT)
    config = TrainConfig(epochs=20, batch_size=64, learning_rate=1e-2, device="cpu")
    fit(first, x, config=config, progress=False)
    rows = fit(second_step(first), x, x, config, progress=False).rows
    assert rows[-1]["valid_nll"] < rows[0]["valid_nll"] - 0.3
    errors = [row["valid_reconstruction"] for row in rows]
    assert errors == pytest.approx(errors[:1] * len(errors), rel=1e-5)
