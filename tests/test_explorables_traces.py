"""The trace explorable: every simulated spread against its formula; what K means for each kind."""

import pytest

from figures.explorables import trace_probes

POINTS = [
    (size, spectrum) for size in trace_probes.SIZES for spectrum in range(len(trace_probes.SPECTRA))
]


@pytest.mark.parametrize(("size", "spectrum"), POINTS)
def test_simulated_variances_follow_the_formulas(size, spectrum):
    """Within 3.5 standard errors of the sample variance, heavy tails included, as drawn."""
    for kind, name in enumerate(trace_probes.KINDS):
        formula = trace_probes.numbers(0, kind, 1, size, spectrum).formula[name]
        for k, expected in zip(trace_probes.COUNTS, formula, strict=False):
            n = trace_probes.numbers(0, kind, k, size, spectrum)
            deviations = (n.estimates - n.trace) ** 2
            error = 3.5 * deviations.std() / len(deviations) ** 0.5
            assert deviations.mean() == pytest.approx(expected, abs=error + 1e-9)


def test_orthogonal_probes_are_at_most_as_many_as_dimensions():
    n = trace_probes.numbers(0, kind=3, num_probes=8, size=2, spectrum=1)
    assert n.num_probes == 2 and len(n.formula["orthogonal"]) == 2
    picture = trace_probes.EXPLORABLE.render(0, n, kind=3, num_probes=8, size=2)
    assert "2 orthogonal probes (8 asked, there are no more)" in picture.says


def test_the_trace_is_the_size_whatever_the_spectrum():
    for size, spectrum in POINTS:
        assert float(trace_probes.matrix(size, spectrum).trace()) == pytest.approx(size)


def test_off_the_lattice_is_refused():
    with pytest.raises(ValueError, match="traces: num_probes = 3 is not on the lattice, but 4 is"):
        trace_probes.EXPLORABLE.render(0, num_probes=3)
