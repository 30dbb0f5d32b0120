"""Seeded random numbers that leave the caller's generators unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Torch's global random numbers from `seed` on, on the CPU and on `device`; afterwards they go on as before.

    `torch.manual_seed` would also reseed every GPU, those that are not in use yet too.
    """
    on_gpu = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
