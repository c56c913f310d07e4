"""Tables of numbers: sets inside scikit-learn, and four of density estimation from real files."""

import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion.atomic import writing
from companion.data.archives import FormatError, damage, open_plain
from companion.data.fetch import DataNotFoundError, RemoteFile, data_directory, fetch, places


class Table(NamedTuple):
    """A table in three parts that never overlap, z-scored, and how they came about."""

    name: str
    train: Tensor  # (n, features) float32
    valid: Tensor
    test: Tensor
    note: str


class TabularError(FormatError):
    """A file is no sound table of the expected form."""


EMBEDDED = ("breast-cancer", "wine", "diabetes")
BENCHMARK = ("power", "gas", "hepmass", "miniboone")
NAMES = EMBEDDED + BENCHMARK
SEED = 42  # MAF's
MIN_ROWS = 20
ARCHIVE = RemoteFile(
    "maf/data.tar.gz",
    (
        "https://zenodo.org/records/1161203/files/data.tar.gz?download=1",
        "https://zenodo.org/record/1161203/files/data.tar.gz",
    ),
    "md5:9b9c9b0375315ad270eba4ce80c093ab",
)
GAS = RemoteFile(
    "gas/ethylene_CO.txt", source="UCI's set 'Gas sensor array under dynamic gas mixtures'"
)
_LEGACY = {  # of how many parts MAF takes its statistics, and the degrees of freedom of its std
    "power": (2, 0),
    "gas": (3, 1),
    "hepmass": (2, 1),
    "miniboone": (2, 0),
}


def load(
    name: str = "breast-cancer",
    *,
    root: str | Path | None = None,
    download: bool = True,
    legacy: bool = False,
    seed: int = SEED,
) -> Table:
    """Load a table, split it 81/9/10 and z-score it.

    =============  ===========================================================================
    embedded       ``breast-cancer`` (30 features), ``wine`` (13), ``diabetes`` (10), always there
    ``power``      ``power/data.npy`` of MAF's archive: seeded shuffle, columns 3 and 1 dropped,
                   uniform noise of the measuring steps added; 6 features
    ``gas``        UCI's text ``gas/ethylene_CO.txt``: a seeded quarter of the rows (MAF's own
                   quarter is an unseeded one, kept as a pickle, which is not read), without time
                   and concentrations and without columns correlated above 0.98; 8 features
    ``hepmass``    ``hepmass/1000_train.csv`` and ``1000_test.csv`` of MAF's archive: class 1,
                   columns of repeated values dropped; 21 features
    ``miniboone``  ``miniboone/data.npy`` of MAF's archive, or UCI's text ``MiniBooNE_PID.txt`` put
                   in its place: signals without outliers and repeated values; 43 features
    =============  ===========================================================================

    By default everything that is estimated (means, standard deviations, which columns to drop) is
    estimated on the training part. ``legacy`` repeats MAF's steps instead, with which the papers'
    numbers were made: POWER, HEPMASS and MINIBOONE take the validation part in, GAS even the test
    part; HEPMASS drops a column where its *smallest* value comes more than 5 times (by default:
    where any value makes more than a hundredth), GAS where the correlation is above +0.98 (by
    default: or below −0.98).

    Args:
        name: which table.
        root: data directory; see :func:`companion.data.fetch.data_directory`.
        download: whether MAF's archive (0.8 GB) may be downloaded.
        legacy: MAF's steps; no difference for the embedded tables.
        seed: of shuffles and of POWER's noise.

    Returns:
        The :class:`Table`; ``note`` says in words how it was made.

    Raises:
        ValueError: for an unknown name.
        TabularError: for a damaged file, a wrong number of columns, non-finite rows, a part
            without rows, and where no feature is left.
        companion.data.fetch.DataNotFoundError: saying which file to put where.

    Source: Papamakarios et al. (2017), "Masked autoregressive flow for density estimation".

    >>> table = load("wine")
    >>> table.train.shape, table.valid.shape, table.test.shape
    (torch.Size([145, 13]), torch.Size([16, 13]), torch.Size([17, 13]))
    """
    if name not in NAMES:
        raise ValueError(f"tabular.load: name must be one of {', '.join(NAMES)}, got {name!r}")
    chance = np.random.RandomState(seed)
    if name in EMBEDDED:
        parts, legacy = _ends(chance.permutation(_embedded(name))), False
    else:
        parts = _PARTS[name](root, download, chance)
    sizes = "/".join(str(len(part)) for part in parts)
    if not all(len(part) for part in parts):
        raise TabularError(f"tabular.load: the three parts of {name} have {sizes} rows")
    number, ddof = _LEGACY[name] if legacy else (1, 0)
    with np.errstate(all="ignore"):  # what overflows is named below
        seen = np.vstack(parts[:number])
        keep = _COLUMNS.get(name, _all)(seen, legacy)
        mean, std = seen[:, keep].mean(0), seen[:, keep].std(0, ddof=ddof)
        tensors = [torch.from_numpy(((p[:, keep] - mean) / std).astype(np.float32)) for p in parts]
    if not len(keep):
        raise TabularError(f"tabular.load: {name} has no feature left, of {seen.shape[1]}")
    if not (std > 0).all():
        raise TabularError(f"tabular.load: {name} has a constant column among its training rows")
    if not (np.isfinite(std).all() and all(tensor.isfinite().all() for tensor in tensors)):
        raise TabularError(f"tabular.load: {name} has numbers too large to be standardised")
    how = "MAF's steps" if legacy else "statistics of the training part alone"
    note = f"{name}: {sizes} rows, {len(keep)} features, {how}, seed {seed}"
    if name in BENCHMARK:  # the archive has a sum, the files that are in it have none
        note += "; content not checked against a published sum"
    return Table(name, *tensors, note)


