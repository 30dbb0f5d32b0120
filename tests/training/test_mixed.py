"""Fits of tables as they are: categories, gaps and atoms, from Python and from the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

import contrastive
from contrastive import ContrastiveError
from contrastive.cli.main import main
from contrastive.testing import make_subject
from contrastive.testing.mixed import support
from contrastive.training.callbacks import Callback

N = 400
QUICK = {"steps": 60, "pretrain_steps": 60, "batch_size": 100, "quiet": True}


def table(seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2])
    size = rng.normal(np.where(kind == "a", -2, 2), 0.5)
    size[rng.random(N) < np.where(kind == "c", 0.6, 0.1)] = np.nan
    return pd.DataFrame({"kind": kind, "size": size, "rain": np.where(rng.random(N) < 0.5, 0, rng.exponential(2, N))})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run: its estimator and where it is."""
    out = tmp_path_factory.mktemp("runs") / "mixed"
    return contrastive.fit(table(), positive="rain", out=str(out), **QUICK), out


def test_log_prob_of_rows_with_gaps_is_that_of_values_and_pattern(run):
    """It sums and integrates to Z over every state and value of the table."""
    estimator, _ = run
    assert np.isfinite(estimator.score_samples(table(1))).all()
    subject = make_subject(lambda: estimator.noise, "noise", event_shape=(5,))
    z, weights = support(estimator.noise.double(), subject)
    with torch.no_grad():
        log_z = float((estimator.double().model_energy(z) + weights.log()).logsumexp(0))
        estimator.float()
    found = estimator.log_partition(draws=5_000)
    assert found.low - 0.01 <= log_z <= found.high + 0.01


def test_a_run_is_loaded_with_its_schema(run):
    estimator, out = run
    loaded = contrastive.load(out)
    frame = table(2)
    np.testing.assert_allclose(loaded.score_samples(frame), estimator.score_samples(frame), rtol=1e-5, atol=1e-5)
    columns = loaded.scaling.columns
    assert [column.kind for column in columns] == ["category", "continuous", "positive"]
    torch.manual_seed(0)
    drawn = loaded.to_frame(loaded.sample_noise(300))
    assert set(drawn["kind"]) == {"a", "b", "c"}
    assert drawn["size"].isna().any()
    assert (drawn["rain"] >= 0).all()
    assert (drawn["rain"] == 0).any()


def test_columns_are_found_by_name_and_others_ignored(run):
    estimator, _ = run
    frame = table(3)
    turned = frame[["rain", "kind", "size"]].assign(other=1.0)
    with pytest.warns(UserWarning, match="ignored the columns 'other'"):
        np.testing.assert_array_equal(estimator.score_samples(turned), estimator.score_samples(frame))


def test_new_rows_that_the_schema_cannot_take_are_one_clear_line(run):
    estimator, _ = run
    frame = table(4)
    frame.loc[5, "kind"] = "d"
    with pytest.raises(ContrastiveError, match="column 'kind', row 6: the category 'd' was not seen in training"):
        estimator.log_prob(frame)
    frame.loc[5, "kind"] = None
    assert np.isnan(estimator.score_samples(frame)[5])
    assert np.isfinite(np.delete(estimator.score_samples(frame), 5)).all()
    frame = table(4)
    frame.loc[7, "rain"] = -1.0
    with pytest.raises(ContrastiveError, match=r"'rain' is positive, but -1 in row 8 is not positive"):
        estimator.log_prob(frame)


def test_the_energy_adds_what_an_untrained_noise_lacks():
    """NCE alone learns that size depends on kind and when it is missing: 0.5 nats at the least."""
    settings = {"mixed": True, "pretrain_steps": 1, "steps": 300, "noise_options": {"width": 8}, "quiet": True}
    estimator = contrastive.fit(table()[["kind", "size"]], **settings)
    assert estimator.summary["test_gain"] > 0.5


