"""Every model of the contract through one table of tests, then what is MLAE's own."""

import pickle
import warnings

import pytest
import torch
from helpers import data, gradients, pair
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from companion import jacobians
from companion.models import (
    AEF,
    MLAE,
    VAE,
    AggregateVAE,
    Autoencoder,
    DenoisingAutoencoder,
    FlowVAE,
    RectangularFlow,
    RelaxedFlow,
    TaylorVAE,
    TwoStageVAE,
    TwoStepFlow,
    VampPrior,
    by_epoch,
    core_mask,
    linear,
    mlae_loss,
    posterior_size,
)
from companion.networks import (
    MLP,
    ConvDecoder,
    ConvEncoder,
    EncoderDecoder,
    InjectiveFlow,
    batch_norm,
    flows,
    spectral_norm,
)
from companion.networks.preprocess import (
    ActNorm,
    Logit,
    Preprocess,
)


def toy(**options):
    torch.manual_seed(0)
    return MLAE(MLP(4, 2, [8]), MLP(2, 4, [8]), (4,), 2, **options)


def images(norm="none", **options):
    torch.manual_seed(0)
    nets = {"channels": (4,), "hidden": (8,), "norm": norm, "condition_dim": 3}
    shape = (1, 4, 4)
    return MLAE(ConvEncoder(shape, 2, **nets), ConvDecoder(2, shape, **nets), shape, 2, **options)


def relaxed(condition_dim=0, wrap=lambda decoder: decoder, **options):
    torch.manual_seed(0)
    decoder = wrap(MLP(2, 4, [8], condition_dim))
    return RelaxedFlow(MLP(4, 2, [8], condition_dim), decoder, (4,), 2, **options)


def autoencoder(condition_dim=0, wrap=lambda decoder: decoder, **options):
    torch.manual_seed(0)
    decoder = wrap(MLP(2, 4, [8], condition_dim))
    return Autoencoder(MLP(4, 2, [8], condition_dim), decoder, (4,), 2, **options)


def within_flows(place="center", flow=True, condition_dim=0, **options):
    torch.manual_seed(0)
    nets = MLP(4, 4, [8], condition_dim), MLP(2, 4, [8], condition_dim)
    core = MLP(4, 2, []) if place == "linear" else core_mask((4,), 2, place)
    steps = {"transforms": 2, "hidden": (8, 8)}
    pair = (flows.iaf(2, **steps), flows.maf(2, **steps)) if flow else (None, None)
    return AEF(*nets, (4,), 2, core, *pair, **options)


def flow_vae(condition_dim=0, **options):
    torch.manual_seed(0)
    nets = MLP(4, 4, [8], condition_dim), MLP(2, 4, [8], condition_dim)
    steps = {"transforms": 2, "hidden": (8, 8), "residual": True}
    return FlowVAE(*nets, (4,), 2, flows.iaf(2, **steps), flows.maf(2, **steps), **options)


def within_flows_images():
    layers = Preprocess(Logit(0.05), ActNorm((1, 4, 4)))
    shape, options = (1, 4, 4), {"channels": (4,), "hidden": (8,), "condition_dim": 3}
    torch.manual_seed(0)
    encoder, decoder = ConvEncoder(shape, 4, **options), ConvDecoder(2, shape, **options)
    core = core_mask(shape, 2, "corner")
    return AEF(encoder, decoder, shape, 2, core, per_pixel=True, preprocess=layers, levels=17)


def variational_flows():
    steps = {"transforms": 2, "hidden": (8, 8)}
    posterior = flows.iaf(2, posterior_size(2), **steps)
    return variational(posterior_flow=posterior, prior=flows.maf(2, **steps))


def variational(covariance="diagonal", condition_dim=0, **options):
    torch.manual_seed(0)
    encoder = MLP(4, posterior_size(2, covariance), [8], condition_dim)
    decoder = MLP(2, 4, [8], condition_dim)
    return VAE(encoder, decoder, (4,), 2, covariance=covariance, **options)


def two_stages():
    second = VAE(MLP(2, posterior_size(2), [8]), MLP(2, 2, [8]), (2,), 2, learn_variance=True)
    return TwoStageVAE(variational(condition_dim=3), second, joint=True)


def rectangular(estimator, condition_dim=0, **options):
    torch.manual_seed(0)
    pair = [flows.realnvp(dim, condition_dim, hidden=[8], activation=nn.Tanh) for dim in (4, 2)]
    return RectangularFlow(
        InjectiveFlow(pair[0], 2), pair[1], (4,), 2, estimator=estimator, **options
    )


