"""Relaxed injective flows: the paper's printed objectives, what they bound, and their schedules."""

import pytest
import torch
from helpers import data, gradients, largest_difference, pair
from torch import nn

from companion.models import RelaxedFlow, penalty, relaxed_loss
from companion.networks import MLP, spectral_norm
from companion.probes import sample
from companion.training import TrainConfig, fit, sweep

D = 3


def printed(x, encode, decode, v, objective, mu, mu_in, eta, scale, prior_weight):
    """RIF eqs 9 and 10 term by term, one sample and one v at a time."""
    total = 0
    for one, w in zip(x, v[0], strict=True):
        z = encode(one[None])
        J = torch.func.jacrev(lambda c: decode(c)[0])(z)[:, 0]
        squared, length = (J @ w).square().sum(), w.norm()
        clipped = torch.maximum(squared, eta**2 * length**2)
        stretch = D / 2 * clipped.log() if objective == "log" else clipped / (2 * scale)
        below = torch.minimum(squared.sqrt() / length - eta, torch.zeros(()))
        error = (one - decode(z)[0]).square().sum()
        total += prior_weight * z.square().sum() + mu * error + stretch + mu_in * below.square()
    return total


@pytest.mark.parametrize("eta", [0.1, 1.0])
@pytest.mark.parametrize("objective", ["log", "scale"])
def test_the_gradient_is_that_of_the_printed_objective(objective, eta):
    encode, decode = pair()
    x, z = data(), data((D,))
    v = sample("gaussian" if objective == "log" else "sphere", 1, z)
    numbers = {"mu": 3.0, "mu_in": 2.0, "eta": eta, "scale": 0.7, "prior_weight": 0.2}
    ours = relaxed_loss(x, encode, decode, v, objective=objective, **numbers)
    theirs = printed(x, encode, decode, v, objective, **numbers)
    assert (ours.injectivity > 0).any() == (eta == 1.0)
    pairs = gradients(ours.loss, encode, decode), gradients(theirs, encode, decode)
    assert largest_difference(*pairs) < 1e-10


def flow(encoder, decoder, **options):
    return RelaxedFlow(encoder, decoder, (encoder.in_features,), decoder.in_features, **options)


def linear_pair(weight):
    """A linear decoder with this weight and its pseudo-inverse as the encoder, in float64."""
    encoder, decoder = (nn.Linear(*s, bias=False).double() for s in (weight.shape, weight.T.shape))
    encoder.weight.data, decoder.weight.data = torch.linalg.pinv(weight), weight
    return encoder, decoder


@pytest.mark.parametrize("objective", ["log", "scale"])
def test_the_loss_bounds_the_negative_log_likelihood(objective):
    weight, x = data((D,), batch=5), data((5,))
    encoder, decoder = linear_pair(weight)
    model = flow(encoder, decoder, objective=objective, mu=0.0, mu_in=0.0, eta=0.0, scale=2.0)
    v = sample("sphere", 4000, data((D,)))
    loss = model.loss(x, probes=v).loss.mean()
    nll = -model.log_prob(x).value.mean() - D / 2 * torch.tensor(2 * torch.pi).log()
    assert loss > nll + 0.05
    conformal = torch.linalg.qr(weight)[0] * 2**0.5  # every s² is λ
    model.encoder.weight.data, model.decoder.weight.data = torch.linalg.pinv(conformal), conformal
    nll = -model.log_prob(x).value - D / 2 * torch.tensor(2 * torch.pi).log()
    assert torch.allclose(model.loss(x).loss, nll)


def test_the_prior_weight_is_a_variance():
    encoder, decoder = linear_pair(torch.eye(4, 2).double())
    model = flow(encoder, decoder, prior_weight=0.125)
    x = data((4,))
    expected = torch.distributions.Normal(0.0, 2.0).log_prob(encoder(x)).sum(1)
    assert torch.allclose(model.log_prob(x).value, expected)
    z = model.draw_codes(20_000, torch.Generator().manual_seed(0))
    assert abs(float(z.std()) - 2) < 0.02
    with pytest.raises(ValueError, match="weight of 0 leaves no prior to sample from"):
        flow(encoder, decoder, prior_weight=0.0).sample(1)


