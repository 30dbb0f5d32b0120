"""Objects of other libraries as noises, as docs/how-to/choose-a-noise.md shows them."""

import re

import pytest
import torch
from helpers.paths import ROOT
from normflows import NormalizingFlow
from normflows.distributions import DiagGaussian
from normflows.flows import CoupledRationalQuadraticSpline

from contrastive import ContrastiveEstimator, make_energy

NOISES = ROOT / "docs" / "how-to" / "choose-a-noise.md"


@pytest.fixture
def adapter():
    """The class that the page shows for normflows."""
    blocks = re.findall(r"```python\n(.*?)```", NOISES.read_text(encoding="utf-8"), re.DOTALL)
    page: dict = {}
    exec(next(block for block in blocks if "class NormflowsNoise" in block), page)
    return page["NormflowsNoise"]


def test_a_flow_of_normflows_plays_by_the_adapter(adapter):
    flow = NormalizingFlow(DiagGaussian(2), [CoupledRationalQuadraticSpline(2, 1, 16)])
    noise = adapter(flow, (2,))
    x, log_q = noise.rsample_and_log_prob(torch.Size([5]))
    torch.testing.assert_close(log_q, noise.log_prob(x), rtol=1e-4, atol=1e-4)
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, adapt_noise=True)
    before = [parameter.detach().clone() for parameter in flow.parameters()]
    estimator.fit("moons", steps=20, schedule="alternate", energy_updates=1, quiet=True)
    assert torch.isfinite(estimator.log_prob(torch.zeros(3, 2))).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, flow.parameters()))