def two_steps():
    """The flow stands on a first model whose encoder is no left inverse."""
    first = autoencoder(condition_dim=3)
    return TwoStepFlow(first, flows.realnvp(2, 3, hidden=[8], activation=nn.Tanh))


def vamp():
    """With one component, for at temperature zero a mixture still chooses between its means."""
    encoder = MLP(4, posterior_size(2), [8])
    prior = VampPrior(encoder, torch.randn(1, 4), 2)
    return VAE(encoder, MLP(2, 4, [8]), (4,), 2, prior=prior)


def taylor(covariance="diagonal", condition_dim=0, **options):
    torch.manual_seed(0)
    encoder = MLP(4, posterior_size(2, covariance), [8], condition_dim)
    decoder = MLP(2, 4, [8], condition_dim)
    return TaylorVAE(encoder, decoder, (4,), 2, covariance=covariance, **options)


MODELS = {
    "mlae": (toy, 0),
    "mlae decoder side": (lambda: toy(side="decoder"), 0),
    "mlae quarter": (lambda: toy(fraction=0.25), 0),
    "mlae two probes": (lambda: toy(num_probes=2, space="data", kind="rademacher"), 0),
    "mlae images": (images, 3),
    "mlae beta as a condition": (
        lambda: MLAE(MLP(4, 2, [8], 1), MLP(2, 4, [8], 1), (4,), 2, beta_range=(0.1, 10.0)), 0),
    "mlae soft flow": (
        lambda: MLAE(MLP(4, 2, [8], 1), MLP(2, 4, [8], 1), (4,), 2, noise_levels=0.5), 0),
    "relaxed flow": (relaxed, 0),
    "relaxed flow scale": (lambda: relaxed(3, objective="scale", num_probes=2), 3),
    "relaxed flow difference": (lambda: relaxed(how="difference", prior_weight=0.1), 0),
    "relaxed flow backward": (lambda: relaxed(how="backward", num_probes=2), 0),
    "relaxed flow spectral": (lambda: relaxed(wrap=spectral_norm), 0),
    "autoencoder": (autoencoder, 0),
    "autoencoder spectral": (lambda: autoencoder(wrap=spectral_norm), 0),
    "contractive autoencoder": (lambda: autoencoder(3, encoder_jacobian=0.1), 3),
    "regularised autoencoder l2": (lambda: autoencoder(code=0.1, decoder_l2=0.1), 0),
    "regularised autoencoder gp": (lambda: autoencoder(code=0.1, decoder_jacobian=0.1), 0),
    "wasserstein autoencoder": (lambda: autoencoder(mmd=10.0), 0),
    "info vae": (lambda: AggregateVAE(variational(condition_dim=3), "mmd", 10.0), 3),
    "beta tc vae": (lambda: AggregateVAE(variational(), "total_correlation", 3.0), 0),
    "vae vamp prior": (vamp, 0),
    "denoising": (
        lambda: DenoisingAutoencoder(MLP(4, 2, [8], 3), MLP(2, 4, [8], 3), (4,), 2, sigma=0.5), 3),
    "aef without flows": (lambda: within_flows(flow=False, condition_dim=3), 3),
    "aef with both flows": (within_flows, 0),
    "aef expanded": (lambda: within_flows("linear", per_pixel=True), 0),
    "aef images": (within_flows_images, 3),
    "aef's vae": (lambda: flow_vae(3, per_pixel=True), 3),
    "vae": (lambda: variational(condition_dim=3), 3),
    "vae full covariance, learned variance": (lambda: variational("full", learn_variance=True), 0),
    "vae sticking": (lambda: variational(estimator="sticking", num_samples=2), 0),
    "vae with both flows": (variational_flows, 0),
    "vae iwae": (lambda: variational(estimator="iwae", num_samples=3), 0),
    "two stages": (two_stages, 3),
    "rectangular": (lambda: rectangular("conjugate"), 0),
    "rectangular exact": (lambda: rectangular("exact", condition_dim=3), 3),
    "rectangular one pass": (lambda: rectangular("one-pass", num_probes=2, condition_dim=3), 3),
    "two steps": (two_steps, 3),
    "rectangular with free networks": (
        lambda: RectangularFlow(EncoderDecoder(MLP(4, 2, [8]), MLP(2, 4, [8])), None, (4,), 2), 0),
    "taylor": (lambda: taylor(condition_dim=3), 3),
    "taylor full covariance, one tangent": (lambda: taylor("full", tangents="one"), 0),
    "taylor two tangents": (lambda: taylor(tangents="two"), 0),
    "taylor exact": (lambda: taylor(expectation="exact"), 0),
    "taylor exact, one tangent": (lambda: taylor(expectation="exact", tangents="one"), 0),
}  # fmt: skip
DTYPES = [torch.float32, torch.float64]


