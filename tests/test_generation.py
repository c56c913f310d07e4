"""Samples and their scores, against closed forms and against torchmetrics."""

import hashlib
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from companion import evaluation
from companion.data import images
from companion.data.faces import FACTORS, Faces
from companion.data.fetch import ChecksumError, DataNotFoundError
from companion.evaluation import (
    Classifier,
    classifier,
    face_features,
    gaussian_w2,
    identity,
    inception,
    inception_score,
    samplers,
    score_samples,
)
from companion.evaluation.features import Features, Seen, turned
from companion.evaluation.generation import codes_of
from companion.experiments import features_for
from companion.experiments.assemble import MODELS, WITH_SCALES
from companion.experiments.experiment import Data, choose
from companion.models import MLAE, VAE, Autoencoder, TwoStageVAE, posterior_size, second_stage
from companion.networks import MLP
from companion.training import TrainConfig

QUICK = TrainConfig(epochs=1, device="cpu")
STRETCH = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.5, 1.0]])


class Linear(nn.Module):
    """z ↦ zA, or back with the pseudo-inverse."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, x):
        return x @ self.matrix


def line(spread=1.0):
    """A model whose codes of N(0, spread²AᵀA) data are N(0, spread²), and such data."""
    model = Autoencoder(Linear(torch.linalg.pinv(STRETCH)), Linear(STRETCH.clone()), (3,), 2)
    draw = lambda n, seed: (  # noqa: E731
        spread * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) @ STRETCH
    )
    return model, draw(8000, 1), draw(8000, 2)


def test_the_frechet_distance_against_its_closed_form():
    one = torch.tensor([[4.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    two = one @ one  # commutes with it, so that W₂² = ‖μ‖² + ‖Σ₁^½ − Σ₂^½‖²_F
    values, vectors = torch.linalg.eigh(one)
    root = vectors @ values.sqrt().diag() @ vectors.T
    expected = 25.0 + (root - one).square().sum().item()
    x = torch.randn(500, 2, dtype=torch.float64)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T  # whitened exactly
    found = gaussian_w2(x @ root, x @ one + torch.tensor([3.0, 4.0], dtype=torch.float64))
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert torch.allclose(torch.cov((x @ one).T), two)


def test_columns_know_what_their_codes_have():
    """At spread 2 the standard normal is wrong by a known distance; fitted ones are not."""
    model, train, test = line(spread=2.0)
    table = score_samples(
        model, train, test, identity(), num_samples=8000, config=QUICK, valid=train
    )
    found = {score.sampler: score.frechet for score in table.scores}
    exact = STRETCH.square().sum().item()  # W₂²(N(0, AᵀA), N(0, 4AᵀA)) = tr AᵀA
    assert found["N"] == pytest.approx(exact, rel=0.05)
    assert max(found["gaussian"], found["GMM(10)"], found["real"]) < 0.01 * exact
    assert found["Rec"] < 1e-6  # the decoder is exact
    assert all((s.num_samples, s.num_reference) == (8000, 8000) for s in table.scores)
    warm = score_samples(
        model, train, test, identity(), num_samples=8000, config=QUICK, temperature=2.0
    )
    assert warm.scores[0].frechet < 0.01 * exact  # twice as warm is as wide as the data
    assert "the data themselves" in str(table) and "GMM(10)" in str(table)


def test_the_same_seed_gives_the_same_table():
    model, train, test = line()
    few = {"num_samples": 100, "config": QUICK}
    one, two = (score_samples(model, train[:200], test[:200], identity(), **few) for _ in range(2))
    assert one == two


def test_a_two_stage_model_brings_its_own_second_stage():
    first = VAE(MLP(3, posterior_size(2)), MLP(2, 3), (3,), 2)
    model = TwoStageVAE(first, VAE(MLP(2, posterior_size(2)), MLP(2, 2), (2,), 2))
    found = samplers(model, torch.randn(50, 2), QUICK)
    draw = lambda codes: codes(4, torch.Generator().manual_seed(0), 1.0)  # noqa: E731
    assert torch.equal(
        draw(found["N"]), torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    )
    assert torch.equal(draw(found["small second stage"]), draw(model.draw_codes))
    x = torch.zeros(4000, 3)
    spread = codes_of(model, x, None, torch.Generator().manual_seed(0)).std(0)
    q = posterior_of(first, x[:1])
    assert torch.allclose(spread, q, rtol=0.1)  # draws, not means


@pytest.mark.parametrize("family", sorted(WITH_SCALES))
def test_densities_are_fitted_to_draws_of_every_posterior(family):
    """A mean in place of a draw would make all codes of one image equal."""
    torch.manual_seed(0)
    networks = MLP((1, 4, 4), posterior_size(2), [8]), MLP(2, (1, 4, 4), [8])
    model = MODELS[family](*networks, data_shape=(1, 4, 4), latent_dim=2)
    codes = codes_of(model, torch.rand(1, 1, 4, 4).repeat(300, 1, 1, 1), None, torch.Generator())
    assert (codes.std(0) > 0.1).all() == (family != "aef")  # whose codes are deterministic


def test_a_second_stage_smaller_than_the_papers_says_so():
    """Of a fitted one the widths that it was asked for count, of a model's own those it has."""
    model, codes = MLAE(MLP(3, 2), MLP(2, 3), (3,), 2), torch.randn(50, 2)
    once = TrainConfig(epochs=1, device="cpu")
    for hidden, name in ((3 * (1024,), "second stage"), (3 * (128,), "small second stage")):
        assert list(samplers(model, codes, once, (name,), hidden)) == [name]
        own = TwoStageVAE(model, second_stage(2, hidden))
        assert list(samplers(own, codes, only=(name,))) == [name]


