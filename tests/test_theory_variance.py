"""Every variance formula against simulation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import probes
from companion.theory.variance import mean_trace_variance, product_norms, trace_variance


def simulate(A, kind, num_probes, n, generator):
    """n estimates of the trace: (n,)."""
    like = torch.zeros(n, len(A), dtype=torch.float64)
    v = probes.sample(kind, num_probes, like, generator)
    return torch.einsum("kni,ij,knj->n", v, A, v) / num_probes


@settings(max_examples=50)
@given(
    size=st.integers(1, 6),
    num_probes=st.integers(1, 6),
    kind=st.sampled_from([k for k in probes.KINDS if k != "basis"]),
    symmetric=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_formulas_agree_with_simulation(size, num_probes, kind, symmetric, seed):
    generator = torch.Generator().manual_seed(seed)
    num_probes = min(num_probes, size) if kind == "orthogonal" else num_probes
    A = torch.randn(size, size, dtype=torch.float64, generator=generator)
    A = A + A.T if symmetric else A
    estimates = simulate(A, kind, num_probes, 20_000, generator)
    deviations = (estimates - estimates.mean()).square()
    expected = trace_variance(A, kind, num_probes)
    # many draws: 5 standard errors of the sample variance and of the mean
    assert (deviations.mean() - expected).abs() <= 5 * deviations.std() / 20_000**0.5 + 1e-9
    assert (estimates.mean() - A.trace()).abs() <= 5 * estimates.std() / 20_000**0.5 + 1e-9


@settings(max_examples=50)
@given(
    size=st.integers(1, 4),
    batch=st.integers(1, 9),
    num_probes=st.integers(1, 2),
    kind=st.sampled_from([k for k in probes.KINDS if k != "basis"]),
    seed=st.integers(0, 10_000),
)
def test_the_mean_over_a_batch_of_different_matrices(size, batch, num_probes, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    num_probes = min(num_probes, size) if kind == "orthogonal" else num_probes
    A = torch.randn(batch, size, size, dtype=torch.float64, generator=generator) + 1
    if kind == "batch-orthogonal":
        v = probes.sample(kind, 20_000 * num_probes, A[..., 0], generator)
        v = v.unflatten(0, (num_probes, 20_000))
    else:
        like = torch.zeros(20_000 * batch, size, dtype=torch.float64)
        v = probes.sample(kind, num_probes, like, generator).unflatten(1, (20_000, batch))
    estimates = torch.einsum("knbi,bij,knbj->n", v, A, v) / (num_probes * batch)
    deviations = (estimates - estimates.mean()).square()
    expected = mean_trace_variance(A, kind, num_probes)
    assert (deviations.mean() - expected).abs() <= 5 * deviations.std() / 20_000**0.5 + 1e-9


@given(size=st.integers(1, 5), blocks=st.integers(1, 3), seed=st.integers(0, 1000))
def test_full_blocks_of_one_matrix_give_its_exact_trace(size, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(size, size, dtype=torch.float64, generator=generator)
    many = A.expand(blocks * size, size, size)
    assert mean_trace_variance(many, "batch-orthogonal") < 1e-12
    v = probes.sample("batch-orthogonal", 20, many[..., 0], generator)
    assert (torch.einsum("kbi,ij,kbj->k", v, A, v) / len(many) - A.trace()).abs().max() < 1e-10


@given(size=st.integers(1, 8), seed=st.integers(0, 1000))
def test_a_full_orthogonal_set_has_no_variance(size, seed):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(size, size, dtype=torch.float64, generator=generator)
    for kind in ("orthogonal", "basis"):
        assert trace_variance(A, kind, size) == 0
        estimates = simulate(A, kind, size, 50, generator)
        assert (estimates - A.trace()).abs().max() < 1e-10


def test_the_skew_part_does_not_matter():
    B = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    skew, S = B - B.T, B + B.T
    for kind in ("rademacher", "gaussian", "sphere", "orthogonal"):
        assert trace_variance(skew, kind) < 1e-12
        assert torch.allclose(trace_variance(S + skew, kind), trace_variance(S, kind))


def test_batches_of_matrices():
    A = torch.randn(3, 4, 4, dtype=torch.float64)
    many = trace_variance(A, "sphere", 2)
    assert torch.allclose(many, torch.stack([trace_variance(a, "sphere", 2) for a in A]))


def test_theorem_d1():
    generator = torch.Generator().manual_seed(0)
    A, B = torch.randn(2, 4000, 6, 2, dtype=torch.float64, generator=generator)
    for product, expected in zip((A.mT @ B, B @ A.mT), product_norms(6, 2), strict=True):
        norms = product.square().sum((1, 2))
        assert abs(norms.mean() - expected) < 4 * norms.std() / 4000**0.5


@pytest.mark.parametrize(
    ("A", "kind", "num_probes", "message"),
    [
        (torch.zeros(2, 3), "sphere", 1, "expected a square matrix"),
        (torch.zeros(2, 2), "uniform", 1, "kind must be one of"),
        (torch.zeros(2, 2), "orthogonal", 3, "orthogonal probes of size 2 cannot be 3"),
        (torch.zeros(2, 2), "basis", 1, "basis probes of size 2 cannot be 1"),
    ],
)
def test_refusals(A, kind, num_probes, message):
    with pytest.raises(ValueError, match=message):
        trace_variance(A, kind, num_probes)


def test_a_mean_needs_a_batch():
    with pytest.raises(ValueError, match=r"expected \(batch, size, size\), got \(2, 2\)"):
        mean_trace_variance(torch.eye(2), "sphere")
