"""Energies with classes: their mixture, their posterior, and learning them from labels."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, fit, load, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.data.scaling import Scaling
from contrastive.data.sources import Batch, Labelled
from contrastive.metrics.classification import classification, reliability
from contrastive.objectives.supervised import labelled_loss
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game
from contrastive.training.terms import LabelledTerm
from contrastive.training.trainer import Trainer

NOISE = Independent(Normal(torch.zeros(2), 3 * torch.ones(2)), 1)


class Normals(nn.Module):
    """f_k = -|x - m_k|^2 / 2 + shift_k: log Z_k = log 2 pi + shift_k."""

    num_classes = 3

    def __init__(self, shift=(0.0, 0.0, 0.0)):
        super().__init__()
        self.means = nn.Parameter(torch.tensor([[-1.5, 0.0], [1.0, 1.0], [0.0, -2.0]]))
        self.shift = torch.tensor(shift)

    def forward(self, x):
        return -0.5 * (x[:, None] - self.means.to(x)).square().sum(-1) + self.shift.to(x)


def normalized(prior=None, shift=(2.0, -1.0, 0.5), scaling=None):
    estimator = ContrastiveEstimator(Normals(shift), NOISE, class_prior=prior, scaling=scaling).double()
    with torch.no_grad():
        estimator.log_normalizer.copy_(math.log(2 * math.pi) + torch.tensor(shift))
    return estimator


def truth(x, prior):
    """Joint densities pi_k p(x | k), by scipy-free arithmetic in float64."""
    means = Normals().means.detach().double()
    density = torch.exp(-0.5 * (x[:, None] - means).square().sum(-1)) / (2 * math.pi)
    return density * torch.tensor(prior, dtype=torch.float64) / sum(prior)


@pytest.mark.parametrize("prior", [None, (0.2, 0.5, 0.3), (2, 5, 3)])
def test_the_mixture_weighs_classes_by_the_prior(prior):
    x = 3 * torch.randn(50, 2, dtype=torch.float64)
    by_hand = truth(x, prior or (1, 1, 1)).sum(1).log()
    torch.testing.assert_close(normalized(prior).log_prob(x).detach(), by_hand, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("prior", [None, (0.2, 0.5, 0.3)])
def test_the_posterior_is_bayes_rule(prior):
    x = 3 * torch.randn(50, 2, dtype=torch.float64)
    joint = truth(x, prior or (1, 1, 1))
    estimator = normalized(prior)
    torch.testing.assert_close(
        estimator.predict_proba(x).detach(), joint / joint.sum(1, keepdim=True), atol=1e-6, rtol=0
    )
    assert torch.equal(estimator.predict(x), joint.argmax(1))


def test_the_posterior_does_not_change_with_the_units():
    scaling = Scaling(torch.tensor([5.0, -2.0]), torch.tensor([0.01, 10.0]))
    z = torch.randn(20, 2, dtype=torch.float64)
    torch.testing.assert_close(
        normalized(scaling=scaling).predict_proba(scaling.inverse(z)), normalized().predict_proba(z)
    )


def test_the_mixture_integrates_to_one():
    line = torch.linspace(-9, 9, 400, dtype=torch.float64)
    mass = normalized((0.1, 0.1, 0.8)).log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    assert float(mass.detach()) == pytest.approx(1, abs=1e-6)


def test_draws_of_a_class_are_of_its_density():
    """Means of 2,000 draws of weighted chains; 5 sd of 300 effective draws: false alarms below 1e-5."""
    torch.manual_seed(0)
    estimator = ContrastiveEstimator(Normals(), NOISE, class_prior=(0.6, 0.2, 0.2))
    draws = estimator.sample(2000, label=2)
    assert (draws.mean(0) - torch.tensor([0.0, -2.0])).abs().max() < 5 / math.sqrt(300)
    share = (estimator.sample(2000).double() @ torch.tensor([1.0, 0.0]).double()).mean()
    assert float(share) == pytest.approx(-0.6 * 1.5 + 0.2, abs=5 * 1.5 / math.sqrt(300))


@pytest.mark.parametrize(
    ("prior", "message"), [((0.5, 0.5), "3 positive"), ((1, 1, 0), "positive"), ((1, 1, float("nan")), "positive")]
)
def test_a_bad_prior_is_refused(prior, message):
    with pytest.raises(ContrastiveError, match=message):
        ContrastiveEstimator(Normals(), NOISE, class_prior=prior)


def test_without_classes_there_is_no_posterior():
    plain = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), NOISE)
    for method in ("predict", "predict_proba", "class_log_prob"):
        with pytest.raises(ContrastiveError, match="no classes"):
            getattr(plain, method)(torch.zeros(3, 2))
    with pytest.raises(ContrastiveError, match="has none"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), NOISE, class_prior=(0.5, 0.5))


def test_the_labelled_loss_is_minus_the_mean_log_posterior_of_the_labelled():
    x, y = 2 * torch.randn(40, 2, dtype=torch.float64), torch.randint(3, (40,))
    y[::3] = -1
    estimator = normalized((0.2, 0.5, 0.3))
    means = estimator.energy.means.detach().clone().requires_grad_()
    prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    joint = torch.exp(-0.5 * (x[:, None] - means).square().sum(-1)) * prior
    posterior = (joint / joint.sum(1, keepdim=True))[torch.arange(40), y.clamp_min(0)]
    by_hand = -posterior[y >= 0].log().mean()
    loss = labelled_loss(estimator.class_logits(x), y)
    torch.testing.assert_close(loss, by_hand, atol=1e-6, rtol=1e-6)
    ours = torch.autograd.grad(loss, estimator.energy.means)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(by_hand, means)[0], atol=1e-6, rtol=1e-5)


def test_no_label_is_no_loss():
    logits = torch.randn(5, 3, requires_grad=True)
    loss = labelled_loss(logits, torch.full((5,), -1))
    assert float(loss.detach()) == 0
    assert not bool(torch.autograd.grad(loss, logits)[0].any())


def test_labels_add_their_loss_to_the_energys_move_and_none_to_the_noises():
    noise = make_noise("diag-gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(Normals(), noise, adapt_noise=True)
    z, labelled = torch.randn(30, 2), Labelled(torch.randn(6, 2), torch.randint(3, (6,)))

    def gradient(mover, terms):
        class Recorder:
            def step(self, loss, progress):
                self.gradient = torch.autograd.grad(loss, list(getattr(estimator, mover).parameters()))[0]

        schedule, recorder = Alternate(1, 1), Recorder()
        schedule.mover = mover
        torch.manual_seed(1)
        Game(estimator, {"energy": recorder, "noise": recorder}, schedule, 10, terms=terms).update(
            Batch(z, labelled=labelled), 0.0
        )
        return recorder.gradient

    added = torch.autograd.grad(labelled_loss(estimator.class_logits(labelled.z), labelled.y), estimator.energy.means)[
        0
    ]
    torch.testing.assert_close(gradient("energy", [LabelledTerm(0.7)]), gradient("energy", []) + 0.7 * added)
    assert torch.equal(gradient("noise", [LabelledTerm(0.7)]), gradient("noise", []))


def test_labels_of_the_batch_serve_where_there_is_no_labelled_batch():
    estimator, z, y = normalized(), torch.randn(9, 2, dtype=torch.float64), torch.randint(-1, 3, (9,))
    term = LabelledTerm(2.0)
    expected = 2 * labelled_loss(estimator.class_logits(z), y)
    torch.testing.assert_close(term(estimator, Batch(z, y=y)), expected)
    assert float(term(estimator, Batch(z))) == 0


def two_normals(n, seed, share=0.5):
    """Classes at (-1, 0) and (1, 0) with unit variance: P(1 | x) = 1 / (1 + exp(-2 x_0) (1 - share) / share)."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, generator=generator) < share).long()
    x = torch.randn(n, 2, generator=generator)
    x[:, 0] += 2.0 * y - 1
    return x, y


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


