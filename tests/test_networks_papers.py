"""The papers' networks: their parameter counts, shapes, conditions, and life under torch.func."""

import math
import warnings

import pytest
import torch
from helpers import gradients
from torch.func import jvp, vjp

from companion.experiments import papers
from companion.models import MLAE
from companion.networks import Table, build, count, summary
from companion.networks.table import BN, CODE, RELU, SIGMOID, conv, conv_t, fc_block, linear

FAMILIES = {
    name: getattr(papers, name)
    for name in "CONVNET RESNET CONVNET_PLUS RIF SFVAE AEF INFOGAN SCALE_BLOCKS".split()
}
ALL = {f"{f}-{d}": table for f, tables in FAMILIES.items() for d, table in tables.items()}
LARGE = ("CONVNET", "RIF", "INFOGAN", "SCALE_BLOCKS")


def on_meta(table, **options):
    with torch.device("meta"):
        return build(table, **options)


def test_convnet_counts_row_by_row():
    """Table 7 for MNIST by hand: weights, biases, and two numbers per channel for BatchNorm."""
    encoder, decoder, *_ = on_meta(papers.CONVNET["mnist"])
    channels = [1, 128, 256, 512, 1024]
    rows = [16 * a * b + 3 * b for a, b in zip(channels, channels[1:], strict=False)]
    assert [count(row) for row in encoder.rows] == [*rows, 1024 * 16 + 16]
    expected = [16 * 16384 + 16384, 1024 * 512 * 9 + 3 * 512, 512 * 256 * 9 + 3 * 256, 256 * 9 + 1]
    assert [count(row) for row in decoder.rows] == expected


def test_convnet_plus_for_mnist_as_printed_holds_another_number():
    fitting = papers.CONVNET_PLUS["mnist"]
    printed = [*fitting.decoder]
    printed.insert(5, (conv_t(256, 3, 2, to=7), BN, RELU))
    rest = [(conv_t(128, 3, 2), BN, RELU), (conv_t(64, 3, 2), BN, RELU), (conv_t(1, 3, 2), SIGMOID)]
    _, decoder, *_ = nets = on_meta(fitting._replace(decoder=printed[:6] + rest))
    assert f"{count(*nets[:2]) / 1e6:.2f}" == "3.96" and decoder.rows[-1].out_shape == (1, 56, 56)


def test_four_times_the_channels():
    encoder = on_meta(papers.convnet_plus_mnist(width=4)).encoder
    assert encoder.rows[3].out_shape == (1024, 1, 1)


@pytest.mark.parametrize("name", ALL)
def test_every_table_goes_there_and_back(name):
    table, told = ALL[name], 0 if name in ("AEF-32", "AEF-64") else 3
    encoder, decoder, data_shape, latent_dim = on_meta(table, condition_dim=told, heads=2)
    x = torch.zeros(2, *data_shape, device="meta")
    c = torch.zeros(2, told, device="meta") if told else None
    z = encoder(x, c)
    assert z.shape == (2, 2 * latent_dim)
    assert decoder(z[:, :latent_dim], c).shape == x.shape


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("RESNET-mnist", "batch"),
        ("CONVNET_PLUS-mnist", "batch"),
        ("CONVNET_PLUS-mnist", "group"),
        ("AEF-mnist", "none"),
        *(pytest.param(f"{name}-mnist", "batch", marks=pytest.mark.slow) for name in LARGE),
    ],
)
def test_they_live_under_torch_func(name, norm):
    """Jvp and vjp of both networks are each other's transposes, in training and in eval mode."""
    torch.manual_seed(0)
    encoder, decoder, shape, latent = build(ALL[name], 4, 3, norm)
    x, c = torch.rand(2, *shape, dtype=torch.float64), torch.eye(3)[:2].double()
    for network, at, out in ((encoder, x, 4), (decoder, torch.randn(2, latent).double(), shape)):
        for training in (True, False):
            network.double().train(training)
            v = torch.randn_like(at)
            w = torch.randn(2, out) if isinstance(out, int) else torch.randn(2, *out)
            _, forward = jvp(lambda p, f=network: f(p, c), (at,), (v,))
            _, pull = vjp(lambda p, f=network: f(p, c), at)
            assert torch.allclose((forward * w).sum(), (pull(w.double())[0] * v).sum())


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_only_batch_norm_couples_samples(norm):
    torch.manual_seed(0)
    table = Table((1, 8, 8), 2, [(conv(4, 4, 2), BN, RELU), (CODE,)], [(linear(1, 8, 8),)])
    encoder, x = build(table, norm=norm).encoder, torch.rand(4, 1, 8, 8)
    alone = torch.cat([encoder(t) for t in x.split(1)])
    assert torch.allclose(encoder(x), alone, atol=1e-6) == (norm == "group")


