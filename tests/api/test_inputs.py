"""Whatever `fit` takes, every method takes."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

import contrastive
from contrastive.errors import ContrastiveError

ROWS = np.random.default_rng(0).normal(size=(60, 2)) @ np.array([[1.0, 0.5], [0.0, 2.0]])
FORMS = {
    "array": ROWS,
    "float32 array": ROWS.astype(np.float32),
    "tensor": torch.from_numpy(ROWS),
    "lists": ROWS.tolist(),
    "tuples": tuple(map(tuple, ROWS.tolist())),
    "data frame": pd.DataFrame(ROWS, columns=["a", "b"]),
    "Dataset": TensorDataset(torch.from_numpy(ROWS)),
}
METHODS = ("log_prob", "noise_log_prob", "unnormalized_log_prob", "log_ratio", "model_coordinates")


@pytest.fixture(scope="module")
def classes():
    y = (ROWS[:, 0] > 0).astype(int)
    return contrastive.fit(ROWS, y, steps=20, quiet=True)


@pytest.mark.parametrize("form", FORMS)
def test_what_was_fitted_can_be_scored(form):
    x = FORMS[form]
    estimator = contrastive.fit(x, steps=20, quiet=True)
    for method in METHODS:
        answer = getattr(estimator, method)(x)
        assert len(answer) == 60
        assert not answer.requires_grad
    assert len(estimator.features(x)) == 60
    estimator.value(x)
    estimator.contrast(x).loss.backward()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_rows_has_the_same_answers(classes, form):
    for method in (*METHODS, "predict", "predict_proba", "class_log_prob"):
        expected = getattr(classes, method)(torch.from_numpy(ROWS))
        torch.testing.assert_close(getattr(classes, method)(FORMS[form]), expected, atol=1e-5, rtol=1e-5)


def test_polars_frames_are_data_frames(classes):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    x = polars.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    torch.testing.assert_close(contrastive.fit(x, steps=20, quiet=True).log_prob(x).shape, torch.Size([60]))
    assert torch.equal(classes.log_prob(x), classes.log_prob(ROWS))


def test_answers_have_a_graph_only_where_the_rows_ask_for_one(classes):
    x = torch.from_numpy(ROWS).requires_grad_()
    log_p = classes.log_prob(x)
    (slope,) = torch.autograd.grad(log_p.sum(), x)
    step = torch.zeros_like(x)
    step[:, 0] = 1e-3
    numeric = (classes.log_prob(x.detach() + step) - classes.log_prob(x.detach() - step)) / 2e-3
    torch.testing.assert_close(slope[:, 0].float(), numeric, atol=2e-2, rtol=2e-2)
    assert not classes.log_prob(x.detach()).requires_grad
    assert contrastive.fit(ROWS, steps=5, quiet=True).log_prob(ROWS).numpy().shape == (60,)


def test_one_column_may_come_without_its_axis():
    x = ROWS[:, 0]
    estimator = contrastive.fit(x, steps=20, quiet=True)
    assert torch.equal(estimator.log_prob(x), estimator.log_prob(x[:, None]))


def test_files_can_be_scored(classes, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    assert torch.equal(classes.log_prob(tmp_path / "rows.npy"), classes.log_prob(ROWS))


def test_images_of_uint8_are_scored_at_the_middle_of_their_cells():
    pixels = torch.randint(0, 256, (40, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    estimator = contrastive.fit(pixels, energy="conv", energy_options={"widths": [4]}, steps=3, quiet=True)
    expected = estimator.log_prob(pixels.float() + 0.5)
    for x in (pixels, pixels.numpy(), pixels[:, 0].numpy(), pixels.numpy().transpose(0, 2, 3, 1)):
        torch.testing.assert_close(estimator.log_prob(x), expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 5)), r"shape \(n, 2\), got \(3, 5\)"),
        (np.zeros(3), r"shape \(n, 2\), got \(3, 1\)"),
        (np.array([["a", "b"]]), "expected numbers"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "the column 'a' holds"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), "several columns are called 'a'"),
    ],
)
def test_other_rows_are_refused_in_a_sentence(classes, x, message):
    with pytest.raises(ContrastiveError, match=message):
        classes.log_prob(x)


def test_a_warning_points_at_the_callers_line(classes):
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    estimator = contrastive.fit(frame, steps=5, quiet=True, log_partition_draws=0)
    with pytest.warns(contrastive.errors.ContrastiveWarning) as caught:
        estimator.log_prob(frame.assign(c=1.0))
    assert any("ignored the columns 'c'" in str(one.message) for one in caught)
    assert not any(one.filename.endswith(("points.py", "columns.py", "errors.py")) for one in caught)


@pytest.mark.parametrize("form", FORMS)
def test_score_samples_gives_an_array_of_log_densities(classes, form, monkeypatch):
    monkeypatch.setattr("contrastive.api._ROWS", 7)
    scores = classes.score_samples(FORMS[form])
    assert (scores.shape, scores.dtype) == ((60,), np.float64)
    np.testing.assert_allclose(scores, classes.log_prob(ROWS).numpy(), atol=1e-5)


def test_score_samples_has_no_number_for_rows_with_gaps(classes):
    x = ROWS.copy()
    x[3, 0], x[9, 1] = np.nan, -np.inf
    scores = classes.score_samples(x)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3, 9]
    np.testing.assert_allclose(np.delete(scores, [3, 9]), np.delete(classes.score_samples(ROWS), [3, 9]), atol=1e-5)


def test_score_samples_takes_images():
    images = np.random.default_rng(0).integers(0, 256, size=(120, 8, 8), dtype=np.uint8)
    estimator = contrastive.fit(images, noise="diag-gaussian", energy="tilted", steps=2, quiet=True)
    np.testing.assert_allclose(estimator.score_samples(images[:9]), estimator.log_prob(images[:9]).numpy(), rtol=1e-6)
