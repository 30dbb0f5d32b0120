"""Runs with labels: the posterior they learn, what reaches the loss, and resuming."""

import json

import numpy as np
import pytest
import torch
from helpers.classes import two_normals
from helpers.runs import figures

from contrastive import ContrastiveError, ContrastiveEstimator, fit, load, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.training.trainer import Trainer


@pytest.mark.parametrize(("share", "prior"), [(0.5, None), (0.25, "labelled")])
def test_the_posterior_approaches_bayes_on_two_normals(share, prior):
    """Half of 4,000 labels known: mean squared error of P below 2e-3, where a flat 1/2 has 0.1."""
    x, y = two_normals(4000, 0, share)
    y[::2] = -1
    settings = {"steps": 800, "batch_size": 500, "energy_options": {"widths": [32]}, "class_prior": prior}
    estimator = fit(x, y, noise="gaussian", quiet=True, log_partition_draws=0, labelled_batch_size=500, **settings)
    points, _ = two_normals(2000, 1, share)
    bayes = 1 / (1 + (-2 * points[:, 0]).exp() * (1 - share) / share)
    with torch.no_grad():
        error = (estimator.predict_proba(points)[:, 1] - bayes).square().mean()
    assert float(error) < 2e-3


FEW = {
    "labels_per_class": 3,
    "noise": "diag-gaussian",
    "method": "fce",
    "energy_options": {"widths": [16]},
    "energy_steps": 20,
    "pretrain_steps": 20,
    "steps": 60,
    "batch_size": 100,
    "evaluate_every": 10,
    "checkpoint_every": 10,
    "log_partition_draws": 0,
    "quiet": True,
}


def test_hidden_labels_never_reach_the_loss(tmp_path):
    """Hidden labels changed: every weight and every figure of the run stays the same."""
    x, y = two_normals(600, 0)
    kept = prepare(x, configure(labels_per_class=3), y).labels
    train = torch.randperm(600, generator=torch.Generator().manual_seed(0))[120:]  # a tenth each is held out
    other = y.clone()
    for row in train[kept < 0][:60]:  # as many as can change without a change of which rows are kept
        other[row] = 1 - other[row]
        if not torch.equal(prepare(x, configure(labels_per_class=3), other).labels, kept):
            other[row] = y[row]
    assert int((other != y).sum()) > 40
    for name, labels in {"a": y, "b": other}.items():
        fit(x, labels, out=str(tmp_path / name), **FEW)
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    states = [load(tmp_path / name).state_dict() for name in "ab"]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states)))


def test_the_few_labels_do_reach_the_loss(tmp_path):
    x, y = two_normals(600, 0)
    for name, labels in {"a": y, "b": 1 - y}.items():
        fit(x, labels, out=str(tmp_path / name), **FEW)
    assert figures(tmp_path / "a")[0]["test_log_loss"] != figures(tmp_path / "b")[0]["test_log_loss"]


def test_an_energy_of_labels_alone_is_not_judged_as_a_density(tmp_path):
    alone = {**FEW, "method": "nce", "energy_steps": 0, "contrast_weight": 0.0}
    fit(*two_normals(600, 0), out=str(tmp_path), **alone)
    assert "its log p means nothing" in json.loads((tmp_path / "summary.json").read_text())["noise_warning"]


COMMAND = [
    "fit --columns x --labels-per-class 3 --noise diag-gaussian --method fce --energy.widths 16",
    "--energy-steps 20 --pretrain-steps 20 --steps 60 --batch-size 100 --evaluate-every 10 --checkpoint-every 5",
    "--log-partition-draws 0 --vat-weight 1 --no-report --quiet --labelled-batch-size 4 --out",
]


