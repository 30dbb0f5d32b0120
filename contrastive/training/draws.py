"""Scored draws of a frozen noise, used several times where drawing and scoring costs more than the energy's step."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.numerics.random_state import seeded

_BATCHES, _POOL, _MOST_NUMBERS, _AT_ONCE = 50, 50_000, 1 << 24, 10_000
_FRESH = 0xD4A  # keeps these draws apart from others of the run's seed


class Draws:
    """Draws of an estimator's frozen noise, with the part of the log-ratio that does not change.

    Used once, they are fresh ones from torch's global generator. Used several times, they are taken from a pool of 50
    batches, at most 50,000, in a new random order each time; the pool is drawn anew when every draw was used so often.
    Both are functions of the seed and of how many were taken, so a run resumes to the same figures.

    Args:
        estimator: whose `defended_noise` is drawn from.
        uses: of each draw, at least 1.
        seed: of pools and orders.
    """

    def __init__(self, estimator: Estimator, uses: int = 1, seed: int = 0) -> None:
        self.estimator, self.uses, self.seed = estimator, uses, seed
        self.taken = self._size = 0
        self._pool: tuple[int, Tensor, Tensor] | None = None
        self._order: tuple[int, Tensor] | None = None

    def take(
        self, n: int, beside: Float[Tensor, "m *event"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """The next `n` draws in model coordinates, and their `fixed_log_ratio`.

        Args:
            n: how many.
            beside: data, whose contexts draws of a conditional noise have where each is used once.
        """
        if self.uses == 1:
            return self.estimator.scored_draws(n, beside)
        self._size = self._size or min(_BATCHES * n, _POOL, max(1, _MOST_NUMBERS // self._numbers))
        parts, missing = [], n
        while missing:
            epoch, start = divmod(self.taken, self._size)
            rows = self._order_of(epoch)[start : start + missing]
            z, fixed = self._pool_of(epoch // self.uses)
            parts.append((z[rows], fixed[rows]))
            self.taken, missing = self.taken + len(rows), missing - len(rows)
        z, fixed = (torch.cat(column) for column in zip(*parts))
        return z, fixed

    def forget_scores(self) -> None:
        """Make the pool again when next it is taken from: the same draws, with their present scores."""
        self._pool = None

    def state_dict(self) -> dict[str, Any]:
        """How many were taken."""
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; of checkpoints before there was a pool, none were."""
        self.taken = state.get("taken", 0)

    @property
    def _numbers(self) -> int:
        return math.prod(self.estimator.noise.event_shape)

    def _order_of(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._order = epoch, torch.randperm(self._size, generator=generator)
        return self._order[1]

    def _pool_of(self, number: int) -> tuple[Tensor, Tensor]:
        if self._pool is None or self._pool[0] != number:
            device = self.estimator.log_normalizer.device
            counts = [min(_AT_ONCE, self._size - start) for start in range(0, self._size, _AT_ONCE)]
            with seeded((self.seed * 1_000_003 + number) ^ _FRESH, device):
                z, fixed = (torch.cat(column) for column in zip(*map(self.estimator.scored_draws, counts)))
            self._pool = number, z, fixed
        return self._pool[1:]
