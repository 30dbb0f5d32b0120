"""Runs of data in memory can be evaluated, plotted and gone on with."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import contrastive
from contrastive.cli.main import main
from contrastive.data.sources import ArraySource
from contrastive.errors import ContrastiveError
from contrastive.training.callbacks import Callback

X = np.random.default_rng(0).normal(size=(120, 3)) @ np.array([[1.0, 0.5, 0], [0, 1, 0.2], [0, 0, 1]])
QUICK = {"steps": 30, "quiet": True, "log_partition_draws": 1000}


class Stop(Callback):
    def on_update(self, trainer, mover):
        if trainer.position.updates == 15:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("array") / "run"
    contrastive.fit(pd.DataFrame(X, columns=list("abc")), (X[:, 0] > 0).astype(int), out=str(path), **QUICK)
    return path


def test_it_is_evaluated_at_its_own_held_out_rows(run, capsys):
    assert main(["evaluate", str(run), "--json"]) == 0
    found, summary = json.loads(capsys.readouterr().out), json.loads((run / "summary.json").read_text())
    assert found["rows"] == summary["test_rows"] == 12
    for figure in ("test_log_prob_energy", "test_log_prob_noise", "test_error"):
        assert found[figure] == pytest.approx(summary[figure], abs=1e-6)


def test_it_is_plotted_and_normalised(run, capsys):
    assert main(["plot", str(run)]) == 0
    assert "12 held-out rows" in " ".join((run / "report.html").read_text().split())
    assert main(["normalizer", str(run), "--method", "importance", "--draws", "1000"]) == 0
    output = capsys.readouterr()
    assert "mean log p of the test rows" in output.out
    assert "are gone" not in output.err


def test_it_goes_on_with_the_data_to_the_same_figures(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    contrastive.fit(X, out=str(whole), checkpoint_every=10, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(X, out=str(cut), checkpoint_every=10, callbacks=[Stop()], **QUICK)
    assert main(["fit", "--resume", str(cut)]) == 2
    assert f"contrastive.fit(data, resume='{cut}')" in capsys.readouterr().err
    estimator = contrastive.fit(X, resume=cut, quiet=True)
    assert torch.equal(estimator.log_prob(X), contrastive.load(whole).log_prob(X))
    with pytest.raises(ContrastiveError, match="finished already"):
        contrastive.fit(X, resume=cut, quiet=True)
    with pytest.raises(ContrastiveError, match="resume takes every setting"):
        contrastive.fit(X, resume=cut, steps=3)


def test_a_run_cut_in_mid_epoch_goes_on_with_the_rows_that_it_would_have_seen(tmp_path, monkeypatch):
    """84 rows for training in batches of 35, of which one begins the stage: the cut is after 560 rows of 1,085."""
    seen, batches = [], ArraySource.batches

    def watched(source, *position):
        for batch in batches(source, *position):
            seen.extend(map(tuple, batch.z.tolist()))
            yield batch

    monkeypatch.setattr(ArraySource, "batches", watched)
    contrastive.fit(X, batch_size=35, **QUICK)
    whole = seen.copy()
    epochs = [whole[start : start + 84] for start in range(0, 12 * 84, 84)]
    assert len(whole) == 31 * 35
    assert [set(epoch) for epoch in epochs] == [set(epochs[0])] * 12
    assert len(set(epochs[0])) == 84
    assert len({tuple(epoch) for epoch in epochs}) == 12
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(X, batch_size=35, out=str(tmp_path / "cut"), callbacks=[Stop()], **QUICK)
    assert len(seen) == 16 * 35
    contrastive.fit(X, resume=tmp_path / "cut", quiet=True)
    assert seen == whole


def test_overwriting_takes_the_kept_rows_away(run, tmp_path):
    path = tmp_path / "run"
    contrastive.fit(X, out=str(path), **QUICK)
    assert (path / "held-out.safetensors").exists()
    contrastive.fit("moons", out=str(path), overwrite=True, **QUICK)
    assert not (path / "held-out.safetensors").exists()