def _embedded(name: str) -> np.ndarray:
    from sklearn import datasets  # here: a second of import that the others do not need

    options = {"scaled": False} if name == "diabetes" else {}
    return getattr(datasets, f"load_{name.replace('-', '_')}")(**options).data


def _ends(rows: np.ndarray) -> list[np.ndarray]:
    """Test is the last tenth, validation the last tenth of the rest."""
    test = len(rows) // 10
    rest = len(rows) - test
    return np.split(rows, [rest - rest // 10, rest])


def _power(root, download: bool, chance: np.random.RandomState) -> list[np.ndarray]:
    rows = read_array(_from_archive("power/data.npy", root, download), columns=8)
    chance.shuffle(rows)
    rows = np.delete(rows, [1, 3], axis=1)
    n = len(rows)  # the order of the draws is MAF's
    voltage, power, meters = 0.01 * chance.rand(n, 1), 0.001 * chance.rand(n, 1), chance.rand(n, 3)
    return _ends(rows + np.hstack([power, voltage, meters, np.zeros((n, 1))]))


def _gas(root, download: bool, chance: np.random.RandomState) -> list[np.ndarray]:
    try:
        path = fetch(GAS, root, download).path
    except DataNotFoundError as error:
        if not (data_directory(root) / GAS.name).with_suffix(".pickle").exists():
            raise
        hint = "the .pickle beside it is not read: a pickle can run any code"
        raise DataNotFoundError(f"{error}; {hint}") from None
    sensors = read_text(path, columns=range(3, 19), skip=1)
    return _ends(sensors[chance.permutation(len(sensors))[: round(len(sensors) / 4)]])


def _hepmass(root, download: bool, chance: np.random.RandomState) -> list[np.ndarray]:
    files = [
        _from_archive(f"hepmass/1000_{part}.csv", root, download) for part in ("train", "test")
    ]
    columns = _first_line(files[0]).count(b",") + 1  # of the test file's one more says nothing
    tables = [read_text(path, columns=range(columns), skip=1, delimiter=",") for path in files]
    for path, table in zip(files, tables, strict=True):
        if columns < 2 or not np.isin(table[:, 0], (0, 1)).all():
            raise TabularError(
                f"tabular.load: {path.name} must have a label, 0 or 1, and features, got "
                f"{columns} columns"
            )
    train, test = (table[table[:, 0] == 1][:, 1:] for table in tables)
    return [*np.split(train, [len(train) - len(train) // 10]), test]


def _miniboone(root, download: bool, chance: np.random.RandomState) -> list[np.ndarray]:
    text = next(iter(places(RemoteFile("miniboone/MiniBooNE_PID.txt"), root)), None)
    if not text:
        return _ends(read_array(_from_archive("miniboone/data.npy", root, download), columns=43))
    counts = [int(word) for word in _first_line(text).split() if word.isdigit()]
    rows = read_text(text, columns=range(50), skip=1)
    if len(counts) != 2 or sum(counts) != len(rows):
        raise TabularError(f"tabular.load: {text.name} promises {counts} rows but has {len(rows)}")
    signals = rows[: counts[0]]
    signals = signals[signals[:, 0] >= -100]
    if len(signals) < MIN_ROWS:
        raise TabularError(f"tabular.load: {text.name} has {len(signals)} signals without outliers")
    return _ends(signals[:, _smallest_is_rare(signals)])


def _first_line(path: Path) -> bytes:
    with damage("tabular.load", path.name), open_plain(path) as file:
        return file.readline(2**16).removeprefix(b"\xef\xbb\xbf")


_PARTS: dict[str, Callable] = {
    "power": _power,
    "gas": _gas,
    "hepmass": _hepmass,
    "miniboone": _miniboone,
}


def _all(rows: np.ndarray, legacy: bool) -> np.ndarray:
    return np.arange(rows.shape[1])


def _uncorrelated(rows: np.ndarray, legacy: bool) -> np.ndarray:
    """Drop the first column that correlates above 0.98 with another one, until there is none."""
    correlation = np.corrcoef(rows.T)
    high = (correlation if legacy else np.abs(correlation)) > 0.98
    keep = np.arange(rows.shape[1])
    while (crowd := high[np.ix_(keep, keep)].sum(1) > 1).any():
        keep = np.delete(keep, crowd.argmax())
    return keep


def _continuous(rows: np.ndarray, legacy: bool) -> np.ndarray:
    if legacy:
        return _smallest_is_rare(rows)
    most = [np.unique(column, return_counts=True)[1].max() for column in rows.T]
    return np.flatnonzero(np.array(most) <= len(rows) / 100)


def _smallest_is_rare(rows: np.ndarray) -> np.ndarray:
    """MAF's rule, meant for repeated values: the smallest one comes at most 5 times."""
    return np.flatnonzero((rows == rows.min(0)).sum(0) <= 5)


_COLUMNS = {"gas": _uncorrelated, "hepmass": _continuous}


def _from_archive(name: str, root: str | Path | None, download: bool) -> Path:
    """A file of MAF's archive: put there by hand, or taken out of the verified archive, whole."""
    path = data_directory(root) / name
    if found := places(RemoteFile(name), root):
        return found[0]
    try:
        archive = fetch(ARCHIVE, root, download).path
    except DataNotFoundError as error:
        hint = f"or put {path.name} alone, taken out of it, into {path.parent}"
        raise DataNotFoundError(f"{error}; {hint}") from None
    try:
        with tarfile.open(archive) as tar, writing(path) as out:
            member = tar.extractfile(f"data/{name}")
            while block := member.read(2**20):
                out.write(block)
    except (KeyError, AttributeError, EOFError, OSError, tarfile.TarError) as error:
        raise TabularError(
            f"tabular.load: cannot take {name} out of {archive} ({error})"
        ) from error
    return path


def read_array(path: Path, columns: int) -> np.ndarray:
    """Read a ``.npy`` file of numbers, never a pickled one: ``(n, columns)`` float64.

    Raises:
        TabularError: when it is damaged, pickled, of another shape, or holds non-finite rows.
    """
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        if rows.dtype.kind not in "fiu":
            raise ValueError(f"it holds {rows.dtype}")
        rows = np.array(rows, dtype=np.float64)
    except Exception as error:  # which ones NumPy raises is not documented
        raise TabularError(f"read_array: {path.name} is no sound .npy file ({error})") from error
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise TabularError(
            f"read_array: {path.name} must hold rows of {columns} numbers, got {rows.shape}"
        )
    return _finite("read_array", path, rows)


def read_text(
    path: Path, columns: range, skip: int = 0, delimiter: str | None = None
) -> np.ndarray:
    """Read some columns of a text file of numbers: ``(n, columns)`` float64.

    Raises:
        TabularError: when a row is cut short or no row of numbers, or holds non-finite ones.
    """
    options = {"delimiter": delimiter, "skiprows": skip, "usecols": columns, "ndmin": 2}
    try:
        with warnings.catch_warnings(action="ignore"):  # of an empty table
            rows = np.loadtxt(path, **options)
    except Exception as error:  # as above
        raise TabularError(f"read_text: {path.name} is no sound table ({error})") from error
    return _finite("read_text", path, rows)


def _finite(call: str, path: Path, rows: np.ndarray) -> np.ndarray:
    if len(rows) < MIN_ROWS:
        raise TabularError(
            f"{call}: {path.name} has {len(rows)} rows, expected at least {MIN_ROWS}"
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(bad):
        raise TabularError(
            f"{call}: {path.name} has {len(bad)} rows with NaN or infinity, first row {bad[0] + 1}"
        )
    return rows
