"""The choice of the noise by held-out likelihood, on data whose density is known."""

import math
import time

import pytest
import torch

from contrastive import ContrastiveError, register_noise
from contrastive.noises import Gaussian
from contrastive.noises.candidates import candidates_of, ladders, proposes
from contrastive.registry import noises
from contrastive.training.likelihood_fit import fit_noise, log_prob_in_parts
from contrastive.training.selection import select_noise

CLOSED = ["gaussian", "student-t", "gaussian-mixture", "kde"]


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def three_clusters(n):
    centres = torch.tensor([[0.0, 0.0], [6.0, 1.0], [-1.0, 7.0]])
    return normal(n, 2) + centres[torch.arange(n) % 3]


def ring(n):
    angle = torch.linspace(0, 2 * math.pi, n + 1)[:n]
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * normal(n, 2)


@pytest.fixture
def registered(monkeypatch):
    """Registers noises for one test."""
    monkeypatch.setattr(noises, "_registered", {})
    return register_noise


def test_on_a_gaussian_nothing_beats_it_by_more_than_chance():
    selection = select_noise(normal(300, 3), names=CLOSED)
    row = next(row for row in selection.table() if row["name"] == "gaussian")
    assert row["difference"] > -2 * row["difference_error"] - 1e-9
    assert selection.chosen.name != "kde"


def test_on_three_clusters_it_is_a_mixture_of_about_three():
    chosen = select_noise(three_clusters(400), names=CLOSED).chosen
    assert chosen.name == "gaussian-mixture"
    assert 2 <= chosen.options["components"] <= 4


def test_on_heavy_tails_it_is_students_t():
    x = torch.distributions.StudentT(torch.tensor(2.0)).sample(torch.Size([600]))
    radius = x.abs()[:, None] / normal(600, 1).abs().clamp_min(0.1)
    assert select_noise(normal(600, 3) * radius, names=CLOSED).chosen.name == "student-t"


def test_on_a_ring_a_gaussian_is_far_behind_the_kernels():
    selection = select_noise(ring(400), names=["gaussian", "kde"])
    assert selection.chosen.name == "kde"
    row = next(row for row in selection.table() if row["name"] == "gaussian")
    assert row["difference"] < -10 * row["difference_error"]


def test_it_is_deterministic_and_leaves_the_callers_random_numbers(registered):
    registered("learned")(learned)
    before = torch.get_rng_state()
    first, second = (select_noise(normal(60, 2), names=["gaussian", "learned"], seed=1) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.trials, second.trials):
        assert torch.equal(a.log_q, b.log_q)
    other = select_noise(normal(60, 2), names=["gaussian"], seed=2)
    assert not torch.equal(first.trials[0].log_q, other.trials[0].log_q)


class Learned(Gaussian):
    """Trained by gradient steps, since nothing says how to fit it."""

    fit = None


@proposes(lambda rows, event_shape: [{}])
def learned(event_shape):
    return Learned(event_shape)


def test_a_noise_without_a_fit_is_trained_to_the_maximum(registered):
    """A Gaussian by gradient steps: within 0.05 nats of the closed form on rows that neither has seen."""
    registered("learned")(learned)
    x, held = 0.5 * normal(2000, 2) + 1, 0.5 * normal(2000, 2, seed=1) + 1
    closed, trained = (log_prob_in_parts(fit_noise(name, {}, x), held).mean() for name in ("gaussian", "learned"))
    assert float(trained) == pytest.approx(float(closed), abs=0.05)


def test_what_fails_is_listed_and_hides_nothing(registered):
    @registered("raises")
    @proposes(lambda rows, event_shape: [{}])
    def raises(event_shape):
        raise RuntimeError("no such luck\nand more")

    @registered("infinite")
    @proposes(lambda rows, event_shape: [{}])
    def infinite(event_shape):
        return torch.distributions.Independent(torch.distributions.Uniform(torch.zeros(2), torch.ones(2)), 1)

    selection = select_noise(normal(50, 2), names=["raises", "infinite", "gaussian"])
    assert selection.chosen.name == "gaussian"
    errors = {trial.name: trial.error for trial in selection.trials}
    assert errors["gaussian"] is None
    assert errors["raises"] == "RuntimeError: no such luck"
    assert "not" in errors["infinite"] or "support" in errors["infinite"]
    assert "raises failed: RuntimeError: no such luck" in str(selection)
    with pytest.raises(ContrastiveError, match="no noise could be fitted: raises: RuntimeError: no such luck"):
        select_noise(normal(50, 2), names=["raises"])


def test_the_budget_ends_it_after_the_first_candidate(registered):
    @registered("slow")
    @proposes(lambda rows, event_shape: [{"loc": 0.0}, {"loc": 0.5}])
    def slow(event_shape, loc):
        time.sleep(0.02)
        return Gaussian(event_shape, loc=loc)

    selection = select_noise(normal(50, 2), names=["slow", "gaussian"], budget=0.01)
    assert [trial.name for trial in selection.trials] == ["slow"]
    assert selection.skipped == 2
    assert select_noise(normal(50, 2), names=["slow", "gaussian"], budget=60).skipped == 0


def test_a_ladder_is_left_after_two_worse_rungs(registered):
    tried = []

    @registered("wide")
    @proposes(lambda rows, event_shape: [{"scale": s} for s in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)])
    def wide(event_shape, scale):
        tried.append(scale)
        return Gaussian(event_shape, covariance=scale**2 * torch.eye(2))

    assert select_noise(normal(100, 2), names=["wide"]).chosen.options == {"scale": 1.0}
    assert sorted(set(tried)) == [0.5, 1.0, 2.0, 3.0]


def test_all_are_scored_on_the_same_rows_each_once_where_rows_are_few():
    selection = select_noise(normal(103, 2), names=["gaussian", "kde"])
    assert (selection.scored_rows, selection.folds) == (103, 5)
    assert {len(trial.log_q) for trial in selection.trials} == {103}
    selection = select_noise(normal(3000, 2), names=["gaussian"])
    assert (selection.scored_rows, selection.folds) == (600, 1)


def test_progress_is_told_of_every_trial():
    told = []
    selection = select_noise(normal(50, 2), names=["gaussian", "kde"], progress=told.append)
    assert told == selection.trials


def test_what_cannot_be_chosen_from_is_refused():
    with pytest.raises(ContrastiveError, match="9 rows are too few"):
        select_noise(normal(9, 2))
    with pytest.raises(ContrastiveError, match="unknown noise 'gausian'"):
        select_noise(normal(50, 2), names=["gausian"])
    with pytest.raises(ContrastiveError, match="none proposes candidates"):
        select_noise(normal(50, 2), names=["uniform"])


@pytest.mark.parametrize("name", ["gaussian", "diag-gaussian", "student-t", "gaussian-mixture", "kde", "nsf", "made"])
@pytest.mark.parametrize("rows", [20, 3000, 100_000])
def test_every_candidate_can_be_made(name, rows):
    factory = noises.load(name)
    for options in candidates_of(factory, rows, (3,)):
        noises.make(name, event_shape=(3,), **options)


def test_ladders_are_cut_where_more_than_one_number_grows():
    options = [{"k": 1, "r": 1}, {"k": 2, "r": 1}, {"k": 1, "r": 2}, {"k": 2, "r": 3}, {"k": 3}, {"k": "x"}]
    assert [len(rungs) for rungs in ladders(options)] == [2, 1, 1, 1, 1]
