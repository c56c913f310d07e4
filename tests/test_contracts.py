"""What a map returns is held to the contract by every loss and estimator, before it broadcasts."""

import pytest
import torch
from helpers import data
from torch import nn
from torch.func import vmap

from companion import volume
from companion.contracts import as_float, bind
from companion.models import (
    MLAE,
    VAE,
    Autoencoder,
    RectangularFlow,
    aef_loss,
    aef_map,
    mlae_loss,
    rectangular_loss,
    relaxed_loss,
    taylor_loss,
    vae_loss,
)
from companion.models.ambient import as_affine
from companion.networks import MLP, EncoderDecoder, InjectiveFlow, flows

BATCH, LATENT = 6, 4
PROBE = torch.ones(1, BATCH, LATENT, dtype=torch.float64)
NOISE = 0.1 * PROBE


def rectangular(estimator, **options):
    return lambda x, f, g: rectangular_loss(x, f, g, estimator=estimator, **options).loss


def within_flows(x, encode, decode):
    shell = as_float(x)  # the shape of the data alone counts
    affine = lambda y: as_affine(torch.cat([encode(y)] * 2, 1))  # noqa: E731
    return aef_loss(aef_map(shell, PROBE[0], affine, decode), torch.tensor(1.0)).loss


def doubled(encode):
    """An encoder of codes as one of means and log-variances."""
    return lambda x: torch.cat([encode(x)] * 2, 1)


LOSSES = {
    "surrogate": lambda x, f, g: volume.surrogate(x, f, g).surrogate,
    "surrogate in data": lambda x, f, g: volume.surrogate(x, f, g, space="data").surrogate,
    "surrogate at the manifold": lambda x, f, g: volume.surrogate(x, f, g, at="manifold").surrogate,
    "surrogate on half": lambda x, f, g: volume.surrogate(x, f, g, fraction=0.5).surrogate,
    "mlae": lambda x, f, g: mlae_loss(x, f, g, beta=1.0).loss,
    "relaxed": lambda x, f, g: relaxed_loss(x, f, g, PROBE).loss,
    "rectangular, conjugate": rectangular("conjugate"),
    "rectangular, exact": rectangular("exact"),
    "rectangular, one pass": rectangular("one-pass"),
    "rectangular, no volume": rectangular("none"),
    "vae": lambda x, f, g: vae_loss(x, doubled(f), g, 1.0, NOISE).loss,
    "vae, iwae": lambda x, f, g: vae_loss(
        x, doubled(f), g, 1.0, NOISE.expand(3, -1, -1), estimator="iwae").loss,
    "taylor": lambda x, f, g: taylor_loss(x, doubled(f), g, 1.0, NOISE[0]).loss,
    "taylor, exact": lambda x, f, g: taylor_loss(
        x, doubled(f), g, 1.0, NOISE[0], expectation="exact").loss,
    "aef": within_flows,
}  # fmt: skip
# shape of a sample, and what a decoder may wrongly return in its place
BROADCASTING = [
    ((1, 8, 8), lambda out: out.squeeze(1)),
    ((1, 20), lambda out: out.squeeze(1)),
    ((20,), lambda out: out.unsqueeze(1)),
    ((1,), lambda out: out.squeeze(1)),
    ((5,), lambda out: out[:, :1]),
    ((5,), lambda out: out[:1]),
]


def networks(shape):
    torch.manual_seed(0)
    encode, decode = MLP(shape, LATENT, [7]).double(), MLP(LATENT, shape, [7]).double()
    return encode, decode


@pytest.fixture(params=LOSSES, ids=lambda name: name.replace(" ", "-"))
def loss(request):
    return LOSSES[request.param]