def figures(path):
    summary = json.loads((path / "summary.json").read_text())
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    clock = {"seconds", "seconds_evaluation"}
    return [{k: v for k, v in entry.items() if k not in clock} for entry in [summary, *lines]]


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


def test_contrast_weight_nought_is_supervised_learning():
    """Two labels a class, no contrast: the energy's gradient is the labelled loss's alone, the noise is not drawn."""
    estimator, z = normalized(), torch.randn(30, 2, dtype=torch.float64)
    labelled = Labelled(torch.randn(4, 2, dtype=torch.float64), torch.tensor([0, 1, 2, -1]))

    class Recorder:
        def step(self, loss, progress):
            (self.loss,) = loss

    recorder = Recorder()
    estimator.noise = None
    game = Game(estimator, {"energy": recorder}, None, 10, terms=[LabelledTerm(1.0)], contrast_weight=0.0)
    game.update(Batch(z, labelled=labelled), 0.0)
    torch.testing.assert_close(recorder.loss, labelled_loss(estimator.class_logits(labelled.z), labelled.y))


def test_noises_move_sees_the_energy_without_dropout_and_the_energys_with():
    modes = []

    class Watched(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return -x.square().sum(1)

    noise = make_noise("diag-gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(Watched(), noise, adapt_noise=True)
    player = Player(noise.parameters(), copy.deepcopy(noise).parameters())

    class Silent:
        def step(self, losses, progress):
            list(losses)

    for mover in ("energy", "noise"):
        schedule = Alternate(1, 1)
        schedule.mover = mover
        Game(estimator, {"energy": Silent(), "noise": player}, schedule, 10).update(Batch(torch.randn(9, 2)), 0.0)
    assert modes == [True, False]
    assert estimator.energy.training


def test_what_is_reported_has_no_dropout(tmp_path):
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1), nn.Flatten(0))

        def forward(self, x):
            return self.layers(x)

    estimator = ContrastiveEstimator(Dropping(), make_noise("gaussian", event_shape=(2,)))
    estimator.fit(torch.randn(300, 2), steps=5, quiet=True)
    x = torch.randn(50, 2)
    assert torch.equal(estimator.log_prob(x), estimator.log_prob(x))


