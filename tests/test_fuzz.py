"""Random inputs, right and wrong, at every entry point: a right answer or an error that is named.

Each case is drawn from a seed, so that a failure comes back by its number.
"""

import random

import numpy as np
import pytest
import torch
from torch import nn

from companion import volume
from companion.cli import main
from companion.models import (
    MLAE,
    Autoencoder,
    mlae_loss,
    rectangular_loss,
    relaxed_loss,
    taylor_loss,
    vae_loss,
)
from companion.training import TrainConfig, fit

SHAPES = [(5,), (1,), (1, 4, 4), (2, 3)]
CASES = range(40)


def pick(chance: random.Random, right, *wrong):
    """Mostly what is right."""
    return right if chance.random() < 0.8 or not wrong else chance.choice(wrong)


def maps(chance: random.Random, shape, latent, widen=1):
    """An encoder and a decoder, and what a user may get wrong at their ends; was it wrong?"""
    size = torch.Size(shape).numel()
    encoder, decoder = nn.Linear(size, widen * latent), nn.Linear(latent, size)
    after = pick(
        chance,
        lambda z: z,
        lambda z: z[..., None],
        lambda z: (z, z),
        lambda z: z[:, 0],
        lambda z: z.sum(0, keepdim=True),
        lambda z: None,
        lambda z: z.round().long(),
    )
    end = pick(
        chance,
        lambda out: out.view(-1, *shape),
        lambda out: out.view(-1, 1, *shape),
        lambda out: out.view(-1, size, 1),
        lambda out: out[:, :1],
        lambda out: out.mean(),
        lambda out: [out],
    )
    encode = lambda x: after(encoder(x.flatten(1)))  # noqa: E731
    return encode, lambda z: end(decoder(z.flatten(1)))


def data(chance: random.Random, shape):
    x = torch.randn(6, *shape)
    return pick(
        chance, x, x.numpy(), x.long(), x > 0, x.to(torch.uint8), x[:1].expand(6, *shape),
        x.tolist(), x.to(torch.complex64), x[:0],
    )  # fmt: skip


