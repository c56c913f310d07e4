"""What a notebook keeps of its sliders: those that could not come back are taken out."""

from collections.abc import Container

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def before_saving(model: dict, **_) -> None:
    """Take views out whose sliders are not stored: JupyterLab would say "model not found" there.

    JupyterLab calls this (see the settings beside it). It stores sliders that have a kernel, so a
    notebook opened again shows them as they stood; saved then, their static picture remains.

    >>> view = {"data": {WIDGET: {"model_id": "a"}, "text/plain": "VBox()"}}
    >>> cell = {"cell_type": "code", "outputs": [view]}
    >>> before_saving({"type": "notebook", "content": {"metadata": {}, "cells": [cell]}})
    >>> cell["outputs"]
    []
    """
    if model["type"] != "notebook" or not model.get("content"):
        return
    notebook = model["content"]
    stored = notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [out for out in cell["outputs"] if not dead(out, stored)]


def dead(output: dict, stored: Container[str] = ()) -> bool:
    """Whether an output is only a widget that is not stored; from others, take that widget away."""
    data = output.get("data", {})
    if WIDGET not in data or data[WIDGET].get("model_id") in stored:
        return False
    del data[WIDGET]
    return set(data) <= {"text/plain"}
