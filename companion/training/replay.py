"""Forward and backward pass of a training step, recorded once on a GPU and replayed.

A step of a small network is hundreds of small kernels; starting them one by one from Python takes
longer than the GPU needs to run them. A CUDA graph starts all of them at once. It computes what the
step computes, with the same kernels: all chance is drawn outside of the loss, and what is scheduled
is written into buffers, so only the step's tensors change from one replay to the next.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from companion.training.stream import Step

Pass = Callable[[Step], object]  # a step's terms; leaves gradients in the parameters
WARM_UP = 3  # steps that run kernel by kernel before one is recorded
# of CUDA's linear algebra these alone take no memory of their own while they run
RECORDABLE = ("vector_norm", "matrix_norm", "solve_triangular", "cholesky_ex", "vecdot", "cross")
SOLVERS = ("cholesky_solve", "cholesky_inverse", "lu_solve", "geqrf", "ormqr", "lstsq")


class Replay:
    """A pass that records itself after some steps, where it can, and is replayed from then on.

    A loss that waits for a number to know what to compute next (conjugate gradients that may have
    converged), or whose linear algebra takes memory while it runs (singular values), cannot be
    recorded; its steps go on kernel by kernel. So does a step of other shapes than the recorded.

    Args:
        run: forward and backward pass of one step; it must set gradients, not add to them.
        parameters: whose gradients it sets, on a CUDA device.
        buffers: what it may move besides; put back when a step was tried in vain.

    Raises:
        ValueError: when the parameters are not on a CUDA device.
        RuntimeError: when a step that seemed to be recordable was not, naming the cure.
        torch.OutOfMemoryError: when the recording does not fit.

    >>> Replay(lambda step: None, [torch.zeros(1)])
    Traceback (most recent call last):
    ValueError: Replay: parameters must be on a CUDA device, got cpu
    """

    def __init__(self, run: Pass, parameters: Iterable[Tensor], buffers: Iterable[Tensor] = ()):
        self.parameters, self.buffers = list(parameters), list(buffers)
        self.device = self.parameters[0].device
        if self.device.type != "cuda":
            raise ValueError(f"Replay: parameters must be on a CUDA device, got {self.device}")
        self.run, self.left = run, WARM_UP
        self.side = torch.cuda.Stream(self.device)  # a recording may not share the default stream
        self.graph: torch.cuda.CUDAGraph | None = None
        self.step: Step | None = None  # what the recorded step reads
        self.terms: object = None  # what it writes, besides gradients
        self.gradients: list[Tensor | None] = []

    def __call__(self, step: Step) -> object:
        """The step's terms, which the next replay overwrites."""
        if self.graph is not None and _shapes(step) == _shapes(self.step):
            return self._replayed(step)
        if self.left < 0:  # recorded with other shapes, or not to be recorded
            return self.run(step)
        self.left -= 1
        if self.left > 0:
            return self._aside(step)
        return self._tried(step) if self.left == 0 else self._recorded(step)

    def _replayed(self, step: Step) -> object:
        for kept, new in zip(_tensors(self.step), _tensors(step), strict=True):
            kept.copy_(new)
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        self.graph.replay()
        return self.terms

    def _aside(self, step: Step) -> object:
        current = torch.cuda.current_stream(self.device)
        self.side.wait_stream(current)
        try:
            with torch.cuda.stream(self.side):
                return self.run(step)
        finally:
            current.wait_stream(self.side)

    @torch.no_grad()
    def _tried(self, step: Step) -> object:
        """The last step before the recording: would a recording take it?

        Uncompiled: a compiled loss that is watched stays uncompiled ever after.
        """
        before = [buffer.clone() for buffer in self.buffers]
        try:
            with torch.enable_grad(), _waiting_refused(), _uncompiled(), _Operations() as seen:
                terms = self._aside(step)
        except Exception as error:
            if not _waits(error):
                raise
        else:
            if not any(map(_takes_memory, seen.names)):
                return terms
        self.left = -1  # for good
        for buffer, value in zip(self.buffers, before, strict=True):
            buffer.copy_(value)
        with torch.enable_grad():
            return self.run(step)

    def _recorded(self, step: Step) -> object:
        draws = {name: drawn.clone() for name, drawn in step.draws.items()}
        condition = None if step.condition is None else step.condition.clone()
        self.step = Step(step.x.clone(), condition, draws)
        for parameter in self.parameters:
            parameter.grad = None  # the graph brings its own
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        try:
            with torch.cuda.graph(graph, stream=self.side):
                self.terms = self.run(self.step)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # which a broken recording does not come back to
            cause = str(error.__context__ or error).partition("\n")[0]
            raise RuntimeError(
                f"Replay: a step could not be recorded on {self.device} ({cause}); set "
                "replay=False to train kernel by kernel"
            ) from error
        self.graph, self.gradients = graph, [p.grad for p in self.parameters]
        self.graph.replay()  # recording computes nothing
        return self.terms


def _tensors(step: Step) -> list[Tensor]:
    return [t for t in (step.x, step.condition, *step.draws.values()) if t is not None]


def _shapes(step: Step) -> list[tuple]:
    return [(tuple(t.shape), t.dtype) for t in _tensors(step)]


class _Operations(TorchDispatchMode):
    """Notes the names of all operations inside it, those of the backward pass too."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function._opname)
        return function(*args, **(kwargs or {}))


def _takes_memory(operation: str) -> bool:
    """Whether it is one of the linear algebra that a recording refuses.

    >>> [_takes_memory(name) for name in ("silu_backward", "linalg_vector_norm", "_linalg_svd")]
    [False, False, True]
    """
    if "linalg_" in operation:
        return not operation.partition("linalg_")[2].startswith(RECORDABLE)
    return operation.lstrip("_").startswith(SOLVERS)


def _waits(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is of an operation that waits for the GPU."""
    while error is not None:
        if "synchronizing CUDA operation" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _uncompiled() -> AbstractContextManager:
    return torch.compiler.set_stance("force_eager")


@contextmanager
def _waiting_refused() -> Iterator[None]:
    """Whatever waits for the GPU raises a RuntimeError."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not see every wait
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
