"""How good samples are, a column for each place that their codes come from."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from companion.contracts import as_float, exact
from companion.evaluation.features import Features, joined
from companion.evaluation.frechet import gaussian_w2
from companion.latents import fit_latents
from companion.models import TwoStageVAE
from companion.models.base import Model, evaluating
from companion.training import TrainConfig
from companion.training.inputs import check_finite

CHUNK = 250  # samples decoded together
Codes = Callable[[int, Generator, float], Tensor]  # (n, generator, temperature) -> (n, latent)


class Score(NamedTuple):
    """How far one column's samples are from the reference."""

    sampler: str
    frechet: float
    inception: float | None  # no number where nothing classifies
    num_samples: int
    num_reference: int


class Generation(NamedTuple):
    """One table: all columns by the same features."""

    features: str
    accuracy: float | None  # of the classifier that the features are from
    temperature: float
    scores: tuple[Score, ...]

    def __str__(self) -> str:
        lines = [f"{'codes from':<20}{'Fréchet':>10}{'Inception':>11}{'samples':>9}{'against':>9}"]
        for name, frechet, inception, samples, reference in self.scores:
            shown = "" if inception is None else f"{inception:.2f}"
            lines.append(f"{name:<20}{frechet:>10.3f}{shown:>11}{samples:>9,}{reference:>9,}")
        how = "" if self.accuracy is None else f", accuracy {self.accuracy:.1%} on held-out images"
        return "\n".join([*lines, f"features: {self.features}{how}"])


def inception_score(logits: Tensor, splits: int = 10) -> float:
    """exp E KL(p(y | x) ‖ p(y)), the mean over ``splits`` parts of the samples.

    Args:
        logits: ``(n, classes)`` of a classifier.
        splits: parts, whose sizes differ by one at most; the tables' is 10. Fewer samples in a
            part give a smaller score.

    Raises:
        ValueError: when there are fewer samples than parts, or numbers that are not finite.

    Source: Salimans et al., *Improved techniques for training GANs*, 2016.

    >>> sure = 1e3 * torch.eye(4)
    >>> round(inception_score(sure, splits=1), 3), inception_score(torch.zeros(4, 4), splits=1)
    (4.0, 1.0)
    """
    if not 1 <= splits <= len(logits):
        raise ValueError(
            f"inception_score: splits must be between 1 and {len(logits)} samples, got {splits}"
        )
    check_finite("inception_score", "logits", logits)
    scores = []
    for part in exact(logits).log_softmax(1).tensor_split(splits):
        p = part.exp()
        marginal = p.mean(0).clamp(min=torch.finfo(p.dtype).tiny).log()
        scores.append((p * (part - marginal)).nan_to_num().sum(1).mean().exp())
    return float(torch.stack(scores).mean())


def samplers(
    model: Model,
    codes: Tensor,
    config: TrainConfig | None = None,
    only: Collection[str] | None = None,
    hidden: tuple[int, ...] = (64, 64),
) -> dict[str, Codes]:
    """Where codes can come from, by column.

    ==============  ===========================================================================
    ``N``           the standard normal of the model's prior (MLAE's "N"); of a two-stage model
                    that of its first stage
    ``prior``       instead of ``N``: the model's own prior where that is learned, as AEF's flow
    ``gaussian``    a full Gaussian fitted to the codes (RIF's "N")
    ``GMM(10)``     ten Gaussians fitted to the codes (RIF)
    ``second``      "second stage": a VAE on the codes (2SVAE); the model's own where it has one;
                    "small second stage" where its networks are smaller than the paper's
    ==============  ===========================================================================

    Args:
        model: a trained model.
        codes: ``(n, latent)`` of training data, see :func:`codes_of`.
        config: how a second stage is trained that the model does not have.
        only: fit and return these columns; by default all.
        hidden: widths of its hidden layers; the paper's are three of 1,024 at least.

    >>> from companion.models import MLAE
    >>> from companion.networks import MLP
    >>> model = MLAE(MLP(3, 2), MLP(2, 3), (3,), 2)
    >>> quick = TrainConfig(epochs=1, device="cpu")
    >>> list(samplers(model, torch.randn(50, 2), quick))
    ['N', 'gaussian', 'GMM(10)', 'small second stage']
    """
    two = isinstance(model, TwoStageVAE)
    own = "N" if two or getattr(model, "prior", None) is None else "prior"
    found = {own: (model.first if two else model).draw_codes}
    second = second_column(_hidden(model.second.encoder) if two else hidden)
    kinds = {"gaussian": "gaussian", "GMM(10)": "mixture", second: "second_stage"}
    for name, kind in kinds.items():
        if only is not None and name not in only:
            continue
        if two and kind == "second_stage":
            found[name] = model.draw_codes
        else:
            found[name] = fit_latents(kind, codes, hidden=hidden, config=config).sample
    if only is not None and own not in only and "N" not in only:
        del found[own]
    return found


