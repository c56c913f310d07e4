"""No header is believed: small files that would fill the memory are refused early."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import filesets as files
import numpy as np
import pytest

from companion.data import archives, cifar, decode, idx, tabular
from companion.data.archives import FormatError

LARGE = 2**26  # what the bombs unpack to; their files are a thousandth of it
FEW = 2**23  # what may be held


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()


def bomb(first=b"", fill=b"\0", size=LARGE):
    file = io.BytesIO()
    with gzip.open(file, "wb", 6) as packed:
        packed.write(first)
        for _ in range(size // 2**20):
            packed.write(fill * (2**20 // len(fill)))
    return file.getvalue()


def header(kind, size=LARGE, more=b""):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if more:  # an old sparse entry whose map goes on
        block[482] = 1
        block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 8 * 32)
    return bytes(block)


def lying_zip():
    """A zip whose directory says that a member has a thousand bytes; it has millions."""
    pack = zlib.compressobj(6, zlib.DEFLATED, -15)
    deflated = b"".join(pack.compress(bytes(2**20)) for _ in range(LARGE // 2**20)) + pack.flush()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", deflated)
    content = bytearray(file.getvalue())
    for start, method, size in ((0, 8, 22), (content.index(b"PK\1\2"), 10, 24)):
        content[start + method : start + method + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        content[start + size : start + size + 4] = struct.pack("<I", 1000)
    return bytes(content)


SPARSE = b"00000000001\0" * 42 + b"\1" + bytes(7)  # says that another one follows
ARCHIVES = {
    "a zip that lies": (lying_zip, "a.jpg in a is damaged|is cut off"),
    "a pax header": (lambda: bomb(header(tarfile.XHDTYPE)), "a header of a promises more"),
    "a long name": (lambda: bomb(header(tarfile.GNUTYPE_LONGNAME)), "a header of a promises more"),
    "a sparse map": (
        lambda: bomb(header(tarfile.GNUTYPE_SPARSE, 512, SPARSE), SPARSE, 2**23),
        "a header of a promises more",
    ),
    "a large member": (lambda: bomb(header(tarfile.REGTYPE)), "unpacks to 67,108,864 bytes"),
    "a promise alone": (
        lambda: header(tarfile.XHDTYPE, 2**33) + b"abc",
        "a header of a promises more",
    ),
    "less than nothing": (lambda: header(tarfile.REGTYPE, -(2**20)), "a is damaged|unpacks to -"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_promise_gigabytes_take_little_memory(case, tmp_path):
    make, message = ARCHIVES[case]
    (tmp_path / "a").write_bytes(make())
    with little_memory(), pytest.raises(FormatError, match=message):  # noqa: SIM117
        with archives.open_members(tmp_path / "a", max_bytes=2**20) as members:
            for name in members.names:
                members.read(name)


def test_members_are_unpacked_by_deflate_alone(tmp_path):
    """Bzip2 and LZMA give no bound to what a block unpacks to."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jpg", bytes(1000))
    with (
        pytest.raises(FormatError, match="one not packed by deflate: a.jpg"),
        archives.open_members(tmp_path / "a.zip"),
    ):
        pass


def test_a_packed_idx_file_is_read_up_to_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 2**20)
    (tmp_path / "a.gz").write_bytes(bomb(files.idx(np.zeros(1))[:4] + b"\xff" * 4))
    with little_memory(), pytest.raises(FormatError, match="unpacks to more than 1,048,576 bytes"):
        idx.read_idx(tmp_path / "a.gz")


def npy(shape, descr="|u1"):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(8)


def png(width, height):
    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


def jpeg(width, height):
    content = bytearray(files.picture(0, (16, 16)))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


PROMISES = {
    "idx": (lambda path: idx.read_idx(path), b"\0\0\x08\3" + b"\x7f\xff\xff\xff" * 3),
    "npy": (lambda path: decode.read_npy(path.read_bytes(), "a"), npy((2**40,))),
    "table": (lambda path: tabular.read_array(path, 8), npy((2**40, 8), "<f8")),
    "table of nothing": (lambda path: tabular.read_array(path, 8), npy((2**40, 8), "|S0")),
    "pickle": (
        lambda path: cifar.records(path.read_bytes(), "a"),
        b"\x80\x02T\xff\xff\xff\x7fabc",
    ),
    "png": (lambda path: decode.read_image(path.read_bytes(), "a", "RGB"), png(5000, 5000)),
    "giant png": (lambda path: decode.read_image(path.read_bytes(), "a", "L"), png(2**31 - 1, 2)),
    "empty png": (lambda path: decode.read_image(path.read_bytes(), "a", "L"), png(0, 0)),
    "jpeg": (lambda path: decode.read_image(path.read_bytes(), "a", "L"), jpeg(65_500, 65_500)),
}


@pytest.mark.parametrize("case", PROMISES)
def test_headers_that_promise_gigabytes_take_little_memory(case, tmp_path):
    read, content = PROMISES[case]
    (tmp_path / "a").write_bytes(content)
    with little_memory(), pytest.raises(FormatError, match=files.NAMED):
        read(tmp_path / "a")
