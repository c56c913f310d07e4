"""The package's own names: each is the one of its room, and none costs anything before its use."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import companion


def loaded(code):
    """What of this package, and of torch, a fresh Python has loaded after some code."""
    code += "\nimport sys; print(*(m for m in sys.modules if m.split('.')[0] in "
    code += "('companion', 'torch', 'numpy', 'lightning_fabric')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else():
    assert loaded("import companion; dir(companion)") == {"companion"}


def test_a_name_loads_its_room_and_none_that_is_read_after_it():
    rooms = loaded("from companion import surrogate")
    assert {"companion.volume", "torch"} <= rooms
    assert not {f"companion.{room}" for room in companion.ROOMS[1:]} & rooms


def test_what_trains_is_imported_without_what_starts_processes():
    rooms = loaded("from companion import fit, sweep")
    assert "companion.training.sweeps" in rooms and "lightning_fabric" not in rooms


def test_editors_are_told_of_the_names_that_there_are():
    """The imports that a type checker follows: the same names, from the rooms they come from."""
    tree = ast.parse(inspect.getsource(companion))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(told) == sorted(companion.__all__)
    for name, module in told.items():
        assert getattr(companion, name) is getattr(import_module(module), name)
        assert name in dir(companion)


def test_no_name_hides_a_module_and_others_are_refused_as_usual():
    modules = {path.stem for path in Path(companion.__file__).parent.iterdir()}
    assert not modules & set(companion.__all__)
    with pytest.raises(AttributeError, match="module 'companion' has no attribute 'mlea_loss'"):
        _ = companion.mlea_loss
    with pytest.raises(ImportError, match="cannot import name 'MLEA' from 'companion'"):
        exec("from companion import MLEA")
