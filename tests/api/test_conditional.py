"""Conditional densities, from `fit` to the files of a run."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.runs import QUICK
from torch.distributions import Normal

import contrastive
from contrastive import ContrastiveError
from contrastive.cli.main import main
from contrastive.training.callbacks import Callback

N = 1500
RNG = np.random.default_rng(3)
Y = RNG.normal(size=(N, 2)) * [1.0, 5.0]
X = Y[:, :1] + 0.2 * Y[:, 1:] + 0.5 * RNG.normal(size=(N, 1))
GAUSSIAN = {"noise": "gaussian", "energy": "noise", "method": "mle", "steps": 1, "quiet": True}


def frame():
    return pd.DataFrame({"height": X[:, 0], "age": Y[:, 0], "sex": Y[:, 1]})


@pytest.fixture(scope="module")
def gaussian():
    return contrastive.fit(X, given=Y, **GAUSSIAN)


def test_the_log_density_is_that_of_x_in_its_own_units(gaussian):
    """The truth is N(y0 + y1 / 5, 0.5^2); 1,200 rows leave an error of some hundredths of a nat, more in the tails."""
    truth = Normal(torch.tensor(Y[:5, 0] + 0.2 * Y[:5, 1]), 0.5).log_prob(torch.tensor(X[:5, 0]))
    got = gaussian.log_prob(X[:5], given=Y[:5]).double()
    torch.testing.assert_close(got, truth, atol=0.2, rtol=0)
    entropy = math.log(0.5 * math.sqrt(2 * math.pi * math.e))
    # 5 standard errors of a mean of 150 rows, each of deviation sqrt(1/2).
    assert gaussian.summary["test_log_prob_noise"] == pytest.approx(-entropy, abs=5 * math.sqrt(0.5 / 150))


def test_contexts_come_apart_within_rows_once_or_by_name(gaussian):
    apart = gaussian.log_prob(X[:4], given=Y[:4])
    assert torch.equal(apart, gaussian.log_prob(np.c_[X, Y][:4]))
    once = gaussian.log_prob(X[:4], given=Y[0])
    assert torch.equal(once, gaussian.log_prob(X[:4], given=np.tile(Y[:1], (4, 1))))
    named = contrastive.fit(frame(), given="age,sex", **GAUSSIAN)
    by_name = named.log_prob(frame()[["height"]][:4], given={"sex": Y[0, 1], "age": Y[0, 0]})
    torch.testing.assert_close(by_name, once)
    shuffled = frame()[["sex", "height", "age"]][:4]
    torch.testing.assert_close(named.log_prob(shuffled), apart)
    np.testing.assert_allclose(named.score_samples(shuffled), apart.numpy(), rtol=1e-5)


def test_samples_have_the_shape_of_what_is_given(gaussian):
    assert gaussian.sample(7, given=Y[0]).shape == (7, 1)
    assert gaussian.sample(7, given=Y[:1]).shape == (7, 1, 1)
    assert gaussian.sample(7, given=Y[:3]).shape == (7, 3, 1)
    assert gaussian.noise.sample(torch.Size([7])).shape == (7, 3)


def test_an_energy_gains_on_a_noise_that_is_wrong_for_some_contexts():
    """x is y^2 + noise, of which a line knows nothing: the energy has 0.5 nats more, with log Z(y) counted."""
    y = np.random.default_rng(0).normal(size=(2000, 1))
    x = y**2 + 0.3 * np.random.default_rng(1).normal(size=(2000, 1))
    settings = {"noise": "gaussian", "energy": "tilted", "steps": 400, "batch_size": 500, "quiet": True}
    estimator = contrastive.fit(x, given=y, **settings)
    summary = estimator.summary
    assert summary["test_log_prob_given"] > summary["test_log_prob_noise"] + 0.5
    assert summary["given"] == ["y0"]
    (log_z,) = estimator.log_partitions_given([[0.5]], draws=20_000)
    line = torch.linspace(-6, 12, 4001, dtype=torch.float64)
    f = estimator.unnormalized_log_prob(line[:, None], given=[0.5]).double()
    quadrature = float(f.logsumexp(0) + math.log(18 / 4000))
    assert log_z.low - 0.02 < quadrature < log_z.high + 0.02


def test_a_flow_plays_against_the_energy_given_contexts():
    settings = {"noise": "glow", "noise_options": {"depth": 2, "width": 16}, "method": "fce"}
    estimator = contrastive.fit(X[:400], given=Y[:400], **settings, **QUICK)
    assert estimator.adapt_noise
    assert estimator.sample(3, given=Y[:2]).shape == (3, 2, 1)


def test_a_noise_that_does_not_condition_is_refused():
    with pytest.raises(ContrastiveError, match="'student-t' cannot condition on given columns; take one of"):
        contrastive.fit(X, given=Y, noise="student-t", steps=1, quiet=True)
    with pytest.raises(ContrastiveError, match="2 columns are given, but the noise conditions on 0"):
        contrastive.fit(X, given=Y, noise=contrastive.make_noise("gaussian", event_shape=(3,)), steps=1, quiet=True)
    with pytest.raises(ContrastiveError, match="moves the given columns"):
        contrastive.fit(X, given=Y, noise="gaussian", objective="conditional", steps=1, quiet=True)


def test_a_conditional_noise_of_one_s_own_is_made_one_over_rows():
    noise = contrastive.make_noise("gaussian", event_shape=(1,), context_shape=(2,))
    estimator = contrastive.fit(X, given=Y, noise=noise, energy="mlp", steps=2, batch_size=100, quiet=True)
    assert estimator.noise.conditional is noise
    assert noise.is_fitted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"age": 1.0}, "have no names"),
        ([1.0, 2.0, 3.0], r"shape \(n, 2\)"),
        (Y[:3], "4 rows and 3 contexts"),
    ],
)
def test_contexts_of_another_kind_are_refused(gaussian, given, message):
    with pytest.raises(ContrastiveError, match=message):
        gaussian.log_prob(X[:4], given=given)


def test_a_run_of_a_table_is_kept_and_read_again(tmp_path, capsys):
    """Fit, load, sample for one context and for a file of them, score, log Z(y) and the report, by the commands."""
    data, run = tmp_path / "t.csv", tmp_path / "run"
    frame()[:400].to_csv(data, index=False)
    steps = ["--steps", "20", "--batch-size", "100", "--run.evaluate-every", "10"]
    fit = ["fit", "--data", str(data), "--given", "age,sex", "--noise", "gaussian", "--out", str(run)]
    assert main([*fit, *steps, "--quiet"]) == 0
    estimator = contrastive.load(run)
    assert estimator.columns == ("height", "age", "sex")
    assert estimator.scaling.num_given == 2
    assert (
        "height given age, sex" in (run / "report.html").read_text()
        or "given age, sex" in (run / "report.html").read_text()
    )
    assert (run / "plots" / "conditional.png").exists()
    out = tmp_path / "s.csv"
    assert main(["sample", str(run), "--given", "age=1,sex=-3", "-n", "9", "--out", str(out)]) == 0
    drawn = pd.read_csv(out)
    assert drawn.shape == (9, 3)
    assert (drawn["sex"] == -3).all()
    contexts = tmp_path / "c.csv"
    frame()[["sex", "age"]][:2].to_csv(contexts, index=False)
    for source in ("energy", "noise"):
        again = ["--from", source, "--overwrite"]
        assert main(["sample", str(run), "--given", str(contexts), "-n", "3", "--out", str(out), *again]) == 0
        assert len(pd.read_csv(out)) == 6
    capsys.readouterr()
    assert main(["normalizer", str(run), "--given", "1,-3", "--method", "importance", "--draws", "1000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "importance"
    assert main(["evaluate", str(run), "--json"]) == 0
    assert "test_log_prob_given" in json.loads(capsys.readouterr().out)
    assert main(["score", str(run), "--data", str(data), "--out", str(tmp_path / "scores.csv")]) == 0
    assert main(["sample", str(run), "--given", "age=1", "--out", str(out), "--overwrite"]) == 2
    assert main(["sample", str(run), "--given", "age=1,-3", "--out", str(out), "--overwrite"]) == 2
    assert "either every number with its name" in capsys.readouterr().err


class Stop(Callback):
    def on_update(self, trainer, mover):
        if trainer.position.updates == 9:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_bit(tmp_path):
    settings = {"noise": "made", "noise_options": {"width": 16}, "pretrain_steps": 6, "checkpoint_every": 3, **QUICK}
    settings |= {"steps": 8, "batch_size": 50, "given": Y[:400]}
    whole = contrastive.fit(X[:400], out=str(tmp_path / "whole"), **settings)
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(X[:400], out=str(tmp_path / "cut"), callbacks=[Stop()], **settings)
    again = contrastive.fit(X[:400], given=Y[:400], resume=tmp_path / "cut", quiet=True)
    assert torch.equal(whole.log_prob(X, given=Y), again.log_prob(X, given=Y))
    assert whole.summary["given"] == ["y0", "y1"]
