"""Any explorable as a panel in JupyterLab; the only module that imports widgets."""

import threading
from math import isclose

import anywidget
import traitlets
from IPython.display import display

from companion.lab.explorable import Explorable
from companion.lab.frame import output
from companion.lab.panel import SCRIPTS, STYLE, facts, key, points

MIME = "application/vnd.companion.explorable+json"  # marks where the book puts its own panel
WIDGET = STYLE.with_name("widget.js")


def explore(explorable: Explorable, seed: int = 0, **fixed: float) -> None:
    """Show an explorable as a panel, and as a static picture to readers without a kernel.

    Args:
        explorable: which one.
        seed: where the seed slider starts, moved to the nearest of the lattice.
        fixed: starting values of controls, moved to the nearest of the lattice; a control given as
            a one-element tuple is held there. What was moved is printed.

    Raises:
        ValueError: for a control that the explorable does not have.
    """
    start = starting_point(explorable, fixed)
    held = sorted(name for name, value in fixed.items() if isinstance(value, tuple))
    asked, seed = seed, min(explorable.seeds, key=lambda known: abs(known - seed))
    if moved := _moved(explorable, fixed, start) + [f"seed {seed}"] * (asked != seed):
        print(f"computed beforehand, so this picture starts at the nearest: {', '.join(moved)}")
    mark = {"name": explorable.name, "seed": seed, "start": start, "held": held}
    live = LivePanel(explorable, seed, start, held)
    data, metadata = output(live.start, extra={MIME: mark})
    display(live._repr_mimebundle_()[0] | data, raw=True, metadata=metadata)


def starting_point(explorable: Explorable, fixed: dict) -> dict[str, float]:
    """The lattice point where the sliders start: defaults, replaced by what is given."""
    unknown = set(fixed) - set(explorable.controls)
    if unknown:
        raise ValueError(
            f"explore: {explorable.name} has no control {', '.join(sorted(unknown))}; "
            f"it has {', '.join(explorable.controls)}"
        )
    start = {name: control.start for name, control in explorable.controls.items()}
    given = {name: v[0] if isinstance(v, tuple) else v for name, v in fixed.items()}
    return start | {name: explorable.controls[name].nearest(v) for name, v in given.items()}


def _moved(explorable: Explorable, fixed: dict, start: dict[str, float]) -> list[str]:
    """The controls that do not start where they were asked to, with where they do."""
    given = {name: v[0] if isinstance(v, tuple) else v for name, v in fixed.items()}
    moved = [name for name, v in given.items() if not isclose(v, start[name], rel_tol=1e-6)]
    return [f"{explorable.controls[n].label} = {start[n]:g}" for n in moved]


class LivePanel(anywidget.AnyWidget):
    """The live panel of an explorable; its pictures are sent to the browser ahead of being asked.

    Args:
        explorable: which one.
        seed: where the seed slider starts.
        start: where the others do.
        held: controls without a slider.
    """

    _esm = "\n".join(path.read_text("utf-8") for path in (*SCRIPTS, WIDGET))
    _css = STYLE.read_text("utf-8")
    facts = traitlets.Dict().tag(sync=True)
    at = traitlets.List().tag(sync=True)  # positions of the controls and of the seed
    predicted = traitlets.List().tag(sync=True)  # what was answered to the question, if it was
    shown = traitlets.Dict().tag(sync=True)  # the picture there: what a stored notebook shows

    def __init__(self, explorable: Explorable, seed: int, start: dict, held: list[str] = ()):
        self.explorable, self.points = explorable, points(explorable)
        self.wish, self.stopped = 0, threading.Event()
        here, self.start = key(explorable, seed, start), explorable.render(seed, **start)
        super().__init__(
            facts=facts(explorable, held) | {"live": explorable.study.live is not None},
            at=[int(position) for position in here.split("-")],
            shown=self.start.data(),
        )
        self.sent = {here}
        self.on_msg(self._heard)
        self.observe(lambda _: self.ahead(), "at")

    def picture(self, at: str) -> dict:
        """The picture of a key, as data."""
        seed, values = self.points[at]
        return self.explorable.render(seed, **values).data()

    def ahead(self) -> None:
        """Send the pictures of all points in a thread, the nearest first, until the next wish."""
        self.wish += 1
        threading.Thread(target=self._send_all, args=(self.wish, list(self.at))).start()

    def _send_all(self, wish: int, at: list[int]) -> None:
        held = [c["name"] in self.facts["held"] for c in self.facts["controls"]]
        for one in nearest_first(self.points, at, held):
            if wish != self.wish or leaving():
                return
            if one not in self.sent:
                self.sent.add(one)
                self.send({"pictures": {one: self.picture(one)}})

    def _heard(self, _, message: dict, __) -> None:
        if message.get("seen"):  # by somebody: a run without a browser draws nothing ahead
            self.ahead()
        if "ask" in message:
            self.send({"pictures": {message["ask"]: self.picture(message["ask"])}})
        if message.get("stop"):
            self.stopped.set()
        if message.get("train"):
            self.stopped.clear()
            threading.Thread(target=self._train).start()

    def _train(self) -> None:
        """Train the point at which the sliders stand; progress and picture go to the browser."""
        seed, values = self.points["-".join(map(str, self.at))]
        epochs, study = 0, self.explorable.study

        def progress(row: dict) -> bool:
            nonlocal epochs
            epochs = int(row["epoch"])
            says = f"epoch {epochs}: loss {row['loss']:.3f}"
            total = study.epochs(seed=seed, **values)
            self.send({"progress": {"epoch": epochs, "epochs": total, "says": says}})
            return self.stopped.is_set() or leaving()

        try:
            numbers = study.live(progress, seed=seed, **values)
            picture = self.explorable.render(seed, numbers, **values)
            ended = "stopped early" if self.stopped.is_set() else "done"
            says = f"{ended} after epoch {epochs}, trained here. {picture.says}"
            self.send({"trained": {"says": says, "picture": picture.data()}})
        except Exception as error:  # a thread's traceback would go unseen
            self.send({"trained": {"says": f"training failed: {error}"}})


def nearest_first(keys, at: list[int], held: list[bool]) -> list[str]:
    """Keys that the sliders reach: first those one slider away, then all, near ones before far.

    >>> nearest_first(["0-0", "0-1", "1-1", "2-0"], [0, 0], [False, False])
    ['0-1', '2-0', '1-1']
    """
    ranked = []
    for one in keys:
        away = [abs(int(to) - here) for to, here in zip(one.split("-"), at, strict=True)]
        if any(away) and not any(a and h for a, h in zip(away, held, strict=True)):
            ranked.append((sum(a > 0 for a in away), sum(away), one))
    return [one for *_, one in sorted(ranked)]


def leaving() -> bool:
    """Whether Python is about to exit: threads then end by themselves, as killing them aborts."""
    return not threading.main_thread().is_alive()