@pytest.mark.parametrize(("shape", "wrong"), BROADCASTING, ids=range(len(BROADCASTING)))
def test_a_decoder_whose_output_would_broadcast_is_refused(loss, shape, wrong):
    encode, decode = networks(shape)
    x = data(shape, BATCH)
    assert loss(x, encode, decode).shape == (BATCH,)
    sizes = "".join(f", {size}" for size in shape) or ","
    with pytest.raises(ValueError, match=rf"the decoder must return \(\d+{sizes}\), got \("):
        loss(x, encode, lambda z: wrong(decode(z)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda z: z[..., None, None], r"\(6, (latent|4|8)\).*got \(6, 4, 1, 1\).*nn.Flatten\(\)"),
        (lambda z: (z, z), "one tensor, got a tuple of 2; take the part .*torch.cat"),
        (lambda z: z[:3], r"got \(3, 4\); the first axis is the batch"),
        (lambda z: z.sum(), r"got \(\); the first axis is the batch"),
        (lambda z: z.detach().round().long(), "floating-point numbers, got torch.int64"),
    ],
    ids=["image", "pair", "other batch", "number", "integers"],
)
def test_an_encoder_that_returns_no_codes_is_refused_with_the_cure(wrong, words):
    encode, decode = networks((5,))
    x = data((5,), BATCH)
    for call in ("surrogate", "mlae", "relaxed", "rectangular, exact"):
        with pytest.raises(ValueError, match="the encoder must return.*" + words):
            LOSSES[call](x, lambda p: wrong(encode(p)), decode)
    for call in (
        lambda f: vae_loss(x, f, decode, 1.0, NOISE),
        lambda f: taylor_loss(x, f, decode, 1.0, NOISE[0]),
    ):
        with pytest.raises(ValueError, match="the encoder must return"):
            call(lambda p: wrong(encode(p)))


def test_codes_of_another_size_are_named_and_not_the_probes():
    torch.manual_seed(0)
    model = MLAE(MLP(5, 3, [7]), MLP(2, 5, [7]), (5,), 2)
    x = data((5,), BATCH).float()
    for call in (model.loss, model.encode, model.log_prob):
        with pytest.raises(ValueError, match=r"the encoder must return \(6, 2\), got \(6, 3\)"):
            call(x)
    numbers = MLP(5, 5, [7])  # 2 means, 2 log-variances and one number too many
    with pytest.raises(ValueError, match=r"VAE: the encoder must return \(6, 4\), got \(6, 5\)"):
        VAE(numbers, MLP(2, 5), (5,), 2).encode(x)


def test_a_rectangular_flow_holds_its_networks_too():
    torch.manual_seed(0)
    free = EncoderDecoder(MLP(5, 2, [7]), nn.Sequential(MLP(2, 5, [7]), nn.Unflatten(1, (1, 5))))
    model, x = RectangularFlow(free, None, (5,), 2), data((5,), BATCH).float()
    for call in (model.loss, lambda x: model.decode(model.encode(x))):
        with pytest.raises(ValueError, match=r"must return \(6, 5\), got \(6, 1, 5\)"):
            call(x)
    exact = RectangularFlow(InjectiveFlow(flows.realnvp(5, hidden=[7]), 2), None, (5,), 2)
    assert exact.loss(x).loss.shape == (BATCH,)


