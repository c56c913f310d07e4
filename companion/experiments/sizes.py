"""How many samples each data set has, so that a run can be planned before any download."""

import torch

from companion.data.splits import num_valid
from companion.experiments.experiment import Data, Experiment

# training, validation and test samples, as the loaders cut them; of chairs, whose split is by
# chair, and of gas, whose rows are a quarter, within a thousandth
SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "kmnist": (50_000, 10_000, 10_000),
    "omniglot": (17_352, 1_928, 13_180),
    "cifar10": (40_000, 10_000, 10_000),
    "imagenet32": (1_271_167, 10_000, 50_000),
    "chairs": (69_068, 8_618, 8_680),
    "celeba": (162_770, 19_867, 19_962),
    "celeba-hq": (24_183, 2_993, 2_824),
    "celeba-hq-32": (24_183, 2_993, 2_824),
    "power": (1_659_917, 184_435, 204_928),
    "gas": (852_174, 94_685, 105_206),
    "hepmass": (315_123, 35_013, 174_987),
    "miniboone": (29_556, 3_284, 3_648),
    "sinusoid": (10_000, 1_000, 1_000),
}


def unread(experiment: Experiment) -> Data:
    """Data of an experiment's sizes that have no numbers; those that are always there, as they are.

    >>> from companion.experiments.experiment import choose
    >>> unread(choose("celeba", profile="full")).train.shape
    torch.Size([162770, 3, 64, 64])
    """
    if experiment.data not in SIZES:
        return experiment.load()
    table, limits = experiment.preset.table, (experiment.limit, *2 * (experiment.scale.limit,))
    kind = torch.uint8 if len(table.data_shape) == 3 else torch.float32
    sizes = SIZES[experiment.data]
    if (share := experiment.preset.held_out) is not None:
        rest = sum(sizes[:2])
        sizes = rest - num_valid(rest, share), num_valid(rest, share), sizes[2]
    sizes = [min(n, m or n) for n, m in zip(sizes, limits, strict=True)]
    parts = (torch.empty(n, *table.data_shape, dtype=kind, device="meta") for n in sizes)
    return Data(*parts, (None,) * 3, "not read")
