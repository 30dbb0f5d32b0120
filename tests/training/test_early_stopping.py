"""Where rows repeat, a run ends with its best state on held-out rows, and overfitting is called so."""

import json
import warnings

import numpy as np
import pytest
import torch
from helpers.settings import resolved
from sklearn.datasets import load_iris
from torch.utils.data import TensorDataset

import contrastive
from contrastive.cli.main import main
from contrastive.config import configure, resolve
from contrastive.data.preparation import prepare
from contrastive.errors import ContrastiveWarning
from contrastive.metrics import noise_warning
from contrastive.training.callbacks import Callback
from contrastive.training.judging import make_scorer
from contrastive.training.models import facts_of, new_estimator

IRIS = load_iris().data
FEW = np.random.default_rng(0).normal(size=(60, 3))


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    run = tmp_path_factory.mktemp("early") / "iris"
    contrastive.fit(IRIS, noise="gaussian", energy="mlp", out=str(run), quiet=True, log_partition_draws=0)
    return run


def test_a_network_on_iris_does_not_end_below_its_noise(iris):
    """15 rows judge it; at an earlier version it ended 58 nats below."""
    summary = json.loads((iris / "summary.json").read_text())
    assert summary["stopped_early"]
    assert summary["steps"] < 10_000
    assert summary["test_gain"] > -2 * summary["test_gain_error"]
    assert summary["test_gain_error"] < 1.0


def test_a_run_ends_with_its_best_state(iris):
    found, summary = lines(iris), json.loads((iris / "summary.json").read_text())
    best = max(found, key=lambda line: line["score"])
    assert summary["best_update"] == best["updates"] < found[-1]["updates"]
    assert summary["test_log_prob_energy"] == pytest.approx(best["test_log_prob_energy"], abs=1e-5)
    assert summary["train_log_prob_energy"] == pytest.approx(best["train_log_prob_energy"], abs=1e-5)


def test_the_score_is_the_held_out_value(iris):
    """Over 200,000 draws of the noise where the run took 4,000: five standard errors of a softplus are below 0.05."""
    estimator, summary = contrastive.load(iris), json.loads((iris / "summary.json").read_text())
    held_out = prepare(IRIS, configure()).validation
    best = next(line for line in lines(iris) if line["updates"] == summary["best_update"])
    ratio = estimator.log_prob(held_out) - estimator.noise_log_prob(held_out)
    draws = estimator.sample_noise(200_000)
    of_noise = torch.nn.functional.softplus(estimator.log_prob(draws) - estimator.noise_log_prob(draws)).mean()
    value = torch.nn.functional.logsigmoid(ratio).mean() - of_noise
    assert best["score"] == pytest.approx(float(value), abs=0.05)


class Scaled(torch.nn.Module):
    """f = log N(0, 1) + a constant: normalised only at c = the constant."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, z):
        return -0.5 * z.square().sum(-1) + self.shift


@pytest.mark.parametrize("adapt", [False, True])
def test_a_constant_too_low_is_not_rewarded(adapt):
    """log p rises without end with a lower c; the score is highest where p is normalised."""
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
    estimator = contrastive.ContrastiveEstimator(
        Scaled(), contrastive.make_noise("diag-gaussian", event_shape=(2,)), adapt_noise=adapt
    )
    data = prepare(x, configure(standardize=False))
    estimator.noise.fit(data.fitting)
    score, right = make_scorer(data), float(np.log(2 * np.pi))
    found = {}
    for c in (right - 5, right - 0.5, right, right + 0.5):
        estimator.log_normalizer.data.fill_(c)
        found[c] = float(score(estimator, "contrast").mean())
    assert max(found, key=found.get) == right


def test_of_states_as_good_the_last_is_kept():
    """A Gaussian energy does not overfit 2,000 rows: its end, at the smallest rate, is nearer to likelihood's fit."""
    x = torch.randn(2000, 1, generator=torch.Generator().manual_seed(1)).double()
    estimator = contrastive.fit(
        x, energy="gaussian", noise="student-t", steps=400, batch_size=200, quiet=True, log_partition_draws=0
    )
    assert estimator.summary["best_update"] == 400


def test_the_start_counts_too():
    """A tilted energy begins as the noise: where its first steps only harm, the noise is what remains."""
    estimator = contrastive.fit(
        FEW, energy="tilted", learning_rate=100.0, steps=60, evaluate_every=20, quiet=True, log_partition_draws=0
    )
    torch.testing.assert_close(estimator.log_prob(FEW), estimator.noise_log_prob(FEW))


def test_a_network_that_has_learned_nothing_is_no_density_to_end_with(tmp_path):
    """Its log p may be high everywhere: nothing has normalised it yet."""
    contrastive.fit(FEW, steps=60, evaluate_every=20, out=str(tmp_path / "run"), quiet=True, log_partition_draws=0)
    assert [line["step"] for line in lines(tmp_path / "run")] == [20, 40, 60]


