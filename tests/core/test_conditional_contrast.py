"""The contrast of a conditional density: draws have the contexts of the data, and what depends on y alone cancels."""

import pytest
import torch
from helpers.conditional import Shifted, log_z, proposal

from contrastive import ContrastiveEstimator
from contrastive.objectives import make_objective
from contrastive.training.draws import Draws

ROWS = torch.tensor([[0.3, -1.0], [1.2, 0.5], [-0.7, 2.0]])


def estimator(objective="nce", **settings):
    return ContrastiveEstimator(Shifted(), proposal(), objective=objective, **settings)


@pytest.mark.parametrize("kappa", [1.0, 4.0])
def test_draws_have_the_contexts_of_the_data_in_turn(kappa):
    model = estimator(noise_per_data=kappa)
    z, fixed = model.scored_draws(model.draws_for(3), ROWS)
    torch.testing.assert_close(z[:, 1], ROWS[:, 1].repeat_interleave(int(kappa)))
    torch.testing.assert_close(fixed, -model.noise.log_prob(z))
    again, _ = Draws(model).take(3, ROWS)
    torch.testing.assert_close(again[:, 1], ROWS[:, 1])


def test_ranking_does_not_see_what_depends_on_the_context_alone():
    """f + g(y) for any g has the same loss; binary NCE has not."""

    class Tilted(Shifted):
        def forward(self, rows):
            return super().forward(rows) + 5 * log_z(rows[:, 1])

    losses = {}
    for name in ("ranking", "nce"):
        for energy in (Shifted(), Tilted()):
            torch.manual_seed(0)
            model = ContrastiveEstimator(energy, proposal(), objective=make_objective(name), noise_per_data=3)
            losses.setdefault(name, []).append(float(model.contrast(ROWS).loss.detach()))
    assert losses["ranking"][0] == pytest.approx(losses["ranking"][1], abs=1e-5)
    assert abs(losses["nce"][0] - losses["nce"][1]) > 0.1
