"""All models of the family on the same digits, networks and steps: made, trained, measured."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.contracts import as_float
from companion.data import images
from companion.evaluation import digit_features, evaluate, gaussian_w2, score_samples
from companion.evaluation.features import DIGITS_LEARNED
from companion.evaluation.generation import codes_of
from companion.experiments.assemble import beta_tc_vae, info_vae, vamp
from companion.lab.study import Study
from companion.latents import fit_latents
from companion.models import (
    AEF,
    MLAE,
    VAE,
    Autoencoder,
    Model,
    RectangularFlow,
    RelaxedFlow,
    TaylorVAE,
    TwoStageVAE,
    TwoStepFlow,
    second_stage,
)
from companion.networks import MLP, EncoderDecoder, flows, spectral_norm
from companion.training import TrainConfig, fit

SHAPE, LATENT, HIDDEN = (1, 8, 8), 8, (128, 128)
EPOCHS, NOISE, SHOWN = 100, 0.05, 6
SAMPLERS = ("own", "gaussian", "mixture", "second")  # where codes come from
METRICS = (*SAMPLERS, "rec", "error", "nll")
TRAINING = {"epochs": EPOCHS, "batch_size": 128, "learning_rate": 2e-3, "noise": NOISE}
STEPS = {"transforms": 2, "hidden": (32, 32)}  # of a flow


class Compared(NamedTuple):
    """One model of the comparison."""

    label: str
    weight: str  # what sets the weight of an error: ``beta``, ``gamma``, or nothing does
    make: Callable[..., Model]  # of that weight, if there is one
    prior: str = "N(0, 1)"  # of its own
    note: str = ""  # the options that are not the weight


class Numbers(NamedTuple):
    """What one training came to."""

    samples: np.ndarray  # (2, shown, 8, 8) by codes: from the own prior, from ten Gaussians
    own: float  # Fréchet distances by where codes come from: the model's own prior,
    gaussian: float  # a full Gaussian fitted to the codes,
    mixture: float  # ten of them,
    second: float  # a second-stage VAE on the codes
    rec: float  # Fréchet distance of reconstructions
    error: float  # mean ‖x̂ − x‖² of held-out digits
    nll: float  # nats a held-out digit with noise, of the kind of the model's likelihood


def pair(heads: int = 1) -> tuple[MLP, MLP]:
    """Encoder and decoder, the same for all: two hidden layers of 128 each way."""
    return MLP(SHAPE, heads * LATENT, HIDDEN), MLP(LATENT, SHAPE, HIDDEN)


def _mlae(beta: float) -> Model:
    return MLAE(*pair(), SHAPE, LATENT, beta=beta)


def _rectangular(beta: float) -> Model:
    return RectangularFlow(EncoderDecoder(*pair()), None, SHAPE, LATENT, beta, stop_early=False)


def _two_step(beta: float = 50.0) -> Model:
    return RectangularFlow(EncoderDecoder(*pair()), None, SHAPE, LATENT, beta, "none")


def _relaxed(beta: float, objective: str) -> Model:
    return RelaxedFlow(*pair(), SHAPE, LATENT, objective, mu=beta, mu_in=beta)


def _of(make: Callable[..., Model], gamma: float, **options) -> Model:
    """A VAE, or what is made of one."""
    return make(*pair(2), SHAPE, LATENT, decoder_variance=gamma, **options)


def _aef(flow: bool) -> Model:
    inner, prior = (flows.iaf(LATENT, **STEPS), flows.maf(LATENT, **STEPS)) if flow else (None,) * 2
    core = MLP(SHAPE, LATENT, [])
    return AEF(*pair(2), SHAPE, LATENT, core, inner, prior, residual_scale=0.3)


def _plain(wrap: Callable = lambda network: network, **weights) -> Model:
    encoder, decoder = pair()
    return Autoencoder(encoder, wrap(decoder), SHAPE, LATENT, **weights)


LEARNED = {"gamma": 0.05, "learn_variance": True}  # where γ starts
IWAE = {"estimator": "iwae", "num_samples": 5}
RAE = {"code": 0.01, "decoder_l2": 1e-4}
COMPARED = {
    "mlae": Compared("MLAE", "beta", _mlae, note="one probe, off the manifold"),
    "rectangular": Compared("rectangular", "beta", _rectangular, note="free networks"),
    "relaxed": Compared("InjFlow ln", "beta", partial(_relaxed, objective="log"), note="eq. 9"),
    "scale": Compared("InjFlow", "beta", partial(_relaxed, objective="scale"), note="eq. 10"),
    "vae": Compared("VAE", "gamma", partial(_of, VAE)),
    "taylor": Compared("Taylor VAE", "gamma", partial(_of, TaylorVAE), note="its weight 0.5"),
    "iwae": Compared("IWAE", "gamma", partial(_of, VAE, **IWAE), note="K = 5"),
    "tc": Compared("β-TC-VAE", "gamma", partial(_of, beta_tc_vae), note="its β is 4"),
    "info": Compared("InfoVAE", "", partial(_of, info_vae, 0.05), note="γ = 0.05, MMD, weight 10"),
    "vamp": Compared("VampPrior", "", partial(_of, vamp, 0.05), "50 posteriors", note="γ = 0.05"),
    "learned": Compared("VAE, γ learned", "", partial(_of, VAE, **LEARNED), note="small 2nd stage"),
    "aef": Compared("AEF", "", partial(_aef, False), note="linear core, no flows"),
    "aef-flows": Compared("AEF, flows", "", partial(_aef, True), "flow", "linear core"),
    "two-step": Compared("two steps", "", _two_step, "flow", "β = 50"),
    "ae": Compared("AE", "", _plain),
    "rae": Compared("RAE-L2", "", partial(_plain, **RAE), note="weights 0.01, 0.0001"),
    "sn": Compared("AE+SN", "", partial(_plain, spectral_norm)),
    "cae": Compared("CAE", "", partial(_plain, encoder_jacobian=0.03), note="weight 0.03"),
    "wae": Compared("WAE", "", partial(_plain, mmd=1.0), note="MMD, weight 1"),
}


class Data(NamedTuple):
    """Real digits in [0, 1], each ``(n, 1, 8, 8)``."""

    train: Tensor
    held_out: Tensor  # validation and test digits: nothing is chosen by either
    classes: tuple[Tensor, Tensor]


@cache
def data() -> Data:
    """The 1,797 digits: 1,297 to train on, 500 to compare with.

    >>> [len(part) for part in data()[:2]]
    [1297, 500]
    """
    parts = images.load("digits")
    held_out, labels = (torch.cat(both) for both in zip(parts.valid, parts.test, strict=True))
    return Data(as_float(parts.train.x), as_float(held_out), (parts.train.y, labels))


@cache
def real() -> float:
    """Fréchet distance of 500 real digits that the classifier has not seen: samples' best."""
    parts = data().train[DIGITS_LEARNED:], data().held_out
    return gaussian_w2(*(digit_features()(part).features for part in parts)).value


