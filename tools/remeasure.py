"""Measure some claims again with seeds that nobody has seen: how many verdicts stand?

Draws claims at random, trains the models that each needs from new seeds, and applies formulas of
its own: nothing is imported from a notebook. `python tools/remeasure.py 12` is part of the nightly
checks; each claim takes seconds to minutes.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from companion.lab import claims
from companion.lab.explorable import asked
from companion.lab.study import Study
from companion.lab.verdicts import registry
from figures.explorables import (
    ablation,
    benchmark,
    decoder_variance,
    digits,
    estimators,
    face_models,
    relaxed_flow,
    sinusoid,
    taylor_vae,
    two_stages,
    within_flows,
)

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
At = Callable[..., np.ndarray]  # a number at some values: one for each of the new seeds


class Again:
    """A study's points trained from other seeds, each once."""

    def __init__(self, study: Study, seeds: range):
        self.study, self.seeds, self.found = study, seeds, {}

    def __call__(self, name: str, **some) -> np.ndarray:
        key = tuple(sorted(some.items()))
        if key not in self.found:
            self.found[key] = self.trained(some)
        return np.array([getattr(numbers, name) for numbers in self.found[key]], float)

    def trained(self, some: dict) -> list:
        start = {name: control.start for name, control in self.study.controls.items()}
        points = [start | some | {"seed": seed} for seed in self.seeds]
        models: list = [None] * len(points)
        for step in zip(*map(self.study.chain, points), strict=True):
            models = self.study.train(step, before=models, progress=False)
        return [
            asked(self.study.measure, point, model)
            for point, model in zip(points, models, strict=True)
        ]


def over(at: At, name: str, a: dict, b: dict) -> np.ndarray:
    """One number at two points, as a ratio."""
    return at(name, **a) / at(name, **b)


def row(change: str) -> dict:
    """The point of a row of MLAE Table 6."""
    return {"change": ablation.NAMES.index(change)}


def key(name: str) -> dict:
    """The point of a model at a weight."""
    return {"key": name}


def core(name: str, latent: int) -> dict:
    """The point of an AEF or of the VAE, trained to the end."""
    return {"core": within_flows.MODELS.index(name), "latent": latent, "epochs": 100}


def estimator(name: str, epochs: int) -> dict:
    """The point of a VAE's estimator."""
    return {"estimator": name, "epochs": epochs}


def growing(values: list) -> np.ndarray:
    """Whether a number grows at every step, for each seed."""
    return (np.diff(np.stack(values), axis=0) > 0).all(0)


