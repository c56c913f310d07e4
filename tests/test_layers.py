"""Layer by layer: what a loss, fit, sweep and log_prob do with it; the book's table is made here.

`python tests/test_layers.py` writes the table anew.
"""

import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from test_passes import Attention, BackwardOnly, Recurrent, distances, fused
from torch import nn
from torch.utils.checkpoint import checkpoint

from companion.models import MLAE, mlae_loss
from companion.networks import batch_norm, spectral_norm
from companion.passes import PassError
from companion.training import TrainConfig, fit, sweep

WIDTH, LATENT = 4, 2
TABLE = Path(__file__).parents[1] / "book" / "layers.md"
CALLS = ("loss", "fit", "sweep", "log_prob")


class Of(nn.Module):
    """A function as a layer, behind weights that learn."""

    def __init__(self, function):
        super().__init__()
        self.linear, self.function = nn.Linear(WIDTH, WIDTH), function

    def forward(self, x):
        return self.function(self.linear(x))


class Heads(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.heads, self.need = nn.MultiheadAttention(2, 1, batch_first=True), need_weights

    def forward(self, x):
        tokens = x.unflatten(1, (2, 2))
        return self.heads(tokens, tokens, tokens, need_weights=self.need)[0].flatten(1)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return x.tanh()


class Old(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].tanh() ** 2)


def images(*layers):
    return nn.Sequential(nn.Unflatten(1, (2, 2)), *layers, nn.Flatten())


def gru():
    layer = Recurrent()
    layer.lstm = nn.GRU(2, 2, batch_first=True)
    return layer


def numpy_inside(x):
    return x + float(x.detach().numpy().sum())


EVERY = "loss fit sweep log_prob"
# name: the layer, and the calls that refuse it with a named error
LAYERS = {
    "Linear": (lambda: nn.Linear(WIDTH, WIDTH), ""),
    "Conv1d": (lambda: images(nn.Conv1d(2, 2, 1)), ""),
    "companion.networks.batch_norm": (lambda: batch_norm(WIDTH, image=False), ""),
    "BatchNorm with its counter": (lambda: nn.BatchNorm1d(WIDTH), EVERY),
    "BatchNorm without running statistics": (
        lambda: nn.BatchNorm1d(WIDTH, track_running_stats=False), "fit log_prob"),
    "GroupNorm": (lambda: nn.GroupNorm(2, WIDTH), ""),
    "LayerNorm": (lambda: nn.LayerNorm(WIDTH), ""),
    "RMSNorm": (lambda: nn.RMSNorm(WIDTH), ""),
    "InstanceNorm": (lambda: images(nn.InstanceNorm1d(2, affine=True)), ""),
    "companion.networks.spectral_norm": (lambda: spectral_norm(nn.Linear(WIDTH, WIDTH)), ""),
    "parametrizations.weight_norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, WIDTH)), ""),
    "parametrizations.spectral_norm": (
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(WIDTH, WIDTH)), "sweep"),
    "Dropout": (lambda: nn.Dropout(0.2), ""),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.2), ""),
    "RReLU": (lambda: nn.RReLU(), ""),
    "gumbel_softmax, also in eval mode": (lambda: Of(F.gumbel_softmax), "fit log_prob"),
    "scaled_dot_product_attention": (lambda: Of(fused), ""),
    "MultiheadAttention(need_weights=False)": (lambda: Heads(False), ""),
    "MultiheadAttention(need_weights=True)": (lambda: Heads(True), ""),
    "TransformerEncoderLayer": (Attention, ""),
    "LSTM": (Recurrent, ""),
    "GRU": (gru, ""),
    "cdist": (lambda: Of(distances), ""),
    "bfloat16 weights": (lambda: nn.Linear(WIDTH, WIDTH), ""),
    "activation checkpointing": (
        lambda: Of(lambda x: checkpoint(torch.tanh, x, use_reentrant=True)), EVERY),
    "autograd.Function, old style": (lambda: Of(Old.apply), EVERY),
    "autograd.Function without jvp": (lambda: Of(BackwardOnly.apply), "loss fit sweep"),
    'the same with mode="backward"': (lambda: Of(BackwardOnly.apply), ""),
    "a branch on values, .item()": (
        lambda: Of(lambda x: 2 * x if x.sum().item() > 0 else x), "sweep"),
    "NumPy inside": (lambda: Of(numpy_inside), EVERY),
    "a counter in place": (Counter, EVERY),
    "nn.Lazy… before its first batch": (lambda: nn.LazyLinear(WIDTH), "loss fit sweep"),
}  # fmt: skip


def attempts(name):
    """The four calls, each on networks of its own."""
    make, options = LAYERS[name][0], {"mode": "backward"} if "backward" in name else {}
    dtype = torch.bfloat16 if "bfloat16" in name else torch.float32
    torch.manual_seed(0)
    x = torch.randn(16, WIDTH).to(dtype)
    config = TrainConfig(epochs=1, batch_size=8, device="cpu")

    def nets():
        torch.manual_seed(0)
        wide = nn.Sequential(nn.Linear(WIDTH, WIDTH), make(), nn.Linear(WIDTH, LATENT))
        deep = nn.Sequential(nn.Linear(LATENT, WIDTH), make(), nn.Linear(WIDTH, WIDTH))
        return wide.to(dtype), deep.to(dtype)

    def model():
        return MLAE(*nets(), (WIDTH,), LATENT, num_probes=2, **options)

    return {
        "loss": lambda: mlae_loss(x, *nets(), 1.0, num_probes=2, **options).loss.sum().backward(),
        "fit": lambda: fit(model(), x, x[:4], config, progress=False),
        "sweep": lambda: sweep([model(), model()], [x, x], [config, config], progress=False),
        "log_prob": lambda: model().eval().log_prob(x),
    }


def outcomes(name):
    """For each call nothing, or its error."""
    found = {}
    for call, attempt in attempts(name).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                attempt()
                found[call] = None
            except (PassError, ValueError) as error:
                found[call] = error
    return found


def row(name, found):
    cells = ["works" if found[call] is None else "refused" for call in CALLS]
    words = next((str(error) for error in found.values() if error is not None), "")
    words = re.sub(r"^(encoder|decoder|sweep, [^:]*|fit, [^:]*|log_prob|map): ", "", words)
    words = re.sub(r"'[^']*'", "…", words)
    return f"| {name} | {' | '.join(cells)} | {words} |"


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_works_or_is_refused_by_name_as_the_table_says(name):
    found = outcomes(name)
    assert " ".join(c for c in CALLS if found[c] is not None) == LAYERS[name][1], found
    for error in found.values():
        assert error is None or re.match(
            r"(encoder|decoder|sweep|fit|layer|log_prob|MLAE)\b.*", str(error)
        )
    assert row(name, found) in TABLE.read_text(encoding="utf-8").splitlines()


def test_the_table_has_a_row_for_each_layer_and_no_other():
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    assert [line.split(" | ")[0][2:] for line in rows[1:]] == list(LAYERS)


HEAD = """# Which layers work

Any module that maps a batch to a batch can be an encoder or a decoder. This table, which a test
makes, says what a loss (`mlae_loss` with two probes), `fit` with validation, `sweep` and `log_prob`
do with a layer inside. What is refused raises an error that names the map, the operation and what
to do, before the first step.

| layer | loss | fit | sweep | log_prob | what the error says |
|---|---|---|---|---|---|
"""

if __name__ == "__main__":
    lines = [row(name, outcomes(name)) for name in LAYERS]
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
