"""The memory map: stopped at any moment it goes on, and it is whole or not there."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import namedtuple
from contextlib import suppress

import numpy as np
import pytest
import torch

from companion.data import store
from companion.data.archives import FormatError
from companion.data.store import Piece, Recipe

N, STEP = 40, 2
X = np.arange(N * 12, dtype=np.uint8).reshape(N, 3, 2, 2)


def recipe(make=lambda piece: X[piece], **changes):
    pieces = [Piece(i, i + STEP, lambda i=i: make(slice(i, i + STEP))) for i in range(0, N, STEP)]
    options = {"made_from": {"a.zip": "md5 1"}, "note": "toy: whole", "workers": 2} | changes
    return Recipe("toy", (20, 12, 8), (3, 2, 2), pieces, np.arange(N), **options)


class Counted:
    """Makes pieces, counts them, and stops at one of them."""

    def __init__(self, stop_at=None, error=KeyboardInterrupt):
        self.calls, self.stop_at, self.error = 0, stop_at, error

    def __call__(self, piece):
        self.calls += 1
        if piece.start == self.stop_at:
            raise self.error("stop")
        return X[piece]


def is_whole(folder):
    splits = store.read(folder)
    x, y = (torch.cat([part[i] for part in splits[1:4]]) for i in (0, 1))
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]
    assert [len(part.x) for part in splits[1:4]] == [20, 12, 8]
    return bool((x.numpy() == X).all()) and y.tolist() == list(range(N))


@pytest.mark.parametrize("stop_at", range(0, N, STEP))
def test_a_run_that_is_stopped_goes_on(stop_at, tmp_path):
    folder, first, second = tmp_path / "set" / "32", Counted(stop_at), Counted()
    with pytest.raises(KeyboardInterrupt):
        store.write(folder, recipe(first), progress=False)
    assert not folder.exists()
    with (tmp_path / "set" / "32.partial" / "done.txt").open("a") as log:
        log.write("3")  # torn by the kill: no end of line, so it does not count
    store.write(folder, recipe(second), progress=False)
    assert is_whole(folder)
    assert second.calls == (N - stop_at) // STEP


KILLED = """
import sys, time
from pathlib import Path
from test_data_store import X, recipe, store
def slow(piece):
    time.sleep(0.05)
    return X[piece]