def test_the_condition_reaches_every_fully_connected_part():
    table = Table((1, 8, 8), 3, [(conv(4, 4, 2), RELU), (CODE,), (fc_block(5),)], [(linear(64),)])
    encoder, decoder, *_ = build(table, condition_dim=2)
    assert encoder.rows[1].parts[0].body[0].in_features == 4 * 4 * 4 + 2
    assert encoder.rows[2].parts[0].body.body[0].in_features == 3 + 2
    assert decoder.rows[0].parts[0].body[0].in_features == 3 + 2
    with pytest.raises(ValueError, match="expected a condition of size 2, got one of size 0"):
        encoder(torch.zeros(1, 1, 8, 8))


def test_a_model_trains_on_a_pair():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLAE(*build(papers.CONVNET_PLUS["mnist"], condition_dim=10), beta=10.0)
    x, c = torch.rand(4, 1, 28, 28), torch.eye(10)[:4]
    loss = model.loss(x, c).loss
    assert all(g.abs().max() > 0 for g in gradients(loss, model.encoder))


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize("kernel", [1, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_sizes_of_same_padding_and_of_transposed_convolutions(size, kernel, stride):
    table = Table((1, size, size + 1), 2, [(conv(2, kernel, stride, padding="same"),)], [])
    out = on_meta(table).encoder.rows[0].out_shape
    assert out == (2, math.ceil(size / stride), math.ceil((size + 1) / stride))
    if kernel >= stride:
        table = table._replace(encoder=[(conv_t(2, kernel, stride),)])
        assert on_meta(table).encoder.rows[0].out_shape == (2, size * stride, (size + 1) * stride)


def test_a_cropped_transposed_convolution_is_the_full_one_without_its_rim():
    table = Table((1, 5, 5), 2, [(conv_t(2, 4, 1),)], [])
    encoder, x = build(table).encoder, torch.rand(1, 1, 5, 5)
    ours = encoder(x)
    layer = encoder.rows[0].parts[0][0]
    full = torch.nn.functional.conv_transpose2d(x, layer.weight, layer.bias)  # 8 × 8
    assert torch.allclose(ours, full[..., 1:6, 1:6])


def test_the_summary_is_the_papers_table():
    encoder, *_ = build(papers.CONVNET["mnist"])
    before = {n: b.clone() for n, b in encoder.named_buffers()}
    lines = summary(encoder, (1, 28, 28)).splitlines()
    assert lines[0].split("  ")[:2] == ["Layer 1", "Conv(128, 4, 2), BN, ReLU"]
    assert lines[3].split()[-6:] == ["1024", "×", "1", "×", "1", "8,391,680"]
    assert lines[-1].split() == ["#Parameters", "11,034,256"]
    assert len({len(line) for line in lines}) == 1
    assert all(torch.equal(b, before[n]) for n, b in encoder.named_buffers())


def test_the_summary_says_what_normalises():
    table = Table((1, 8, 8), 2, [(conv(4, 4, 2), BN, RELU)], [])
    labels = {n: build(table, norm=n).encoder.rows[0].label for n in ("batch", "group", "none")}
    assert labels["group"] == "Conv(4, 4, 2), GN, ReLU"
    assert labels["none"] == "Conv(4, 4, 2), ReLU"


def test_aefs_width_follows_its_latent_size():
    """Child's block: 1×1, 3×3, 3×3 and 1×1 kernels, a quarter of the channels inside."""
    encoder, decoder, *_ = on_meta(papers.aef_bottleneck(64, 128), heads=2)
    block = (128 * 32 + 32) + 2 * (32 * 32 * 9 + 32) + (32 * 128 + 128)
    assert [count(row) for row in encoder.rows[1:6]] == 5 * [5 * block]  # at 64 to 4 pixels
    assert [row.out_shape[-1] for row in encoder.rows[:5]] == [64, 32, 16, 8, 4]
    pixel = (128 * 32 + 32) + 2 * (32 * 32 + 32) + (32 * 128 + 128)
    head = pixel - (32 * 128 + 128) + (32 * 256 + 256)  # no residual: to means and scales
    assert [count(row) for row in encoder.rows[6:]] == [3 * pixel, head]
    assert count(decoder) == 4 * pixel + 25 * block + 2 * 128 + 3 * 128 + 3


def test_refusals():
    with pytest.raises(ValueError, match="no part of the table's decoder sees a condition"):
        on_meta(papers.AEF["32"], condition_dim=2)
    with pytest.raises(ValueError, match="build: norm must be one of none, batch, group"):
        build(papers.CONVNET["mnist"], norm="layer")
    with pytest.raises(ValueError, match="expected a condition of size 0, got one of size 2"):
        build(Table((1, 2, 2), 2, [(CODE,)], [])).encoder(torch.zeros(1, 1, 2, 2), torch.ones(1, 2))
