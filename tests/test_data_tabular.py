"""Tables end to end on small files of the real formats; MAF's steps written out a second time."""

import gzip
import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import filesets as files
import numpy as np
import pytest
import torch

from companion.data import tabular
from companion.data.archives import FormatError
from companion.data.fetch import ChecksumError, DataNotFoundError
from companion.data.tabular import TabularError, load

chance = np.random.RandomState(0)
POWER = chance.rand(400, 8) * [9, 1, 250, 40, 80, 80, 30, 1440]
SENSORS = chance.randn(1200, 16).cumsum(1) * 100
SENSORS[:, 5] = 2 * SENSORS[:, 4] + 1e-3 * SENSORS[:, 5]  # one redundant column, and one of them
SENSORS[:, 9] = -3 * SENSORS[:, 8] + 1e-3 * SENSORS[:, 9]  # by a negative correlation
LABELS = chance.randint(0, 2, 600)
PHYSICS = chance.randn(600, 5).round(7)
PHYSICS[:, 3] = PHYSICS[:, 3] > 0
BOONE = chance.randn(300, 43) + np.arange(43)


def write_power(root):
    (root / "power").mkdir()
    np.save(root / "power" / "data.npy", POWER)


def write_gas(root, rows=SENSORS):
    (root / "gas").mkdir()
    times = np.column_stack([np.arange(len(rows)) / 100, np.zeros((len(rows), 2))])
    header = "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)"
    np.savetxt(root / "gas" / "ethylene_CO.txt", np.hstack([times, rows]), "%.7g", header=header,
               comments="")  # fmt: skip


def write_hepmass(root, test_columns=1):
    (root / "hepmass").mkdir()
    for name, part, more in (("train", slice(400), 0), ("test", slice(400, 600), test_columns)):
        rows = np.column_stack(
            [LABELS[part], PHYSICS[part], np.full((len(LABELS[part]), more), 1e3)]
        )
        header = "# label," + ",".join(f"f{i}" for i in range(rows.shape[1] - 1))
        np.savetxt(root / "hepmass" / f"1000_{name}.csv", rows, "%.18e", ",", header=header,
                   comments="")  # fmt: skip


def write_miniboone(root):
    (root / "miniboone").mkdir()
    np.save(root / "miniboone" / "data.npy", BOONE)


WRITE = {
    "power": write_power,
    "gas": write_gas,
    "hepmass": write_hepmass,
    "miniboone": write_miniboone,
}


def maf_power():
    rng, rows = np.random.RandomState(42), POWER.copy()
    rng.shuffle(rows)
    rows = np.delete(np.delete(rows, 3, 1), 1, 1)
    noise = [0.01 * rng.rand(400, 1), 0.001 * rng.rand(400, 1), rng.rand(400, 3)]
    rows += np.hstack([noise[1], noise[0], noise[2], np.zeros((400, 1))])
    return scaled(rows[:324], rows[324:360], rows[360:], 2, 0)


def maf_gas():
    rows = np.vectorize(lambda v: float(f"{v:.7g}"))(SENSORS)
    rows = rows[np.random.RandomState(42).permutation(1200)[:300]]
    kept = list(range(16))
    while True:
        high = np.corrcoef(rows[:, kept].T) > 0.98
        crowded = [i for i, row in enumerate(high) if row.sum() > 1]
        if not crowded:
            break
        del kept[crowded[0]]
    rows = rows[:, kept]
    return scaled(rows[:243], rows[243:270], rows[270:], 3, 1)


def maf_hepmass():
    train, test = (PHYSICS[p][LABELS[p] == 1] for p in (slice(400), slice(400, 600)))
    kept = [k for k in range(5) if list(train[:, k]).count(min(train[:, k])) <= 5]
    train, test, n = train[:, kept], test[:, kept], len(train) // 10
    return scaled(train[:-n], train[-n:], test, 2, 1)


def maf_miniboone():
    return scaled(BOONE[:243], BOONE[243:270], BOONE[270:], 2, 0)


def scaled(train, valid, test, parts, ddof):
    seen = np.vstack([train, valid, test][:parts])
    return [(p - seen.mean(0)) / seen.std(0, ddof=ddof) for p in (train, valid, test)]


MAF = {"power": maf_power, "gas": maf_gas, "hepmass": maf_hepmass, "miniboone": maf_miniboone}


