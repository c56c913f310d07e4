"""Files that a run can go on from: written whole or not at all, read without running code."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

VERSION = 1
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or used; the file that was there is as it was."""


def write(path: Path, state: dict) -> None:
    """Replace a file by a new state: written beside it, synced to the disk, then renamed.

    Whatever happens, ``path`` holds its old content or its new one, whole.

    Raises:
        CheckpointError: when the disk is full or the folder cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"version": VERSION} | state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        kept = "the one before is untouched" if path.exists() else "there is none yet"
        raise CheckpointError(
            f"training: cannot write the checkpoint {path} ({error}); {kept}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write what a run says of itself, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
    if version != VERSION:
        raise CheckpointError(
            f"training: {path} has version {version}, this package reads version {VERSION}"
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
    check_architecture(model, state["model"], Path(path))
    model.load_state_dict(state.pop("model"))
    return state


def check_architecture(model: nn.Module, weights: dict, path: Path) -> None:
    """Refuse weights whose names or shapes are not the model's.

    Raises:
        CheckpointError: naming the first tensors that differ.
    """
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if differing := _differences(ours, theirs):
        raise CheckpointError(f"training: {path} is of another architecture: {differing}")


def crc(*tensors: Tensor) -> int:
    """One number by which other data, or other weights, are told from these.

    >>> crc(torch.zeros(3)) == crc(torch.zeros(3)), crc(torch.zeros(3)) == crc(torch.ones(3))
    (True, False)
    """
    code = 0
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        code = zlib.crc32(flat.view(torch.uint8).numpy().tobytes(), code)
    return code


def check_settings(ours: dict, theirs: dict, path: Path) -> None:
    """Refuse to go on with another configuration or other data.

    Raises:
        CheckpointError: naming the settings that differ.
    """
    if differing := _differences(ours, theirs):
        raise CheckpointError(f"training: {path} belongs to another run: {differing}")


def _differences(ours: dict, theirs: dict, most: int = 3) -> str:
    names = [n for n in {**ours, **theirs} if ours.get(n, _NONE) != theirs.get(n, _NONE)]
    some = [f"{n} is {theirs.get(n, _NONE)}, here {ours.get(n, _NONE)}" for n in names[:most]]
    return "; ".join(some) + (f"; and {len(names) - most} more" if len(names) > most else "")


class _Missing:
    """What a name that is not there is shown as."""

    def __repr__(self) -> str:
        return "missing"


_NONE = _Missing()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
