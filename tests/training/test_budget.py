"""The time that a fit may take."""

import itertools
import math
import time

import numpy as np
import pytest

import contrastive
from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.training.clock import Clock


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90", 90), (90, 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("0.5m", 30), ("1d", 86_400)],
)
def test_times_are_read_as_people_write_them(given, seconds):
    assert configure(budget=given).run.budget == seconds


@pytest.mark.parametrize("given", ["2 minutes", "soon", "m", "-3", "2m3", "nan", "inf"])
def test_what_is_no_time_is_refused_with_an_example(given):
    with pytest.raises(ContrastiveError, match=r"budget must be (a time such as 90s, 2m or 1h30m|at least 0)"):
        configure(budget=given)


def test_progress_is_that_of_updates_or_of_time_whichever_is_more(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock(10.0, begun=0.2)
    assert clock.progress(0.2) == pytest.approx(0.2)
    now[0] += 5
    assert clock.progress(0.25) == pytest.approx(0.6)
    assert clock.progress(0.7) == 0.7
    assert not clock.is_over
    now[0] += 6
    assert clock.is_over
    assert clock.progress(0.7) == 1
    assert Clock(math.inf).progress(0.3) == 0.3
    assert not Clock(math.inf).is_over


def test_a_fit_ends_in_its_time_with_decayed_learning_rates(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: 1e-3 * next(ticks))  # a millisecond each time that somebody looks
    x = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
    rates = []

    class Rates:
        def on_update(self, trainer, mover):
            rates.append(trainer.stages[-1].players["energy"].optimizer.param_groups[0]["lr"])

        def on_evaluation(self, trainer, metrics):
            pass

    estimator = contrastive.fit(
        x,
        energy="tilted",
        noise="gaussian",
        steps=1_000_000,
        budget="2s",
        quiet=True,
        callbacks=[Rates()],
        out=tmp_path,
    )
    assert 10 < len(rates) < 100_000
    assert rates[0] == pytest.approx(4e-3, rel=0.05)
    assert rates[-1] < 0.05 * rates[0]
    assert estimator.log_prob(x).isfinite().all()


def test_candidates_that_there_is_no_time_for_are_counted():
    x = np.random.default_rng(0).normal(size=(3000, 4)).astype("float32")
    estimator = contrastive.fit(x, budget=1.0, quiet=True)
    tried = estimator.summary["noise_candidates"]
    assert tried
    assert not any(row["error"] for row in tried if row["name"] in ("gaussian", "diag-gaussian"))