def test_classification_counts_known_labels_alone():
    x, estimator = torch.randn(200, 2, dtype=torch.float64), normalized()
    y = estimator.predict(x)
    y[:50], y[50:60] = -1, (y[50:60] + 1) % 3
    figures = classification(estimator, x, y)
    assert figures["test_error"] == pytest.approx(10 / 150)
    proba = estimator.predict_proba(x).detach()[y >= 0]
    by_hand = -proba[torch.arange(150), y[y >= 0]].log().mean()
    assert figures["test_log_loss"] == pytest.approx(float(by_hand))
    assert classification(estimator, x, torch.full((200,), -1)) == {}


@pytest.mark.parametrize("follow", [False, True])
def test_a_tilted_energy_learns_classes_and_its_posterior_is_that_of_the_class_densities(follow):
    x, y = two_normals(300, 0)
    options = {"follow": follow, "widths": [16]}
    estimator = fit(x, y, energy="tilted", energy_options=options, steps=200, log_partition_draws=0, quiet=True)
    joint = estimator.class_log_prob(x).double() + estimator.log_class_prior
    torch.testing.assert_close(estimator.predict_proba(x).double(), joint.softmax(-1), atol=1e-4, rtol=0)
    assert float((estimator.predict(x) == y).double().mean()) > 0.8


def test_the_calibration_error_by_hand():
    """Two bins: 0.6 said and 1 of 2 right, 0.95 said and 2 of 2 right: (0.1 + 0.05) / 2."""
    proba = torch.tensor([[0.6, 0.4], [0.4, 0.6], [0.95, 0.05], [0.05, 0.95]])
    found = reliability(proba, torch.tensor([0, 0, 0, 1]), bins=10)
    assert found.expected_calibration_error == pytest.approx(0.075)
    assert found.share.tolist() == [0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0.5]


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
