"""What a run leaves on disk, and what its processes must agree on."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lightning_fabric import Fabric
from torch import Tensor

from companion.training import checkpoint
from companion.training.run import Run


class Keeper:
    """Checkpoints, the best weights, CSV and TensorBoard logs; only the first process writes.

    Args:
        run: what is kept.
        directory: where, or nothing to keep nothing.
        fabric: the processes.
    """

    def __init__(self, run: Run, directory: str | Path | None, fabric: Fabric):
        self.run, self.fabric = run, fabric
        self.directory = None if directory is None else Path(directory)
        self.every = run.config.checkpoint_every or run.stream.per_epoch
        self.board = None
        self.held = ExitStack()

    def open(self, resume: bool) -> None:
        """Take the folder, and go on from the checkpoint that is there, or begin.

        Raises:
            CheckpointError: as :meth:`companion.training.run.Run.load`, and when another run
                writes to the folder.
            FileExistsError: when there is one and ``resume`` is not set.
        """
        if self.directory is None:
            return
        try:
            self._take()
            self._begin(resume)
        except BaseException:
            self.held.close()
            raise

    def _take(self) -> None:
        """The first process holds the folder; all fail together when another run has it."""
        error = None
        if self.fabric.is_global_zero:
            try:
                self.held.enter_context(checkpoint.alone(self.directory))
            except checkpoint.CheckpointError as failed:
                error = failed
        if error := self.fabric.broadcast(error):
            raise error

    def _begin(self, resume: bool) -> None:
        path = self.directory / checkpoint.CHECKPOINT
        if path.exists() and not resume:
            raise FileExistsError(
                f"fit: {path} is there already; pass resume=True to go on from it, or another "
                "directory"
            )
        if path.exists():
            self.run.load(path)
        if not self.fabric.is_global_zero:
            return
        if self.run.history.rows:
            self.run.history.save(self.directory / "log.csv")
        self.board = _tensorboard(self.directory / "tensorboard", self.run.epoch)

    def after_step(self) -> None:
        """A checkpoint within an epoch, when it is time and the state is sound."""
        stream = self.run.stream
        if (
            self.directory is None
            or stream.done % self.every
            or stream.position == stream.per_epoch
        ):
            return
        own = self.run.sums
        self.run.sums = self.mean_over_processes(own)
        self._save()
        self.run.sums = own

    def after_epoch(self, row: dict[str, float]) -> None:
        """Log the epoch; keep the weights if they are the best so far, and a checkpoint."""
        better = self.run.finish_epoch(row)
        if self.directory is None or not self.fabric.is_global_zero:
            return
        if better:  # before the checkpoint that says so
            best = {"model": self.run.model.state_dict(), "row": self.run.plain_rows()[-1]}
            checkpoint.write(self.directory / checkpoint.BEST, best)
        if self.run.stream.done % self.every == 0 or self.run.ended:
            self._save()
        self.run.history.save(self.directory / "log.csv")
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, row["epoch"])

    def mean_over_processes(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sums of one epoch's terms as one process would have them."""
        if self.fabric.world_size == 1:
            return sums
        return {n: self.fabric.all_reduce(t.clone(), reduce_op="mean") for n, t in sums.items()}

    def agree(
        self, row: dict[str, float], callback: Callable[[dict], bool | None] | None
    ) -> tuple[dict[str, float], bool]:
        """The first process's row and its callback's decision to stop, for all processes."""
        stop = bool(callback(row)) if callback and self.fabric.is_global_zero else False
        return self.fabric.broadcast((row, stop))

    def _save(self) -> None:
        if self.fabric.is_global_zero and self.run.is_finite():
            checkpoint.write(self.directory / checkpoint.CHECKPOINT, self.run.state_dict())

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_) -> None:
        if self.board is not None:
            self.board.close()
        self.held.close()


def _tensorboard(directory: Path, epoch: int):
    """TensorBoard's writer where it is installed; a run that goes on forgets the later epochs."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(directory, purge_step=epoch + 1)
