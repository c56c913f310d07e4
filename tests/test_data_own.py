"""One's own data: tables and images as people keep them, or an error that names the place."""

import numpy as np
import pytest
import torch
from PIL import Image

from companion.cli import main
from companion.data import own
from companion.experiments.experiment import SCALES, choose


def table(folder, text, name="my.csv", encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding)
    return path


def rows(n=40, mark=","):
    chance = np.random.RandomState(0)
    return "\n".join(mark.join(f"{v:.4f}" for v in chance.randn(3) * (1, 5, 9)) for _ in range(n))


def pictures(folder, n=24, size=(8, 8), mode="L", suffix=".png"):
    chance = np.random.RandomState(0)
    for i in range(n):
        shape = size[::-1] + (() if mode == "L" else (3,))
        place = folder / ("a" if i % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        pixels = chance.randint(256, size=shape).astype(np.uint8)
        Image.fromarray(pixels).convert(mode).save(place / f"{i:02}{suffix}")
    return folder


def test_a_table_is_split_and_z_scored_by_its_training_part(tmp_path):
    found = own.load(table(tmp_path, rows()))
    assert [len(part) for part in found[:3]] == [32, 4, 4]
    assert torch.allclose(found.train.mean(0), torch.zeros(3), atol=1e-6)
    assert torch.allclose(found.train.std(0), torch.ones(3), atol=1e-6)
    assert found.train.dtype == torch.float32 and "32/4/4 samples of 3" in found.note
    again, other = own.load(tmp_path / "my.csv"), own.load(tmp_path / "my.csv", seed=1)
    assert torch.equal(found.train, again.train) and not torch.equal(found.train, other.train)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["", "first{}second{}third\n", '"a b"{} "c"{}d\n'])
def test_every_dialect_of_a_table_holds_the_same_numbers(tmp_path, mark, header):
    plain = own.load(table(tmp_path, rows())).train
    text = header.format(mark, mark) + rows(mark=mark) + "\n\n"
    found = own.load(table(tmp_path, text.replace("\n", "\r\n"), "MY.CSV", "utf-8-sig"))
    assert torch.equal(found.train, plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.csv has no rows of numbers"),
        ("a,b\n", "my.csv has no rows of numbers"),
        ("a,b\n1,2\n", "has 1 samples, expected at least 20"),
        ("a,b\n1,2\n3,\n", r"row 3, column 2 \(b\): there is no number; leave the row"),
        ("1,2\n3,NA\n", "row 2, column 2: expected a number, got 'NA'"),
        ("1,2\nnan,4\n", "row 2, column 1: expected a number, got 'nan'"),
        ("a,b\n1,2\n3\n", "row 3: expected 2 columns, got 1"),
        ("a;b\n1,5;2\n", r"row 2, column 1 \(a\): expected a number, got '1,5'"),
        ("a,b\n" + "1,2\n3,2\n" * 20, "column 2 is constant"),
    ],
)
def test_a_table_that_is_not_whole_is_named_by_row_and_column(tmp_path, text, message):
    with pytest.raises(own.OwnDataError, match=message):
        own.load(table(tmp_path, text))


def test_other_bytes_are_no_table(tmp_path):
    (tmp_path / "my.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(own.OwnDataError, match="cannot read .*my.csv"):
        own.load(tmp_path / "my.csv")
    with pytest.raises(own.OwnDataError, match="cannot read .*none.csv"):
        own.load(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"), [("L", ".png", 1), ("RGB", ".JPG", 3), ("P", ".png", 3)]
)
def test_a_folder_of_images_is_bytes_of_one_size(tmp_path, mode, suffix, channels):
    folder = pictures(tmp_path, mode=mode, suffix=suffix)
    (folder / "a" / "._01.png").write_text("what a Mac leaves")
    found = own.load(folder)
    assert [tuple(part.shape) for part in found[:3]] == [(n, channels, 8, 8) for n in (20, 2, 2)]
    assert found.train.dtype == torch.uint8 and own.image_shape(folder) == (channels, 8)


def test_images_of_other_sizes_are_cropped_and_scaled_when_asked(tmp_path):
    folder = pictures(tmp_path, size=(20, 12))
    with pytest.raises(own.OwnDataError, match="has 20×12 pixels; all images must.*--size 12"):
        own.load(folder)
    assert own.load(folder, size=8).train.shape[1:] == (1, 8, 8)
    with pytest.raises(own.OwnDataError, match="size must be from 1 to 1024 pixels"):
        own.load(folder, size=10**6)


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(own.OwnDataError, match=r"has no .png, .jpg, .jpeg files"):
        own.load(tmp_path)
    broken = pictures(tmp_path) / "a" / "01.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(own.OwnDataError, match=r"cannot read the image .*01\.png"):
        own.load(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(broken)
    with pytest.raises(own.OwnDataError, match="more than 8 bits a channel"):
        own.load(tmp_path)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder to work in, where networks are small and samples few."""
    monkeypatch.chdir(tmp_path)
    scale = SCALES["quick"]._replace(width=2, num_samples=20, steps=2)
    monkeypatch.setitem(SCALES, "quick", scale)
    (tmp_path / "tiny.toml").write_text("[train]\nepochs = 1\nvalidate_on = 4\n")
    return tmp_path


@pytest.mark.parametrize("kind", ["table", "images"])
def test_own_data_are_trained_on_from_end_to_end(tiny, capsys, kind):
    data = table(tiny, rows()).name if kind == "table" else pictures(tiny / "my", mode="RGB").name
    assert main(["train", data, "--config", "tiny.toml", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    name = {"table": "my-mlae-miniboone-quick", "images": "my-mlae-cifar10-convnet-quick"}[kind]
    assert f"data: {data}: " in printed and (tiny / "runs" / name / "results.json").exists()


def test_what_own_data_cannot_be_is_said(tiny, capsys):
    pictures(tiny / "my", size=(10, 10))
    pictures(tiny / "digits")
    assert choose("digits").is_own is False and choose("./digits").is_own
    for arguments, message in (
        (["my"], "multiples of 4, my has (1, 10, 10); --size crops"),
        (["my", "--size", "8", "--profile", "full"], "takes data of shape (1, 28, 28)"),
        (["my", "--preset", "mlae-mnist-conditional"], "is told the classes of its data, and my"),
        (["mnist", "--size", "8"], "size is for images of your own, and 'mnist' are none"),
        (["none.csv"], "cannot read none.csv"),
        (["nowhere"], "data must be one of mnist"),
    ):
        assert main(["train", *arguments, "--dry-run"]) in (1, 2)
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (tiny / "runs").exists()