SHORT, LONG = estimators.EPOCHS
LOWERED = 1  # γ step by step
PLUS, NET = "ConvNet+", "ConvNet"
MLAES = [key(f"mlae {beta:g}") for beta in digits.BETAS]
FORMULAS: dict[str, tuple[Study, Callable[[At], list | np.ndarray]]] = {
    "mlae-fig3-small-beta": (sinusoid.STUDY, lambda at: at("alignment", beta=0.01, noise=0.1)),
    "mlae-fig3-large-beta": (
        sinusoid.STUDY, lambda at: abs(at("correlation", beta=10.0, noise=0.1)),
    ),
    "mlae-tab6-plus-helps-normal": (
        ablation.RUNS, lambda at: over(at, "normal", row(PLUS), row(NET)),
    ),
    "mlae-tab6-bn-hurts": (
        ablation.RUNS, lambda at: over(at, "normal", row(f"{PLUS}, BN"), row(PLUS)),
    ),
    "mlae-tab6-decay-helps": (
        ablation.RUNS, lambda at: over(at, "normal", row(f"{PLUS}, weight decay"), row(PLUS)),
    ),
    "mlae-tab6-beta-by-epoch": (
        ablation.RUNS, lambda at: over(at, "normal", row(f"{NET}, β (epoch)"), row(NET)),
    ),
    "mlae-fig9-probes": (
        ablation.RUNS, lambda at: over(at, "normal", row(f"{PLUS}, K = 2"), row(PLUS)),
    ),
    "mlae-tab5-ahead-of-autoencoder": (
        benchmark.RUNS, lambda at: over(at, "own", key("mlae 10"), key("ae")),
    ),
    "mlae-tab5-beside-beta-vae": (
        benchmark.RUNS, lambda at: over(at, "own", key("mlae 10"), key("vae 0.05")),
    ),
    "mlae-tab5-vamp-worse": (
        benchmark.RUNS, lambda at: over(at, "own", key("vamp"), key("vae 0.05")),
    ),
    "mlae-fig9-mixture": (
        benchmark.RUNS,
        lambda at: [
            at("mixture", **key(f"mlae {b:g}")) / at("own", **key(f"mlae {b:g}"))
            for b in benchmark.BETAS
        ],
    ),
    "rif-table1-log-beats-autoencoder": (
        benchmark.RUNS,
        lambda at: [over(at, "mixture", key(f"relaxed {w}"), key("ae")) for w in (10, 100, 1000)],
    ),
    "rif-table1-log-beats-scale": (
        benchmark.RUNS,
        lambda at: [
            over(at, "mixture", key(f"relaxed {w}"), key(f"scale {w}")) for w in (10, 100, 1000)
        ],
    ),
    "rif-table1-reconstructions": (
        benchmark.RUNS, lambda at: over(at, "rec", key("relaxed 100"), key("ae")),
    ),
    "2svae-tab1-second-stage-digits": (
        benchmark.RUNS, lambda at: at("second", key="learned") / at("own", key="learned"),
    ),
    "mlae-5-entropy-grows": (
        digits.RUNS, lambda at: growing([at("entropy", **one) for one in MLAES]),
    ),
    "mlae-fig8-diversity-grows": (
        digits.RUNS, lambda at: growing([at("variety", **one) for one in MLAES[::2]]),
    ),
    "mlae-fig7-more-singular-values": (
        digits.RUNS,
        lambda at: np.subtract(
            *((at("spectrum", **MLAES[i]) >= digits.THRESHOLD).sum(1) for i in (-1, 0))
        ),
    ),
    "mlae-5-large-beta-less-normal": (
        digits.RUNS, lambda at: over(at, "distance", key("mlae 100"), key("mlae 10")),
    ),
    "mlae-tab2-gmm-helps": (
        face_models.RUNS,
        lambda at: at("mixture", key="mlae 10") / at("normal", key="mlae 10"),
    ),
    "mlae-tab2-ahead-with-gmm": (
        face_models.RUNS,
        lambda at: at("mixture", key="mlae 10")
        / min(np.median(at("mixture", key=k)) for k in face_models.KEYS if k.startswith("vae")),
    ),
    "2svae-tab1-learned-alone": (
        face_models.RUNS,
        lambda at: at("normal", key="learned") / np.median(at("normal", key="vae 0.5")),
    ),
    "2svae-thm4-noise-free": (
        decoder_variance.STUDY,
        lambda at: [
            over(at, "error", *({"gamma": g, "dimension": r, "way": LOWERED} for g in (0.003, 0.3)))
            for r in decoder_variance.DIMENSIONS
        ],
    ),
    "2svae-second-stage": (two_stages.STUDY, lambda at: over(at, "energy", {"arm": 2}, {"arm": 1})),
    "2svae-footnote5": (two_stages.STUDY, lambda at: over(at, "energy", {"arm": 5}, {"arm": 2})),
    "2svae-footnote6-joint": (
        two_stages.STUDY, lambda at: over(at, "energy", {"arm": 3}, {"arm": 1}),
    ),
    "rif-injectivity-penalty": (
        relaxed_flow.STUDY,
        lambda at: (at("crossings", eta=0.3, mu=3.0, mu_in=0.0) > 0)
        & (at("crossings", eta=0.3, mu=3.0, mu_in=100.0) == 0),
    ),
    "rif-singular-values-above-eta": (
        relaxed_flow.STUDY, lambda at: at("least", eta=0.3, mu=3.0, mu_in=100.0) / 0.3,
    ),
    "aef-table1-two-latents": (
        within_flows.STUDY,
        lambda at: at("bits", **core("vae", 2)) - at("bits", **core("linear", 2)),
    ),
    "aef-table1-many-latents": (
        within_flows.STUDY,
        lambda at: at("bits", **core("linear", 32)) - at("bits", **core("vae", 32)),
    ),
    "sfvae-fig1-half-against-most": (
        taylor_vae.STUDY,
        lambda at: [
            at("elbo", taylor_weight=0.5, variance=c) - at("elbo", taylor_weight=0.95, variance=c)
            for c in (0.5, 0.04)
        ],
    ),
    "sfvae-table3-iwae-beats": (
        estimators.NLL,
        lambda at: [
            at("nll", **estimator("SFVAE", e)) - at("nll", **estimator("IWAE, S = 20", e))
            for e in (SHORT, LONG)
        ],
    ),
    "sfvae-5-competes-at-equal-budget": (
        estimators.NLL,
        lambda at: at("nll", **estimator("VAE, S = 1", LONG))
        - at("nll", **estimator("SFVAE", SHORT)),
    ),
    "sfvae-table4-collapsed-share": (
        estimators.COLLAPSE,
        lambda at: at("share", estimator="VAE", steps=100)
        - at("share", estimator="SFVAE", steps=100),
    ),
}  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Measure, and say of each claim its verdict in the book and now."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=12, help="claims; 12 by default")
    parser.add_argument("--draw", type=int, default=0, help="the seed of the draw")
    parser.add_argument("--seeds", type=int, default=5, help="new trainings; 5 by default")
    parser.add_argument("--only", nargs="*", help="these claims instead of a draw")
    given = parser.parse_args(argv)
    before = {row.claim.id: row for row in claims.table(claims.measured(NOTEBOOKS.glob("*.ipynb")))}
    chosen = given.only or random.Random(given.draw).sample(sorted(FORMULAS), given.count)
    seeds, again, stand = range(10_000, 10_000 + given.seeds), {}, 0
    for id in chosen:
        began = time.monotonic()
        study, formula = FORMULAS[id]
        at = again.setdefault(study.name, Again(study, seeds))
        value, entry = np.asarray(formula(at)).tolist(), registry()[id]
        verdict, old = entry.verdict(value), before[id]
        stand += verdict == old.verdict
        print(f"{id}\n    in the book {old.value}: {old.verdict}")
        print(f"    new seeds   {claims.measured_text(entry, value)}: {verdict}", end="")
        print(f" ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{stand} of {len(chosen)} verdicts stand")


if __name__ == "__main__":
    main()
