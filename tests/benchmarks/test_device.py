"""Parts of the benchmark for one GPU that a CPU can check."""

import pytest
import torch

from benchmarks.device.graphs import captured
from contrastive import make_noise


@pytest.fixture
def noise():
    torch.manual_seed(0)
    noise = make_noise("glow", event_shape=(1, 8, 8), levels=1, blocks=1, width=4)
    noise.initialize(torch.randn(20, 1, 8, 8))
    return noise


def test_batches_of_one_shape_go_through_what_was_captured(noise, monkeypatch):
    replays = []

    def capture(module, arguments):
        assert not torch.is_autocast_enabled("cpu")  # the backward pass is captured in here, too

        def replay(x):
            assert x.shape == arguments[0].shape
            replays.append(type(module).__name__)
            return module(x)

        return replay

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    x = torch.randn(5, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        expected = noise.log_prob(x)
    with captured(noise, 5, "bf16", draws=True):
        assert torch.equal(noise.log_prob(x), expected)
        noise.rsample_and_log_prob(torch.Size([5]))
        noise.log_prob(x[:3])
    assert replays == ["_Inverse", "_Forward"]
    noise.log_prob(x)
    assert len(replays) == 2  # as it was before
