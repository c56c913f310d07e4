"""Files that a run can go on from: written whole or not at all, read without running code."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from companion.atomic import sweep, writing
from companion.training.stream import Stream

VERSION = 2  # 1 had a form for runs and one for stacks; both are read
CHECKPOINT, BEST, LOCK = "checkpoint.pt", "best.pt", ".lock"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or used; the file that was there is as it was."""


def write(path: Path, state: dict) -> None:
    """Replace a file by a new state, see :func:`companion.atomic.writing`.

    Raises:
        CheckpointError: when the disk is full or the folder cannot be written.
    """
    try:
        with writing(path) as file:
            torch.save({"version": VERSION} | state, file)
    except (OSError, RuntimeError) as error:
        kept = "the one before is untouched" if path.exists() else "there is none yet"
        raise CheckpointError(
            f"training: cannot write the checkpoint {path} ({error}); {kept}"
        ) from error


def read(path: Path) -> dict:
    """A state that :func:`write` wrote; only tensors and plain values are loaded, never code.

    Raises:
        CheckpointError: naming the file, when it cannot be read or has another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # they are of many kinds
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise CheckpointError(
            f"training: {path} is no readable checkpoint ({reason}); move it away to start over"
        ) from error
    version = state.get("version") if isinstance(state, dict) else None
    if type(version) is not int or not 1 <= version <= VERSION:
        raise CheckpointError(
            f"training: {path} has version {version}, this package reads version 1 to {VERSION}"
        )
    return state


def load_weights(model: nn.Module, path: str | Path) -> dict:
    """Put the weights of a checkpoint, or of ``best.pt``, into a model; returns what else it says.

    Raises:
        CheckpointError: when the file cannot be read, or when its weights are of another
            architecture; the model is then unchanged.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "best.pt"
    >>> write(path, {"model": nn.Linear(2, 1).state_dict(), "row": {"epoch": 3}})
    >>> load_weights(nn.Linear(2, 1), path)["row"]
    {'epoch': 3}
    """
    state = read(Path(path))
    check_architecture(model, state.get("model"), Path(path))
    model.load_state_dict(state.pop("model"))
    return state


def check_resumed(call: str, path: Path, resume: bool) -> None:
    """Refuse to begin where there is a checkpoint, unless the run goes on from it.

    Raises:
        FileExistsError: naming the cure.
    """
    if not resume:
        raise FileExistsError(
            f"{call}: {path} is there already; pass resume=True to go on from it, or another "
            "directory"
        )


def check_architecture(model: nn.Module, weights: dict, path: Path) -> None:
    """Refuse weights whose names or shapes are not the model's, or that are no weights.

    Raises:
        CheckpointError: naming the first tensors that differ.
    """
    ours, theirs = model.state_dict(), weights if isinstance(weights, dict) else {}
    if differing := _differences(*map(_shapes, (ours, theirs))):
        raise CheckpointError(f"training: {path} is of another architecture: {differing}")


def _shapes(weights: dict) -> dict:
    return {n: tuple(t.shape) if isinstance(t, Tensor) else _made(t) for n, t in weights.items()}


def check_like(ours: Any, theirs: Any, path: Path, name: str = "") -> None:
    """Refuse a state that is not made like ours: the same names, shapes and types all the way.

    Of numbers and tensors the values are free, and a tensor's device.

    Raises:
        CheckpointError: naming the first part that is not.

    >>> check_like({"epoch": 0}, {"epoch": "3"}, Path("c.pt"))
    Traceback (most recent call last):
    companion.training.checkpoint.CheckpointError: training: c.pt: epoch must be int, got str
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *theirs]:
            at = f"{name}.{key}".removeprefix(".")
            if key not in theirs or key not in ours:
                what = "misses" if key not in theirs else "has an unknown"
                raise CheckpointError(f"training: {path} {what} {at}; is it another kind of file?")
            check_like(ours[key], theirs[key], path, at)
        return
    if isinstance(ours, list | tuple) and type(ours) is type(theirs) and len(ours) == len(theirs):
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            check_like(*pair, path, f"{name}[{place}]")
        return
    wanted, got = _made(ours), _made(theirs)
    if (wanted, got) == ("float", "int"):
        return
    if wanted != got or isinstance(ours, dict):
        raise CheckpointError(f"training: {path}: {name} must be {wanted}, got {got}")


