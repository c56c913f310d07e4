"""The settings of a run: right by type and value, or refused at once by name."""

import json
from dataclasses import asdict, fields
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.training import TrainConfig
from companion.training.config import MANY, SEEDS

# of each kind of setting, values that people write and that are not of it
ODD = {
    int: [2.0, "3", True, nan, inf, -1, MANY + SEEDS, 10**400, [2], {}, np.array([1, 2])],
    float: ["1e-3", True, nan, inf, -1e-3, 10**400, [0.1], torch.tensor(0.1)],
    bool: ["no", 0, 1, None, [], "true"],
    str: [5, "", [], None, True],
}
KINDS = {f.name: type(f.default) for f in fields(TrainConfig)}
KINDS |= {"clip": float, "early_stop": int, "checkpoint_every": int}
NAMED = ("schedule", "precision", "device", "strategy")


@pytest.mark.parametrize("name", KINDS)
def test_a_value_of_another_kind_is_refused_by_name(name):
    none = [] if getattr(TrainConfig, name) is None else [None]
    for value in [*ODD[KINDS[name]], *none, *["cosine"] * (name in NAMED)]:
        with pytest.raises(ValueError, match=f"TrainConfig: {name} must be .*, got "):
            TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1,000,000,000, got 0$"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4,294,967,295, got 4294967296"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0, got 0"),
        ({"noise": -1.0}, "noise must be a finite number from 0, got -1.0"),
        ({"clip": 0.0}, "clip must be a finite number above 0 or None, got 0.0"),
        ({"flip": "no"}, "flip must be True or False, got 'no'"),
        ({"schedule": "cosine"}, "schedule must be one-cycle, .* or constant, got 'cosine'"),
        ({"precision": "16"}, "precision must be 32-true, 64-true or bf16-mixed, got '16'"),
    ],
)
def test_what_a_setting_must_be_is_said(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


@given(
    st.sampled_from([np.int64, np.uint8, int]).map(lambda kind: kind(7)),
    st.sampled_from([np.float32, np.float64, int, float]).map(lambda kind: kind(2)),
    st.sampled_from([np.bool_, bool]).map(lambda kind: kind(1)),
)
def test_numbers_of_numpy_become_plain(whole, real, flag):
    config = TrainConfig(epochs=whole, learning_rate=real, clip=real, flip=flag, seed=SEEDS - 1)
    assert config == TrainConfig(7, learning_rate=2.0, clip=2.0, flip=True, seed=SEEDS - 1)
    assert json.loads(json.dumps(asdict(config))) == asdict(config)
    plain = (config.epochs, config.learning_rate, config.clip, config.flip)
    assert [type(value) for value in plain] == [int, float, float, bool]
