"""Data: toys against quadrature, files against damage, splits against overlap."""

import contextlib
import gzip
import hashlib
import http.server
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from companion.data import fetch, idx, images
from companion.data.archives import FormatError
from companion.data.fetch import ChecksumError, DataNotFoundError, RemoteFile
from companion.data.toy import Gaussian, Sinusoid


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_the_sinusoids_density_integrates_to_one_and_fits_its_samples(noise, standardize):
    toy = Sinusoid(noise, standardize)
    a = torch.arange(-7, 7, 0.08, dtype=torch.float64)
    b = torch.arange(-4, 4, 0.08, dtype=torch.float64)
    grid = torch.cartesian_prod(a, b)
    p = toy.log_prob(grid).exp() * 0.08**2
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-6)
    x = toy.sample(20_000, generator(), torch.float64)
    mean = (p[:, None] * grid).sum(0)
    assert (x.mean(0) - mean).abs().max() < 0.03
    entropy, log_p = -(p * (p / 0.08**2).clamp(min=1e-300).log()).sum(), toy.log_prob(x)
    assert abs(-log_p.mean() - entropy) < 4 * log_p.std() / len(x) ** 0.5


def test_standardizing_gives_unit_variances():
    t = torch.randn(400_000, generator=generator(), dtype=torch.float64)
    assert torch.allclose(Sinusoid(0.1, True).curve(t).var(0), torch.ones(2).double(), atol=0.01)


def test_nearest_points_are_nearest():
    toy, x = Sinusoid(0.3), Sinusoid(0.3).sample(200, generator(), torch.float64)
    t = torch.linspace(-6, 6, 60_001, dtype=torch.float64)
    brute = torch.cdist(x, toy.curve(t)).min(1).values
    assert ((x - toy.curve(toy.nearest(x))).norm(dim=1) <= brute + 1e-9).all()
    tangent, normal = toy.tangent(t), toy.normal(t)
    assert (tangent * normal).sum(-1).abs().max() < 1e-12
    step = toy.curve(t + 1e-6) - toy.curve(t)
    assert torch.allclose(step / step.norm(dim=-1, keepdim=True), tangent, atol=1e-5)


def test_the_gaussian_is_torchs():
    toy = Gaussian((2.0, 0.05))
    x = toy.sample(50_000, generator(), torch.float64)
    theirs = torch.distributions.MultivariateNormal(torch.zeros(2).double(), toy.covariance)
    assert torch.allclose(toy.log_prob(x), theirs.log_prob(x))
    assert torch.allclose(torch.cov(x.T), toy.covariance, atol=0.05)


@pytest.mark.parametrize(
    "make", [lambda: Sinusoid(0.0), lambda: Gaussian(()), lambda: Gaussian((1, -1))]
)
def test_bad_toys_are_refused(make):
    with pytest.raises(ValueError, match="must be positive, got"):
        make()


def packed_idx(array, code=8):
    array = np.asarray(array, np.uint8)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.tobytes()


PIXELS = np.arange(5 * 28 * 28, dtype=np.uint8).reshape(5, 28, 28)


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_idx_files_are_read(pack, tmp_path):
    path = tmp_path / ("images.gz" if pack is gzip.compress else "images")
    path.write_bytes(pack(packed_idx(PIXELS)))
    assert np.array_equal(idx.read_idx(path), PIXELS)