def test_squeezed_directions_are_pushed_apart():
    """Below η the bound holds still, and the penalty's gradient makes the singular value grow."""
    encoder, decoder = linear_pair(torch.diag(torch.tensor([0.05, 0.02]).double()))
    model = flow(encoder, decoder, mu=0.0, prior_weight=0.0, eta=0.1)
    terms = model.loss(data((2,)))
    (gradient,) = torch.autograd.grad(terms.loss.sum(), decoder.weight)
    assert (gradient.diagonal() < 0).all()
    assert torch.allclose(terms.bound, 2 * torch.tensor(0.1).double().log())
    assert (terms.injectivity <= (0.1 - 0.02) ** 2).all() and (terms.injectivity > 0).all()


@pytest.mark.parametrize(("how", "tolerance"), [("difference", 0.02), ("backward", 0.3)])
def test_the_other_ways_to_stretch_point_the_same_way(how, tolerance):
    encode, decode = pair()
    model = RelaxedFlow(encode, decode, (5,), D, num_probes=D, kind="basis", mu=0.0)
    other = RelaxedFlow(encode, decode, (5,), D, how=how, num_probes=5 if how == "backward" else D,
                        kind="basis", mu=0.0)  # fmt: skip
    x = data()
    ours, theirs = (
        torch.cat([g.flatten() for g in gradients(m.loss(x).loss, decode)]) for m in (model, other)
    )
    assert 1 - torch.cosine_similarity(ours, theirs, dim=0) < tolerance


def test_both_penalties_grow_with_the_steps():
    model = flow(nn.Linear(2, 1), nn.Linear(1, 2), mu=penalty(1.0, 2000), mu_in=penalty(1.3, 2000))
    assert (float(model.mu), float(model.mu_in)) == (1.0, 1.0)
    changed = model.advance(0.5, 0)
    assert float(changed["mu"]) == 2.0
    assert float(changed["mu_in"]) == pytest.approx(1 + 1000**1.3 / 1000)


def test_a_sweep_trains_spectrally_normalised_decoders_as_fit_does():
    def make(eta):
        torch.manual_seed(0)
        return RelaxedFlow(MLP(2, 1, [8]), spectral_norm(MLP(1, 2, [8])), (2,), 1, eta=eta)

    x, config = torch.randn(256, 2), TrainConfig(epochs=2, device="cpu", batch_size=64)
    alone, together = [make(e) for e in (0.1, 0.5)], [make(e) for e in (0.1, 0.5)]
    for model in alone:
        fit(model, x, config=config, progress=False)
    sweep(together, [x, x], [config] * 2, progress=False)
    for one, other in zip(alone, together, strict=True):
        weight = one.decoder.body[0].weight
        assert torch.allclose(torch.linalg.matrix_norm(weight, ord=2), torch.ones(()))
        assert torch.allclose(weight, other.decoder.body[0].weight, atol=1e-5)


def test_transposed_convolutions_are_normalised_by_output_channel():
    layer = spectral_norm(nn.ConvTranspose2d(3, 5, 4))
    matrix = layer.weight.transpose(0, 1).flatten(1)  # (5, 3·4·4)
    assert torch.allclose(torch.linalg.svdvals(matrix)[0], torch.ones(()))


def test_refusals():
    nets = nn.Linear(2, 1), nn.Linear(1, 2)
    with pytest.raises(ValueError, match="objective must be log or scale, got 'square'"):
        flow(*nets, objective="square")
    with pytest.raises(ValueError, match="eta must not be negative, got -0.1"):
        flow(*nets, eta=-0.1)
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        flow(*nets, scale=0.0)
    with pytest.raises(ValueError, match="how must be 'forward'"):
        flow(*nets, how="both")
    with pytest.raises(ValueError, match="no linear or convolutional layer"):
        spectral_norm(nn.ReLU())
