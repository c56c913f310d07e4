"""A file is there whole or not at all, whoever writes it and whatever interrupts them."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from companion import atomic


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, "old"])
def test_what_is_interrupted_leaves_the_old_content_and_nothing_else(tmp_path, stop, before):
    path = tmp_path / "new" / "a.txt"
    if before:
        atomic.write(path, before)
    with pytest.raises(stop), atomic.writing(path, "w") as file:
        file.write("half")
        file.flush()
        raise stop
    assert [p.read_text() for p in path.parent.iterdir()] == [before] * bool(before)


def test_what_cannot_be_put_in_place_leaves_nothing(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError):
        atomic.write(tmp_path / "a", "x")  # a folder lies there
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_several_writers_leave_the_whole_file_of_one(tmp_path):
    path, contents = tmp_path / "a", [bytes([i]) * 300_000 for i in range(8)]
    seen = set()

    def work(content):
        for _ in range(5):
            atomic.write(path, content)
            seen.add(path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, contents))
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="no such permissions there")
def test_others_may_read_what_is_written_as_any_file(tmp_path):
    (tmp_path / "plain").touch()
    atomic.write(tmp_path / "ours", "")
    plain, ours = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours"))
    assert ours == plain


def test_text_keeps_its_line_ends_and_plain_values_come_back(tmp_path):
    atomic.write(tmp_path / "a", "β\r\n\n")
    assert (tmp_path / "a").read_bytes() == "β\r\n\n".encode()
    atomic.write_json(tmp_path / "a", {"β": [1, None]})
    assert (tmp_path / "a").read_bytes().endswith(b"\n}\n")


def test_only_what_a_killed_writer_left_is_swept_away(tmp_path):
    others = {"a.partial", "b.mine.partial", "c.12345678", "d"}
    for name in others | {"a.0123abcd.partial", "checkpoint.pt.ffffffff.partial"}:
        (tmp_path / name).touch()
    atomic.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others