def test_bytes_are_images_and_other_integers_are_named(loss):
    encode, decode = networks((5,))
    picture = torch.randint(0, 256, (BATCH, 5), generator=torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(1)
        ours = loss(picture.to(torch.uint8), encode, decode)
        torch.manual_seed(1)
        assert torch.equal(ours, loss(picture / 255, encode, decode))
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(ValueError, match="data must be floating point, or images of uint8"):
        loss(picture, encode, decode)
    with pytest.raises(ValueError, match=r"got ndarray; torch.as_tensor"):
        loss(picture.numpy(), encode, decode)


def test_labels_as_a_condition_are_told_how_to_become_one():
    torch.manual_seed(0)
    x, labels = data((5,), BATCH).float(), torch.arange(BATCH)
    model = MLAE(MLP(5, 2, [7], 6), MLP(2, 5, [7], 6), (5,), 2)
    plain = Autoencoder(MLP(5, 2, [7], 6), MLP(2, 5, [7], 6), (5,), 2)
    flow = flows.realnvp(5, BATCH, hidden=[7])  # as many labels as classes: zuko would broadcast
    for call in (model.loss, plain.loss, flow.log_prob):
        with pytest.raises(ValueError, match=r"got \(6,\); torch.nn.functional.one_hot\(labels"):
            call(x, labels)
        call(x, nn.functional.one_hot(labels, 6).float())
        with pytest.raises(ValueError, match=r"a condition must be .*got \(3, 6\)"):
            call(x, torch.zeros(3, 6))
    embedding = nn.Embedding(6, 5)  # labels are what such a network wants
    mlae_loss(x, lambda x, c: (x + embedding(c))[:, :2], lambda z, c: embedding(c), 1.0, labels)


@pytest.mark.parametrize("shape", [5, (5.0,), (0,), "5", None], ids=str)
def test_a_data_shape_that_is_none_is_named(shape):
    with pytest.raises(ValueError, match=r"Autoencoder: data_shape must be the shape of one sam"):
        Autoencoder(nn.Linear(5, 2), nn.Linear(2, 5), shape, 2)
    with pytest.raises(ValueError, match="latent_dim must be a whole number above 0, got"):
        Autoencoder(nn.Linear(5, 2), nn.Linear(2, 5), (5,), shape if shape != 5 else 2.0)


def test_an_unknown_option_fails_when_the_model_is_made():
    pair = nn.Linear(5, 2), nn.Linear(2, 5)
    with pytest.raises(ValueError, match=r"MLAE: no option 'num_prob'.*mean 'num_probes'"):
        MLAE(*pair, (5,), 2, num_prob=3)
    with pytest.raises(ValueError, match="RectangularFlow, conjugate: no option 'mode'"):
        RectangularFlow(EncoderDecoder(*pair), None, (5,), 2, mode="forward")


def test_samples_without_an_axis_are_told_to_have_one(loss):
    encode, decode = networks((5,))
    with pytest.raises(ValueError, match=r"data must be \(batch, \*data\), got \(6,\); x.view"):
        loss(torch.zeros(BATCH), encode, decode)
    with pytest.raises(ValueError, match="the decoder must return one tensor, got ndarray"):
        bind(lambda z: z.numpy(), None, "the decoder")(torch.zeros(BATCH, 1))


@pytest.mark.parametrize("transform", [lambda f: f, vmap], ids=["plain", "vmap"])
def test_the_check_sees_what_one_model_of_a_sweep_sees(transform):
    held = bind(nn.Identity(), None, "the decoder", (5,))
    assert transform(held)(torch.zeros(3, 4, 5) if transform is vmap else torch.zeros(4, 5)).any
    with pytest.raises(ValueError, match=r"the decoder must return \(4, 5\), got \(4, 2\)"):
        transform(held)(torch.zeros(3, 4, 2) if transform is vmap else torch.zeros(4, 2))


def test_the_check_vanishes_when_compiled():
    """One graph, and none of the check in it."""
    seen = []

    def backend(graph, inputs):
        seen.append([node.op for node in graph.graph.nodes])
        return graph.forward

    plain, held = nn.Linear(5, 5), bind(nn.Linear(5, 5), None, "the decoder", (5,))
    for function in (plain, held):
        torch.compile(function, backend=backend, fullgraph=True)(torch.zeros(4, 5))
    assert len(seen) == 2 and seen[0] == seen[1]


def test_an_expanded_batch_is_one_like_others():
    encode, decode = networks((5,))
    one, probes = data((5,), 1), torch.ones(1, BATCH, LATENT, dtype=torch.float64)
    ours, theirs = (
        mlae_loss(x, encode, decode, 1.0, probes=probes).loss
        for x in (one.expand(BATCH, 5), one.repeat(BATCH, 1))
    )
    assert torch.equal(ours, theirs)
