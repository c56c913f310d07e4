"""An experiment judged by its samples, and the choice among the settings of its paper."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from companion.atomic import write_json
from companion.evaluation import Bits, bits_of, features
from companion.evaluation.features import Features
from companion.evaluation.generation import Generation, score_samples
from companion.experiments.experiment import Data, Experiment
from companion.experiments.plan import fit_experiment
from companion.models import AEF, Model
from companion.training import History

SCORE = "score.json"
LOSS, BITS = "validation loss", "validation bits"
# by which column of samples a paper's criterion chooses, if by samples
COLUMNS = {"validation FID": "N", "FID of GMM(10) samples": "GMM(10)", LOSS: None, BITS: None}
TUNED = 0.05  # validation images that tune AEF's proposal, as a share of the images judged


class Candidate(NamedTuple):
    """One setting of a search, and how good it is; the smallest score is the best."""

    values: dict[str, float]
    score: float

    @property
    def name(self) -> str:
        """Its folder.

        >>> Candidate({"beta": 5.0, "num_probes": 1}, 0.3).name
        'beta=5,num_probes=1'
        """
        return folder_name(self.values)


class Selection(NamedTuple):
    """A search that is done."""

    criterion: str
    features: str
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The one with the smallest score."""
        return min(self.candidates, key=lambda one: one.score)

    def plain(self) -> dict[str, Any]:
        """For a file."""
        found = [one._asdict() for one in self.candidates]
        return self._asdict() | {"candidates": found, "best": self.best._asdict()}

    def __str__(self) -> str:
        lines = [f"{self.criterion} ({self.features}):"]
        for one in self.candidates:
            mark = "  <- chosen" if one is self.best else ""
            lines.append(f"{one.name:<32}{one.score:>12.4g}{mark}")
        return "\n".join(lines)


def folder_name(values: dict[str, float]) -> str:
    """Settings as a name, without what file systems mind; other settings have another name."""
    short = {name: f"{value:g}" for name, value in values.items()}
    exact = {
        name: s if float(s) == values[name] else str(values[name]) for name, s in short.items()
    }
    return ",".join(f"{name}={value}" for name, value in exact.items())


def features_for(experiment: Experiment, data: Data, name: str = "classifier") -> Features:
    """What samples of an experiment are compared by.

    Args:
        experiment: its profile says how long a classifier trains.
        data: what a classifier is trained on.
        name: ``classifier``, trained on the same data, or ``inception``; tables are compared as
            they are. The sets that are always there have one classifier each, at every profile.
    """
    device = experiment.train.get("device", "auto")
    if data.train.dim() == 2:
        return features.identity()
    if name == "inception":
        return features.inception(device=device)
    if experiment.data == "digits":
        return features.digit_features(experiment.seed)
    if experiment.data == "synthetic-faces":
        return features.face_features(data.train.shape[-1])
    sets = data.train, data.classes[0], data.test, data.classes[2]
    return features.classifier(*sets, steps=experiment.scale.steps, device=device)


def score_experiment(
    experiment: Experiment,
    data: Data,
    model: Model,
    seen: Features,
    *,
    on: str = "test",
    only: tuple[str, ...] | None = None,
) -> Generation:
    """The table of a trained model's samples against test data, or against validation data.

    Args:
        experiment: how the model was made.
        data: what it was trained on.
        model: the model.
        seen: see :func:`features_for`.
        on: ``test`` or ``valid``.
        only: these columns of the table; by default all.
    """
    conditions = data.conditions if experiment.preset.conditional else (None,) * 3
    at, (hidden, config) = {"valid": 1, "test": 2}[on], experiment.second_stage
    return score_samples(
        model, data.train, data[at], seen,
        valid=data.valid if on == "test" else None,
        condition=conditions[0], test_condition=conditions[at],
        num_samples=experiment.scale.num_samples, temperature=experiment.temperature,
        config=replace(config, device=experiment.train.get("device", "auto")),
        only=only, hidden=hidden, seed=experiment.seed,
    )  # fmt: skip