def test_an_energy_that_gains_nothing_over_its_noise_is_said_to():
    """Rows of a Gaussian against a Gaussian, and an energy that hardly moves: V is below its chance level."""
    x = np.random.default_rng(3).normal(size=(400, 3))
    with pytest.warns(ContrastiveWarning, match=r"no better than its noise .*chance level -1\.386.*--energy tilted"):
        contrastive.fit(x, steps=20, learning_rate=1e-9, quiet=True, log_partition_draws=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContrastiveWarning)
        contrastive.fit(x, energy="tilted", steps=20, learning_rate=1e-9, quiet=True, log_partition_draws=0)


@pytest.mark.parametrize(
    ("data", "settings", "patience"),
    [
        (FEW, {}, 20),
        (np.tile(FEW, (200, 1)), {}, 10),  # 10,000 steps, evaluated every 250
        (TensorDataset(torch.from_numpy(FEW)), {}, 20),
        (FEW, {"steps": 500}, 11),  # all are made: there are ten evaluations
        (FEW, {"early_stopping": 0}, 0),
        (FEW, {"early_stopping": 7}, 7),
        ("moons", {}, 0),
        ("moons", {"early_stopping": 3}, 3),
    ],
)
def test_when_a_run_may_stop_early(data, settings, patience):
    assert resolved(data, **settings).run.early_stopping == patience


def test_images_are_watched_but_in_fce():
    pixels = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8)
    conv = {"energy": "conv", "energy_options": {"widths": [4]}}
    found = {
        method: resolved(
            pixels, method=method, noise="gaussian", **(conv if method != "mle" else {})
        ).run.early_stopping
        for method in ("nce", "mle", "fce")
    }
    assert found["nce"] == found["mle"] == 10
    assert found["fce"] == 0


def test_labels_alone_give_no_density_to_stop_by():
    config = configure(contrast_weight=0.0)
    prepared = prepare(FEW, config, (FEW[:, 0] > 0).astype(int))
    estimator, config = new_estimator(config, prepared)
    assert resolve(config, prepared.facts, facts_of(estimator)).run.early_stopping == 0


def test_steps_that_were_asked_for_are_made(tmp_path):
    contrastive.fit(FEW, steps=300, evaluate_every=10, out=str(tmp_path / "run"), quiet=True, log_partition_draws=0)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["steps"], summary["stopped_early"]) == (300, False)
    assert summary["best_update"] < 300


def test_the_noise_is_stopped_early_too_and_by_its_own_density(tmp_path):
    run = tmp_path / "run"
    settings = {
        "noise": "nsf",
        "noise_options": {"width": 32},
        "pretrain_steps": 400,
        "pretrain_learning_rate": 0.01,
    }
    contrastive.fit(
        FEW, **settings, early_stopping=3, evaluate_every=20, out=str(run), quiet=True, log_partition_draws=0
    )
    found = [line for line in lines(run) if line["stage"] == "pretrain"]
    assert found[-1]["step"] < 400
    best = max(found, key=lambda line: line["score"])
    first = next(line for line in lines(run) if line["stage"] == "contrast")
    assert first["test_log_prob_noise"] == pytest.approx(best["test_log_prob_noise"], abs=1e-5)
    assert (run / "best-pretrain.safetensors").exists()


