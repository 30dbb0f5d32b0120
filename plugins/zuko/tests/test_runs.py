"""The flows in whole runs."""

import pytest
import torch
from contrastive_zuko import ZukoFlow
from zuko.flows import NSF

from contrastive import ContrastiveEstimator, fit, load, make_energy
from contrastive.cli.main import main
from contrastive.training.trainer import Trainer

FCE = {"noise": "nsf", "noise_options": {"width": 16, "bins": 4}, "method": "fce"}
NCE = {"noise": "maf", "noise_options": {"width": 16, "transforms": 2}, "method": "nce", "pretrain_steps": 20}


@pytest.mark.parametrize("settings", [FCE, NCE], ids=["fce-nsf", "nce-maf"])
def test_a_run_that_was_stopped_ends_where_the_other_did_and_loads(settings, tmp_path, monkeypatch):
    settings = {**settings, "steps": 30, "batch_size": 100, "checkpoint_every": 10, "quiet": True}
    whole = fit("two-spirals", out=str(tmp_path / "whole"), **settings)
    save = Trainer.save

    def save_and_stop(trainer):
        save(trainer)
        if trainer.position.updates == 20 + settings.get("pretrain_steps", 0):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit("two-spirals", out=str(tmp_path / "stopped"), **settings)
    assert not main(["fit", "--resume", str(tmp_path / "stopped"), "--no-report", "--quiet"])
    x = torch.randn(20, 2)
    for run in ("whole", "stopped"):
        loaded = load(tmp_path / run)
        torch.testing.assert_close(loaded.log_prob(x), whole.log_prob(x))
        torch.testing.assert_close(loaded.noise_log_prob(x), whole.noise_log_prob(x))


def test_a_flow_of_ones_own_making_plays():
    noise = ZukoFlow((2,), NSF(2, transforms=1, hidden_features=(16,), randperm=True))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, adapt_noise=True)
    estimator.fit("moons", steps=10, quiet=True)
    assert torch.isfinite(estimator.log_prob(torch.zeros(3, 2))).all()
