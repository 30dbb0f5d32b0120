"""Every test, doctest and plugin: one thread a process (pytest runs two). `make test-long` sets the profile."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # scikit-learn's too, and of what tests start

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("long", deadline=None, max_examples=200, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