store.write(Path(sys.argv[1]), recipe(slow), progress=False)
"""


def test_kill_at_any_moment(tmp_path):
    folder, again = tmp_path / "set" / "32", Counted()
    command = [sys.executable, "-c", KILLED, str(folder)]
    log = tmp_path / "set" / "32.partial" / "done.txt"
    with subprocess.Popen(command, cwd=__file__.rpartition("test_")[0]) as process:
        while not (log.is_file() and len(log.read_text().splitlines()) >= 4):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not folder.exists()
    store.write(folder, recipe(again), progress=False)
    assert is_whole(folder) and again.calls <= N // STEP - 4


STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
LEFT = [0]  # steps on the disk before the kill; 0 for none


def _die(event, arguments):
    if LEFT[0] and event in STEPS:
        LEFT[0] -= 1
        if not LEFT[0]:
            raise KeyboardInterrupt(event)


sys.addaudithook(_die)  # sees every step, also inside NumPy and shutil


@pytest.mark.parametrize("first", [None, 8], ids=["decoding", "discarding"])
def test_a_kill_before_any_step_on_the_disk_heals(first, tmp_path):
    """Also while what a damaged file has left is removed, and while a stopped run goes on."""
    for stop in range(1, 200):
        folder = tmp_path / str(stop) / "32"
        if stop % 2:  # every other time there is something to go on from
            with pytest.raises(KeyboardInterrupt):
                store.write(folder, recipe(Counted(20)), progress=False)
        LEFT[0] = stop
        with suppress(KeyboardInterrupt, FormatError):
            store.write(folder, recipe(Counted(first, FormatError)), progress=False)
        done, LEFT[0] = bool(LEFT[0]), 0
        store.write(folder, recipe(), progress=False)
        assert is_whole(folder)
        if done and stop > 2:
            return
    raise AssertionError("more steps than expected")


@pytest.mark.parametrize("lost", ["done.txt", "x.npy", "about.json"])
def test_what_is_lost_of_a_stopped_run_is_made_again(lost, tmp_path):
    folder = tmp_path / "set" / "32"
    with pytest.raises(KeyboardInterrupt):
        store.write(folder, recipe(Counted(20)), progress=False)
    (tmp_path / "set" / "32.partial" / lost).unlink()
    store.write(folder, recipe(), progress=False)
    assert is_whole(folder)


def test_a_torn_line_of_the_log_never_joins_the_next(tmp_path):
    folder, log = tmp_path / "set" / "32", tmp_path / "set" / "32.partial" / "done.txt"
    for stop_at in (8, 16):
        with pytest.raises(KeyboardInterrupt):
            store.write(folder, recipe(Counted(stop_at)), progress=False)
        with log.open("a") as file:
            file.write("3")
    store.write(folder, recipe(), progress=False)
    lines = (folder / "done.txt").read_text().split()
    assert sorted(map(int, lines)) == list(range(0, N, STEP)) and is_whole(folder)


def test_a_file_in_the_place_of_the_folder_is_found_before_decoding(tmp_path):
    (tmp_path / "32").touch()
    counted = Counted()
    with pytest.raises(NotADirectoryError, match="32 is no folder: delete it"):
        store.write(tmp_path / "32", recipe(counted), progress=False)
    assert not counted.calls


def test_another_recipe_starts_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "set" / "32", recipe(Counted(20)), progress=False)
    again = Counted()
    other = recipe(again, made_from={"a.zip": "md5 2"})
    store.write(tmp_path / "set" / "32", other, progress=False)
    assert is_whole(tmp_path / "set" / "32") and again.calls == N // STEP


def test_two_at_once_decode_once(tmp_path):
    def slow(piece):
        time.sleep(0.01)
        return counted(piece)

    counted, folder = Counted(), tmp_path / "set" / "32"
    threads = [
        threading.Thread(target=store.write, args=(folder, recipe(slow), False)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_whole(folder) and counted.calls == N // STEP


@pytest.mark.parametrize(
    "make, message",
    [
        (Counted(8, FormatError), "stop"),
        (lambda piece: X[piece][:1], r"images 0 to 2 of toy are uint8 \(1, 3, 2, 2\), expected"),
        (lambda piece: X[piece] / 255, "are float64"),
    ],
)
def test_wrong_images_leave_nothing(make, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        store.write(tmp_path / "set" / "32", recipe(make), progress=False)
    assert not list((tmp_path / "set").iterdir())


def test_a_full_disk_is_found_out_before_it_is_full(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")(500, 100, 400)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="store.write: toy needs 480 bytes in .*, but 400 are free"):
        store.write(tmp_path / "set" / "32", recipe(), progress=False)
    assert not list((tmp_path / "set").iterdir())


def test_a_disk_that_fills_up_leaves_what_is_done(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    folder, again = tmp_path / "set" / "32", Counted()
    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="store.write: toy is decoded up to image 0, .*No space left"):
        store.write(folder, recipe(), progress=False)
    monkeypatch.undo()
    store.write(folder, recipe(again), progress=False)
    assert is_whole(folder) and again.calls == N // STEP


def test_a_damaged_map_is_refused(tmp_path):
    folder = tmp_path / "set" / "32"
    store.write(folder, recipe(), progress=False)
    whole = (folder / "x.npy").read_bytes()
    for content in (whole[:-1], b"", whole.replace(b"u1", b"i1")):
        (folder / "x.npy").write_bytes(content)
        with pytest.raises(FormatError, match="store.read: "):
            store.read(folder)
    (folder / "x.npy").write_bytes(whole)
    np.save(folder / "y.npy", np.arange(3))
    with pytest.raises(FormatError, match="holds labels torch.int64 .3,."):
        store.read(folder)
    (folder / "about.json").unlink()
    with pytest.raises(FormatError, match="about.json"):
        store.read(folder)


def test_tensors_over_the_map_can_be_written_to_and_the_file_stays(tmp_path, recwarn):
    folder = tmp_path / "set" / "32"
    store.write(folder, recipe(), progress=False)
    splits = store.read(folder)
    splits.train.x[0] = 255
    assert torch.equal(store.read(folder).train.x, torch.from_numpy(X[:20]))
    assert not recwarn.list


def test_a_folder_promises_nothing_that_it_does_not_hold(tmp_path):
    folder = tmp_path / "set" / "32"
    store.write(folder, recipe(), progress=False)
    labels, about = ((folder / name).read_bytes() for name in ("y.npy", "about.json"))
    huge = labels.replace(b"(40,), }     ", b"(4000000,), }")
    assert huge != labels and len(huge) == len(labels)
    negative = json.dumps(json.loads(about) | {"sizes": [50, -20, 10]}).encode()
    for name, content in {"y.npy": huge, "about.json": negative}.items():
        (folder / name).write_bytes(content)
        with pytest.raises(FormatError, match="32, decoded again once you delete it, is damaged"):
            store.read(folder)
        (folder / name).write_bytes({"y.npy": labels, "about.json": about}[name])
    if hasattr(os, "mkfifo"):
        (folder / "about.json").unlink()
        os.mkfifo(folder / "about.json")
        with pytest.raises(FormatError, match="about.json is no regular file"):
            store.read(folder)