def posterior_of(model, x):
    noise = torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]]])
    low, high = model.draw_posterior(x, noise)
    return (high - low)[0]


def test_conditions_reach_encoder_and_decoder():
    networks = MLP((1, 4, 4), 2, [8], 3), MLP(2, (1, 4, 4), [8], 3)
    model = MLAE(*networks, (1, 4, 4), 2)
    x, c = torch.rand(40, 1, 4, 4), torch.eye(3)[torch.arange(40) % 3]
    pixels = Features("pixels", lambda x: Seen(x.flatten(1), x.flatten(1)))
    sets = {"condition": c, "test_condition": c, "splits": 1, "num_samples": 20}
    table = score_samples(model, x, x, pixels, config=QUICK, **sets)
    assert all(score.inception >= 1 for score in table.scores)
    with pytest.raises(ValueError, match="expected a condition"):
        score_samples(model, x, x, pixels, config=QUICK)


def test_the_scores_against_torchmetrics():
    torch.manual_seed(0)
    logits = 3 * torch.randn(400, 7)
    theirs = InceptionScore(feature=nn.Identity(), splits=1)
    theirs.update(logits)
    assert inception_score(logits, splits=1) == pytest.approx(float(theirs.compute()[0]), rel=1e-5)
    with pytest.raises(ValueError, match="splits must be between 1 and 400 samples, got 401"):
        inception_score(logits, splits=401)
    sizes = (2, 1, 1, 1, 1)  # six samples in five parts, none of them empty or twice as large
    parts = [inception_score(part, splits=1) for part in logits[:6].split(sizes)]
    assert inception_score(logits[:6], splits=5) == pytest.approx(sum(parts) / 5)
    with pytest.raises(ValueError, match="inception_score: logits must be finite, got 1 rows"):
        inception_score(torch.cat([logits, logits[:1] / 0]), splits=1)

    class Pixels(nn.Module):
        num_features = 12

        def forward(self, x):
            return x.flatten(1)

    distance = FrechetInceptionDistance(feature=Pixels(), normalize=False)
    one, two = torch.rand(300, 3, 2, 2), torch.rand(300, 3, 2, 2).square()
    distance.update(one, real=True)
    distance.update(two, real=False)
    found = gaussian_w2(one.flatten(1), two.flatten(1)).value
    assert found == pytest.approx(float(distance.compute()), rel=1e-3)


def test_a_classifier_without_classes_learns_turns():
    splits = images.load("digits")
    features = classifier(splits.train.x, None, splits.test.x, None, steps=150, device="cpu")
    assert features.accuracy > 0.6  # of 4; some digits look alike when turned
    assert "quarter turns" in features.name and features(splits.test.x).logits is None
    x = torch.rand(5, 3, 4, 4)
    turns = torch.tensor([0, 1, 2, 3, 1])
    expected = torch.stack(
        [torch.rot90(one, int(k), (1, 2)) for one, k in zip(x, turns, strict=True)]
    )
    assert torch.equal(turned(x, turns), expected)


def test_a_classifier_is_the_same_for_the_same_seed():
    x, y = torch.rand(64, 1, 8, 8), torch.arange(64) % 3
    one, two = (classifier(x, y, x, y, steps=3, device="cpu") for _ in range(2))
    assert torch.equal(one(x).features, two(x).features) and one.accuracy == two.accuracy
    torch.manual_seed(5)
    model = Classifier((1, 8, 8), 3)
    right = model.head(model.encode(x)).argmax(1) == y
    assert model.accuracy(x, y) == pytest.approx(float(right.float().mean()))


def test_every_row_has_as_many_samples():
    """And no more than there are test or validation data, whose distances would be larger."""
    model, train, test = line()
    options = {"num_samples": 80, "config": QUICK}
    for valid, count in ((train[:70], 70), (train[:90], 80), (None, 80)):
        table = score_samples(model, train, test[:100], identity(), valid=valid, **options)
        assert {(s.num_samples, s.num_reference) for s in table.scores} == {(count, 100)}
    table = score_samples(model, train, test[:60], identity(), **options)
    assert {(s.num_samples, s.num_reference) for s in table.scores} == {(60, 60)}


