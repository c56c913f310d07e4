"""A model written out is the study's exactly when its layers, settings and weights are."""

import pytest
import torch
from torch import nn

from companion.lab.same import same
from companion.models import MLAE, RelaxedFlow
from companion.networks import MLP
from figures.explorables import compared_models


def mlae(seed=0, beta=1.0, hidden=(8,), activation="silu", **options):
    torch.manual_seed(seed)
    shape = {"hidden": hidden, "activation": activation}
    return MLAE(MLP(2, 1, **shape), MLP(1, 2, **shape), (2,), 1, beta=beta, **options)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"beta": 2.0},
        {"hidden": (8, 8)},
        {"hidden": (9,)},
        {"activation": "relu"},
        {"side": "decoder"},
    ],
)
def test_each_difference_is_seen(other):
    assert same(mlae(), mlae())
    assert not same(mlae(), mlae(**other)) and not same(mlae(**other), mlae())


def test_another_class_with_the_same_networks_is_another_model():
    model = mlae()
    other = RelaxedFlow(model.encoder, model.decoder, (2,), 1)
    assert not same(model, other) and same(other, other)


def test_an_added_layer_is_seen():
    model = mlae()
    model.extra = nn.Identity()
    assert not same(model, mlae()) and not same(mlae(), model)


@pytest.mark.parametrize("name", compared_models.COMPARED)
def test_every_compared_model_is_itself_and_no_other_seed(name):
    key = name + " 1" * bool(compared_models.COMPARED[name].weight)
    assert same(compared_models.make_model(key, 0), compared_models.make_model(key, 0))
    assert not same(compared_models.make_model(key, 0), compared_models.make_model(key, 1))