def score_bits(
    experiment: Experiment, data: Data, model: Model, *, on: str = "test"
) -> Bits | None:
    """Bits per dimension of a trained model, by as many estimates for each model of a profile.

    An expanded AEF's proposal is tuned on validation data first (AEF App. C). Nothing for tables,
    and for models without a density of pixels.

    Args:
        experiment: how the model was made; its profile says how many images and estimates.
        data: what it was trained on.
        model: the model.
        on: ``test`` or ``valid``.
    """
    if len(model.data_shape) != 3:
        return None
    at, scale = {"valid": 1, "test": 2}[on], experiment.scale
    told = data.conditions if experiment.preset.conditional else (None,) * 3
    some = slice(scale.num_samples)
    few = round(TUNED * scale.num_samples)
    valid, c = data.valid[:few], None if told[1] is None else told[1][:few]
    if isinstance(model, AEF) and not model.partition:
        where = next(model.parameters()).device
        model.tune_proposal(valid.to(where), c if c is None else c.to(where))
    return bits_of(
        model, data[at][some], None if told[at] is None else told[at][some],
        repetitions=scale.repetitions, seed=experiment.seed,
    )  # fmt: skip


def select(
    experiment: Experiment,
    data: Data,
    directory: str | Path,
    seen: Callable[[], Features],
    *,
    progress: bool = True,
    scores: bool = True,
) -> tuple[Selection, Experiment, Model, History] | None:
    """Train every setting that the experiment's paper searches and choose by validation data.

    Each setting trains in a folder of its own below ``directory`` and keeps its score there; a
    search that was stopped goes on.

    Args:
        experiment: of a preset with a search, see ``companion train --list``.
        data: what it loaded.
        directory: for all folders.
        seen: gives what samples are compared by, when the first are.
        progress: show progress bars.
        scores: whether this process scores; of several processes the first does.

    Returns:
        The search, with the best setting's experiment, its trained model and its log; nothing in a
        process that does not score.

    Raises:
        ValueError: when the preset searches nothing.

    The losses of AEF's expanded models, of data and code together, do not compare between latent
    sizes; bits per dimension do.

    Source: MLAE §5.2 and App. E.4 (β and K by validation FID); RIF §4.2 (by a mixture's FID).
    """
    if not experiment.preset.search:
        raise ValueError(f"select: {experiment.name} has nothing to choose from")
    criterion = experiment.preset.select or LOSS
    found, best = [], None
    for values, one in experiment.candidates():
        folder = Path(directory) / folder_name(values)
        model, history = fit_experiment(one, data, folder, resume=True, progress=progress)
        if scores:
            found.append(Candidate(values, _score(one, data, model, history, folder, seen)))
            if found[-1] is min(found, key=lambda candidate: candidate.score):
                best = one, model, history
    if not scores:
        return None
    column = COLUMNS[criterion]
    what = f"Fréchet distance of {column} samples" if column else criterion
    by = seen().name if column else {LOSS: "nats", BITS: "bits per dimension"}[criterion]
    return Selection(f"{what} to choose by", by, tuple(found)), *best


def _score(
    one: Experiment, data: Data, model: Model, history: History, folder: Path,
    seen: Callable[[], Features],
) -> float:  # fmt: skip
    """The score of a trained setting, kept in its folder."""
    path, criterion = folder / SCORE, one.preset.select or LOSS
    column = COLUMNS[criterion]
    by = seen().name if column else criterion
    if path.exists() and (kept := json.loads(path.read_text("utf-8")))["by"] == by:
        return kept["score"]
    if column is not None:
        table = score_experiment(one, data, model, seen(), on="valid", only=(column,))
        score = table.scores[0].frechet
    elif criterion == BITS:
        score = score_bits(one, data, model, on="valid").bits
    else:
        name = "valid_loss" if history.column("valid_loss") else "loss"
        score = min(history.column(name))
    write_json(path, {"by": by, "column": column, "score": score})
    return score