@pytest.mark.parametrize("stop", [12, 31, 55])
def test_a_run_with_labels_resumes_to_the_same_figures(tmp_path, monkeypatch, stop):
    """Stopped in the pre-training, in the stage of the energy alone, and in the game."""
    x, y = two_normals(600, 0)
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=y.numpy())
    command = " ".join(COMMAND).replace("--columns", f"--data {tmp_path}/data.npz --columns").split()
    assert main([*command, str(tmp_path / "whole")]) == 0
    update, calls = Trainer._check, []

    def interrupted(self, stage, mover):
        calls.append(mover)
        if len(calls) == stop:
            raise RuntimeError("killed")
        update(self, stage, mover)

    monkeypatch.setattr(Trainer, "_check", interrupted)
    with pytest.raises(RuntimeError, match="killed"):
        main([*command, str(tmp_path / "parts")])
    monkeypatch.undo()
    assert main(["fit", "--resume", str(tmp_path / "parts"), "--no-report", "--quiet"]) == 0
    whole, parts = figures(tmp_path / "whole"), figures(tmp_path / "parts")
    assert whole == parts
    assert {line["stage"] for line in whole[1:]} == {"pretrain", "energy", "contrast"}
    assert (whole[0]["steps"], whole[0]["pretrain_steps"], whole[0]["classes"]) == (80, 20, [0, 1])


def test_the_energy_goes_on_into_the_game_with_its_constants():
    """The labels taught c_0 - c_1; the game's start must not set both to one number."""
    x, y = two_normals(600, 0, 0.2)
    estimator = ContrastiveEstimator(
        make_energy("mlp", event_shape=(2,), num_classes=2, widths=(8,)),
        make_noise("diag-gaussian", event_shape=(2,), loc=0.0),
        adapt_noise=True,
    )
    settings = {"energy_steps": 50, "steps": 1, "batch_size": 100, "learning_rate": 0.05, "log_partition_draws": 0}
    estimator.fit(x, y, quiet=True, **settings)
    assert abs(float(estimator.log_normalizer.detach().diff())) > 0.05


@pytest.mark.parametrize("follow", [False, True])
def test_a_tilted_energy_learns_classes_and_its_posterior_is_that_of_the_class_densities(follow):
    x, y = two_normals(300, 0)
    options = {"follow": follow, "widths": [16]}
    estimator = fit(x, y, energy="tilted", energy_options=options, steps=200, log_partition_draws=0, quiet=True)
    joint = estimator.class_log_prob(x).double() + estimator.log_class_prior
    torch.testing.assert_close(estimator.predict_proba(x).double(), joint.softmax(-1), atol=1e-4, rtol=0)
    assert float((estimator.predict(x) == y).double().mean()) > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"energy": "gaussian"}, "cannot have classes"),
        ({"energy": "tilted", "energy_options": {"correction": "gaussian"}}, "cannot have classes"),
        ({"energy_options": {"num_classes": 5}}, "name 2 classes"),
        ({"method": "mle", "noise": "diag-gaussian"}, "leave out the labels"),
        ({"class_prior": "0.1, 0.2, 0.7"}, "2 positive"),
        ({"class_prior": "many"}, "numbers separated by commas"),
        ({"labelled_batch_size": 2000}, "labelled rows are fewer than a batch"),
        ({"energy_steps": 5}, "method fce"),
        ({"contrast_weight": 0.0, "method": "fce", "noise": "diag-gaussian"}, "method nce"),
        ({"contrast_weight": 0.0, "label_weight": 0.0}, "there are none"),
    ],
)
def test_what_cannot_learn_classes_says_so(settings, message):
    x, y = two_normals(300, 0)
    with pytest.raises(ContrastiveError, match=message):
        fit(x, y, **{"steps": 1, "quiet": True, "log_partition_draws": 0, **settings})


def test_settings_of_labels_need_labels():
    for settings in ({"vat_weight": 1.0}, {"class_prior": "labelled"}, {"contrast_weight": 0.0}):
        with pytest.raises(ContrastiveError, match="label"):
            fit(torch.randn(300, 2), steps=1, quiet=True, **settings)