@pytest.mark.parametrize("name", MAF)
def test_legacy_equals_the_steps_of_maf(name, tmp_path):
    WRITE[name](tmp_path)
    table = load(name, root=tmp_path, legacy=True)
    for ours, theirs in zip(table[1:4], MAF[name](), strict=True):
        assert np.allclose(ours.numpy(), theirs, atol=1e-4), name
    assert "MAF's steps" in table.note


@pytest.mark.parametrize("name", tabular.NAMES)
def test_by_default_nothing_leaks(name, tmp_path):
    if name in WRITE:
        WRITE[name](tmp_path)
    table = load(name, root=tmp_path)
    assert table.train.dtype == torch.float32 and "training part alone" in table.note
    assert table.train.mean(0).abs().max() < 1e-5
    assert torch.allclose(table.train.std(0, correction=0), torch.ones(table.train.shape[1]))
    assert len(table.valid) and len(table.test) and table.valid.mean(0).abs().max() > 1e-3


def test_validation_and_test_rows_cannot_change_the_training_part(tmp_path):
    write_miniboone(tmp_path)
    before = load("miniboone", root=tmp_path).train
    np.save(tmp_path / "miniboone" / "data.npy", np.vstack([BOONE[:243], 99 + BOONE[243:]]))
    assert torch.equal(load("miniboone", root=tmp_path).train, before)
    assert not torch.allclose(load("miniboone", root=tmp_path, legacy=True).train, before)


@pytest.mark.parametrize("name", [*tabular.EMBEDDED, "power", "gas"])
def test_the_seed_decides_the_order(name, tmp_path):
    if name in WRITE:
        WRITE[name](tmp_path)
    first, same, other = (load(name, root=tmp_path, seed=s).train for s in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first[:20], other[:20])


def test_which_columns_go(tmp_path):
    write_gas(tmp_path)
    write_hepmass(tmp_path)
    assert load("gas", root=tmp_path).train.shape[1] == 14
    assert load("gas", root=tmp_path, legacy=True).train.shape[1] == 15  # its rule has a sign
    assert load("hepmass", root=tmp_path).train.shape[1] == 4


def test_the_inherited_bug_of_hepmass_is_in_legacy_only(tmp_path, monkeypatch):
    repeated = PHYSICS.copy()
    repeated[:, 1] = np.where(chance.rand(600) < 0.3, 0.0, repeated[:, 1])  # no minimum, often 0
    monkeypatch.setattr(f"{__name__}.PHYSICS", repeated)
    write_hepmass(tmp_path)
    assert load("hepmass", root=tmp_path).train.shape[1] == 3
    assert load("hepmass", root=tmp_path, legacy=True).train.shape[1] == 4


def test_miniboone_from_the_text_of_uci(tmp_path):
    (tmp_path / "miniboone").mkdir()
    rows = np.random.RandomState(1).randn(500, 50)
    rows[3, :], rows[:300, 7] = -999.0, np.maximum(rows[:300, 7], 0.0)  # outlier, clipped column
    path = tmp_path / "miniboone" / "MiniBooNE_PID.txt"
    np.savetxt(path, rows, "%.6e", header=" 300 200", comments="")
    table = load("miniboone", root=tmp_path)
    assert sum(map(len, table[1:4])) == 299 and table.train.shape[1] == 49
    path.write_text("\n".join(path.read_text().splitlines()[:-100]))
    with pytest.raises(TabularError, match=r"promises \[300, 200\] rows but has 400"):
        load("miniboone", root=tmp_path)


def archive(path, names, monkeypatch, spoil=False):
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            buffer = io.BytesIO()
            np.save(buffer, BOONE)
            member = tarfile.TarInfo(name)
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)
    if spoil:
        path.write_bytes(path.read_bytes()[:-5000])
    known = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(tabular, "ARCHIVE", replace(tabular.ARCHIVE, known_hash=known))


def test_a_verified_archive_is_unpacked_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "maf" / "data.tar.gz"
    archive(path, ["data/../../miniboone/data.npy", "data/miniboone/data.npy"], monkeypatch)
    assert len(load("miniboone", root=tmp_path, download=False).train) == 243
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["data.npy", "data.tar.gz"]
    path.write_bytes(b"another")
    (tmp_path / "miniboone" / "data.npy").unlink()
    with pytest.raises(ChecksumError):
        load("miniboone", root=tmp_path)