@pytest.fixture(params=MODELS, ids=lambda name: name.replace(" ", "-"))
def case(request):
    make, condition_dim = MODELS[request.param]
    model = make()
    x = data(model.data_shape, batch=8).float()
    x = x.sigmoid() if len(model.data_shape) > 1 else x  # images lie in [0, 1]
    condition = data((condition_dim,), batch=8, seed=4).float() if condition_dim else None
    return model, x, condition


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_shapes_and_dtypes(case, dtype):
    model, x, c = case
    model, x = model.to(dtype), x.to(dtype)
    c = None if c is None else c.to(dtype)
    z = model.encode(x, c)
    assert z.shape == (8, model.latent_dim) and model.decode(z, c).shape == x.shape
    terms = model.loss(x, c)
    assert all(term.shape == (8,) and term.dtype == dtype for term in terms)
    log_prob = model.log_prob(x, c)
    assert log_prob.value.shape == (8,) and log_prob.kind and not log_prob.value.requires_grad
    sample = model.sample(8, c)
    assert sample.shape == x.shape and not sample.requires_grad
    assert model.sample(8, c, differentiable=True).requires_grad
    assert model.log_prob(x, c, differentiable=True).value.requires_grad


def test_models_pickle(case):
    model, x, c = case
    if any(is_parametrized(module) for module in model.modules()):
        pytest.skip("torch pickles no parametrised module, only its state_dict")
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(model.encode(x, c), twin.encode(x, c))
    assert twin.advance(0.3, 2).keys() == model.advance(0.3, 2).keys()


