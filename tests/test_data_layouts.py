"""Data as people have them: unpacked, packed anew, in other folders, under other names."""

import gzip
import hashlib
import io
import os
import pickle
import socket
import zipfile
from dataclasses import replace
from functools import cache

import filesets as files
import numpy as np
import pytest
import torch

from companion import cli
from companion.cli import health
from companion.data import celeba, cifar, fetch, idx, images
from companion.data.archives import FormatError
from companion.data.fetch import ChecksumError, DataNotFoundError, RemoteFile, data_directory

made = cache(lambda name: files.SETS[name]())
UNCHECKED = "content not checked against a published sum"


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


def load(name, root, **options):
    return images.load(name, root=root, download=False, progress=False, **options)


def pixels(splits):
    return torch.cat([part.x for part in splits[1:4]])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small files in the place of the public ones, with their own sums."""
    for name in idx.FILES:
        contents = list(made("mnist").values())  # in the order of the set's files
        pairs = [(file, content) for file, content in zip(idx.FILES[name], contents, strict=True)]
        summed = tuple(
            replace(
                file,
                known_hash=md5(packed),
                content={"": md5(gzip.decompress(packed))} if file.content else {},
            )
            for file, packed in pairs
        )
        monkeypatch.setitem(idx.FILES, name, summed)
    monkeypatch.setattr(idx, "SIZES", (60, 20))
    monkeypatch.setattr(celeba, "ENDS", (9, 12, 16))
    (archive,) = made("cifar10").values()
    sums = {n.rpartition("/")[2]: md5(c) for n, c in python_batches().items()}
    file = replace(cifar.FILES[0], known_hash=md5(archive), content=sums)
    monkeypatch.setattr(cifar, "FILES", (file,))
    monkeypatch.setattr(cifar, "SIZE", 12)


@cache
def batches():
    """The binary batches by their names."""
    (archive,) = made("cifar10").values()
    with files.tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}


@cache
def python_batches():
    renamed = {n.replace("-bin", "-py").removesuffix(".bin"): c for n, c in batches().items()}
    return {name: files.pickled(content) for name, content in renamed.items()}


def raw(name):
    return name.removesuffix(".gz")


def dotted(name):
    return raw(name).replace("-idx", ".idx")


def stem(name):
    return raw(name).rpartition("/")[2]


LAYOUTS = {  # name of the official file, its content -> where people have which bytes
    "unzipped": lambda name, packed: {raw(name): gzip.decompress(packed)},
    "dotted": lambda name, packed: {dotted(name): gzip.decompress(packed)},
    "dotted and packed": lambda name, packed: {f"{dotted(name)}.gz": packed},
    "nested": lambda name, packed: {f"{dotted(name)}/{stem(name)}": gzip.decompress(packed)},
    "torchvision": lambda name, packed: {f"MNIST/raw/{stem(name)}": gzip.decompress(packed)},
    "both": lambda name, packed: {
        f"MNIST/raw/{stem(name)}": gzip.decompress(packed),
        f"MNIST/raw/{stem(name)}.gz": packed,
    },
    "one of two is damaged": lambda name, packed: {
        f"MNIST/raw/{stem(name)}": gzip.decompress(packed),
        name: packed[:-9],
    },
    "packed anew": lambda name, packed: {name: gzip.compress(gzip.decompress(packed), 1)},
    "unpacked by the browser": lambda name, packed: {name: gzip.decompress(packed)},
    "upper case": lambda name, packed: {name.upper(): packed},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mnist_is_found_and_checked_in_every_layout(layout, tmp_path):
    files.put(tmp_path / "official", made("mnist"))
    for name, packed in made("mnist").items():
        files.put(tmp_path / "a [b] c", LAYOUTS[layout](name, packed))
    theirs, ours = load("mnist", tmp_path / "a [b] c"), load("mnist", tmp_path / "official")
    assert torch.equal(pixels(theirs), pixels(ours)) and theirs.note == ours.note
    assert torch.equal(theirs.train.y, ours.train.y) and UNCHECKED not in theirs.note


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "KMNIST/raw"])
def test_torchvisions_folders_are_found_and_the_note_says_what_was_checked(
    folder, tmp_path, monkeypatch
):
    name = "kmnist" if folder.startswith("K") else "fashion-mnist"
    for path, packed in made("mnist").items():
        files.put(tmp_path, {f"{folder}/{stem(path)}": gzip.decompress(packed)})
    splits = load(name, tmp_path)
    assert len(splits.train.x) == 50 and (UNCHECKED in splits.note) is (name == "kmnist")
    monkeypatch.setattr(idx, "SIZES", (60_000, 10_000))
    if name == "kmnist":  # no sum, so all the more its counts
        message = r"has images \(20, 1, 28, 28\), expected \(10000, 1, 28, 28\)"
        with pytest.raises(FormatError, match=message):
            load(name, tmp_path)


@pytest.mark.parametrize("change", ["another file", "cut", "text", "nothing"])
@pytest.mark.parametrize("packed", [True, False])
def test_other_content_is_refused_wherever_it_lies(change, packed, tmp_path):
    for name, content in made("mnist").items():
        content = gzip.decompress(content)
        files.put(tmp_path, {f"MNIST/raw/{stem(name)}": content})
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = path.read_bytes()
    bad = {
        "another file": content[:-1] + b"\1",
        "cut": content[:-1],
        "text": b"hello",
        "nothing": b"",
    }[change]
    path.write_bytes(gzip.compress(bad) if packed else bad)
    with pytest.raises(ChecksumError, match=f"{path.name} has content md5:.*, expected md5:"):
        load("mnist", tmp_path)


def test_the_published_sums_of_the_content_are_those_of_the_real_files(tmp_path, monkeypatch):
    """The official test files, where this machine has them (COMPANION_DATA), in three layouts."""
    monkeypatch.undo()
    found = [fetch.places(file) for file in idx.FILES["mnist"][2:]]
    if not all(found):
        pytest.skip("no MNIST test files in the data directory")
    for place, *_ in found:
        content = fetch.read_plain(place, 2**24)
        files.put(tmp_path, {f"MNIST/raw/{raw(place.name)}": content})
        files.put(tmp_path / "anew", {f"mnist/{place.name}": gzip.compress(content, 1)})
    for root in (tmp_path, tmp_path / "anew"):
        splits = load("mnist", root, test_files_only=True)
        assert UNCHECKED not in splits.note and len(splits.train.x) == 8000


def test_the_official_partition_has_its_published_sum(monkeypatch):
    monkeypatch.undo()
    text = "".join(f"{name} {part}\r\n" for name, part in celeba.partition().items())
    known = "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7"
    assert hashlib.sha256(text.encode()).hexdigest() == known


def celeba_pictures():
    with zipfile.ZipFile(io.BytesIO(made("celeba")["celeba/img_align_celeba.zip"])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def prefixed(prefix, entries, suffix=None):
    renamed = {f"{prefix}{name}": content for name, content in entries.items()}
    return {name.replace(".jpg", suffix or ".jpg"): c for name, c in renamed.items()}


KAGGLE = {
    "celeba/list_eval_partition.csv": b"\xef\xbb\xbfimage_id,partition\r\n000001.jpg,0\r\n\r\n",
    "celeba/list_attr_celeba.csv": b"image_id,Male\r\n000001.jpg,-1\r\n",
}
CELEBA = {
    "unpacked": lambda: prefixed("celeba/", celeba_pictures()),
    "Kaggle, nested": lambda: prefixed("celeba/img_align_celeba/", celeba_pictures()) | KAGGLE,
    "Kaggle, beside": lambda: prefixed("img_align_celeba/", celeba_pictures()),
    "Kaggle, as it comes": lambda: {
        "CelebA/celeba-dataset.zip": files.zipped(
            prefixed("img_align_celeba/", celeba_pictures()) | KAGGLE
        )
    },
    "Drive": lambda: {
        "celeba/CelebA/Img/img_align_celeba.zip": made("celeba")["celeba/img_align_celeba.zip"]
    },
    "upper case": lambda: prefixed("CELEBA/", celeba_pictures(), ".JPG"),
}


@pytest.mark.parametrize("layout", CELEBA)
def test_celeba_is_found_in_every_layout(layout, tmp_path, monkeypatch):
    official = made("celeba")["celeba/img_align_celeba.zip"]
    known = f"sha256:{hashlib.sha256(official).hexdigest()}"
    monkeypatch.setattr(celeba, "FILES", (replace(celeba.FILES[0], known_hash=known),))
    files.put(tmp_path / "official", made("celeba"))
    files.put(tmp_path / "theirs", CELEBA[layout]())
    theirs, ours = (load("celeba", tmp_path / kind, size=32) for kind in ("theirs", "official"))
    assert torch.equal(pixels(theirs), pixels(ours)) and UNCHECKED not in ours.note
    assert (UNCHECKED in theirs.note) is (layout != "Drive")


CIFAR = {
    "binary, unpacked": lambda: prefixed("cifar10/", batches()),
    "unpacked": lambda: prefixed("CIFAR-10/", python_batches()),
    "torchvision": lambda: prefixed("", python_batches()),
    "packed anew": lambda: {"cifar10/cifar-10-python.tar.gz": files.tarred(python_batches())},
    "Kaggle": lambda: prefixed("cifar10/cifar-10-python/", python_batches()),
}


@pytest.mark.parametrize("layout", CIFAR)
def test_cifar_is_found_in_every_layout(layout, tmp_path, monkeypatch):
    files.put(tmp_path / "official", made("cifar10"))
    files.put(tmp_path / "theirs", CIFAR[layout]())
    theirs, ours = (load("cifar10", tmp_path / kind) for kind in ("theirs", "official"))
    assert torch.equal(pixels(theirs), pixels(ours)) and UNCHECKED not in ours.note
    assert torch.equal(theirs.train.y, ours.train.y)
    assert (UNCHECKED in theirs.note) is (layout == "binary, unpacked")
    monkeypatch.setattr(cifar, "SIZE", 10_000)
    if UNCHECKED in theirs.note:
        with pytest.raises(FormatError, match="test_batch of .* has 12 images, expected 10000"):
            load("cifar10", tmp_path / "theirs")


def test_the_labels_and_pixels_of_a_pickle_are_read_and_no_code_runs(tmp_path):
    binary = batches()["cifar-10-batches-bin/test_batch.bin"]
    content = files.pickled(binary)
    oracle = pickle.loads(content, encoding="latin1")
    ours = cifar.read_batch(cifar.records(content, "test_batch"), "test_batch")
    assert ours.y.tolist() == oracle["labels"]
    assert (ours.x.flatten(1).numpy() == oracle["data"]).all()
    trap = b"cos\nmkdir\n(U" + bytes([len(str(tmp_path / "run"))]) + str(tmp_path / "run").encode()
    cifar.records(content[:2] + trap + b"tR0" + content[2:], "trap")
    pickle.loads(content[:2] + trap + b"tR0" + content[2:], encoding="latin1")
    assert (tmp_path / "run").is_dir()  # by the oracle: the trap was a real one
    (tmp_path / "run").rmdir()
    cifar.records(content[:2] + trap + b"tR0" + content[2:], "trap")
    assert not (tmp_path / "run").exists()


def test_mutated_pickles_give_records_or_a_named_error():
    content, rng, refused = next(iter(python_batches().values())), np.random.default_rng(0), 0
    for _ in range(60):
        try:
            cifar.read_batch(cifar.records(files.mutate(content, rng), "a"), "a")
        except FormatError as error:
            assert files.NAMED.match(str(error)), repr(error)
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("name", ["omniglot", "chairs", "celeba-hq"])
def test_archives_may_lie_there_unpacked(name, tmp_path, monkeypatch):
    for path, content in made(name).items():
        files.put(tmp_path / "packed", {path: content})
        target = tmp_path / "folders" / path.partition("/")[0]
        target.mkdir(parents=True, exist_ok=True)
        opener = zipfile.ZipFile if path.endswith(".zip") else files.tarfile.open
        with opener(tmp_path / "packed" / path) as archive:
            archive.extractall(target)
        (target / ".DS_Store").touch()
    sets = images.SETS[name]
    unsummed = [replace(file, known_hash="") for file in sets.files]
    module = {"omniglot": images.omniglot, "chairs": images.chairs, "celeba-hq": celeba}[name]
    monkeypatch.setattr(module, "HQ_FILES" if name == "celeba-hq" else "FILES", unsummed)
    folder, archive = (load(name, tmp_path / kind, size=None) for kind in ("folders", "packed"))
    assert torch.equal(pixels(folder), pixels(archive)) and UNCHECKED in folder.note
    assert folder.train.y is None or torch.equal(folder.train.y, archive.train.y)


# what cannot be a file, and where nothing can be put


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_only_regular_files_are_opened(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    folder = tmp_path / "mnist"
    folder.mkdir()
    path = folder / "t10k-images-idx3-ubyte.gz"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"mnist/{path.name}")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    with pytest.raises(DataNotFoundError, match="put the file .* is no regular file"):
        load("mnist", tmp_path)
    if kind == "pipe":
        with pytest.raises(FormatError, match="is no regular file"):
            idx.read_idx(path)
        with pytest.raises(FormatError, match="is no regular file"):
            cifar.read(path)


def test_the_directory_is_absolute_and_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for named in ("~/data set", "data set", "./data set"):
        monkeypatch.setenv("COMPANION_DATA", named)
        assert data_directory() == tmp_path / "data set"


def test_a_directory_that_cannot_be_used_is_named_before_a_download(tmp_path, monkeypatch):
    def download(*_, **__):
        raise AssertionError("began to download")

    monkeypatch.setattr(fetch.pooch, "retrieve", download)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is no folder; let COMPANION_DATA name"):
        images.load("mnist", root=tmp_path / "file")
    (tmp_path / "mnist").touch()
    with pytest.raises(OSError, match="cannot write into .*mnist .*let COMPANION_DATA name"):
        images.load("mnist", root=tmp_path)
    files.put(tmp_path, prefixed("img_align_celeba/", celeba_pictures()))
    (tmp_path / "celeba").touch()
    with pytest.raises(OSError, match="cannot write into .*celeba .*let COMPANION_DATA name"):
        load("celeba", tmp_path)
    with pytest.raises(OSError, match="cannot write into .*deep"):
        fetch.fetch(RemoteFile("deep/a", ("http://a/a",), "md5:0"), tmp_path / "file" / "set")


def test_the_command_shows_what_it_found_and_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    for path, packed in made("mnist").items():
        files.put(tmp_path, {f"MNIST/raw/{stem(path)}": gzip.decompress(packed)})
        files.put(tmp_path, {f"KMNIST/{stem(path)}": gzip.decompress(packed)})
    for name in ("mnist", "kmnist"):
        chosen = images.SETS[name]._replace(files=idx.FILES[name])
        monkeypatch.setitem(images.SETS, name, chosen)
    (tmp_path / "KMNIST" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    assert cli.main(["data", "--check"]) == 0
    report, path = capsys.readouterr().out, "train-images-idx3-ubyte"
    found = f"here     mnist/{path}.gz as MNIST/raw/{path}, content md5 "
    assert found in report and f"as KMNIST/{path}, " in report and f"{path}: {UNCHECKED}" in report
    (tmp_path / "MNIST" / "raw" / path).write_bytes(b"")
    assert cli.main(["data"]) == 0 and cli.main(["data", "--check"]) == 1
    assert f"    WRONG    mnist/{path}.gz, md5" in capsys.readouterr().out
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "MNIST" / "raw" / path))
    assert cli.main(["data"]) == 1 and "is no folder; let" in capsys.readouterr().err
    assert "is no folder" in health._data()[1]