BAD = {
    "truncated gzip": (
        "a.gz",
        gzip.compress(packed_idx(PIXELS))[:-20],
        "a.gz is damaged .EOFError",
    ),
    "wrong magic": ("a", b"\1\2" + packed_idx(PIXELS)[2:], "wrong magic number"),
    "wrong type": ("a", packed_idx(PIXELS, code=0x0D), "type 0x0d, expected 0x08"),
    "too short": ("a", packed_idx(PIXELS)[:-1], "promises 5×28×28 = 3920 bytes but holds 3919"),
    "too long": ("a", packed_idx(PIXELS) + b"x", "but holds 3921"),
    "absurd header": ("a", b"\0\0\x08\3" + b"\xff" * 12, "but holds 0"),
    "cut header": ("a", b"\0\0\x08\3\0\0", "header of 3 axes that is cut off"),
    "empty": ("a", b"", "wrong magic number"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_damage_has_its_own_error(case, tmp_path):
    name, content, message = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        idx.read_idx(tmp_path / name)


@given(position=st.integers(0, 200), byte=st.integers(0, 255), packed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_file_gives_an_array_or_a_format_error(position, byte, packed, tmp_path):
    small = packed_idx(PIXELS[:1, :4, :4])
    content = bytearray(gzip.compress(small) if packed else small)
    content[position % len(content)] = byte
    path = tmp_path / ("m.gz" if packed else "m")
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        assert idx.read_idx(path).dtype == np.uint8


def test_pairs_that_do_not_belong_together_are_refused(tmp_path):
    def write(name, array):
        (tmp_path / name).write_bytes(packed_idx(array))
        return tmp_path / name

    pixels = write("images", PIXELS)
    with pytest.raises(FormatError, match="images has 5 images but labels has 4 labels"):
        idx.read_pair(pixels, write("labels", np.zeros(4)))
    with pytest.raises(FormatError, match="has label 11, expected 0 to 9"):
        idx.read_pair(pixels, write("labels", np.full(5, 11)))
    with pytest.raises(FormatError, match="3 axes and labels of 1, got 3 in images and 3"):
        idx.read_pair(pixels, pixels)


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A data directory with a small MNIST of the real format, every image different."""
    folder, sums = tmp_path / "mnist", []
    folder.mkdir()
    for part, n, start in (("train", 60, 0), ("t10k", 20, 60)):
        pixels = np.zeros((n, 28, 28), np.uint8)
        pixels[:, 0, 0] = np.arange(start, start + n)
        for name, array in (("images-idx3", pixels), ("labels-idx1", np.arange(n) % 10)):
            content = gzip.compress(packed_idx(array), mtime=0)
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(content)
            sums.append(hashlib.md5(content).hexdigest())
    pairs = zip(idx.FILES["mnist"], sums, strict=True)
    files = [replace(file, known_hash=f"md5:{known}", content={}) for file, known in pairs]
    monkeypatch.setitem(idx.FILES, "mnist", files)
    return tmp_path


def identities(splits):
    return [set(part.x[:, 0, 0, 0].tolist()) for part in (splits.train, splits.valid, splits.test)]


@pytest.mark.parametrize("test_files_only", [False, True])
def test_splits_do_not_overlap(mnist, test_files_only):
    splits = images.load("mnist", root=mnist, download=False, test_files_only=test_files_only)
    train, valid, test = identities(splits)
    assert not train & valid and not train & test and not valid & test
    expected = [16, 2, 2] if test_files_only else [50, 10, 20]
    assert [len(train), len(valid), len(test)] == expected
    assert ("test files of mnist alone" in splits.note) is test_files_only
    assert splits.train.x.dtype == torch.uint8 and splits.train.x.shape[1:] == (1, 28, 28)


def test_digits_are_the_embedded_ones_in_three_parts():
    splits = images.load()
    parts = (splits.train, splits.valid, splits.test)
    assert sum(len(p.x) for p in parts) == 1797
    assert splits.train.x.max() == 255 and set(splits.test.y.tolist()) == set(range(10))
    again, other = images.load(seed=0), images.load(seed=1)
    assert torch.equal(again.train.x, splits.train.x)
    assert not torch.equal(other.train.x, splits.train.x)
    whole = torch.cat([p.x for p in parts]).flatten(1).sort(0).values
    assert torch.equal(whole, torch.cat([p.x for p in other[1:4]]).flatten(1).sort(0).values)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of digits, .*, got 'mnits'"):
        images.load("mnits")


CONTENT = b"some bytes" * 100
SUM = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path):
    """A loopback mirror that serves good, wrong and cut files."""
    served = {"/good": CONTENT, "/wrong": b"other bytes", "/cut": CONTENT[:50]}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = served.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


def test_a_good_download_is_kept(server, tmp_path):
    path = fetch.fetch(RemoteFile("set/file.bin", (f"{server}/good",), SUM), tmp_path).path
    assert path == tmp_path / "set" / "file.bin" and path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_the_next_mirror_is_tried(server, tmp_path):
    urls = (f"{server}/missing", f"{server}/wrong", f"{server}/good")
    assert fetch.fetch(RemoteFile("file.bin", urls, SUM), tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["wrong", "cut", "missing"])
def test_a_bad_download_leaves_nothing_and_says_what_to_do(server, path, tmp_path):
    file = RemoteFile("set/file.bin", (f"{server}/{path}",), SUM)
    with pytest.raises(
        DataNotFoundError, match=f"put the file file.bin .md5 {SUM[4:]}. into .*set"
    ):
        fetch.fetch(file, tmp_path)
    assert not (tmp_path / "set").exists() or not list((tmp_path / "set").iterdir())


def test_a_closed_network_names_file_place_and_sum(tmp_path):
    file = RemoteFile("set/file.bin", ("http://127.0.0.1:9/file.bin",), SUM)
    with pytest.raises(DataNotFoundError, match=f"file.bin .md5 {SUM[4:]}.*127.0.0.1:9"):
        fetch.fetch(file, tmp_path)
    with pytest.raises(DataNotFoundError, match="downloading was not allowed"):
        fetch.fetch(file, tmp_path, download=False)


def test_a_file_filled_in_by_hand_is_checked(tmp_path):
    file = RemoteFile("file.bin", (), SUM)
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert fetch.fetch(file, tmp_path, download=False).path.read_bytes() == CONTENT
    (tmp_path / "file.bin").write_bytes(b"damaged")
    with pytest.raises(
        ChecksumError, match="file.bin has md5 .* expected .*: delete it and try again"
    ):
        fetch.fetch(file, tmp_path, download=False)


def test_the_environment_names_the_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    assert fetch.data_directory() == tmp_path
    monkeypatch.delenv("COMPANION_DATA")
    assert fetch.data_directory().is_absolute()


def test_real_mnist_is_read():
    """The official test files, where this machine has them (COMPANION_DATA)."""
    if not (fetch.data_directory() / "mnist" / "t10k-images-idx3-ubyte.gz").exists():
        pytest.skip("no MNIST test files in the data directory")
    splits = images.load("mnist", download=False, test_files_only=True)
    assert [len(p.x) for p in splits[1:4]] == [8000, 1000, 1000]
    counts = torch.cat([p.y for p in splits[1:4]]).bincount()
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