def make_model(key: str, seed: int) -> Model:
    """One of ``COMPARED`` with seeded weights; the key has its β or γ, as ``"mlae 10"``.

    >>> make_model("vae 0.05", seed=0).decoder_variance
    tensor(0.0500)
    """
    name, _, value = key.partition(" ")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return COMPARED[name].make(*([float(value)] if value else []))


def make_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """One-cycle Adam on digits with fresh noise, ten steps of batch 128 an epoch."""
    return TrainConfig(epochs, 128, learning_rate=2e-3, noise=NOISE, seed=seed, device="cpu")


def finish(model: Model, seed: int) -> Model:
    """What comes after training: a second stage or step, the proposal of AEF's likelihood."""
    before = model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 + seed)
        if getattr(model, "learn_variance", False):
            model = TwoStageVAE(model, second_stage(LATENT, floor=1e-4))
        elif getattr(model, "options", {}).get("estimator") == "none":
            model = TwoStepFlow(model, flows.realnvp(LATENT, **STEPS))
    if model is not before:
        fit(model, data().train, config=make_config(seed), progress=False)
    if isinstance(model, AEF):
        model.tune_proposal(with_noise(data().held_out[:200]), num_samples=64)
    return model.eval()


def with_noise(x: Tensor) -> Tensor:
    """Data with the noise of training, always the same."""
    return x + NOISE * torch.randn(x.shape, generator=torch.Generator().manual_seed(2000))


def measure(model: Model, seed: int) -> Numbers:
    """Judge a trained model against the held-out digits, which are the same for all."""
    x, held_out, _ = data()
    options = {"num_samples": len(held_out), "config": make_config(seed, 60), "seed": seed}
    scores = score_samples(model, x, held_out, digit_features(), **options).scores
    likelihood, clean = (evaluate(model, part) for part in (with_noise(held_out), held_out))
    found = (score.frechet for score in scores)
    return Numbers(pictures(model, seed), *found, clean.reconstruction, likelihood.nll)


def pictures(model: Model, seed: int) -> np.ndarray:
    """Samples with codes from the own prior and from ten Gaussians: ``(2, shown, 8, 8)``."""
    generator, rows = torch.Generator().manual_seed(seed), []
    codes = codes_of(model, data().train, None, generator)
    first = model.first if isinstance(model, TwoStageVAE) else model
    for draw in (first.draw_codes, fit_latents("mixture", codes).sample):
        with torch.no_grad():
            rows.append(model.decode(draw(SHOWN, generator))[:, 0].clamp(0, 1))
    return torch.stack(rows).numpy()


class Trainings(Study):
    """Trainings whose models are finished before they are measured."""

    def train(
        self, points: Sequence[dict], epochs: int | None = None, before: Sequence = (), **options
    ) -> list[Model]:
        """As :meth:`Study.train`; models with a VampPrior one by one.

        Such a prior and its model share an encoder, which torch.func cannot exchange twice.
        """
        if any(point["key"] == "vamp" for point in points):
            folder, models = options.pop("directory", None), [make_model(**p) for p in points]
            for model, point in zip(models, points, strict=True):
                config = make_config(point["seed"], epochs or EPOCHS)
                own = folder and Path(folder, f"vamp-{point['seed']}")
                fit(model, data().train, config=config, directory=own, **options)
        else:
            models = super().train(points, epochs, before, **options)
        return [finish(model, point["seed"]) for model, point in zip(models, points, strict=True)]


def step_seconds(names: Sequence[str], rounds: int = 5, epochs: int = 4) -> dict[str, float]:
    """Seconds of one training step of each model, in turns; the fastest of some rounds.

    A weight of the error does not matter to it. Of a VAE with learned γ it is the first stage's.
    """
    best = dict.fromkeys(names, float("inf"))
    for _ in range(rounds):
        for name in names:
            one = COMPARED[name]
            model = make_model(f"{name} 1" if one.weight else name, 0)
            rows = fit(model, data().train, config=make_config(0, epochs), progress=False).rows
            seconds = [b["seconds"] - a["seconds"] for a, b in pairwise(rows)]
            best[name] = min(best[name], *(s / (len(data().train) // 128) for s in seconds))
    return best
