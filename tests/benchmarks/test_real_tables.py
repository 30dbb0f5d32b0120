"""The benchmark of real tables: the rows that everybody gets, the rivals, the units, the differences."""

import json
import math
from argparse import Namespace

import numpy as np
import pytest
import torch

import contrastive
from benchmarks.lib.density_rivals import RIVALS, Effort, climb, fit_rival
from benchmarks.lib.real_tables import dependent_columns, dequantized, read_table, split_table, table_names
from benchmarks.lib.table_plot import figure
from benchmarks.lib.table_summary import counts, main_table, noise_table, summarize
from benchmarks.lib.table_units import Plan, Unit, measure, read_unit
from benchmarks.library.tables import methods_of, units_of
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import read_checkpoint

QUICK = Effort(components=(1, 2, 3), bandwidths=(1.0, 0.5, 0.25), flow_seconds=3.0)


def test_ties_are_spread_within_half_of_their_smallest_gap_and_the_same_way_again():
    x = np.column_stack([np.repeat([0.0, 0.5, 2.0], 20), np.arange(60.0)])
    spread = dequantized(x, torch.Generator().manual_seed(1))
    assert (np.abs(spread[:, 0] - x[:, 0]) <= 0.25).all()
    assert len(np.unique(spread[:, 0])) == 60
    np.testing.assert_array_equal(spread[:, 1], x[:, 1])  # no ties
    np.testing.assert_array_equal(spread, dequantized(x, torch.Generator().manual_seed(1)))


def test_columns_that_follow_from_earlier_ones_are_found():
    a, b, c = np.random.default_rng(0).normal(size=(3, 200))
    x = np.column_stack([a, 1e6 * b + 3, a + b, c, c + 1e-6 * a, c + 1e-3 * b])
    assert dependent_columns(x) == [2, 4, 5]  # the last one: all of a, b and c are there
    assert dependent_columns(np.column_stack([a, a + 1e-4 * b])) == []


def test_dependent_columns_of_a_file_are_dropped_and_named(tmp_path):
    a, b = np.random.default_rng(0).normal(size=(2, 50))
    (tmp_path / "tables" / "made").mkdir(parents=True)
    np.savetxt(tmp_path / "tables" / "made" / "data.csv.gz", np.column_stack([a, 2 * a, b, 0 * b]), delimiter=",")
    table = read_table("made", tmp_path, 30)
    assert table.dropped == ("x1",)
    assert list(table.frame.columns) == ["x0", "x2"]  # and the constant one
    assert len(table.frame) == 30
    assert "made" in table_names(tmp_path)


def test_an_unknown_table_is_refused_in_one_line(tmp_path):
    with pytest.raises(ContrastiveError, match="no table 'irsi'"):
        read_table("irsi", tmp_path, 10)


@pytest.mark.filterwarnings("ignore::contrastive.errors.ContrastiveWarning")
def test_the_rows_that_judge_are_those_that_the_library_holds_out(tmp_path):
    frame = read_table("iris", None, 1000).frame
    contrastive.fit(frame, seed=3, noise="gaussian", steps=2, quiet=True, out=str(tmp_path / "run"))
    kept, _ = read_checkpoint(tmp_path / "run" / "held-out.safetensors")
    split = split_table(frame, 3)
    torch.testing.assert_close(split.test, kept["x"])
    rows = {tuple(row) for row in np.round(frame.to_numpy(), 4)}
    test = {tuple(row) for row in np.round(split.test.double().numpy(), 4)}
    assert {tuple(row) for row in np.round(split.fitting, 4)} == rows - test


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_the_density_of_a_rival_integrates_to_one_in_the_tables_own_units(name):
    x = np.random.default_rng(0).normal(size=(300, 2)) * [5.0, 0.2] + [100.0, 0.0]
    x[:, 1] += 0.002 * (x[:, 0] - 100) ** 2  # curved
    log_prob = fit_rival(name, x, effort=QUICK)
    axes = [np.linspace(c.mean() - 12 * c.std(), c.mean() + 12 * c.std(), 400) for c in x.T]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    cell = math.prod(axis[1] - axis[0] for axis in axes)
    assert np.exp(log_prob(points)).sum() * cell == pytest.approx(1, abs=0.02)


def test_a_rival_knows_two_clusters_from_one():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 1)) + 20 * generator.integers(2, size=(400, 1))
    fresh = generator.normal(size=(2000, 1)) + 20 * generator.integers(2, size=(2000, 1))
    truth = -0.5 * math.log(2 * math.pi * math.e) - math.log(2)
    assert fit_rival("gaussian", x)(fresh).mean() < truth - 0.5
    for name in ("mixture-bic", "mixture-held-out", "kde"):
        # Mean of 2,000 rows with deviation 0.7: the error exceeds 0.1 less than once in 1e6.
        assert fit_rival(name, x)(fresh).mean() == pytest.approx(truth, abs=0.1), name


def test_a_ladder_is_left_after_two_rungs_that_gain_nothing():
    tried = []

    def score(rung):
        tried.append(rung)
        return {1: 0.0, 2: 3.0, 3: 2.0, 4: 3.0}.get(rung, 9.0)

    assert climb([1, 2, 3, 4, 5], score) == (3.0, 2)
    assert tried == [1, 2, 3, 4]
    with pytest.raises(ContrastiveError, match="none of the candidates"):
        climb([1, 2], lambda rung: -math.inf)


def _unit(method, seed, log_prob, **more):
    return {"table": "t", "seed": seed, "method": method, "seconds": 1.0, "log_prob": log_prob, **more}