def _made(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def check_whole(ours: dict, state: dict, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Refuse a state that is not made like that of the run at hand, whatever its log says.

    Raises:
        CheckpointError: naming the part.
    """
    sums = state.get("sums")
    free = {name: state.get(name) for name in ("settings", "rows")}
    free["sums"] = dict.fromkeys(sums if isinstance(sums, dict) else (), torch.zeros(()))
    own = {"version": VERSION, "optimizer": moments(optimizer, state.get("optimizer"))}
    check_like(ours | free | own, state, path)


def moments(optimizer: torch.optim.Optimizer, theirs: Any) -> dict:
    """An optimiser's state as it must be where it has moments for the same parameters as theirs."""
    ours, known = optimizer.state_dict(), theirs.get("state") if isinstance(theirs, dict) else None
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {}
    for place in known if isinstance(known, dict) else ():
        if isinstance(place, int) and 0 <= place < len(parameters):
            like = torch.empty_like(parameters[place], device="meta")
            step = torch.zeros((), dtype=torch.get_default_dtype())
            state[place] = {"step": step, "exp_avg": like, "exp_avg_sq": like}
    return ours | {"state": state}


def check_rows(rows: Any, path: Path) -> None:
    """Refuse what is no log: one dict of plain values for each epoch.

    Raises:
        CheckpointError: naming the file.
    """
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {*map(type, row)} <= {str}
        and {*map(type, row.values())} <= {int, float, str} and "epoch" in row and "loss" in row
        for row in rows
    ):  # fmt: skip
        raise CheckpointError(f"training: {path} holds no log of a run in its rows")


def check_place(stream: Stream, state: dict, epoch: int, rows: int, path: Path) -> None:
    """Refuse a place that no run of these steps has.

    Raises:
        CheckpointError: naming the file.
    """
    done, position = state["done"], state["position"]
    whole = 0 <= position < stream.per_epoch and done == epoch * stream.per_epoch + position
    if not (whole and 0 <= done <= stream.num_steps and rows == epoch):
        raise CheckpointError(
            f"training: {path} is nowhere in this run: step {done}, {position} of its epoch, "
            f"epoch {epoch}, {rows} rows in its log"
        )
    check_random(state["order"], torch.device("cpu"), path)
    check_random(state["chance"], stream.device, path)


def check_random(state: Tensor, device: torch.device, path: Path) -> None:
    """Refuse what is no state of a device's generator.

    Raises:
        CheckpointError: naming the file.
    """
    try:
        torch.Generator(device).set_state(state)
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"training: {path} has no state of a generator on {device} ({error})"
        ) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder for one run: two would mix their files. A killed process holds nothing.

    What such a process left half-written goes away.

    Raises:
        CheckpointError: at once, when another run holds it, or when it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise CheckpointError(
            f"training: another run is writing to {folder}; wait for it, or choose another folder"
        ) from error
    except OSError as error:
        raise CheckpointError(f"training: cannot write to {folder} ({error})") from error
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def check_settings(ours: dict, theirs: dict, path: Path) -> None:
    """Refuse to go on with another configuration or other data.

    Raises:
        CheckpointError: naming the settings that differ.
    """
    if differing := _differences(ours, theirs):
        raise CheckpointError(
            f"training: {path} belongs to another run: {differing}; give this one a folder of its "
            "own, or start it as that one was, with the same seed before the model is built"
        )


def _differences(ours: dict, theirs: dict, most: int = 3) -> str:
    names = [n for n in {**ours, **theirs} if not _same(ours.get(n, _NONE), theirs.get(n, _NONE))]
    some = [f"{n} is {_shown(theirs, n)}, here {_shown(ours, n)}" for n in names[:most]]
    return "; ".join(some) + (f"; and {len(names) - most} more" if len(names) > most else "")


_NONE = object()


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two plain values are; what else a file may hold is not."""
    if isinstance(theirs, Tensor | dict):
        return False
    return str(ours) == str(theirs) if isinstance(theirs, list | tuple) else ours == theirs


def _shown(found: dict, name: str) -> str:
    value = found.get(name, _NONE)
    near = f"{value:.6g}" if isinstance(value, float) else ""
    short = near and float(near) != value and torch.tensor(float(near)).item() == value
    return "missing" if value is _NONE else near if short else str(value)
