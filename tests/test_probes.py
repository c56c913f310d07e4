"""Probes: moments, orthogonality, refusals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import probes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(
    kind=st.sampled_from([k for k in probes.KINDS if k != "basis"]),
    size=st.integers(1, 5),
    num_probes=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_first_two_moments_are_zero_and_identity(kind, size, num_probes, seed):
    num_probes = min(num_probes, size) if kind == "orthogonal" else num_probes
    n = 20_000
    v = probes.sample(kind, num_probes, torch.zeros(n, size, dtype=torch.float64), generator(seed))
    for one in v:
        mean, second = one.mean(0), one.T @ one / n
        # E[v⁴] ≤ 3·size² bounds the variance of each entry; 6 standard errors over many draws
        assert mean.abs().max() < 6 / n**0.5
        assert (second - torch.eye(size)).abs().max() < 6 * (3 * size) ** 0.5 / n**0.5


@pytest.mark.parametrize("kind", ["orthogonal", "basis"])
def test_a_full_set_is_orthogonal(kind):
    v = probes.sample(kind, 4, torch.zeros(7, 2, 2, dtype=torch.float64), generator())
    gram = torch.einsum("pbij,qbij->bpq", v, v)
    assert torch.allclose(gram, 4 * torch.eye(4, dtype=torch.float64).expand(7, 4, 4), atol=1e-12)


@pytest.mark.parametrize("kind", ["sphere", "orthogonal"])
def test_length_is_the_root_of_the_size(kind):
    v = probes.sample(kind, 1, torch.zeros(9, 6, dtype=torch.float64), generator())
    assert torch.allclose(v.norm(dim=-1), torch.full((1, 9), 6**0.5, dtype=torch.float64))


@given(
    batch=st.integers(1, 11),
    size=st.integers(1, 5),
    num_probes=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_each_block_of_samples_is_orthogonal(batch, size, num_probes, dtype):
    """Also the cut one at the end, and a batch smaller than the size, as in data space."""
    like = torch.zeros(1, size, 1, dtype=dtype).expand(batch, size, 1)
    v = probes.sample("batch-orthogonal", num_probes, like, generator())
    assert v.shape == (num_probes, batch, size, 1) and v.dtype == dtype
    for block in v.flatten(2).split(size, dim=1):
        gram = block @ block.mT
        assert (gram - size * torch.eye(block.shape[1])).abs().max() < 1e-5


@pytest.mark.parametrize(("batch", "size"), [(5, 3), (2, 4), (4, 1)])
def test_probes_of_different_samples_are_uncorrelated_also_within_a_block(batch, size):
    n = 20_000
    like = torch.zeros(batch, size, dtype=torch.float64)
    v = probes.sample("batch-orthogonal", n, like, generator()).flatten(1)  # independent sets
    assert v.mean(0).abs().max() < 6 / n**0.5
    second = v.T @ v / n  # (batch·size, batch·size)
    assert (second - torch.eye(batch * size)).abs().max() < 6 * (3 * size) ** 0.5 / n**0.5


@pytest.mark.parametrize("kind", probes.KINDS)
def test_an_empty_batch_has_no_probes(kind):
    assert probes.sample(kind, 3, torch.zeros(0, 3)).shape == (3, 0, 3)


def test_no_qr_at_one_probe(monkeypatch):
    monkeypatch.setattr(torch.linalg, "qr", lambda *_: pytest.fail("QR at one probe"))
    probes.sample("orthogonal", 1, torch.zeros(3, 4), generator())


def test_unsigned_qr_would_not_be_zero_mean():
    """The reason for the sign: without it the first entries all point one way (FACTS: −0.87)."""
    normal = torch.randn(20_000, 3, 1, dtype=torch.float64, generator=generator())
    q, _ = torch.linalg.qr(normal)
    assert abs((q * 3**0.5).mean(0)[0].item()) > 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_follows_what_is_multiplied(dtype):
    for kind in probes.KINDS:
        assert probes.sample(kind, 2, torch.zeros(3, 2, dtype=dtype), generator()).dtype == dtype


def test_the_generator_decides_everything():
    like = torch.zeros(3, 4)
    for kind in probes.KINDS:
        first, second = (probes.sample(kind, 4, like, generator(5)) for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("kind", "num_probes", "message"),
    [
        ("orthogonal", 5, "between 1 and the size 4"),
        ("basis", 3, "exactly num_probes = 4"),
        ("gaussian", 0, "at least 1, got 0"),
        ("uniform", 1, "kind must be one of"),
    ],
)
def test_refusals(kind, num_probes, message):
    with pytest.raises(ValueError, match=message):
        probes.sample(kind, num_probes, torch.zeros(2, 4))


@pytest.mark.parametrize("kind", ["sphere", "orthogonal"])
def test_a_single_number_has_a_sign_even_where_it_is_zero(monkeypatch, kind):
    """On a GPU a normal number may be exactly 0; its probe was NaN."""
    monkeypatch.setattr(
        torch, "randn", lambda shape, **_: torch.tensor([-0.3, 0.0, 2.0]).view(shape)
    )
    v = probes.sample(kind, 1, torch.zeros(3, 1))
    assert torch.equal(v, torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1))