@pytest.fixture(scope="module")
def faces():
    """What tells of faces, and faces that it has not seen, with their factors."""
    x, f = Faces(12).sample(1200, torch.Generator().manual_seed(0))
    return face_features(12), x, f


def test_faces_are_compared_by_their_factors(faces):
    features, x, f = faces
    read = r2_score(torch.erf(f / 2**0.5), features(x).numbers, multioutput="raw_values")
    easy = [FACTORS.index(name) for name in ("turn", "tilt", "width", "hair", "tone", "hue")]
    assert (read[easy] > 0.9).all() and features.accuracy == pytest.approx(read.mean(), abs=0.1)
    assert features(x).logits is None
    reference, other = (features(part).features for part in (x[:600], x[600:]))
    fixed = f[600:].clone()
    fixed[:, FACTORS.index("hair")] = 0
    less = features(Faces(12).render(fixed)).features
    assert gaussian_w2(less, reference).value > 5 * gaussian_w2(other, reference).value


def test_numbers_are_learned_by_their_squared_error():
    model = Classifier((1, 4, 4), 2, "numbers")
    x, y = torch.rand(6, 1, 4, 4), torch.randn(6, 2)
    seen = model.look(x)
    assert torch.equal(seen.numbers, model.head(model.encode(x)))
    assert torch.allclose(model.loss(x, y).loss, (seen.numbers - y).square().sum(1))


def test_the_sets_that_are_always_there_have_one_classifier_each(monkeypatch):
    """Of one split, at every profile and for every model."""
    for name in ("digit_features", "face_features"):
        monkeypatch.setattr(f"companion.evaluation.features.{name}", lambda of, n=name: (n, of))
    for profile in ("quick", "standard"):
        digits, faces = (choose(n, profile=profile, seed=3) for n in ("digits", "synthetic-faces"))
        data = Data(*3 * [torch.zeros(1, 3, 32, 32)], (None,) * 3, "")
        assert features_for(digits, data) == ("digit_features", 3)
        assert features_for(faces, data) == ("face_features", 32)


def test_a_class_is_recognised_from_its_probability_on():
    logits = torch.log(torch.tensor([[0.95, 0.05], [0.2, 0.8]]))
    seen = Seen(torch.zeros(2, 1), logits)
    assert seen.classes().tolist() == [0, -1] and seen.classes(0.75).tolist() == [0, 1]


class Stand(nn.Module):
    """What torchmetrics makes of torch-fidelity's network, with a handful of weights."""

    def __init__(self, name, features, weights, antialias):
        super().__init__()
        assert (features, antialias) == (["2048", "logits_unbiased"], False)
        self.matrix = torch.load(weights, weights_only=True)

    def _torch_fidelity_forward(self, x):
        assert x.dtype == torch.uint8 and x.shape[1] == 3
        return x.flatten(1).float() @ self.matrix, x.flatten(1).float()


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The small network is installed, and its weights are a file with a known sum."""
    path = tmp_path / evaluation.features.INCEPTION.name
    path.parent.mkdir()
    torch.save(torch.eye(12), path)
    known = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    file = replace(evaluation.features.INCEPTION, known_hash=known)
    monkeypatch.setattr(evaluation.features, "INCEPTION", file)
    monkeypatch.setattr(evaluation.features, "find_spec", lambda name: name == "torch_fidelity")
    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", Stand)
    return path


def test_inception_says_what_to_install(monkeypatch):
    monkeypatch.setattr(evaluation.features, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[inception\]" -c constraints.txt'):
        inception()


def test_inception_names_the_missing_file_and_its_place(stand_in):
    root = stand_in.parents[1]
    assert inception(root, download=False).name.startswith("Inception v3")
    stand_in.write_bytes(b"another file")
    with pytest.raises(ChecksumError, match="expected"):
        inception(root, download=False)
    stand_in.unlink()
    with pytest.raises(DataNotFoundError) as error:
        inception(root, download=False)
    for part in (stand_in.name, str(stand_in.parent), "sha256", "github.com/toshas"):
        assert part in str(error.value)


def test_inception_is_shown_bytes_in_three_channels(stand_in):
    look = inception(stand_in.parents[1], download=False, device="cpu")
    seen = look(torch.tensor([[[[0.0, 0.5], [1.2, -1.0]]]]))
    assert seen.features[0].tolist() == 3 * [0.0, 128.0, 255.0, 0.0] == seen.logits[0].tolist()


def test_samples_are_scored_by_inception(stand_in):
    shape = (1, 2, 2)
    model = Autoencoder(MLP(shape, 2), MLP(2, shape), shape, 2)
    x, look = torch.rand(40, *shape), inception(stand_in.parents[1], download=False, device="cpu")
    table = score_samples(model, x, x, look, config=QUICK, only=("N", "Rec"))
    assert [s.sampler for s in table.scores] == ["N", "Rec"]
    assert all(s.frechet > 0 and s.inception >= 1 for s in table.scores)
    assert "Inception v3" in str(table)
