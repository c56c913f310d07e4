"""The lattices of real digits and of the ablation: what they hold, against slower ways."""

import numpy as np
import pytest
import torch

from companion.evaluation import digit_features, gaussian_w2
from companion.lab.study import as_bytes
from figures.explorables import ablation, digit_figures, digits
from figures.explorables.error_weights import ErrorWeights


def test_the_two_controls_hold_the_same_prices():
    assert np.allclose(0.5 / np.array(digits.GAMMAS[::-1]), digits.BETAS)
    assert digits.make_model("mlae 50", 1).beta == 50
    assert digits.make_model("vae 0.01", 1).decoder_variance == pytest.approx(0.01)
    assert len(digits.BETAS) * len(digits.GAMMAS) <= 50


def test_all_three_models_have_the_same_decoder():
    sizes = [
        {name: tuple(p.shape) for name, p in digits.make_model(key, 0).decoder.named_parameters()}
        for key in ("mlae 1", "vae 0.5", "learned")
    ]
    assert sizes[0] == sizes[1] == sizes[2]


def test_its_digits_are_held_out_and_one_of_each():
    train, held_out = digits.make_data()
    seen = {x.numpy().tobytes() for x in train.x}
    shown = held_out.x[digits.one_of_each()]
    assert held_out.y[digits.one_of_each()].tolist() == list(range(10))
    assert np.array_equal(as_bytes(shown), digits.RUNS.arrays["truth"])
    assert sum(x.numpy().tobytes() in seen for x in held_out.x) <= 5  # chance twins at 17 levels


def test_variety_is_the_variance_about_the_mean_of_each_class():
    x, y = digits.make_data()[1].x, digits.make_data()[1].y
    slow = [((x[y == c] - x[y == c].mean(0)) ** 2).sum() / ((y == c).sum() - 1) for c in range(10)]
    assert digits.variety(x, y) == pytest.approx(float(sum(slow) / 10), rel=1e-5)
    assert digits.RUNS.arrays["variety_real"] == pytest.approx(digits.variety(x, y))


def test_counts_are_those_of_the_spectra():
    spectra = digits.RUNS.arrays["spectrum"]  # (key, run, latent)
    slow = [[sum(v >= 8 / 28 for v in run) for run in key] for key in spectra]
    assert digits.curves("count")["beta"].tolist() == slow[: len(digits.BETAS)]
    assert digits.curves("count")["learned"].tolist() == slow[-1]
    assert (np.diff(spectra, axis=-1) <= 0).all()


def test_histograms_are_densities():
    widths = np.diff(digits.EDGES)
    assert np.allclose((digits.RUNS.arrays["histogram"] * widths).sum(-1), 1)


def test_a_larger_price_gives_a_smaller_error_and_more_variety():
    for name, sign in (("error", -1), ("variety", 1)):
        for model, order in (("beta", 1), ("gamma", -1)):
            median = np.median(digits.curves(name)[model], 1)[::order]
            assert sign * (median[-1] - median[0]) > 0


def test_a_point_between_two_is_refused():
    with pytest.raises(ValueError, match="beta = 7 is not on the lattice, but 5 is"):
        digits.EXPLORABLE.render(0, beta=7.0, gamma=0.05)
    with pytest.raises(ValueError, match="seed must be one of"):
        digits.EXPLORABLE.render(1, beta=10.0, gamma=0.05)


def test_the_description_has_the_numbers_of_the_picture():
    picture = digits.EXPLORABLE.render(0, beta=10.0, gamma=0.05)
    found = digits.RUNS.typical(key="mlae 10")
    assert f"MLAE, β = 10: reconstruction error {found.error:.2f}" in picture.says
    [[left], [right]] = picture.panels
    assert f"MLAE, β = 10\nreconstructions,\nerror {found.error:.2g}" in left.y.names
    line = next(mark for mark in right.marks if mark.label.startswith("σ"))
    assert line.y == pytest.approx(20**-0.5)


