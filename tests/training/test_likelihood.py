"""A noise fitted alone, and fits that begin with it."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from contrastive import ContrastiveError, fit, load
from contrastive.cli.main import main

FLOW = ["--noise", "glow", "--noise.depth", "2", "--noise.width", "16"]
ROWS = 2000


def run_cli(*arguments):
    return main(["fit", "--quiet", "--no-report", *map(str, arguments)])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "moons.npy"
    np.save(path, torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0)).numpy() * [1.0, 3.0] + 5)
    return path


@pytest.fixture(scope="module")
def flow(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "flow"
    assert run_cli("--data", table, "--method", "mle", *FLOW, "--steps", 60, "--batch-size", 200, "--out", path) == 0
    return path


def test_method_mle_is_the_noise_as_a_model(flow, table):
    estimator = load(flow)
    x = estimator.sample_noise(500)
    torch.testing.assert_close(estimator.log_prob(x), estimator.noise_log_prob(x))
    summary = json.loads((flow / "summary.json").read_text())
    assert summary["steps_noise"] == 60
    assert summary["steps_energy"] == summary["pretrain_steps"] == 0
    assert summary["test_log_prob_energy"] == pytest.approx(summary["test_log_prob_noise"], abs=1e-6)
    assert summary["value"] == pytest.approx(-math.log(4), abs=1e-5)


def test_method_mle_is_what_pretraining_does(table):
    """The same seed and steps, once as a method and once as the first stage of a game of one update."""
    common = {"noise": "glow", "noise_options": {"depth": 2, "width": 16}, "batch_size": 200, "quiet": True}
    alone = fit(table, method="mle", steps=40, **common)
    first = fit(table, method="nce", energy="noise", pretrain_steps=40, steps=1, **common)
    for a, b in zip(alone.noise.parameters(), first.noise.parameters()):
        torch.testing.assert_close(a, b)


def test_a_fit_begins_with_the_noise_of_another_run(flow, table, tmp_path):
    out = tmp_path / "nce"
    common = ["--data", table, "--steps", 30, "--batch-size", 200, "--evaluate-every", 10]
    assert run_cli(*common, "--init-noise", flow, "--out", out) == 0
    theirs, ours = load(flow), load(out)
    for a, b in zip(theirs.noise.parameters(), ours.noise.parameters()):
        assert torch.equal(a, b)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["noise"], summary["pretrain_steps"]) == ("glow", 0)


def test_resuming_needs_the_other_run_no_more(flow, table, tmp_path, monkeypatch):
    from contrastive.training.trainer import Trainer

    source, out = tmp_path / "flow", tmp_path / "fce"
    shutil.copytree(flow, source)
    common = ["--data", table, "--method", "fce", "--steps", 40, "--batch-size", 200, "--checkpoint-every", 10]
    evaluate = Trainer._evaluate

    def stop(self, stage):
        evaluate(self, stage)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_evaluate", stop)
        assert run_cli(*common, "--evaluate-every", 25, "--init-noise", source, "--out", out) == 130
    shutil.rmtree(source)
    assert main(["fit", "--resume", str(out), "--quiet", "--no-report"]) == 0
    assert json.loads((out / "summary.json").read_text())["steps"] == 40


def test_early_stopping_of_likelihood_goes_by_held_out_likelihood(table, tmp_path):
    out = tmp_path / "stopped"
    settings = ["--early-stopping", 2, "--evaluate-every", 5, "--pretrain-learning-rate", 0.05, "--decay", "constant"]
    assert run_cli("--data", table, "--method", "mle", *FLOW, "--steps", 2000, "--out", out, *settings) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["stopped_early"]
    scores = [json.loads(line)["score"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert max(scores) == scores[-3]
    estimator = load(out)
    x = estimator.sample_noise(100)
    torch.testing.assert_close(estimator.log_prob(x), estimator.noise_log_prob(x))


def test_what_cannot_begin_is_refused(flow, table, tmp_path):
    mle = {"method": "mle", "noise": "glow", "quiet": True}
    for settings, message in (
        ({**mle, "energy": "tilted"}, "leave out --energy"),
        ({**mle, "pretrain_steps": 5}, "leave out --pretrain-steps"),
        ({**mle, "noise": "uniform"}, "needs a noise that can adapt"),
        ({"init_noise": str(tmp_path / "none")}, "is not a run"),
        ({"init_noise": str(flow), "noise": "made"}, "leave out --noise"),
        ({"init_noise": str(flow), "noise": "glow", "noise_options": {"depth": 3}}, "leave out --noise"),
        ({"init_noise": str(flow), "seed": 1}, "other coordinates"),
    ):
        with pytest.raises(ContrastiveError, match=message):
            fit(table, **{"steps": 5, "batch_size": 100, "quiet": True, **settings})


def test_a_damaged_run_to_begin_from_leaves_nothing_behind(flow, table, tmp_path, capsys):
    damaged, out = tmp_path / "flow", tmp_path / "nce"
    shutil.copytree(flow, damaged)
    (damaged / "model.safetensors").write_bytes(b"xx")
    assert run_cli("--data", table, "--init-noise", damaged, "--steps", 5, "--batch-size", 100, "--out", out) == 2
    assert "is damaged" in capsys.readouterr().err
    assert not out.exists()
