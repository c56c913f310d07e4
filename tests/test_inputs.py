"""What `fit` and `sweep` take: the same numbers in any form train the same weights."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from companion.models import MLAE
from companion.networks import MLP
from companion.training import TrainConfig, as_tensor, check_data, fit, inputs, sweep

CONFIG = TrainConfig(epochs=2, batch_size=16, device="cpu")
CURE = r"condition=torch.nn.functional.one_hot\(labels, k\).float\(\)"


def numbers(n=48):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0))


def make(condition=0):
    torch.manual_seed(0)
    return MLAE(MLP(3, 1, [8], condition), MLP(1, 3, [8], condition), (3,), 1)


class Items(Dataset):
    """A list as a dataset."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def mapped(x, folder, mode):
    np.save(folder / "x.npy", x.numpy())
    return np.load(folder / "x.npy", mmap_mode=mode)


FORMS = {
    "array": lambda x, folder: x.numpy(),
    "map": lambda x, folder: mapped(x, folder, "r+"),
    "map to read": lambda x, folder: mapped(x, folder, "r"),
    "not contiguous": lambda x, folder: x.T.contiguous().T,
    "gradient": lambda x, folder: x.clone().requires_grad_(),
    "tensor dataset": lambda x, folder: TensorDataset(x),
    "rows": lambda x, folder: Items(list(x)),
    "rows of arrays": lambda x, folder: Items([(row,) for row in x.numpy()]),
    "double": lambda x, folder: x.double(),
}


@pytest.mark.filterwarnings("error:The given NumPy array")
@pytest.mark.filterwarnings("error:.*of the dataset's tuples")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_numbers_trains_the_same(form, tmp_path):
    x, (plain, other, swept) = numbers(), (make() for _ in range(3))
    fit(plain, x, x, CONFIG, progress=False)
    given = FORMS[form](x, tmp_path)
    fit(other, given, given, CONFIG, progress=False)
    sweep([swept], [given], [CONFIG], progress=False)
    for p, q, r in zip(*(m.parameters() for m in (plain, other, swept)), strict=True):
        assert torch.equal(p, q) and torch.allclose(p, r, atol=1e-5)


def test_a_memory_map_is_not_copied(tmp_path):
    given = mapped(numbers(), tmp_path, "r+")
    found = as_tensor("fit", given)
    given[0, 0] = 7
    assert found[0, 0] == 7 and found.data_ptr() == given.ctypes.data


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_samples_and_one_stretched_over_a_batch_train(n):
    log = fit(make(), numbers(n), numbers(n), CONFIG, progress=False)
    assert len(log.rows) == 2
    fit(make(), numbers(1).expand(40, 3), None, CONFIG, progress=False)


def test_bytes_are_divided_by_255_whatever_holds_them():
    x = torch.randint(256, (48, 3), dtype=torch.uint8)
    one, two = make(), make()
    fit(one, x.float() / 255, None, CONFIG, progress=False)
    fit(two, Items(list(x.numpy())), None, CONFIG, progress=False)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_labels_of_a_dataset_are_said_to_be_left_out():
    x, y = numbers(), torch.arange(48) % 4
    for pairs in (TensorDataset(x, y), Items(list(zip(x, y, strict=True)))):
        with pytest.warns(UserWarning, match=CURE):
            assert torch.equal(as_tensor("fit", pairs), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(as_tensor("fit", Subset(Items(list(x)), range(5)), 3), x[:3])


class Endless(IterableDataset):
    """A dataset without a length."""

    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0, 2.0], "data must be a tensor, a NumPy array or a torch Dataset, got list; np.stack"),
        (DataLoader(TensorDataset(torch.zeros(4, 3))), "got DataLoader; pass its .dataset"),
        (Endless(), "Endless has no length"),
        (Items([]), "the dataset is empty"),
        (Items(["a.png"]), "got str; a transform such as"),
        (Items([torch.zeros(3), torch.zeros(2)]), r"sample 0 of the dataset has \(3,\), sample 1"),
        (torch.tensor(1.0), "must be a dense tensor .*, got one number"),
        (torch.zeros(4, 3).to_sparse(), "got layout torch.sparse_coo"),
        (np.array(["a"]), "an array of <U1 is no tensor"),
        (np.zeros((4, 3), ">f4"), "an array of >f4 is no tensor"),
        (np.zeros((4, 3))[::-1], "np.ascontiguousarray"),
        (np.ma.masked_invalid(np.zeros((4, 3))), "must have no mask"),
        (np.zeros((4, 3), np.int64), "floating point or uint8, got torch.int64; x.float"),
        (np.zeros((4, 3), bool), "got torch.bool"),
        (np.zeros((4, 3), complex), "got torch.complex128"),
    ],
)
def test_what_is_no_data_is_named_with_the_cure(given, message):
    with pytest.raises(ValueError, match="fit.*" + message):
        fit(make(), given, config=CONFIG, progress=False)


def test_a_dataset_larger_than_memory_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(inputs, "free", lambda device: 1000)
    with pytest.raises(ValueError, match=r"takes 0\.0 MB in memory.*open_memmap"):
        as_tensor("fit", Items(list(numbers())))


def test_labels_as_a_condition_are_named_with_the_cure():
    labels = torch.arange(48) % 4
    with pytest.raises(ValueError, match=r"got \(48,\); of labels, .*one_hot\(labels, k\).float"):
        fit(make(4), numbers(), config=CONFIG, condition=labels, progress=False)
    with pytest.raises(ValueError, match=r"got \(48,\); condition\[:, None\] makes one"):
        sweep([make(1)], [numbers()], [CONFIG], conditions=[labels / 4], progress=False)
    one_hot = torch.nn.functional.one_hot(labels, 4).float()
    given = {"condition": one_hot, "valid_condition": one_hot[:40], "progress": False}
    with pytest.raises(ValueError, match="fit, validation: expected a condition for each of 48"):
        fit(make(4), numbers(), numbers(), TrainConfig(validate_on=32), **given)
    fit(make(4), numbers(), config=CONFIG, condition=one_hot.numpy(), progress=False)


def test_rows_that_are_not_finite_are_counted_block_by_block(monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK", 7)
    x = numbers()
    x[3, 0], x[40, 2], x[40, 1] = float("nan"), float("inf"), float("nan")
    with pytest.raises(ValueError, match="got 2 rows with NaN or infinity"):
        check_data("fit", make(), x)
