"""Image sets end to end: small files in the real formats, then damaged and hostile ones."""

import io
import shutil
import stat
import tarfile
import warnings
import zipfile
from functools import cache, partial

import filesets as files
import numpy as np
import pytest
import torch
from PIL import Image

from companion.data import (
    archives,
    celeba,
    chairs,
    cifar,
    decode,
    idx,
    imagenet32,
    images,
    omniglot,
)
from companion.data.archives import FormatError
from companion.data.fetch import ChecksumError, DataNotFoundError, Found, places
from companion.experiments.experiment import choose
from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, fit

made = cache(lambda name: files.SETS[name]())


@pytest.fixture
def unsummed(monkeypatch):
    """Files are taken as they are: their public sums belong to the real ones."""

    def found(file, root, download):
        for path in places(file, root):
            return Found(path, "unsummed")
        raise DataNotFoundError(f"fetch: {file.name}")

    for module in (idx, cifar, celeba, chairs, omniglot, imagenet32):
        monkeypatch.setattr(module, "fetch", found)
    monkeypatch.setattr(celeba, "ENDS", (9, 12, 16))


def load(name, root, **options):
    return images.load(name, root=root, download=False, progress=False, **options)


EXPECTED = {  # sizes of the three parts, shape of an image
    "mnist": ((50, 10, 20), (1, 28, 28)),
    "cifar10": ((50, 10, 12), (3, 32, 32)),
    "celeba": ((9, 3, 4), (3, 64, 64)),
    "celeba-hq": ((3, 1, 1), (3, 64, 64)),
    "omniglot": ((6, 4, 5), (1, 28, 28)),
    "chairs": ((18, 2, 2), (1, 64, 64)),
    "imagenet32": ((50, 10, 6), (3, 32, 32)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_formats_are_read(name, tmp_path, unsummed):
    files.put(tmp_path, made(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no "array is not writable" and the like
        splits = load(name, tmp_path)
    sizes, shape = EXPECTED[name]
    parts = splits[1:4]
    assert tuple(len(part.x) for part in parts) == sizes and splits.note.startswith(name)
    whole = torch.cat([part.x for part in parts])
    assert whole.dtype == torch.uint8 and whole.shape[1:] == shape
    assert len(whole.flatten(1).unique(dim=0)) == sum(sizes)  # no image twice, so no overlap
    for part in parts:
        assert part.y is None or (part.y.dtype == torch.int64 and part.y.shape == part.x.shape[:1])
    again = load(name, tmp_path)
    assert all(torch.equal(a.x, b.x) for a, b in zip(parts, again[1:4], strict=True))


def test_cifar_planes_are_red_green_blue_and_batches_in_order(tmp_path, unsummed):
    files.put(tmp_path, made("cifar10"))
    splits = load("cifar10", tmp_path)
    assert splits.test.x[:, 0, 0, 0].tolist() == list(range(12))
    assert splits.train.x[:, 0, 0, 0].tolist() == list(range(12, 62))
    assert splits.valid.x[:, 2, -1, -1].tolist() == list(range(255 - 62, 255 - 72, -1))
    alone = load("cifar10", tmp_path, test_files_only=True)
    assert sorted(torch.cat([p.x for p in alone[1:4]])[:, 0, 0, 0].tolist()) == list(range(12))


def slow_celeba(content, crop, size):
    """Cropped, then scaled by the triangle filter as two dense matrices, in float64."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float)
    top, left = (218 - crop) // 2, (178 - crop) // 2
    pixels = pixels[top : top + crop, left : left + crop]
    scale = crop / size
    centre = (np.arange(size) + 0.5) * scale
    weight = np.clip(1 - abs(np.arange(crop) + 0.5 - centre[:, None]) / scale, 0, None)
    weight /= weight.sum(1, keepdims=True)
    return np.einsum("ih,hwc,jw->cij", weight, pixels, weight, optimize=True)


@pytest.mark.parametrize("crop, size", [(140, 64), (140, 32), (128, 64), (128, 32)])
def test_celeba_is_cropped_about_its_centre_and_scaled(crop, size, tmp_path, unsummed):
    files.put(tmp_path, made("celeba"))
    splits = load("celeba", tmp_path, crop=crop, size=size)
    for i, x in enumerate(torch.cat([part.x for part in splits[1:4]])):
        expected = slow_celeba(files.picture(i, (178, 218)), crop, size)
        assert abs(x.numpy() - expected).max() <= 1.01  # Pillow rounds twice
    assert (tmp_path / "celeba" / f"crop{crop}-{size}" / "x.npy").is_file()


def test_an_unpacked_folder_is_as_good_as_the_zip(tmp_path, unsummed):
    files.put(tmp_path / "zip", made("celeba"))
    files.put(tmp_path / "folder", made("celeba"))
    archive = tmp_path / "folder" / "celeba" / "img_align_celeba.zip"
    zipfile.ZipFile(archive).extractall(archive.parent)
    archive.unlink()
    (archive.with_suffix("") / ".DS_Store").touch()
    of_folder, of_zip = (load("celeba", tmp_path / kind) for kind in ("folder", "zip"))
    assert torch.equal(of_folder.train.x, of_zip.train.x)


def test_celeba_hq_follows_its_originals(tmp_path, unsummed):
    files.put(tmp_path, made("celeba-hq"))
    splits = load("celeba-hq", tmp_path, size=32)
    one = decode.read_square(files.picture(0, (96, 96)), "0.jpg", "RGB", 32)
    assert np.array_equal(splits.test.x[0].numpy(), one)  # its original is the last of the test


def test_omniglot_is_white_on_black_and_classes_are_characters(tmp_path, unsummed):
    files.put(tmp_path, made("omniglot"))
    splits = load("omniglot", tmp_path)
    assert splits.train.y.tolist() == [0, 0, 0, 1, 1, 1] and splits.test.y.tolist() == [2] * 5
    first = Image.open(io.BytesIO(files.picture(101, (105, 105), "PNG", "L")))
    small = np.asarray(first.resize((28, 28), Image.Resampling.BILINEAR))
    assert np.array_equal(splits.train.x[0, 0].numpy(), 255 - small)


def test_no_chair_is_in_two_parts(tmp_path, unsummed):
    files.put(tmp_path, made("chairs"))
    parts = [set(part.y.tolist()) for part in load("chairs", tmp_path)[1:4]]
    assert [len(part) for part in parts] == [9, 1, 1] and len(set.union(*parts)) == 11


def test_imagenet_counts_its_classes_from_zero(tmp_path, unsummed):
    files.put(tmp_path, made("imagenet32"))
    splits = load("imagenet32", tmp_path)
    assert splits.test.y.tolist() == list(range(6))
    assert splits.test.x[:, 0, 0, 0].tolist() == list(range(60, 66))
    assert (splits.train.x[:, 2, -1, -1] == 7).all()


@pytest.mark.parametrize("name", ["mnist", "imagenet32"])
def test_another_share_of_the_training_files_can_validate(name, tmp_path, unsummed):
    files.put(tmp_path, made(name))
    usual, splits = load(name, tmp_path), load(name, tmp_path, held_out=0.05)
    assert [len(part.x) for part in splits[1:3]] == [57, 3] and "5 % of them" in splits.note
    both = [torch.cat([part.x for part in s[1:3]]) for s in (usual, splits)]
    assert torch.equal(*both) and torch.equal(usual.test.x, splits.test.x)


def test_aef_holds_a_tenth_out_and_others_ten_thousand(tmp_path, unsummed, monkeypatch):
    files.put(tmp_path, made("mnist"))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    sizes = {}
    for family in ("aef", "vae-flows", "mlae"):
        data = choose("mnist", family, profile="standard").load(download=False)
        sizes[family] = [len(part) for part in data[:3]]
    assert sizes["aef"] == sizes["vae-flows"] == [54, 6, 20] and sizes["mlae"] == [50, 10, 20]


def test_training_takes_its_batches_from_the_map(tmp_path, unsummed):
    files.put(tmp_path, made("celeba"))
    splits = load("celeba", tmp_path, size=32)
    model = MLAE(MLP((3, 32, 32), 2, [4]), MLP(2, (3, 32, 32), [4]), (3, 32, 32), 2)
    before = (tmp_path / "celeba" / "crop140-32" / "x.npy").read_bytes()
    config = TrainConfig(epochs=2, batch_size=4, device="cpu", noise=0.1)
    log = fit(model, splits.train.x, splits.valid.x, config, progress=False)
    assert len(log.rows) == 2
    splits.train.x[0] = 0  # private to this process
    assert (tmp_path / "celeba" / "crop140-32" / "x.npy").read_bytes() == before


# what is not there, or not what it should be


def test_sums_are_checked_before_a_file_is_opened(tmp_path, monkeypatch):
    files.put(tmp_path, made("omniglot") | made("celeba"))
    monkeypatch.setattr(archives, "open_members", None)  # would fail
    for name in ("omniglot", "celeba"):
        with pytest.raises(ChecksumError, match="has sha256 .*, expected "):
            load(name, tmp_path)


@pytest.mark.parametrize("name", [n for n, chosen in images.SETS.items() if chosen.files])
def test_every_set_says_which_file_to_put_where(name, tmp_path):
    first = images.SETS[name].files[2 if name in images.NAMES else 0]
    with pytest.raises(DataNotFoundError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    for part in (first.name.rpartition("/")[2], str((tmp_path / first.name).parent), first.sum):
        assert part in message
    assert not list(tmp_path.iterdir())


def test_arrays_of_objects_are_refused():
    objects = io.BytesIO()
    np.save(objects, np.array([{}]), allow_pickle=True)
    with pytest.raises(FormatError, match="read_npy: a holds object"):
        decode.read_npy(objects.getvalue(), "a")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "celebb"}, "name must be one of digits, .*, celeba-hq, got 'celebb'"),
        ({"name": "celeba", "crop": 141}, r"crop of celeba must be one of \(140, 128\), got 141"),
        ({"name": "cifar10", "size": 64}, r"size of cifar10 must be one of \(32,\), got 64"),
        ({"name": "celeba", "test_files_only": True}, "test_files_only is not offered for celeba"),
        ({"name": "celeba-hq", "held_out": 0.1}, "held_out must be .*, got 0.1 of celeba-hq"),
        ({"name": "mnist", "held_out": 1.5}, "held_out must be between 0 and 1"),
    ],
)
def test_unknown_choices_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=f"images.load: {message}"):
        load(root=tmp_path, **options)
    with pytest.raises(ValueError, match="images.prepare: mnist needs no decoding"):
        images.prepare("mnist", root=tmp_path)


def celeba_zip(change):
    source = zipfile.ZipFile(io.BytesIO(made("celeba")["celeba/img_align_celeba.zip"]))
    entries = {name: source.read(name) for name in source.namelist()}
    return {"celeba/img_align_celeba.zip": files.zipped(change(entries))}


def with_first(content):
    return lambda entries: entries | {"img_align_celeba/000001.jpg": content}


WRONG = {  # case: files that replace the good ones of CelebA, message
    "a picture is missing": (
        lambda: celeba_zip(lambda entries: dict(list(entries.items())[1:])),
        "the partition lists 16 images, there are 15; only one of the two has 000001.jpg",
    ),
    "a picture is unlisted": (
        lambda: celeba_zip(lambda e: e | {"img_align_celeba/000017.jpg": files.picture(0, (9, 9))}),
        "lists 16 images, there are 17; only one of the two has 000017.jpg",
    ),
    "text": (lambda: {"celeba/img_align_celeba.zip": b"000001.jpg 0\n" * 99}, "is damaged"),
    "empty": (lambda: {"celeba/img_align_celeba.zip": b""}, "is damaged"),
    "another size": (
        lambda: celeba_zip(with_first(files.picture(0, (178, 217)))),
        "read_square: img_align_celeba/000001.jpg has 178×217 pixels",
    ),
    "cut picture": (
        lambda: celeba_zip(with_first(files.picture(0, (178, 218))[:-800])),
        "read_image: img_align_celeba/000001.jpg is damaged .OSError: image file is truncated",
    ),
    "no picture": (lambda: celeba_zip(with_first(b"GIF89a")), "000001.jpg is damaged"),
    "climbing out": (
        lambda: celeba_zip(lambda entries: entries | {"../../evil.jpg": b"x"}),
        "an entry that climbs out: '../../evil.jpg'",
    ),
    "absolute": (lambda: celeba_zip(lambda e: e | {"/evil.jpg": b"x"}), "climbs out: '/evil.jpg'"),
    "drive": (lambda: celeba_zip(lambda e: e | {"C:evil.jpg": b"x"}), "climbs out: 'C:evil.jpg'"),
    "bomb": (
        lambda: celeba_zip(with_first(bytes(2**24 + 1))),
        "unpacks to 16,777,217 bytes, expected at most 16,777,216",
    ),
    "picture bomb": (
        lambda: celeba_zip(with_first(files.picture(0, (5000, 5000), "PNG", "L"))),
        "000001.jpg has 5000×5000 pixels, expected at most 16,777,216",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_and_hostile_files_have_their_own_errors(case, tmp_path, unsummed):
    change, message = WRONG[case]
    files.put(tmp_path / "data", made("celeba") | change())
    with pytest.raises(FormatError, match=message):
        load("celeba", tmp_path / "data")
    left = [path.name for path in (tmp_path / "data" / "celeba").iterdir()]
    assert left == ["img_align_celeba.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_links_and_locked_entries_are_refused(tmp_path):
    link = zipfile.ZipInfo("set/a.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    locked = bytearray(files.zipped({"a": b"a"}))
    locked[locked.index(b"PK\1\2") + 8] |= 1  # the flag of encryption in the directory
    (tmp_path / "b.zip").write_bytes(locked)
    for name, kind in (("c.tar", tarfile.SYMTYPE), ("d.tar", tarfile.CHRTYPE)):
        info = tarfile.TarInfo("set/a")
        info.type, info.linkname = kind, "/etc/passwd"
        (tmp_path / name).write_bytes(files.tarred({"set/a": info}))
    for name in ("a.zip", "b.zip", "c.tar", "d.tar"):
        with (
            pytest.raises(FormatError, match=rf"{name} has a (link|link or)"),
            archives.open_members(tmp_path / name),
        ):
            pass


def test_tar_bombs_and_doubles_are_refused(tmp_path):
    (tmp_path / "bomb.tar.gz").write_bytes(files.tarred({"a": bytes(100_000)}, "w:gz"))
    (tmp_path / "out.tar").write_bytes(files.tarred({"../a": b"a"}))
    (tmp_path / "twice.tar").write_bytes(files.tarred({"a": b"1", "./a": b"2"}))
    for name, message in (
        ("bomb.tar.gz", "100,000"),
        ("out.tar", "climbs"),
        ("twice.tar", "twice"),
    ):
        with (
            pytest.raises(FormatError, match=message),
            archives.open_members(tmp_path / name, max_bytes=50_000),
        ):
            pass


@pytest.mark.parametrize("name, times", [(name, 500 // len(EXPECTED) + 1) for name in EXPECTED])
def test_mutated_files_give_images_or_a_named_error(name, times, tmp_path, unsummed):
    """Together 500 and some mutated files: no nameless error, nothing left behind."""
    good, rng, refused = made(name), np.random.default_rng(0), 0
    files.put(tmp_path, good)
    for _ in range(times):
        victim = list(good)[rng.integers(len(good))]
        change = partial(files.mutate, rng=rng)
        deep = rng.integers(2)  # inside the archive, with new sums of its own
        bad = files.inside(good[victim], change, rng) if deep else change(good[victim])
        (tmp_path / victim).write_bytes(bad)
        try:
            splits = load(name, tmp_path)
            assert splits.train.x.dtype == torch.uint8
            if images.SETS[name].recipe:
                shutil.rmtree(images.prepare(name, root=tmp_path, download=False))
        except (ValueError, OSError) as error:
            assert files.NAMED.match(str(error)), repr(error)
            refused += 1
        (tmp_path / victim).write_bytes(good[victim])
        left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
        assert left == set(good)
    assert refused > times / 4