@pytest.mark.parametrize("name", ["spectra", "samples", "quality", "codes"])
def test_figures_against_beta_say_what_they_show(name):
    picture = getattr(digit_figures, name)()
    assert picture.panels and picture.says.endswith(".") and "β = 0.1" in picture.says


def test_a_price_makes_its_models_in_one_order():
    weights = ErrorWeights((1.0, 4.0), 4.0)
    assert weights.keys == ("mlae 1", "mlae 4", "vae 0.125", "vae 0.5", "learned")
    found = weights.curves(np.arange(10).reshape(5, 2))
    assert found["gamma"].tolist() == [[4, 5], [6, 7]] and found["learned"].tolist() == [8, 9]


def test_the_ablation_changes_one_thing_at_a_time():
    base = ablation.ROWS[ablation.NAMES.index("ConvNet+")]
    fields = ("network", "norm", "decay", "options")
    for row in ablation.ROWS:
        changed = [f for f in fields if getattr(row, f) != getattr(base, f)]
        assert len(changed) + (row.width != base.width and "network" not in changed) <= 2
    quoted = [row.paper is not None for row in ablation.ROWS]
    assert quoted == sorted(quoted, reverse=True)  # the paper's rows first, in its order


def test_its_beta_ends_where_the_others_stay():
    model = ablation.make_model(0, 0)
    assert model.beta == pytest.approx(1.0)
    model.advance(1.0, 99)
    assert model.beta == pytest.approx(ablation.BETA)
    other = ablation.make_model(ablation.NAMES.index("ConvNet+, 10 β (epoch), weight decay"), 0)
    assert other.beta == pytest.approx(ablation.BETA)
    other.advance(1.0, 99)
    assert other.beta == pytest.approx(10 * ablation.BETA)


def test_its_gap_is_what_a_mixture_gains():
    for name in ablation.NAMES:
        normal, mixture = (ablation.runs(name, metric) for metric in ("normal", "mixture"))
        assert np.allclose(ablation.runs(name, "gap"), normal - mixture)
        assert f"{name:38}{normal.mean():>8.2f}" in ablation.printed()


def test_what_is_measured_is_what_its_samples_give():
    """Recognised samples and distances, with the one classifier that all digits have."""
    model, x = digits.make_model("mlae 10", 0).eval(), digits.make_data()[1].x
    found, (y, condition) = digits.measure(model, 0), digits.asked()
    samples = model.sample(digits.NUM_SAMPLES, condition, 1.0, torch.Generator().manual_seed(4000))
    right = digit_features()(samples.clamp(0, 1)).logits.softmax(1)[torch.arange(len(y)), y] >= 0.9
    assert found.recognised == pytest.approx(float(right.float().mean()))
    assert np.array_equal(found.samples, samples[:100].numpy())
    plain = ablation.make_model(3, 0).eval()
    normal, mixture = digits.frechet(plain, conditional=False)
    z = torch.randn(len(x), digits.LATENT, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pair = (digit_features()(part).features for part in (plain.decode(z).clamp(0, 1), x))
    assert normal == pytest.approx(gaussian_w2(*pair).value, rel=0.05) and mixture > 0
    assert len(digits.make_data()[1].x) == digits.NUM_SAMPLES  # as many samples as there are digits


def test_what_the_panels_reveal_is_borne_out_by_every_training():
    plain = digits.RUNS.arrays["variety_real"]
    assert digits.at_a_low_price()[0] == 0
    assert (digits.curves("recognised")["beta"][0] > 0.9).all()
    assert (digits.curves("variety")["beta"][0] < 0.6 * plain).all()
    assert list(ablation.CHANGES)[ablation.moved_most()[0]] == "a β that grows by the epoch"
    factors = {name: np.abs(np.log(ablation.ratio(*p))) for name, p in ablation.CHANGES.items()}
    assert all((factors["a β that grows by the epoch"] >= f).all() for f in factors.values())