def test_what_was_kept_is_said_while_it_runs_and_in_the_report(tmp_path, capsys):
    np.save(tmp_path / "few.npy", FEW)
    command = ["fit", "--data", str(tmp_path / "few.npy"), "--out", str(tmp_path / "run"), "--early-stopping", "3"]
    assert main([*command, "--evaluate-every", "20", "--log-partition-draws", "0"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    best = f"{summary['best_update']:,}"
    assert (
        f"stopped early at update {summary['steps']:,}; the state of update {best}, the best" in capsys.readouterr().err
    )
    report = (tmp_path / "run" / "report.html").read_text()
    assert "It stopped early" in report
    assert f"The state of update {best} was the best on held-out rows" in report


GOOD = {
    "accuracy": 0.6, "twice_jsd": 0.3, "train_twice_jsd": 0.4, "test_gain": 1.0, "test_gain_error": 0.2,
    "test_log_prob_energy": -2.0, "test_log_prob_noise": -3.0,
    "train_log_prob_energy": -1.9, "train_log_prob_noise": -3.0,
}  # fmt: skip
MEMORISED = {"twice_jsd": -50.0, "test_gain": -58.0, "test_gain_error": 5.0, "train_log_prob_energy": 3.0}


def test_overfitting_is_called_so():
    assert noise_warning(GOOD) == ""
    said = noise_warning(GOOD | MEMORISED)
    assert said.startswith("the energy overfits: its log-density less the noise's is +6.00 nats on training rows and")
    assert "-58.00 on held-out rows; leave early stopping on" in said
    assert "train it longer" not in said


def test_an_energy_that_has_learned_nothing_is_not_said_to_overfit():
    lost = MEMORISED | {"train_twice_jsd": -49.0, "train_log_prob_energy": -60.0}
    said = noise_warning(GOOD | lost)
    assert "has not learned the size of log q yet" in said
    assert "train it longer" in said


def test_a_difference_within_chance_is_not_called_overfitting():
    assert noise_warning(GOOD | {"test_gain": -0.3, "test_gain_error": 0.2}) == ""


def test_a_noise_that_overfits_is_called_so():
    overfitted = {"test_log_prob_noise": -9.0, "train_log_prob_noise": 2.0, "test_log_prob_gaussian": -4.0}
    gained = {"train_log_prob_energy": 2.1, "test_log_prob_energy": -8.9}
    said = noise_warning(GOOD | overfitted | gained)
    assert "the noise overfits: its log-density is 2.00 nats on the training rows and -9.00 on held-out rows" in said


def test_a_fit_without_early_stopping_warns_python_users_of_overfitting():
    with pytest.warns(ContrastiveWarning, match="the energy overfits"):
        contrastive.fit(FEW, early_stopping=0, steps=600, quiet=True, log_partition_draws=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContrastiveWarning)
        contrastive.fit(IRIS, steps=300, dequantize=False, quiet=True, log_partition_draws=0)


class StopAt(Callback):
    """Ctrl-C at one update."""

    def __init__(self, update):
        self.update = update

    def on_update(self, trainer, mover):
        if trainer.position.updates == self.update:
            raise KeyboardInterrupt


@pytest.mark.parametrize("steps", [None, 200])
def test_a_run_interrupted_at_its_last_evaluation_ends_with_the_same_state(steps, tmp_path):
    """By early stopping, or by its steps: what is left to do is to choose the state."""
    settings = {"evaluate_every": 20, "early_stopping": 3, "log_partition_draws": 0, "learning_rate": 0.02}
    settings |= {} if steps is None else {"steps": steps, "early_stopping": 100}
    whole = contrastive.fit(FEW, **settings, quiet=True, out=str(tmp_path / "whole"))
    last = lines(tmp_path / "whole")[-1]["updates"]
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(FEW, **settings, quiet=True, out=str(tmp_path / "cut"), callbacks=[StopAt(last)])
    again = contrastive.fit(FEW, resume=tmp_path / "cut", quiet=True)
    assert again.summary["best_update"] == whole.summary["best_update"]
    assert torch.equal(again.log_prob(FEW), whole.log_prob(FEW))


def test_a_last_state_that_is_not_finite_gives_way_to_the_best():
    """A last score of -inf or NaN compares with nothing, and must not win by that."""

    class Spoil(Callback):
        def on_update(self, trainer, mover):
            if trainer.position.updates == 40:
                for model in (trainer.estimator, trainer.averaged):
                    with torch.no_grad():
                        model.log_normalizer.fill_(float("nan"))

    estimator = contrastive.fit(
        FEW, steps=40, evaluate_every=20, quiet=True, callbacks=[Spoil()], log_partition_draws=0
    )
    assert estimator.summary["best_update"] < 40
    assert torch.isfinite(estimator.log_prob(FEW)).all()


def test_a_run_killed_between_stages_goes_on_to_the_same_figures(tmp_path):
    """The best state of the stage before must still be there, though the next has begun and kept one of its own."""
    from contrastive.training.progress import Progress

    class Killed(BaseException):
        pass

    class Killing(Progress):
        def report(self, metrics):
            if metrics["stage"] == "contrast" and metrics["step"] == 40:
                raise Killed  # the best of this stage is kept already, its first checkpoint is not

    settings = {
        "noise": "nsf", "noise_options": {"width": 8}, "pretrain_steps": 100, "steps": 100, "evaluate_every": 20,
        "pretrain_learning_rate": 0.01, "checkpoint_every": 60, "log_partition_draws": 0,
    }  # fmt: skip
    np.save(tmp_path / "few.npy", FEW)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    contrastive.fit(tmp_path / "few.npy", **settings, out=str(whole), quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastive.api.Progress", Killing)
        with pytest.raises(Killed):
            contrastive.fit(tmp_path / "few.npy", **settings, out=str(cut), quiet=True)
    assert main(["fit", "--resume", str(cut), "--quiet", "--no-report"]) == 0
    a, b = contrastive.load(whole).state_dict(), contrastive.load(cut).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
