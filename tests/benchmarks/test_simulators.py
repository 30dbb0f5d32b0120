"""The benchmark of simulators: tasks, posteriors of closed form, files, the classifier test, kept units.

False-alarm rate of each statistical test: 1e-6, but for what is said otherwise.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import kstest, norm

from benchmarks.lib.c2st import c2st
from benchmarks.lib.simulator_files import read_observation, tasks_folder, write_small_files
from benchmarks.lib.simulator_summary import difference, figure, in_words, main_table, summarize
from benchmarks.lib.simulator_units import Plan, Unit, measure, read_unit
from benchmarks.lib.simulators import TASKS, design_matrix, make_task, predators_and_prey, rejected_outside
from contrastive.errors import ContrastiveError

#: Standard errors beyond which a normal mean lies with a probability of 1e-6 / 20, for up to 20 means a test.
FAR = float(norm.isf(1e-6 / 40))
CLOSED = [name for name in TASKS if make_task(name).exact_posterior is not None]


def assert_means(values, expected):
    """Each column's mean within `FAR` standard errors of what it should be."""
    error = values.std(0) / math.sqrt(len(values))
    assert ((values.mean(0) - torch.as_tensor(expected)).abs() < FAR * error).all()


@pytest.mark.parametrize("name", TASKS)
def test_simulations_are_finite_within_the_prior_and_the_same_again(name):
    task = make_task(name)
    theta, x = task.simulations(40, seed=3)
    assert theta.shape == (40, task.dim_parameters)
    assert x.shape == (40, task.dim_data)
    assert x.isfinite().all()
    assert task.in_support(theta).all()
    assert all(map(torch.equal, task.simulations(40, seed=3), (theta, x)))


def test_moments_of_two_moons_are_those_of_a_shifted_half_circle():
    theta = torch.tensor([0.8, -0.2])
    x = make_task("two_moons").simulate(theta.expand(20_000, 2))
    center = [0.25 + 0.1 * 2 / math.pi - 0.6 / math.sqrt(2), -1.0 / math.sqrt(2)]
    assert_means(x.double(), torch.tensor(center, dtype=torch.float64))
    # E[(r sin a)^2] = E[r^2] / 2
    assert_means((x[:, 1:].double() - center[1]) ** 2, torch.tensor([(0.1**2 + 0.01**2) / 2], dtype=torch.float64))


def test_moments_of_slcp_are_those_of_its_gaussian():
    theta = torch.tensor([1.0, -2.0, 1.2, -0.9, 0.4])
    x = make_task("slcp").simulate(theta.expand(20_000, 5)).double().reshape(-1, 4, 2) - theta[:2].double()
    first, second, rho = 1.2**2, 0.9**2, math.tanh(0.4)
    assert_means(x.reshape(-1, 8), torch.zeros(8, dtype=torch.float64))
    products = torch.stack([x[:, 1, 0] ** 2, x[:, 2, 1] ** 2, x[:, 3, 0] * x[:, 3, 1], x[:, 0, 0] * x[:, 1, 0]], 1)
    assert_means(products, torch.tensor([first**2, second**2, rho * first * second, 0.0], dtype=torch.float64))


def test_statistics_of_the_bernoulli_glm_are_spikes_and_their_average_stimulus():
    stimulus = np.random.RandomState(42).randn(100)
    spikes = np.random.default_rng(0).integers(0, 2, 100)
    averages = [float((spikes[lag:] * stimulus[: 100 - lag]).sum()) for lag in range(9)]
    np.testing.assert_allclose(spikes @ design_matrix().double().numpy(), [spikes.sum(), *averages], atol=1e-5)
    theta = 0.5 * torch.randn(10)
    x = make_task("bernoulli_glm").simulate(theta.expand(5_000, 10)).double()
    design = design_matrix().double()
    assert_means(x, torch.sigmoid(design @ theta.double()) @ design)


def test_the_prior_of_the_bernoulli_glm_penalizes_second_differences():
    """The filter h has log-density -|F h|^2 / 2, the offset a variance of 2."""
    prior = make_task("bernoulli_glm").prior
    h = torch.randn(9)
    padded = torch.cat([torch.zeros(2), h])
    bends = padded[2:] - 2 * padded[1:-1] + padded[:-2] + (torch.arange(9) / 9).sqrt() * h
    theta = torch.cat([torch.tensor([1.3]), h])
    drop = prior.log_prob(torch.zeros(10)) - prior.log_prob(theta)
    torch.testing.assert_close(drop, (1.3**2 / 2 + bends.square().sum()) / 2, rtol=1e-4, atol=1e-4)


