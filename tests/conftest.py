"""Every test starts from the same seed; alone on two threads, beside others on one."""

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("companion", deadline=None)
settings.load_profile("companion")
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
