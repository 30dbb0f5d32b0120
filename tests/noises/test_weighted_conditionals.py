"""Weighted fits of conditional noises are those of repeated rows."""

import pytest
import torch

from contrastive.noises.conditional import make_noise_over

COUNTS = torch.tensor([1, 3, 0, 2, 1] * 40)
torch.manual_seed(0)
ROWS = torch.randn(200, 3, dtype=torch.float64) @ torch.tensor([[1.0, 0.4, 0.0], [0, 1, 0.7], [0, 0, 1]]).double()


@pytest.mark.parametrize("name", ["gaussian", "diag-gaussian"])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_weight_is_a_multiplicity(name, scale):
    weighted, repeated = (make_noise_over(name, event_shape=(3,), num_given=1).double() for _ in range(2))
    weighted.fit(ROWS, scale * COUNTS.double())
    repeated.fit(ROWS.repeat_interleave(COUNTS, 0))
    torch.testing.assert_close(weighted.log_prob(ROWS), repeated.log_prob(ROWS), rtol=1e-9, atol=1e-9)


def test_contexts_are_drawn_by_weight():
    noise = make_noise_over("gaussian", event_shape=(3,), num_given=1)
    noise.fit(ROWS.float(), COUNTS.double())
    left_out = ROWS[COUNTS == 0, 2].float()
    assert not torch.isin(noise.contexts[:, 0], left_out).any()
