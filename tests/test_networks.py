"""Networks: shapes, conditions, refusals."""

import pytest
import torch

from companion.networks import MLP, ConvDecoder, ConvEncoder


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 13, 9)])
def test_images_go_there_and_back(shape, norm):
    options = {"channels": (4, 6), "hidden": (8,), "norm": norm, "condition_dim": 3}
    encoder, decoder = ConvEncoder(shape, 5, **options), ConvDecoder(5, shape, **options)
    x, c = torch.randn(4, *shape), torch.randn(4, 3)
    z = encoder(x, c)
    assert z.shape == (4, 5) and decoder(z, c).shape == x.shape


def test_a_residual_network_starts_as_a_linear_map_plus_its_body():
    torch.manual_seed(0)
    network, x = MLP(3, (2, 2), [5], residual=True), torch.randn(4, 3)
    expected = network.body(x) + x @ network.skip.weight.T
    assert torch.allclose(network(x), expected.view(4, 2, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(2, 1, activation="swish"), "activation must be one of silu"),
        (
            lambda: MLP(2, 1, condition_dim=3)(torch.zeros(1, 2)),
            "condition of size 3, got one of size 0",
        ),
        (lambda: MLP(2, 1)(torch.zeros(1, 2), torch.zeros(1, 4)), "size 0, got one of size 4"),
        (lambda: ConvEncoder((1, 3, 8), 2), "2 halvings need an image of at least 4 pixels"),
        (lambda: ConvDecoder(2, (1, 8, 8), norm="layer"), "norm must be one of none, batch, group"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
