"""What an experiment trains: one model, or two one after the other."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from companion.experiments.experiment import Data, Experiment
from companion.models import Model
from companion.training import History, TrainConfig, fit, load_weights
from companion.training.checkpoint import BEST


class Plan(NamedTuple):
    """A model, what it is trained on, and how."""

    model: Model
    data: Data  # with the classes that it is told; without validation data where it has none
    config: TrainConfig


def plans(experiment: Experiment, data: Data) -> Iterator[Plan]:
    """The plan of an experiment's model; of a two-stage model the first stage's, then the second's.

    The second stage stands on the first, which must be trained when the second is asked for.

    Args:
        experiment: what :func:`companion.experiments.experiment.choose` found.
        data: what it loaded.

    >>> from companion.experiments.experiment import choose
    >>> two = choose("wine", "two-stage")
    >>> [type(plan.model).__name__ for plan in plans(two, two.load())]
    ['VAE', 'TwoStageVAE']
    """
    told = data if experiment.preset.conditional else data._replace(classes=(None,) * 3)
    model = experiment.build(tuple(data.train.shape[1:]))
    yield Plan(model, told, experiment.config(len(data.train)))
    if second := experiment.second(model):
        alone = told._replace(valid=None, classes=(told.classes[0], None, None))
        yield Plan(second[0], alone, second[1])


def fit_experiment(
    experiment: Experiment,
    data: Data,
    directory: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
) -> tuple[Model, History]:
    """Build and train the model of an experiment; a two-stage model's stages have a folder each.

    Args:
        experiment: what :func:`companion.experiments.experiment.choose` found.
        data: what it loaded.
        directory: for checkpoints and logs.
        resume: go on with what is there.
        progress: show a progress bar.

    Returns:
        The model in eval mode, with the weights that the paper judges
        (:attr:`companion.experiments.experiment.Experiment.takes_best`), and the log of its last
        stage.

    Raises:
        companion.training.CheckpointError: as :func:`companion.training.fit`.

    >>> import tempfile
    >>> from companion.experiments.experiment import choose
    >>> few = choose("wine", "autoencoder", train={"epochs": 2, "device": "cpu"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model, history = fit_experiment(few, few.load(), folder, progress=False)
    >>> type(model).__name__, len(history.rows)
    ('Autoencoder', 2)
    """
    folders = ("first", "second") if experiment.preset.family == "two-stage" else ("",)
    for (model, seen, config), name in zip(plans(experiment, data), folders, strict=True):
        condition, valid_condition, _ = seen.conditions
        history = fit(
            model, seen.train, seen.valid, config, directory=Path(directory) / name,
            condition=condition, valid_condition=valid_condition, resume=resume, progress=progress,
        )  # fmt: skip
        if experiment.takes_best:
            load_weights(model, Path(directory) / name / BEST)
    return model.eval(), history