@pytest.mark.parametrize("layer", [nn.Dropout(), batch_norm(8, image=False)])
def test_a_density_in_training_mode_is_warned_of(layer):
    decoder = nn.Sequential(nn.Linear(2, 8), layer, nn.Linear(8, 4))
    model = Autoencoder(nn.Linear(4, 2), decoder, (4,), 2)
    with pytest.warns(UserWarning, match=r"sample: in training mode .*decoder.1.*model.eval"):
        model.sample(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.eval().log_prob(torch.zeros(2, 4))


def test_a_density_that_depends_on_its_batch_is_refused():
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    decoder = nn.Sequential(nn.Linear(2, 4), norm)
    model = Autoencoder(nn.Linear(4, 2), decoder, (4,), 2).eval()
    with pytest.raises(ValueError, match="'decoder.1' .* keeps no running statistics"):
        model.log_prob(torch.zeros(2, 4))


def test_gradients_are_finite_and_reach_every_parameter(case):
    model, x, c = case
    for gradient in gradients(model.loss(x, c).loss, model):
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_one_seed_one_result(case):
    model, x, c = case

    def run():
        generator = torch.Generator().manual_seed(3)
        return model.loss(x, c, generator).loss, model.sample(8, c, generator=generator)

    for first, second in zip(run(), run(), strict=True):
        assert torch.equal(first, second)


def test_the_drawn_chance_is_all_the_chance(case):
    model, x, c = case
    draws = model.draw(x, torch.Generator().manual_seed(3))
    given = model.loss(x, c, **draws).loss
    drawn = model.loss(x, c, torch.Generator().manual_seed(3)).loss
    assert torch.equal(given, drawn)


def test_temperature_zero_gives_the_mean_code(case):
    model, x, c = case
    central = model.draw_codes(8, temperature=0.0)
    with torch.no_grad():  # as it samples: with a graph a spectral norm rounds otherwise
        decoded = model.decode(central, c)
    assert torch.equal(model.sample(8, c, temperature=0.0), decoded)
    assert torch.equal(central, central[:1].expand(8, -1))
    with pytest.raises(ValueError, match="temperature must not be negative, got -1"):
        model.sample(8, c, temperature=-1)


def test_state_goes_through_a_file(case, tmp_path):
    model, x, c = case
    torch.save(model.state_dict(), tmp_path / "model.pt")
    before = model.encode(x, c)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(model.encode(x, c), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_loss_gradient_and_density(case):
    """In float64 and eval mode, with the same chance; a sample, drawn there, stays there."""
    model, x, c = case
    model, x = model.double().eval(), x.double()
    c = None if c is None else c.double()
    draws, found = model.draw(x, torch.Generator().manual_seed(3)), []
    for device in ("cpu", "cuda"):
        model.to(device)
        there, told = x.to(device), None if c is None else c.to(device)
        loss = model.loss(there, told, **{name: v.to(device) for name, v in draws.items()}).loss
        found.append([loss, *gradients(loss, model)])
        density = model.log_prob(there, told)
        if density.kind.startswith("exact") and "dequantised" not in density.kind:
            found[-1].append(density.value)
    for ours, theirs in zip(*found, strict=True):
        assert theirs.is_cuda and torch.allclose(ours, theirs.cpu(), rtol=1e-8, atol=1e-9)
    drawn = model.sample(8, told, generator=torch.Generator("cuda").manual_seed(0))
    assert drawn.is_cuda and torch.isfinite(drawn).all()


def test_log_prob_of_a_linear_pair_is_the_gaussian_on_its_plane():
    A = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]], dtype=torch.float64)
    encoder, decoder = nn.Linear(3, 2, bias=False).double(), nn.Linear(2, 3, bias=False).double()
    encoder.weight.data, decoder.weight.data = A, torch.linalg.pinv(A)
    model = MLAE(encoder, decoder, (3,), 2)
    x = data((3,))
    plane = torch.distributions.MultivariateNormal(
        torch.zeros(2).double(), (A[:, :2] @ A[:, :2]).inverse()
    )
    assert torch.allclose(model.log_prob(x).value, plane.log_prob(x[:, :2]))


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_the_loss_moves_toward_likelihood(side):
    """At a pseudo-inverse pair the gradient of the loss is that of NLL + β‖x − x̂‖², exactly."""
    A = nn.Parameter(
        torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    encode, decode = (lambda x: x @ A.T), (lambda z: z @ torch.linalg.pinv(A).T)
    x = data((3,))
    terms = mlae_loss(x, encode, decode, 3.0, side=side, num_probes=2, kind="basis")
    nll = terms.prior + jacobians.log_volume(decode, encode(x), differentiable=True)
    exact = (nll + 3.0 * terms.reconstruction).sum()
    (ours,) = torch.autograd.grad(terms.loss.sum(), A, retain_graph=True)
    (expected,) = torch.autograd.grad(exact, A)
    assert torch.allclose(ours, expected, atol=1e-9)


def test_beta_may_differ_per_sample():
    model, x = toy().double(), data((4,))
    v = model.draw(x)["probes"]
    beta = torch.linspace(0.1, 9.0, len(x), dtype=torch.float64)
    many = mlae_loss(x, model.encoder, model.decoder, beta, probes=v).loss
    each = [
        mlae_loss(x, model.encoder, model.decoder, float(b), probes=v).loss[i]
        for i, b in enumerate(beta)
    ]
    assert torch.allclose(many, torch.stack(each), atol=1e-6)


def test_schedules_move_beta():
    model = toy(beta=linear(1.0, 10.0))
    assert float(model.beta) == 1.0
    assert float(model.advance(0.5, 3)["beta"]) == 5.5
    model = toy(beta=by_epoch({0: 1.0, 5: 2.0}))
    assert [float(model.advance(0.0, e)["beta"]) for e in (4, 5, 9)] == [1.0, 2.0, 2.0]


def test_the_condition_tells_beta_and_noise_level():
    model = MLAE(
        MLP(4, 2, [8], 5), MLP(2, 4, [8], 5), (4,), 2, noise_levels=0.5, beta_range=(0.1, 10)
    )
    labels = torch.eye(3)[:2]
    whole = model.extend(labels, torch.zeros(2, 4), 0.3, torch.tensor([0.1, 10.0]))
    expected = torch.tensor([[1, 0, 0, 0.3, -1], [0, 1, 0, 0.3, 1.0]])
    assert torch.allclose(whole, expected)


def test_beta_and_noise_level_are_drawn_evenly_and_the_noise_is_added():
    nets = MLP(4, 2, [8], 2), MLP(2, 4, [8], 2)
    model = MLAE(*nets, (4,), 2, noise_levels=0.5, beta_range=(0.1, 10.0))
    x = torch.randn(4000, 4)
    draws = model.draw(x, torch.Generator().manual_seed(0))
    level, log_beta = draws["noise_level"], draws["beta"].log10()
    even = torch.linspace(0, 1, 5)
    assert torch.allclose(torch.quantile(level / 0.5, even), even, atol=0.03)
    assert torch.allclose(torch.quantile((log_beta + 1) / 2, even), even, atol=0.03)
    told = torch.stack([level, log_beta], 1)
    noisy = x + level[:, None] * draws["noise"]
    slow = mlae_loss(noisy, *nets, draws["beta"], told, probes=draws["probes"])
    assert torch.allclose(model.loss(x, **draws).loss, slow.loss, rtol=1e-4)


def test_log_prob_has_the_exact_gradient():
    """Through the code, the prior and the log-volume alike."""
    A = nn.Parameter(torch.tensor([[2.0, 0.3, 0.0], [0.0, 0.5, 0.1]], dtype=torch.float64))

    class Tied(MLAE):
        def encode(self, x, condition=None):
            return x @ A.T

        def decode(self, z, condition=None):
            return z @ torch.linalg.pinv(A).T

    x = data((3,))
    value = Tied(nn.Identity(), nn.Identity(), (3,), 2).log_prob(x, differentiable=True).value.sum()
    exact = (-0.5 * (x @ A.T).square().sum(1) + 0.5 * torch.logdet(A @ A.T)).sum()
    ours, theirs = (torch.autograd.grad(v, A)[0] for v in (value, exact))
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_a_beta_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"beta must be a number or \(6,\), got \(6, 1\)"):
        mlae_loss(data(), *pair(), beta=torch.ones(6, 1))
    with pytest.raises(ValueError, match="beta must lie in beta_range"):
        toy(beta=20.0, beta_range=(0.1, 10.0))