def second_column(hidden: tuple[int, ...]) -> str:
    """What a second stage with such hidden layers is called; the paper's are three of 1,024.

    >>> second_column((1024, 1024, 1024)), second_column((64, 64))
    ('second stage', 'small second stage')
    """
    is_papers = len(hidden) >= 3 and min(hidden) >= 1024  # 2SVAE App. D; for its Fig. 1 of 2,048
    return "second stage" if is_papers else "small second stage"


def _hidden(network: nn.Module) -> tuple[int, ...]:
    """Widths of the hidden layers of a fully connected network."""
    return tuple(m.out_features for m in network.modules() if isinstance(m, nn.Linear))[:-1]


@torch.no_grad()
def codes_of(model: Model, x: Tensor, condition: Tensor | None, generator: Generator) -> Tensor:
    """Codes of data ``(n, latent)``: draws from the posterior where there is one."""
    weight, parts = next(model.parameters()), []
    with evaluating(model):
        for chunk, c in _chunks(x, condition, weight):
            if hasattr(model, "draw_posterior"):
                noise = torch.randn(1, len(chunk), model.latent_dim, generator=generator)
                parts.append(model.draw_posterior(chunk, noise.to(weight), c)[0])
            else:
                parts.append(model.encode(chunk, c))
    return torch.cat(parts)


def score_samples(
    model: Model,
    train: Tensor,
    test: Tensor,
    features: Features,
    *,
    valid: Tensor | None = None,
    condition: Tensor | None = None,
    test_condition: Tensor | None = None,
    num_samples: int = 10_000,
    num_codes: int = 50_000,
    splits: int = 10,
    temperature: float = 1.0,
    config: TrainConfig | None = None,
    only: Collection[str] | None = None,
    hidden: tuple[int, ...] = (64, 64),
    seed: int = 0,
) -> Generation:
    """Score samples from every place in :func:`samplers`, and reconstructions, against test data.

    Beside them stand reconstructions of test data (RIF's "Rec") and, where validation data are
    given, those themselves: what a perfect model would get. A distance falls with the number of
    samples, so every row has the same: ``num_samples``, or as many as there are test and validation
    data. Nothing is stretched; images are cut to [0, 1] and neither rounded nor compressed.

    Args:
        model: a trained model.
        train: ``(n, *data)``, of whose codes the samplers' densities are fitted.
        test: the reference.
        features: what is compared.
        valid: real data for the column ``real``.
        condition: of the training data; samples get some of them at random.
        test_condition: of the test data.
        num_samples: of each row at most, the papers' 10,000.
        num_codes: at most so many codes are fitted to.
        splits: of the Inception score.
        temperature: of the codes.
        config: see :func:`samplers`.
        only: these columns; by default all.
        hidden: see :func:`samplers`.
        seed: of codes, conditions and densities.

    Source: MLAE Tables 2 and 5, RIF Table 1, 2SVAE Table 1.
    """
    chance = Generator().manual_seed(seed)
    weight = next(model.parameters())
    is_image, target = len(model.data_shape) == 3, features(test)
    count = min(num_samples, *(len(real) for real in (test, valid) if real is not None))

    def score(name: str, parts: Iterable[Tensor]) -> Score:
        seen = joined([features(x.clamp(0, 1) if is_image else x) for x in parts])
        distance = gaussian_w2(seen.features, target.features)
        inception = None if seen.logits is None else inception_score(seen.logits, splits)
        return Score(name, distance.value, inception, *distance[1:])

    def decoded(codes: Codes) -> Iterator[Tensor]:
        for start in range(0, count, CHUNK):
            z = codes(min(CHUNK, count - start), chance, temperature)
            some = torch.randint(len(train), (len(z),), generator=chance)
            c = None if condition is None else condition[some].to(weight.device)
            yield model.decode(z.to(weight), c)

    def rebuilt() -> Iterator[Tensor]:
        for x, c in _chunks(test[:count], _first(test_condition, count), weight):
            yield model.decode(model.encode(x, c), c)

    codes = codes_of(model, train[:num_codes], _first(condition, num_codes), chance)
    found = samplers(model, codes, config, only, hidden)
    with evaluating(model), torch.no_grad():
        scores = [score(name, decoded(draw)) for name, draw in found.items()]
        if only is None or "Rec" in only:
            scores.append(score("Rec", rebuilt()))
    if valid is not None and (only is None or "real" in only):
        scores.append(score("real", map(as_float, valid[:count].split(CHUNK))))
    return Generation(features.name, features.accuracy, temperature, tuple(scores))


def _chunks(x: Tensor, condition: Tensor | None, like: Tensor) -> Iterator[tuple]:
    """Some data at a time as numbers on the model's device, and their conditions."""
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        c = None if condition is None else condition[part].to(like.device)
        yield as_float(x[part].to(like.device), like.dtype), c


def _first(condition: Tensor | None, n: int) -> Tensor | None:
    return None if condition is None else condition[:n]
