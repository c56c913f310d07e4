"""Small data sets written in the real formats: what the loaders meet, and what fuzzing mutates."""

import gzip
import hashlib
import io
import re
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

RNG = np.random.default_rng


def picture(seed, size, kind="JPEG", mode="RGB"):
    """A smooth random image, as a file."""
    rng, channels = RNG(seed), len(mode)
    coarse = rng.integers(0, 256, (4, 4, channels), np.uint8)
    image = Image.fromarray(coarse.squeeze(), mode).resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return file.getvalue()


def zipped(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def tarred(entries, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in entries.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def idx(array, code=8):
    array = np.asarray(array, np.uint8)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.tobytes()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def mnist():
    files = {}
    for part, n, start in (("train", 60, 0), ("t10k", 20, 60)):
        pixels = np.zeros((n, 28, 28), np.uint8)
        pixels[:, 0, 0] = np.arange(start, start + n)
        for name, array in (("images-idx3", pixels), ("labels-idx1", np.arange(n) % 10)):
            files[f"mnist/{part}-{name}-ubyte.gz"] = gzip.compress(idx(array), mtime=0)
    return files


def cifar10():
    def batch(first):
        records = np.zeros((12, 3073), np.uint8)
        records[:, 0] = np.arange(12) % 10
        records[:, 1] = first + np.arange(12)  # the red of the first pixel
        records[:, -1] = 255 - records[:, 1]  # the blue of the last
        return records.tobytes()

    names = ["test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6))]
    batches = {f"cifar-10-batches-bin/{n}": batch(12 * i) for i, n in enumerate(names)}
    return {"cifar10/cifar-10-binary.tar.gz": tarred(batches, "w:gz")}


def pickled(records):
    """A CIFAR-10 batch as Python 2 wrote it: labels one by one, pixels as one string."""
    rows = np.frombuffer(records, np.uint8).reshape(-1, 3073)
    labels = b"".join(b"K" + bytes([label]) for label in rows[:, 0])
    pixels, n = rows[:, 1:].tobytes(), struct.pack("<H", len(rows))
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x08batch oneU\x06labelsq\x04](" + labels + b"e"
        b"U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01M" + n + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
        b"U\tfilenames](U\x05a.pngeu."
    ).replace(b"U\x08batch one", b"U\x09batch one")


def celeba(n=16):
    names = [f"{i + 1:06d}.jpg" for i in range(n)]
    pictures = {f"img_align_celeba/{name}": picture(i, (178, 218)) for i, name in enumerate(names)}
    return {"celeba/img_align_celeba.zip": zipped(pictures)}


def celeba_hq():
    """Five images whose originals are in the parts 2, 0, 0, 1, 0 of :func:`celeba`."""
    originals = (16, 1, 4, 10, 2)
    entries = {f"CelebAMask-HQ/CelebA-HQ-img/{i}.jpg": picture(i, (96, 96)) for i in range(5)}
    entries["CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_hair.png"] = picture(9, (8, 8), "PNG")
    rows = "".join(f"{i}  {o - 1}  {o:06d}.jpg\n" for i, o in enumerate(originals))
    entries["CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt"] = f"idx orig_idx orig\n{rows}".encode()
    return {"celeba-hq/CelebAMask-HQ.zip": zipped(entries)}


def omniglot():
    def pack(part, alphabet, characters):
        return zipped(
            {
                f"{part}/{alphabet}/character{c:02d}/{c:04d}_{d:02d}.png": picture(
                    100 * c + d, (105, 105), "PNG", "L"
                )
                for c in characters
                for d in (1, 2, 18, 19, 20)
            }
        )

    return {
        "omniglot/images_background.zip": pack("images_background", "Greek", (1, 2)),
        "omniglot/images_evaluation.zip": pack("images_evaluation", "Tibetan", (3,)),
    }


def chairs(n=11):
    views = {
        f"rendered_chairs/{hashlib.md5(bytes([c])).hexdigest()}/renders/image_{v:03d}.png": picture(
            10 * c + v, (80, 80), "PNG"
        )
        for c in range(n)
        for v in range(2)
    }
    views["rendered_chairs/all_chair_names.mat"] = b"MATLAB"
    return {"chairs/rendered_chairs.tar": tarred(views)}


def imagenet32():
    files = {}
    for i, name in enumerate([*(f"train_data_batch_{k}" for k in range(1, 11)), "val_data"]):
        x = np.zeros((6, 3072), np.uint8)
        x[:, 0], x[:, -1] = 6 * i + np.arange(6), 7
        files[f"imagenet32/{name}.npz"] = npz(data=x, labels=1 + np.arange(6), mean=x.mean(0))
    return files


SETS = {
    "mnist": mnist,
    "cifar10": cifar10,
    "celeba": celeba,
    "celeba-hq": celeba_hq,
    "omniglot": omniglot,
    "chairs": chairs,
    "imagenet32": imagenet32,
}


def inside(content, change, rng):
    """The archive with one member changed, renamed or left out, packed again; else the file."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        pack = zipped
    elif content[257:262] == b"ustar" or content[:3] == b"\x1f\x8b\x08":
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                entries = {m.name: archive.extractfile(m).read() for m in archive}
        except tarfile.ReadError:
            return gzip.compress(change(gzip.decompress(content)))
        pack = tarred
    else:
        return change(content)
    victim, kind = list(entries)[rng.integers(len(entries))], rng.integers(6)
    content = entries.pop(victim)
    if kind == 0:  # another name, or none
        return pack(entries | {f"{victim}~": content})
    return pack(entries if kind == 1 else entries | {victim: change(content)})


def put(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


NAMED = re.compile(r"^[a-z_]\w*(\.\w+)*: ")  # the call that speaks


def mutate(content, rng):
    """Flip bytes, cut, repeat, overwrite or exchange stretches; nothing, or text instead."""
    content, n = bytearray(content), len(content)
    a, b = sorted(rng.integers(0, n, 2))
    kind = rng.integers(8)
    if kind >= 6:
        return b"" if kind == 6 else b"words, not numbers\n" * 50
    if kind <= 1:
        for at in rng.integers(0, n, rng.integers(1, 12)):
            content[at] = rng.integers(256)
    elif kind == 2:
        del content[a:]
    elif kind == 3:
        content[a:a] = content[a:b]
    elif kind == 4:
        content[a : a + 30] = rng.bytes(30)
    else:
        content = content[b:] + content[a:b] + content[:a]
    return bytes(content)