@pytest.mark.parametrize(
    "how", [{"names": ["data/other"]}, {"names": ["data/miniboone/data.npy"], "spoil": True}]
)
def test_a_wrong_archive_leaves_nothing(how, tmp_path, monkeypatch):
    archive(tmp_path / "maf" / "data.tar.gz", monkeypatch=monkeypatch, **how)
    with pytest.raises(TabularError, match="cannot take miniboone/data.npy out of"):
        load("miniboone", root=tmp_path, download=False)
    assert [p.name for p in tmp_path.rglob("*.*")] == ["data.tar.gz"]


def test_missing_files_say_what_to_put_where(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"data.tar.gz \(md5 9b9c.*or put data.npy alone"):
        load("power", root=tmp_path, download=False)
    with pytest.raises(
        DataNotFoundError, match="put the file ethylene_CO.txt .*into .*gas, for example from UCI"
    ):
        load("gas", root=tmp_path)
    (tmp_path / "gas").mkdir()
    (tmp_path / "gas" / "ethylene_CO.pickle").write_bytes(pickle.dumps([1.0]))
    with pytest.raises(DataNotFoundError, match="a pickle can run any code"):
        load("gas", root=tmp_path)


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


def test_unsound_files_are_refused(tmp_path):
    write_power(tmp_path)
    path = tmp_path / "power" / "data.npy"
    sound = path.read_bytes()
    for damaged in (
        b"",
        sound[:50],
        sound[:-100],
        b"no numpy" + sound,
        sound.replace(b"<f8", b"<f9"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(TabularError, match="data.npy is no sound .npy file"):
            load("power", root=tmp_path)
    np.save(path, np.array([Hostile()] * 30, dtype=object), allow_pickle=True)
    with pytest.raises(TabularError, match="no sound .npy file"):
        load("power", root=tmp_path)
    np.save(path, POWER[:, :5])
    with pytest.raises(TabularError, match=r"must hold rows of 8 numbers, got \(400, 5\)"):
        load("power", root=tmp_path)
    np.save(path, POWER[:10])
    with pytest.raises(TabularError, match="has 10 rows, expected at least 20"):
        load("power", root=tmp_path)
    np.save(path, np.where(np.arange(400)[:, None] == 7, np.nan, POWER))
    with pytest.raises(TabularError, match="has 1 rows with NaN or infinity, first row 8"):
        load("power", root=tmp_path)
    np.save(path, POWER * [1, 1, 1, 1, 1, 1, 1, 0])
    with pytest.raises(TabularError, match="power has a constant column"):
        load("power", root=tmp_path)


def test_unsound_texts_are_refused(tmp_path):
    write_gas(tmp_path)
    path = tmp_path / "gas" / "ethylene_CO.txt"
    sound = path.read_text()
    for damaged in (sound[:-60], sound[:-2] + "x\n", "\x00\xff" * 99):
        path.write_text(damaged)
        with pytest.raises(TabularError, match="ethylene_CO.txt"):
            load("gas", root=tmp_path)
    infinite = SENSORS.copy()
    infinite[11, 3] = np.inf
    path.unlink()
    path.parent.rmdir()
    write_gas(tmp_path, infinite)
    with pytest.raises(TabularError, match="has 1 rows with NaN or infinity, first row 12"):
        load("gas", root=tmp_path)
    write_hepmass(tmp_path)
    files = [tmp_path / "hepmass" / f"1000_{part}.csv" for part in ("train", "test")]
    contents = [f.read_bytes() for f in files]
    for f, content in zip(files, reversed(contents), strict=True):
        f.write_bytes(content)
    with pytest.raises(TabularError, match="1000_test.csv is no sound table"):
        load("hepmass", root=tmp_path)


def put_hepmass(root, train, test):
    (root / "hepmass").mkdir(parents=True, exist_ok=True)
    for part, text in (("train", train), ("test", test)):
        (root / "hepmass" / f"1000_{part}.csv").write_text(text)


def lines(row, n, header="# label,a,b"):
    return "\n".join([header, *(row.format(i=i, half=i % 2) for i in range(n))]) + "\n"


HEPMASS = {  # files, message
    "no features": ((lines("{half}", 400, "# label"),) * 2, "1000_train.csv must have a label"),
    "another first column": ((lines("{i},1,2", 40),) * 2, "must have a label, 0 or 1"),
    "no signals": ((lines("0,{i},2", 40),) * 2, "three parts of hepmass have 0/0/0 rows"),
    "few signals": (
        (lines("1,{i}.5,{i}", 1) + lines("0,{i},2", 40),) * 2,
        "the three parts of hepmass have 1/0/1 rows",
    ),
    "no feature left": ((lines("1,7,7", 400),) * 2, "hepmass has no feature left, of 2"),
    "numbers too large": (
        (lines("1,{i}.5e306,{i}", 170),) * 2,
        "hepmass has numbers too large to be standardised",
    ),
}


@pytest.mark.parametrize("case", HEPMASS)
def test_tables_without_rows_or_features_are_refused(case, tmp_path, recwarn):
    texts, message = HEPMASS[case]
    put_hepmass(tmp_path, *texts)
    with pytest.raises(TabularError, match=message):
        load("hepmass", root=tmp_path)
    assert not recwarn.list


@pytest.mark.parametrize("signals, message", [(3, "has 3 signals without"), (0, "has 0 signals")])
def test_miniboone_needs_signals(signals, message, tmp_path):
    (tmp_path / "miniboone").mkdir()
    rows = np.random.RandomState(1).randn(100, 50)
    path = tmp_path / "miniboone" / "MiniBooNE_PID.txt"
    np.savetxt(path, rows, "%.6e", header=f" {signals} {100 - signals}", comments="")
    with pytest.raises(TabularError, match=message):
        load("miniboone", root=tmp_path)


def test_marks_and_ends_of_other_systems_change_nothing(tmp_path):
    (tmp_path / "one" / "miniboone").mkdir(parents=True)
    path = tmp_path / "one" / "miniboone" / "MiniBooNE_PID.txt"
    np.savetxt(path, np.random.RandomState(1).randn(90, 50), "%.6e", header="60 30", comments="")
    text = path.read_bytes()
    other = tmp_path / "two" / "MiniBooNE" / "MiniBooNE_pid.TXT"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    packed = tmp_path / "three" / "miniboone" / "MiniBooNE_PID.txt.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(gzip.compress(text))
    one, two, three = (load("miniboone", root=tmp_path / n) for n in ("one", "two", "three"))
    assert torch.equal(one.train, two.train) and torch.equal(one.train, three.train)
    assert two.note.endswith("content not checked against a published sum")
    packed.write_bytes(packed.read_bytes()[:20])
    with pytest.raises(FormatError, match="MiniBooNE_PID.txt.gz is damaged"):
        load("miniboone", root=tmp_path / "three")


def test_arrays_of_anything_but_numbers_are_refused(tmp_path):
    write_power(tmp_path)
    path = tmp_path / "power" / "data.npy"
    for rows in (POWER.astype(complex), POWER.astype("S8"), POWER > 1):
        np.save(path, rows)
        with pytest.raises(TabularError, match=f"no sound .npy file .it holds {rows.dtype}"):
            load("power", root=tmp_path)
    path.write_bytes(path.read_bytes()[:9])
    path.unlink()
    path.mkdir()  # a folder in the place of a file
    with pytest.raises(DataNotFoundError, match="put data.npy alone"):
        load("power", root=tmp_path, download=False)


def write_boone(root):
    (root / "miniboone").mkdir()
    rows = np.random.RandomState(1).randn(120, 50)
    np.savetxt(root / "miniboone" / "MiniBooNE_PID.txt", rows, "%.4e", header="80 40", comments="")


@pytest.mark.parametrize("name", ["power", "gas", "hepmass", "miniboone", "boone as text"])
def test_mutated_tables_give_a_table_or_a_named_error(name, tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(f"{__name__}.SENSORS", SENSORS[:120])
    (WRITE | {"boone as text": write_boone})[name](tmp_path)
    name, rng, refused = name.replace("boone as text", "miniboone"), np.random.default_rng(0), 0
    victims = [path for path in tmp_path.rglob("*") if path.is_file()]
    for turn in range(24):
        victim = victims[rng.integers(len(victims))]
        good = victim.read_bytes()
        odd = (b"", b"words, not numbers\n" * 50, b"\0" * 3000, good[: len(good) // 2])
        victim.write_bytes(odd[turn] if turn < 4 else files.mutate(good, rng))
        try:
            table = load(name, root=tmp_path, download=False)
            assert all(len(part) and part.isfinite().all() for part in table[1:4])
        except (ValueError, OSError) as error:
            assert files.NAMED.match(str(error)), repr(error)
            refused += 1
        victim.write_bytes(good)
        assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(victims)
    assert refused > 6 and not recwarn.list


def test_an_unknown_name():
    with pytest.raises(ValueError, match="name must be one of breast-cancer, .*, got 'iris'"):
        load("iris")