LOSSES = {
    "surrogate": lambda x, f, g, d, o: volume.surrogate(x, f, g, **o).surrogate,
    "mlae": lambda x, f, g, d, o: mlae_loss(x, f, g, 1.0, **o).loss,
    "relaxed": lambda x, f, g, d, o: relaxed_loss(x, f, g, torch.ones(1, len(x), d)).loss,
    "rectangular": lambda x, f, g, d, o: rectangular_loss(x, f, g, estimator="exact").loss,
    "vae": lambda x, f, g, d, o: vae_loss(x, f, g, 1.0, torch.zeros(1, len(x), d)).loss,
    "taylor": lambda x, f, g, d, o: taylor_loss(x, f, g, 1.0, torch.zeros(len(x), d)).loss,
}
OPTIONS = {
    "num_probes": (1, 2, 0, -1, 99),
    "kind": ("sphere", "orthogonal", "basis", "spheres", None),
    "side": ("encoder", "decoder", "both"),
    "space": ("latent", "data", 3),
    "at": ("data", "manifold", "x"),
    "mode": ("mixed", "forward", "backward", "reverse"),
    "fraction": (1.0, 0.5, 0.0, 2.0, float("nan")),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_give_a_number_for_each_sample_or_name_what_is_wrong(name):
    outcomes = []
    for seed in CASES:
        chance, _ = random.Random(seed), torch.manual_seed(seed)
        shape, latent = chance.choice(SHAPES), chance.choice((1, 2, 3))
        encode, decode = maps(chance, shape, latent, 2 if name in ("vae", "taylor") else 1)
        x = data(chance, shape)
        options = {k: pick(chance, v[0], *v[1:]) for k, v in OPTIONS.items()}
        try:
            loss = LOSSES[name](x, encode, decode, latent, options)
        except ValueError as error:
            assert ":" in str(error), seed  # the call, then what came and what was expected
            outcomes.append(str(error))
        else:
            assert loss.shape == (len(x),) and loss.isfinite().all(), seed
            outcomes.append("right")
    assert 3 < outcomes.count("right") < len(CASES) - 3  # both ends of the draw are met


FIT = {
    "train": (
        torch.randn(8, 5),
        torch.randn(8, 4),
        torch.full((8, 5), float("nan")),
        torch.randn(8, 5).long(),
        torch.zeros(8, 5, dtype=torch.uint8),
        np.zeros((8, 5), "float32"),
        np.zeros((8, 5), "int64"),
        torch.zeros(0, 5),
        torch.randn(1, 5),
        torch.randn(8, 5).double(),
        torch.zeros(1, 5).expand(8, 5),
        [[1.0] * 5],
        "data",
        None,
    ),
    "valid": (None, torch.randn(4, 5), torch.randn(4, 6), torch.zeros(0, 5), 3),
    "condition": (None, torch.arange(8), torch.zeros(3, 2), "labels"),
    "batch_size": (4, 99, 0, 2.5, "4", None, True),
    "epochs": (1, 0, -1, 1.0, "1", None),
    "learning_rate": (1e-3, 0.0, float("inf"), "1e-3", None),
    "seed": (0, -1, 2**64, 1.5, None),
    "monitor": ("loss", "", 5),
    "schedule": ("constant", "cosine", []),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", CASES)
def test_fit_trains_or_names_what_is_wrong(seed):
    chance, _ = random.Random(seed), torch.manual_seed(seed)
    given = {name: pick(chance, values[0], *values[1:]) for name, values in FIT.items()}
    arguments = {name: given.pop(name) for name in ("train", "valid", "condition")}
    pair = nn.Linear(5, 2), nn.Linear(2, 5)
    make = chance.choice([lambda: MLAE(*pair, (5,), 2), lambda: Autoencoder(*pair, (5,), 2)])
    model = make()
    before = [p.clone() for p in model.parameters()]
    try:
        log = fit(model, config=TrainConfig(device="cpu", **given), progress=False, **arguments)
    except (ValueError, TypeError) as error:
        assert str(error).startswith(("fit", "TrainConfig", "sweep", "as_float")), error
        assert all(map(torch.equal, before, model.parameters())), "the model has changed"
    else:
        assert all(p.isfinite().all() for p in model.parameters()) and log.rows


ODD = [
    "",
    "0",
    "-1",
    "1e999",
    "nan",
    "true",
    "[1",
    "β=3",
    "../x",
    "~nobody/x",
    "a b",
    "\x00",
    "=",
    "-p",
]
COMMANDS = {  # of each place what is right, then what may be typed instead
    "run": [["02"], ["-p", "noise=0.2"], ["-p", "beta", "-1e-3"], ["--seed", "1"], ["-o", "out"]],
    "train": [["digits"], ["--model", "vae"], ["--seed", "3"], ["-o", "out"], ["--devices", "1"]],
    "figure": [["fig04_linear"]],
    "rebuild": [["linear"], ["--check"]],
    "claims": [["here"]],
    "course": [["grade"], ["ps9"], ["here"]],
    "data": [["prepare"], ["digits"], ["--size", "8"], ["--offline"]],
}


@pytest.mark.parametrize("seed", range(20))
def test_a_command_line_is_followed_or_answered_in_words(seed, tmp_path, monkeypatch, capsys):
    """Nothing heavy runs: what is asked is whether words that people type are understood."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("companion.cli.execute._execute", lambda *_: None)
    monkeypatch.setattr("runpy.run_path", lambda *_, **__: None)
    monkeypatch.setattr("companion.lab.explorable.Computed.build", lambda _: None)
    chance = random.Random(seed)
    name = chance.choice(list(COMMANDS))
    words = [name]
    for part in COMMANDS[name]:
        if part[0][0] != "-" or chance.random() < 0.5:
            words += [pick(chance, word, *ODD) for word in part]
    words += ["--dry-run"] * (name == "train")
    try:
        status = main(words)
    except SystemExit as stop:  # of argparse
        status = stop.code
    told = capsys.readouterr().err
    assert status in (0, 1, 2) and bool(told) == (status != 0), (words, told)
    assert "Traceback" not in told and "report it" not in told, (words, told)
    assert status == 0 or not any(tmp_path.iterdir()), words
