"""What every command does at its border: one line for what goes wrong, nothing left behind."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from companion.cli.places import Problem, user_path

FOLDERS = ("COMPANION_DATA", "COMPANION_NOTEBOOKS")


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception: what Ctrl-C cleans up, this does too."""


def guarded(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command and return its exit status, whatever happens in it.

    A :class:`Problem` prints its paragraph, any other exception one line that asks to report it, or
    its traceback where ``COMPANION_DEBUG`` is 1.
    """
    name = " ".join(["companion", *argv[:1]])
    _speak_any_language()
    try:
        with _terminated():
            _settle_folders()
            try:
                return command(argv)
            finally:
                sys.stdout.flush()  # here, where a reader that has gone can be handled
    except Problem as problem:
        return _say(f"{name}: {problem}", problem.code)
    except KeyboardInterrupt as stop:
        asked = isinstance(stop, Terminated)
        return _say(f"{name}: {'terminated' if asked else 'interrupted'}", 143 if asked else 130)
    except BrokenPipeError:  # of `| head`; what is still in the buffer must not be tried again
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("COMPANION_DEBUG") == "1":
            raise
        first = (str(error).strip() or "no message").splitlines()[0]
        ours = "" if isinstance(error, OSError | MemoryError) else "please report it; "
        cure = f"{ours}COMPANION_DEBUG=1 shows the traceback"
        return _say(f"{name}: {type(error).__name__}: {first} ({cure})", 1)


def _say(line: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
    return status


def _speak_any_language() -> None:
    """Let a console that has no β print a question mark instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _settle_folders() -> None:
    """Folders of the environment, for kernels too, which start in another place."""
    for name in FOLDERS:
        if os.environ.get(name):
            os.environ[name] = str(user_path(os.environ[name]).absolute())


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM raises :class:`Terminated` inside, where a signal may be handled at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what cleans up is left alone
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
