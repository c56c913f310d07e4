"""A whole experiment trained: its one stage, or its two one after the other."""

from pathlib import Path

from companion.models import Model
from companion.training.checkpoint import BEST, load_weights
from companion.training.experiment import Data, Experiment
from companion.training.loop import fit
from companion.training.run import History


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
        experiment: what :func:`companion.training.experiment.choose` found.
        data: what it loaded.
        directory: for checkpoints and logs.
        resume: go on with what is there.
        progress: show a progress bar.

    Returns:
        The model in eval mode, with the weights that the paper judges (the last, or those of the
        best validation), and the log of its last stage.

    Raises:
        companion.training.CheckpointError: as :func:`companion.training.fit`.

    >>> import tempfile
    >>> from companion.training.experiment import choose
    >>> few = choose("wine", "autoencoder", train={"epochs": 2, "device": "cpu"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model, history = fit_experiment(few, few.load(), folder, progress=False)
    >>> type(model).__name__, len(history.rows)
    ('Autoencoder', 2)
    """
    directory = Path(directory)
    conditions = data.conditions if experiment.preset.conditional else (None,) * 3
    kept = {"condition": conditions[0], "resume": resume, "progress": progress}
    model = experiment.build(tuple(data.train.shape[1:]))
    where = directory / "first" if experiment.preset.family == "two-stage" else directory
    history = fit(
        model, data.train, data.valid, experiment.config(len(data.train)),
        valid_condition=conditions[1], directory=where, **kept,
    )  # fmt: skip
    if experiment.takes_best:
        load_weights(model, where / BEST)
    if second := experiment.second(model):
        model, config = second
        history = fit(model, data.train, config=config, directory=directory / "second", **kept)
    return model.eval(), history
