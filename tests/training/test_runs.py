"""Whole runs: learning, resuming, saving, loading."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from helpers.runs import figures

import contrastive
from contrastive import ContrastiveError, ContrastiveEstimator, fit, load, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.config import by_path, configure, read_config
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint
from contrastive.training.run_directory import RunDirectory
from contrastive.training.trainer import Trainer

CLI = [sys.executable, "-m", "contrastive.cli.main"]
MODELS = ["--noise", "glow", "--noise.depth", "2", "--noise.width", "16", "--energy.widths", "16", "--method", "fce"]
SMALL = [
    "--data",
    "two-spirals",
    *MODELS,
    "--pretrain-steps",
    "60",
    "--steps",
    "200",
    "--evaluate-every",
    "50",
    "--checkpoint-every",
    "20",
    "--no-report",
    "--quiet",
]


def test_nce_recovers_a_gaussian():
    """From x ~ N((1, -1), diag(1, 4)), 5,000 rows: the EBM's error of log p is small in ORIGINAL units."""
    truth = torch.distributions.Independent(
        torch.distributions.Normal(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 2.0])), 1
    )
    torch.manual_seed(1)
    x = truth.sample((5000,))
    estimator = fit(x, noise="student-t", steps=800, batch_size=500, quiet=True)
    points = truth.sample((2000,))
    assert float((estimator.log_prob(points) - truth.log_prob(points)).square().mean()) < 0.02


def test_fce_brings_the_noise_to_the_data():
    """A Gaussian noise that starts wrong ends at the data's mean and spread, moved by the game alone."""
    truth = torch.distributions.MultivariateNormal(torch.tensor([1.0, -0.5]), torch.tensor([[1.0, 0.5], [0.5, 0.7]]))
    noise = make_noise("gaussian", event_shape=(2,), loc=[0.0, 0.0], covariance=2 * torch.eye(2))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,), widths=(32,)), noise, adapt_noise=True)
    game = {"schedule": "alternate", "energy_updates": 2, "noise_updates": 1}
    alone = {"noise_likelihood_weight": 0.0, "hold_noise_after": 1.0}
    estimator.fit(truth, steps=2000, batch_size=500, noise_learning_rate=5e-3, quiet=True, **game, **alone)
    points = truth.sample((2000,))
    kl = (truth.log_prob(points) - noise.log_prob(points)).mean()
    assert float(kl) < 0.02


def test_fit_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fit("8gaussians", steps=3, quiet=True)
    assert torch.equal(torch.rand(1), expected)


def test_a_run_killed_at_random_moments_ends_as_the_uninterrupted_one(tmp_path):
    subprocess.run([*CLI, "fit", *SMALL, "--out", tmp_path / "whole"], check=True)
    random.seed(11)
    killed, kills = tmp_path / "killed", 0
    command = [*CLI, "fit", *SMALL, "--out", killed]
    for _ in range(30):
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        begun = time.monotonic()
        while not (killed / "config.yaml").exists() and time.monotonic() - begun < 60:
            time.sleep(0.01)
        try:
            process.wait(random.uniform(0.05, 3.0) if kills < 4 else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        command = [*CLI, "fit", "--resume", killed, "--no-report", "--quiet"]
        if process.returncode == 0:
            break
    assert kills >= 2, "the run was too fast to be killed"
    assert figures(killed) == figures(tmp_path / "whole")
    assert not list(killed.glob("*.tmp"))


def test_resuming_removes_what_a_kill_left_half_written(tmp_path):
    fit("8gaussians", out=str(tmp_path / "run"), steps=3, quiet=True)
    directory = RunDirectory(tmp_path / "run")
    half_written = directory.path / ".checkpoint.safetensors.4711.tmp"
    half_written.write_bytes(b"half")
    directory.summary_path.unlink()
    subprocess.run([*CLI, "fit", "--resume", directory.path, "--no-report", "--quiet"], check=True)
    assert directory.is_finished
    assert not half_written.exists()


def test_a_directory_with_only_a_half_written_file_is_free(tmp_path):
    (tmp_path / ".config.yaml.4711.tmp").write_bytes(b"half")
    fit("8gaussians", out=str(tmp_path), steps=3, quiet=True)
    assert RunDirectory(tmp_path).is_finished


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path):
    out = tmp_path / "run"
    command = [*CLI, "fit", *SMALL, "--steps", "100000", "--checkpoint-every", "100000", "--out", out]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    begun = time.monotonic()
    while not (out / "metrics.jsonl").exists() and time.monotonic() - begun < 60:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"contrastive fit --resume {out}" in errors
    assert (out / "checkpoint.safetensors").exists()