def _units():
    fitted = {"noise": "kde", "log_partition_verdict": "reliable", "rows": 3_000, "columns": 2}
    return [
        _unit("default", 0, [2.0, 4.0], log_q=[1.0, 1.0], energy_kept=True, **fitted),
        _unit("default", 1, [6.0, 8.0], log_q=[6.0, 8.0], energy_kept=False, **fitted),
        _unit("gaussian", 0, [0.0, 1.0]),
        _unit("gaussian", 1, [2.0, 3.0]),
        _unit("kde", 0, [100.0, 100.0]),  # not there on the other split
        {"table": "t", "seed": 1, "method": "kde", "seconds": 0.0, "error": "ValueError: no"},
    ]


def test_differences_are_paired_over_the_rows_of_all_splits():
    record = summarize("t", _units())
    gaps = [2.0, 3.0, 4.0, 5.0]
    mean, error = record["to_best_rival"]["default"]
    assert record["best_rival"] == "gaussian"
    assert mean == pytest.approx(3.5)
    assert error == pytest.approx(np.std(gaps, ddof=1) / 2)
    assert record["gains"]["default"][0] == pytest.approx((1 + 3 + 0 + 0) / 4)
    assert record["log_prob"]["its noise"] == pytest.approx(4.0)
    assert (record["energies_kept"], record["reliable"]) == (1, 1)


def test_a_method_that_failed_on_a_split_has_a_dash():
    record = summarize("t", _units())
    assert "kde" not in record["log_prob"]
    line = main_table([record]).splitlines()[-1]
    assert line.startswith("| t (3,000 x 2) | 5.00 | 4.00 kde | +1.00 ± 0.71 | **1.50** | – |")
    assert noise_table([record]).splitlines()[-1] == "| t | – | – | – | – | – | – | – | – |"
    figure([record])


def test_tables_are_counted_by_two_standard_errors():
    ahead = summarize("t", _units())
    behind = {**ahead, "table": "u", "rows": 100, "to_best_rival": {"default": (-3.0, 1.0)}}
    level = {**ahead, "table": "v", "to_best_rival": {"default": (-1.9, 1.0)}}
    nothing = summarize("w", [])
    found = counts([ahead, behind, level, nothing])
    assert (found["tables"], found["behind"], found["ahead"]) == (3, ["u"], ["t"])
    assert (found["large_tables"], found["ahead_of_large"]) == (2, ["t"])
    figure([nothing])


def test_a_unit_that_is_kept_is_read_and_not_made_again(tmp_path):
    plan, unit = Plan(None, tmp_path, effort=QUICK), Unit("iris", 0, "gaussian")
    measure(unit, plan)
    path = unit.path(tmp_path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert len(kept["log_prob"]) == kept["test_rows"] == 15
    path.write_text(json.dumps({**kept, "log_prob": [123.0] * 15}), encoding="utf-8")
    measure(unit, plan)
    assert read_unit(unit, plan)["log_prob"] == [123.0] * 15
    with pytest.raises(ContrastiveError, match="rows 20000: name another --out"):
        read_unit(unit, Plan(None, tmp_path, rows=100, effort=QUICK))


def test_a_unit_that_fails_says_why_and_ends_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("no such luck")

    monkeypatch.setitem(RIVALS, "gaussian", broken)
    plan, unit = Plan(None, tmp_path), Unit("iris", 0, "gaussian")
    measure(unit, plan)
    assert read_unit(unit, plan)["error"] == "ValueError: no such luck"
    after = Unit("iris", 0, "noise:gaussian")
    measure(after, plan)
    assert read_unit(after, plan) is None  # the default is not there yet
    default = Unit("iris", 0, "default")
    default.path(tmp_path).write_text(json.dumps({"asked": {"rows": 20_000}, "error": "no"}), encoding="utf-8")
    measure(after, plan)
    assert "the default has failed" in read_unit(after, plan)["error"]


def test_no_unit_is_begun_after_the_deadline(tmp_path):
    plan, unit = Plan(None, tmp_path, deadline=0.0), Unit("iris", 0, "gaussian")
    measure(unit, plan)
    assert read_unit(unit, plan) is None


def test_the_default_is_judged_by_the_upper_end_of_log_z(tmp_path):
    unit = Unit("faithful-like", 0, "default")
    (tmp_path / "tables" / "small").mkdir(parents=True)
    x = np.random.default_rng(0).normal(size=(200, 2))
    np.savetxt(tmp_path / "tables" / "small" / "faithful-like.csv", x, delimiter=",", header="a,b", comments="")
    plan = Plan(tmp_path, tmp_path / "out", steps=20)
    measure(unit, plan)
    found = read_unit(unit, plan)
    summary = json.loads((unit.folder(plan.out) / "default-run" / "summary.json").read_text(encoding="utf-8"))
    assert np.mean(found["log_prob"]) == pytest.approx(summary["test_log_prob_energy_normalized"], abs=1e-6)
    assert np.mean(found["log_q"]) == pytest.approx(summary["test_log_prob_noise"], abs=1e-4)
    after = Unit("faithful-like", 0, "noise:gaussian")
    measure(after, plan)
    assert read_unit(after, plan)["chosen_by"] == "default"


def test_long_units_begin_first_and_what_follows_the_default_last(tmp_path):
    rows = Namespace(seeds=2, large_seeds=1, first_seed=0)
    units = units_of(["iris", "diabetes"], methods_of("noises,default,gaussian"), rows, Plan(None, tmp_path))
    assert units[0] == Unit("diabetes", 0, "default")
    assert len(units) == 2 * 2 * 8
    after = [unit.follows_default for unit in units]
    assert after == sorted(after)
    with pytest.raises(ContrastiveError, match="no method 'mixtures'"):
        methods_of("default,mixtures")
