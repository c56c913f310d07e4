"""Any explorable as sliders in JupyterLab; the only module that imports ipywidgets."""

import threading
from base64 import b64encode
from html import escape
from math import isclose

import ipywidgets as w
from IPython.display import display

from companion.lab.explorable import Explorable
from companion.lab.frame import png, show

MIME = "application/vnd.companion.explorable+json"  # marks where the book puts its own sliders


def explore(explorable: Explorable, seed: int = 0, **fixed: float) -> None:
    """Show an explorable: a static picture for readers without a kernel, then its sliders.

    Args:
        explorable: which one.
        seed: where the seed slider starts, moved to the nearest of the lattice.
        fixed: starting values of controls, moved to the nearest of the lattice; a control given as
            a one-element tuple is held there. What was moved is printed.

    Raises:
        ValueError: for a control that the explorable does not have.
    """
    start = starting_point(explorable, fixed)
    held = {name for name, value in fixed.items() if isinstance(value, tuple)}
    asked, seed = seed, min(explorable.seeds, key=lambda known: abs(known - seed))
    if moved := _moved(explorable, fixed, start) + [f"seed {seed}"] * (asked != seed):
        print(f"computed beforehand, so this picture starts at the nearest: {', '.join(moved)}")
    mark = {"name": explorable.name, "seed": seed, "start": start, "held": sorted(held)}
    show(*explorable.render(seed, **start), extra={MIME: mark})
    display(panel(explorable, seed, start, held))


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


def panel(explorable: Explorable, seed: int, start: dict, held: set[str] = frozenset()) -> w.VBox:
    """The live panel: sliders, presets, the picture, and "train here" where there is one."""
    pictures = Pictures(explorable)
    sliders = {
        name: w.SelectionSlider(
            options=list(zip(control.texts, control.values, strict=True)),
            value=start[name],
            description=control.label,
            continuous_update=True,
            style={"description_width": "initial"},
            layout=w.Layout(width="420px"),
        )
        for name, control in explorable.controls.items()
        if name not in held
    }
    seeds = w.SelectionSlider(options=explorable.seeds, value=seed, description="seed")
    image, caption = w.HTML(), w.HTML()

    def values() -> dict[str, float]:
        return start | {name: slider.value for name, slider in sliders.items()}

    def redraw(*_) -> None:
        image.value, caption.value = pictures(seeds.value, values())
        pictures.ahead(seeds.value, values(), list(sliders))  # the next move finds it drawn

    for slider in (*sliders.values(), seeds):
        slider.observe(redraw, "value")
    redraw()
    rows = [w.HTML(f"<b>{explorable.title}</b>"), *_prompts(explorable), *sliders.values()]
    rows += [seeds] if len(explorable.seeds) > 1 else []
    rows += [_presets(explorable, sliders), image, caption]
    if explorable.study.live is not None:
        rows.append(trainer(explorable, lambda: (seeds.value, values())))
    box = w.VBox(rows)
    box.add_class(f"companion-{explorable.name}")
    return box


class Pictures:
    """An explorable's pictures and words as HTML, drawn once; drawing ahead happens in a thread."""

    def __init__(self, explorable: Explorable):
        self.explorable, self.drawn, self.lock, self.wish = explorable, {}, threading.Lock(), 0

    def __call__(self, seed: int, values: dict[str, float]) -> tuple[str, str]:
        point = (seed, *values.items())
        if point not in self.drawn:
            with self.lock:  # one at a time: a picture half drawn elsewhere is waited for
                if point not in self.drawn:
                    figure, alt = self.explorable.render(seed, **values)
                    caption = f'<p aria-live="polite">{escape(alt)}</p>'
                    self.drawn[point] = tag(png(figure), alt), caption
        return self.drawn[point]

    def ahead(self, seed: int, values: dict[str, float], names: list[str]) -> None:
        """Draw what one further slider could be moved to, nearest first, until the next wish."""
        self.wish += 1
        steps = []
        for name in names:
            order = self.explorable.controls[name].values
            here = order.index(values[name])
            steps += [(abs(i - here), name, value) for i, value in enumerate(order)]

        def work(wish: int) -> None:
            for _, name, value in sorted(steps):
                if wish == self.wish and not leaving():
                    self(seed, values | {name: value})

        threading.Thread(target=work, args=(self.wish,)).start()


def leaving() -> bool:
    """Whether Python is about to exit: threads then end by themselves, as killing them aborts."""
    return not threading.main_thread().is_alive()


def tag(picture: bytes, alt: str) -> str:
    """A PNG as an HTML image with alt text, which the Image widget does not have."""
    data = b64encode(picture).decode()
    return f'<img alt="{escape(alt)}" style="max-width: 100%" src="data:image/png;base64,{data}">'


def _prompts(explorable: Explorable) -> list[w.Widget]:
    if not explorable.prompts:
        return []
    items = "".join(f"<li>{prompt}</li>" for prompt in explorable.prompts)
    return [w.HTML(f"<i>Predict before you move:</i><ul>{items}</ul>")]


def _presets(explorable: Explorable, sliders: dict[str, w.SelectionSlider]) -> w.HBox:
    buttons = []
    for name, setting in explorable.presets.items():
        button = w.Button(description=name, layout=w.Layout(width="auto"))

        def go(_, setting=setting) -> None:
            for control, value in setting.items():
                if control in sliders:
                    sliders[control].value = value

        button.on_click(go)
        buttons.append(button)
    return w.HBox(buttons)


def trainer(explorable: Explorable, point) -> w.VBox:
    """A "train here" row: retrain the current point in a thread, with progress and a stop button.

    Args:
        explorable: one whose study can train a point live.
        point: called for ``(seed, values)`` when training starts.
    """
    start = w.Button(description="train here", icon="play")
    stop = w.Button(description="stop", icon="stop", disabled=True)
    bar = w.IntProgress(min=0, description="epoch")
    image, message = w.HTML(), w.HTML()
    wanted = threading.Event()

    def progress(row: dict) -> bool:
        bar.value = int(row["epoch"])
        message.value = f"epoch {row['epoch']}: loss {row['loss']:.3f}"
        return wanted.is_set() or leaving()

    def work() -> None:
        seed, values = point()
        try:
            bar.max = explorable.study.epochs(seed=seed, **values)
            numbers = explorable.study.live(progress, seed=seed, **values)
            figure, alt = explorable.render(seed, numbers, **values)
            image.value = tag(png(figure), alt)
            ended = "stopped early" if wanted.is_set() else "done"
            message.value = f"{ended} after epoch {bar.value}: retrained at {values}, seed {seed}"
        except Exception as error:  # a thread's traceback would go unseen
            message.value = f"training failed: {error}"
        finally:
            start.disabled, stop.disabled = False, True

    def begin(_) -> None:
        wanted.clear()
        start.disabled, stop.disabled, bar.value = True, False, 0
        threading.Thread(target=work).start()

    start.on_click(begin)
    stop.on_click(lambda _: wanted.set())
    return w.VBox([w.HBox([start, stop, bar]), message, image])