def test_any_noise_will_do_where_every_column_is_continuous_and_has_no_gaps():
    x = np.random.default_rng(0).lognormal(size=(N, 2))
    estimator = contrastive.fit(x, positive=["x0", "x1"], noise="gaussian", energy="tilted", steps=5, quiet=True)
    expected = scipy.stats.lognorm(1).logpdf(x).sum(1)
    assert abs(estimator.score_samples(x) - expected).mean() < 0.2  # without the log-determinant it is above 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "gaussian", "mixed": True}, "'gaussian' is a density of real numbers.*mixed-made"),
        ({"noise": "auto", "mixed": True}, "'auto' is for continuous columns"),
        ({"mixed": False, "categorical": "kind"}, "data.mixed false ignores it"),
        ({"mixed": True, "dequantize": True}, "dequantize is for continuous columns"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ContrastiveError, match=message):
        contrastive.fit(table(), **settings, **QUICK)


def test_mixed_is_for_tables():
    with pytest.raises(ContrastiveError, match="8gaussians is none"):
        contrastive.fit("8gaussians", mixed=True, **QUICK)


def test_the_commands_from_the_schema_to_the_filled_table(run, tmp_path, capsys, monkeypatch):
    _, out = run
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    assert main(["schema", "t.csv", "--positive", "rain"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
        ["kind", "category", "counting"],
        ["size", "continuous", "Lebesgue"],
        ["rain", "positive", "Lebesgue"],
    ]
    assert main(["schema", str(out), "--json"]) == 0
    assert [column["name"] for column in json.loads(capsys.readouterr().out)] == ["kind", "size", "rain"]

    holes = table(5).head(20)
    holes.loc[3, "kind"] = None
    holes.loc[4, "rain"] = np.nan
    holes.to_csv("holes.csv", index=False)
    assert (
        main(["impute", str(out), "--data", "holes.csv", "--out", "filled.csv", "--draws", "2", "--proposals", "8"])
        == 0
    )
    filled = pd.read_csv("filled.csv")
    assert len(filled) == 40
    assert filled["draw"].tolist() == [1] * 20 + [2] * 20
    assert not filled.isna().any().any()
    first = filled[filled["draw"] == 1].reset_index(drop=True)
    there = holes["size"].notna()
    np.testing.assert_array_equal(first["size"][there], holes["size"][there])
    assert main(["score", str(out), "--data", "filled.csv", "--out", "scores.csv", "--top", "1"]) == 0
    assert main(["sample", str(out), "--from", "noise", "-n", "20", "--out", "drawn.csv"]) == 0
    assert set(pd.read_csv("drawn.csv")["kind"]) <= {"a", "b", "c"}
    assert main(["evaluate", str(out), "--data", "t.csv", "--json"]) == 0
    assert main(["features", str(out), "--data", "t.csv", "--out", "features.npz"]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_classes_are_learned_from_rows_with_gaps():
    settings = {"label_column": "kind", "mixed": True, "noise_options": {"width": 8}, **QUICK, "steps": 200}
    frame = table()
    estimator = contrastive.fit(frame, **settings)
    there = frame["size"].notna().to_numpy()
    right = np.array(["a", "b", "c"])[estimator.predict(frame)] == frame["kind"]
    assert right[there].mean() > 0.7
    assert estimator.predict_proba(frame).shape == (N, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["schema", "t.csv", "--positive", "size"],
        ["schema", "t.csv", "--bounded", "size:0:1"],
        ["schema", "t.csv", "--integer", "kind"],
        ["schema", "t.csv", "--categorical", "kid"],
        ["schema", "nothing.csv"],
        ["fit", "--data", "t.csv", "--data.circular", "size:1:0", "--quiet"],
    ],
)
def test_bad_schemas_end_with_code_2_and_one_line(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("contrastive: error: ")
    assert "\n" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv"]


class Stop(Callback):
    """Ctrl-C in the contrast."""

    def on_update(self, trainer, mover):
        if mover == "energy" and trainer.position.updates == 90:
            raise KeyboardInterrupt


def test_a_run_that_was_stopped_goes_on_to_the_same_figures(tmp_path):
    settings = {**QUICK, "mixed": True, "run": {"checkpoint_every": 30, "log_partition_draws": 0}}
    whole = contrastive.fit(table(), out=str(tmp_path / "whole"), **settings)
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(table(), out=str(tmp_path / "cut"), callbacks=[Stop()], **settings)
    again = contrastive.fit(table(), resume=tmp_path / "cut", quiet=True)
    np.testing.assert_array_equal(again.score_samples(table(1)), whole.score_samples(table(1)))
