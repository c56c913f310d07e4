"""The reader of known factors: what it reads, and its features."""

import pytest
import torch

from companion.data.faces import Faces
from companion.evaluation import FactorReader, gaussian_w2

NAMES = ("turn", "tone", "hair")


@pytest.fixture(scope="module")
def faces():
    x, f = Faces(12, NAMES).sample(1200, torch.Generator().manual_seed(0))
    return x / 255, f


@pytest.fixture(scope="module")
def reader(faces):
    x, f = faces
    return FactorReader(x[:800], f[:800], x[800:1000], f[800:1000])


def test_it_reads_the_factors_of_faces_that_it_has_not_seen(reader, faces):
    x, f = faces[0][1000:], torch.erf(faces[1][1000:] / 2**0.5)
    assert reader.test_r2.shape == (3,) and (reader.test_r2 > 0.9).all()
    assert ((reader(x) - f).square().mean(0) < 0.1 * f.var(0)).all()


def test_its_features_are_what_its_last_layer_sees(reader, faces):
    weight, bias = (
        torch.from_numpy(part[1]) for part in (reader.network.coefs_, reader.network.intercepts_)
    )
    by_hand = reader.features(faces[0][:20]) @ weight + bias
    assert torch.allclose(by_hand, reader(faces[0][:20]), atol=1e-5)


def test_its_distance_sees_one_factor_that_is_missing(reader, faces):
    reference = reader.features(faces[0][:600])
    same = gaussian_w2(reader.features(faces[0][600:]), reference).value
    f = faces[1][600:] * torch.tensor([1.0, 0.0, 1.0])
    less = gaussian_w2(reader.features(Faces(12, NAMES).render(f)), reference).value
    assert less > 5 * same


def test_one_factor_is_a_column(faces):
    x, f = Faces(8, ("tone",)).sample(200, torch.Generator().manual_seed(1))
    reader = FactorReader(x / 255, f, x / 255, f, epochs=2)
    assert reader(x[:4] / 255).shape == (4, 1)
