"""A study's life on a grid of tiny trainings: built, read back point by point, checked."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from companion.lab import explorable as lab
from companion.lab.explorable import Control
from companion.lab.study import Study
from companion.models import Autoencoder
from companion.networks import MLP
from companion.training import TrainConfig

SIZES, SCALES, SEEDS = (1.0, 2.0), (3.0, 4.0, 5.0), (0, 1)
CONTROLS = {"scale": Control("scale", SCALES, 3.0), "size": Control("size", SIZES, 1.0)}


class Numbers(NamedTuple):
    data: np.ndarray  # (3,) the same for all of one size
    weights: np.ndarray  # (2,) of a trained model
    grey: np.ndarray  # (2,) in fourths
    scale: float
    seed: float


def model(seed):
    torch.manual_seed(seed)
    return Autoencoder(MLP(2, 1, [3]), MLP(1, 2, [3]), (2,), 1)


def data(size, scale, seed):
    return size * scale + torch.randn(32, 2, generator=torch.Generator().manual_seed(seed))


def config(seed, epochs=2):
    return TrainConfig(epochs=epochs, batch_size=16, seed=seed, device="cpu")


def measure(model, size, scale, seed):
    weights = next(model.parameters()).detach().flatten()[:2].numpy()
    return Numbers(np.full(3, size), weights, np.array([0.25, 1.0]), scale, float(seed))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study, and every point's numbers as they were measured while it was built."""
    folder, measured = tmp_path_factory.mktemp("package"), {}

    def kept(model, size, scale, seed):
        measured[size, scale, seed] = measure(model, size, scale, seed)
        return measured[size, scale, seed]

    study = Study(
        "toy", CONTROLS, SEEDS, Numbers, model, data, config, kept, ("scale", "seed"),
        shared={"data": ("size",)}, half=("data",), levels={"grey": 4}, order=("size", "scale"),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab, "LATTICES", folder / "lattices")
        study.keep(*study.compute(progress=False))
        yield study, dict(measured)


def test_every_point_comes_back_as_it_was_measured(built):
    study, measured = built
    assert len(measured) == len(SIZES) * len(SCALES) * len(SEEDS)
    for (size, scale, seed), wanted in measured.items():
        found = study(seed, size=size, scale=scale)
        assert all(np.array_equal(ours, w) for ours, w in zip(found, wanted, strict=True))
        assert study.arrays["grey"].dtype == np.uint8
        assert type(found.scale) is float and study(seed, size=size).scale == SCALES[0]


def test_an_axis_left_out_stays_an_axis(built):
    study, measured = built
    assert study.at("seed").shape == (2, 3, 2) and study.at("data").shape == (2, 3)
    assert study.at("scale", size=2.0, seed=1).tolist() == list(SCALES)
    assert study.at("weights", scale=4.0, size=1.0)[1].tolist() == pytest.approx(
        measured[1.0, 4.0, 1].weights.tolist()
    )


def test_points_off_the_grid_are_refused(built):
    study, _ = built
    with pytest.raises(ValueError, match="toy: size = 3 is not on the lattice, but 2 is"):
        study(0, size=3.0)
    with pytest.raises(ValueError, match="toy: unknown control 'weight'; it has scale, size"):
        study(0, weight=3.0)
    with pytest.raises(ValueError, match=r"toy: seed must be one of \[0, 1\], got 2"):
        study(2, scale=3.0, size=1.0)
    with pytest.raises(ValueError, match="size must be one of 1.0, 2.0, got 'large'"):
        study(0, size="large")
    with pytest.raises(ValueError, match="toy: wieght = 3.0, but there is no such axis, but size"):
        study.at("scale", wieght=3.0)
    with pytest.raises(ValueError, match=r"toy: size = 3.0, but \(1.0, 2.0\)"):
        study.at("scale", size=3.0)


def test_a_point_trained_by_itself_lies_in_the_band(built):
    study, measured = built
    lines = study.check(seed=1, size=2.0, scale=5.0)
    assert [line.split()[0] for line in lines] == ["scale", "seed"]
    assert all(line.endswith(": ok") for line in lines)
    rows = []
    found = study.live(rows.append, seed=1, size=2.0, scale=5.0)
    assert len(rows) == 2
    assert np.allclose(found.weights, measured[2.0, 5.0, 1].weights, atol=1e-5)


def test_a_training_can_be_made_shorter(built):
    study, _ = built
    rows = []
    study.train([{"seed": 0, "size": 1.0, "scale": 3.0}], 1, progress=False, callback=rows.append)
    assert len(rows) == 1