def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(tmp_path, capsys):
    out = tmp_path / "run"
    fit("moons", steps=60, evaluate_every=50, checkpoint_every=50, log_partition_draws=0, quiet=True, out=str(out))
    (out / "summary.json").unlink()
    tensors, state = read_checkpoint(out / "checkpoint.safetensors")
    del state["stage"]["noise_is_frozen"]
    write_checkpoint(out / "checkpoint.safetensors", tensors, state)
    assert main(["fit", "--resume", str(out), "--quiet"]) == 2
    assert "written by another version" in capsys.readouterr().err


def test_a_loaded_run_is_the_fitted_one(tmp_path):
    options = {"noise_options": {"depth": 2, "width": 16}, "energy_options": {"widths": [16]}}
    fitted = fit(
        torch.randn(300, 3) * 5 + 2,
        noise="glow",
        method="fce",
        steps=60,
        out=str(tmp_path / "r"),
        quiet=True,
        **options,
    )
    loaded = load(tmp_path / "r")
    x = torch.randn(10, 3)
    torch.testing.assert_close(loaded.log_prob(x), fitted.log_prob(x))
    torch.testing.assert_close(loaded.noise_log_prob(x), fitted.noise_log_prob(x))
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["steps"] == summary["steps_energy"] + summary["steps_noise"] == 60


def test_summary_has_what_was_promised(tmp_path):
    fit("8gaussians", steps=30, out=str(tmp_path / "r"), quiet=True)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    promised = (
        "method noise energy objective noise_ratio seed steps steps_energy steps_noise skipped_steps seconds "
        "log_normalizer test_log_prob_energy test_log_prob_noise value accuracy mse_log_prob_energy "
        "mse_log_prob_noise kl_energy kl_noise"
    )
    assert set(promised.split()) <= set(summary)
    assert all(summary[key] is not None for key in promised.split())


def test_a_saved_config_runs_again_to_the_same_figures(tmp_path):
    fit("moons", steps=40, out=str(tmp_path / "a"), quiet=True)
    config = read_config(tmp_path / "a" / "config.yaml")
    command = [
        *CLI,
        "fit",
        "--config",
        tmp_path / "a" / "config.yaml",
        "--out",
        tmp_path / "b",
        "--quiet",
        "--no-report",
    ]
    subprocess.run(command, check=True)
    threads = torch.get_num_threads()
    assert configure(yaml.safe_load(yaml.safe_dump(by_path(config)))) == config
    a, b = figures(tmp_path / "a"), figures(tmp_path / "b")
    assert a[0]["test_log_prob_energy"] == pytest.approx(b[0]["test_log_prob_energy"], rel=1e-3), threads


def test_early_stopping_ends_with_the_best_weights(tmp_path):
    """60 rows and a large network: the held-out value falls soon."""
    torch.manual_seed(2)
    x = torch.randn(80, 5)
    settings = {"steps": 3000, "evaluate_every": 20, "early_stopping": 3, "learning_rate": 0.01, "validation": 0.3}
    fit(x, out=str(tmp_path / "r"), quiet=True, **settings)
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["stopped_early"]
    assert len(lines) < 100
    scores = [line["score"] for line in lines]
    best = scores.index(max(scores))
    assert len(scores) - 1 - best == 3
    assert summary["test_log_prob_energy"] == pytest.approx(lines[best]["test_log_prob_energy"], abs=1e-5)


def test_a_run_that_keeps_producing_nan_stops_with_advice_and_keeps_its_checkpoint(tmp_path, monkeypatch):
    out = tmp_path / "r"
    losses = iter(range(10_000))
    honest = ContrastiveEstimator.scored_contrast

    def poisoned(self, z, *others):
        return honest(self, z * float("nan") if next(losses) > 120 else z, *others)

    monkeypatch.setattr(ContrastiveEstimator, "scored_contrast", poisoned)
    monkeypatch.setattr(Trainer, "_evaluate", lambda self, stage: None)
    with pytest.raises(ContrastiveError, match=r"25 updates of the energy in a row.*lower --learning-rate"):
        fit("8gaussians", steps=400, checkpoint_every=50, out=str(out), quiet=True)
    from contrastive.io.checkpoints import read_checkpoint

    assert read_checkpoint(out / "checkpoint.safetensors")[1]["position"]["step"] == 100


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ContrastiveError, match="unknown setting 'stepz'; did you mean 'steps'"):
        fit("8gaussians", stepz=3)
    with pytest.raises(ContrastiveError, match="steps must be at least 1"):
        fit("8gaussians", steps=0)
    with pytest.raises(ContrastiveError, match="nothing to pre-train"):
        fit("8gaussians", noise="uniform", pretrain_steps=10, quiet=True)
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    with pytest.raises(ContrastiveError, match="the estimator has its own noise"):
        estimator.fit("8gaussians", noise="glow")


def test_public_names_resolve():
    for name in contrastive.__all__:
        assert getattr(contrastive, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        contrastive.nothing  # noqa: B018