def test_part_of_the_chance_can_be_given():
    model, x = toy(fraction=0.5), data((4,), batch=8).float()
    index = torch.tensor([0, 2, 4, 6])
    runs = [
        model.loss(x, generator=torch.Generator().manual_seed(1), index=index) for _ in range(2)
    ]
    assert torch.equal(runs[0].loss, runs[1].loss)


def test_a_fraction_is_the_first_samples_and_draws_no_positions():
    model, x = toy(fraction=0.5), data((4,), batch=8).float()
    draws = model.draw(x, torch.Generator().manual_seed(0))
    assert set(draws) == {"probes"} and draws["probes"].shape[1] == 4
    surrogate = model.loss(x, **draws).surrogate
    assert (surrogate[:4] != 0).all() and (surrogate[4:] == 0).all()


def test_plain_batch_norm_in_callables_is_refused_too():
    encoder = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()
    with pytest.raises(ValueError, match="layer '1' .BatchNorm1d. counts batches in place"):
        mlae_loss(data(), encoder, pair()[1], 1.0)


def test_batch_norm_warns_once_and_works():
    with pytest.warns(UserWarning, match="normalises over the batch") as warned:
        model = images("batch")
    assert len(warned) == 1
    x, c = data((1, 4, 4), batch=8).float(), data((3,), batch=8).float()
    model.loss(x, c).loss.mean().backward()
    mean = model.encoder.features[1].running_mean
    assert mean.abs().sum() > 0


def test_plain_batch_norm_is_refused_by_name():
    encoder = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    with pytest.raises(
        ValueError, match=r"layer 'encoder.1' \(BatchNorm1d\).*num_batches_tracked = None"
    ):
        MLAE(encoder, MLP(2, 4), (4,), 2)


@pytest.mark.filterwarnings("ignore:layer")
def test_refusals():
    with pytest.raises(ValueError, match="beta must not be negative, got -1"):
        toy(beta=-1.0)
    with pytest.raises(ValueError, match="beta must not be negative, got -0.5"):
        mlae_loss(data(), *pair(), beta=-0.5)
    with pytest.raises(ValueError, match="beta_range must be 0 < low < high"):
        toy(beta_range=(2.0, 1.0))
    with pytest.raises(ValueError, match="they need networks that treat samples"):
        images("batch", fraction=0.5)
    with pytest.raises(ValueError, match=r"epoch 0 needs a value, got epochs \[3\]"):
        by_epoch({3: 1.0})


def test_a_denoising_autoencoder_is_asked_for_the_clean_image():
    with pytest.raises(ValueError, match="sigma must not be negative, got -1"):
        DenoisingAutoencoder(nn.Identity(), nn.Identity(), (4,), 4, sigma=-1)
    idle = DenoisingAutoencoder(nn.Identity(), nn.Identity(), (4,), 4, sigma=0.5)
    x, noise = torch.full((1, 4), 0.5), torch.tensor([[0.0, 0.2, 2.0, -9.0]])
    expected = torch.tensor([0.1**2 + 0.5**2 + 0.5**2])  # the last two are clipped
    assert torch.allclose(idle.loss(x, noise=noise).loss, expected)
