"""Every test starts from the same seed, on two threads."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("companion", deadline=None)
settings.load_profile("companion")
torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