def test_populations_follow_the_differential_equation():
    theta, _ = make_task("lotka_volterra").simulations(6, seed=1)
    found = predators_and_prey(theta).reshape(-1, 2, 10)
    for (alpha, beta, gamma, delta), populations in zip(theta.double().tolist(), found):

        def slope(_, state, alpha=alpha, beta=beta, gamma=gamma, delta=delta):
            prey, predators = state
            return [alpha * prey - beta * prey * predators, delta * prey * predators - gamma * predators]

        solved = solve_ivp(slope, (0, 20), (30, 1), "LSODA", 2.1 * np.arange(10), rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(populations.numpy(), solved.y, rtol=1e-4)


@pytest.mark.parametrize("name", CLOSED)
def test_the_exact_posterior_is_calibrated(name):
    """The rank of the true parameter among posterior draws is uniform if prior, simulator and posterior agree."""
    task, draws = make_task(name), 63
    theta, x = task.simulations(1_000, seed=5)
    ranks = torch.stack([(task.exact_posterior(draws, row) < truth).sum(0) for truth, row in zip(theta, x)])
    spread = (ranks + torch.rand(ranks.shape)) / (draws + 1)
    assert min(kstest(column, "uniform").pvalue for column in spread.T.numpy()) > 1e-6 / task.dim_parameters


def test_draws_outside_the_prior_are_drawn_anew_and_a_hopeless_case_is_refused():
    task = make_task("two_moons")
    kept = rejected_outside(task, lambda n: 3 * torch.randn(n, 2), 500)
    assert len(kept) == 500
    assert task.in_support(kept).all()
    with pytest.raises(ContrastiveError, match="outside the prior's support"):
        rejected_outside(task, lambda n: 3 + torch.rand(n, 2), 500)


def test_c2st_is_chance_for_one_law_and_near_the_best_accuracy_for_a_shift():
    """Of N(0, 1) and N(1, 1) the best classifier is right with a probability of Phi(1/2); here within 0.09."""
    x = torch.randn(400, 1)
    assert abs(c2st(x, torch.randn(400, 1)) - 0.5) < 0.09
    assert abs(c2st(x, 1 + torch.randn(400, 1)) - norm.cdf(0.5)) < 0.09


def test_c2st_takes_some_of_the_rows_whatever_their_order():
    x, y = torch.randn(1_000, 1), torch.randn(1_000, 1).sort(0).values
    assert abs(c2st(x, y, most=400) - 0.5) < 0.09  # the first 400 would be the smallest


def test_c2st_refuses_what_has_no_chance_level():
    with pytest.raises(ContrastiveError, match="beside"):
        c2st(torch.randn(10, 2), torch.randn(9, 2))
    with pytest.raises(ContrastiveError, match="not finite"):
        c2st(torch.randn(10, 2), torch.full((10, 2), math.nan))


def test_files_are_read_as_they_were_written(tmp_path):
    write_small_files(tmp_path / "sbibm" / "tasks", "two_moons", observations=2, draws=30)
    observation = read_observation(tasks_folder(tmp_path), "two_moons", 2)
    theta, x = make_task("two_moons").simulations(2, seed=0)
    torch.testing.assert_close(observation.x, x[1])
    torch.testing.assert_close(observation.theta, theta[1])
    assert observation.posterior.shape == (30, 2)


def test_missing_files_and_text_are_refused_in_one_line(tmp_path):
    with pytest.raises(ContrastiveError, match=r"holds no sbibm/tasks.*pip download"):
        tasks_folder(tmp_path)
    write_small_files(tmp_path, "two_moons", observations=1, draws=5)
    with pytest.raises(ContrastiveError, match="is not there"):
        read_observation(tasks_folder(tmp_path), "two_moons", 2)
    (tmp_path / "two_moons/files/num_observation_1/observation.csv").write_text("a,b\n1.0,many\n", encoding="utf-8")
    with pytest.raises(ContrastiveError, match="more than finite numbers"):
        read_observation(tasks_folder(tmp_path), "two_moons", 1)


def test_a_unit_goes_on_with_the_observations_that_are_left(tmp_path):
    write_small_files(tmp_path / "files", "two_moons", observations=2, draws=200)
    plan = Plan(tasks_folder(tmp_path / "files"), tmp_path / "out", observations=2, draws=200)
    unit = Unit("two_moons", 100, 0, "exact")
    measure(unit, plan)
    whole = read_unit(unit, plan)
    assert whole.is_complete(plan)
    path = unit.folder(plan.out) / "exact.json"
    text, samples = path.read_text(encoding="utf-8"), path.with_suffix(".npy").read_bytes()
    path.write_text(text.replace(f",\n    {whole.figures[0]['c2st'][1]}", ""), encoding="utf-8")  # as if stopped
    assert not read_unit(unit, plan).is_complete(plan)
    measure(unit, plan)
    assert path.read_text(encoding="utf-8") == text
    assert path.with_suffix(".npy").read_bytes() == samples
    with pytest.raises(ContrastiveError, match="was measured with observations 2, draws 200"):
        read_unit(unit, Plan(plan.files, plan.out, observations=2, draws=100))


def test_a_method_that_fails_leaves_its_reason_and_is_not_tried_again(tmp_path):
    write_small_files(tmp_path / "files", "two_moons", observations=1, draws=20)
    (tmp_path / "files" / "slcp").symlink_to(tmp_path / "files" / "two_moons")
    plan = Plan(tasks_folder(tmp_path / "files"), tmp_path / "out", observations=1, draws=20)
    unit = Unit("slcp", 100, 0, "exact")
    measure(unit, replace(plan, deadline=0))
    assert read_unit(unit, plan).figures == []  # too late to begin
    measure(unit, plan)
    kept = read_unit(unit, plan)
    assert kept.is_complete(plan)
    assert "no closed form" in kept.figures[0]["error"]


def record(method, c2st, task="slcp"):
    return {
        "task": task,
        "simulations": 10,
        "method": method,
        "c2st": c2st,
        "fit_seconds": 1,
        "draw_seconds": 1,
        "notes": {},
    }


def test_the_default_is_held_against_the_better_rival():
    found = [record("default", [0.6, 0.7]), record("npe", [0.8, 0.8]), record("nre", [0.6, 0.64])]
    (summary,) = summarize(found)
    assert difference(summary) == pytest.approx(0.03)
    assert "below that of the better rival on 0 of 1 tasks, and above by more than 0.02 on 1" in in_words([summary])
    assert "| slcp | 10 | 0.650 ± 0.050 (1 s) | - | 0.800 ± 0.000 (1 s) |" in main_table([summary])
    (missing,) = summarize([*found[:2], {**found[2], "error": "failed"}])
    assert difference(missing) is None
    assert len(figure([summary]).axes) == 1
