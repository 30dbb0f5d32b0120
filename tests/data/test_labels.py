"""Labels in data: names, hiding, batches of their own, files, and the commands that read them."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from helpers.runs import refused

from contrastive import ContrastiveError, fit, load
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.densities import make_density
from contrastive.data.labels import LabelledSource, encode, hold_out_unlabelled_first, keep_per_class
from contrastive.data.preparation import prepare
from contrastive.data.sources import ArraySource

QUICK = {"steps": 30, "batch_size": 50, "energy_options": {"widths": [8]}, "log_partition_draws": 0, "quiet": True}


@pytest.mark.parametrize(
    ("values", "y", "classes"),
    [
        ([3, -1, 7, 3], [0, -1, 1, 0], [3, 7]),
        (np.array([3.0, np.nan, 7.0, -1.0]), [0, -1, 1, -1], [3, 7]),
        (["b", "a", "", "b "], [1, 0, -1, 1], ["a", "b"]),
        (np.array(["b", None, np.nan, "a"], dtype=object), [1, -1, -1, 0], ["a", "b"]),
        ([True, False], [1, 0], ["False", "True"]),
        (torch.tensor([1, 0, -1]), [1, 0, -1], [0, 1]),
    ],
)
def test_labels_are_numbered_and_minus_one_is_unlabelled(values, y, classes):
    assert (encode(values)[0].tolist(), encode(values)[1]) == (y, classes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 1.0], "whole numbers or words, got 0.5"),
        ([[0, 1]], "one column"),
        ([-1, 1, 1], "only the class 1, .* -1 and empty mean unlabelled"),
        ([-1, -1], "no class"),
        (np.arange(1200), "1,200 classes; is it a label column"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime"),
    ],
)
def test_what_is_no_label_column_says_so(values, message):
    with pytest.raises(ContrastiveError, match=message):
        encode(values)


def test_labels_of_new_data_must_be_classes_of_the_run():
    assert encode(["b", "", "a"], ["a", "b"])[0].tolist() == [1, -1, 0]
    with pytest.raises(ContrastiveError, match="'c' is no class of this run; its classes are a, b"):
        encode(["c"], ["a", "b"])


def test_so_many_labels_a_class_stay_and_more_are_those_and_others():
    y = torch.randint(-1, 3, (500,))
    few, more = (keep_per_class(y, n, seed=4, classes=[0, 1, 2]) for n in (5, 20))
    for kept, count in ((few, 5), (more, 20)):
        assert torch.bincount(kept[kept >= 0]).tolist() == [count] * 3
        assert torch.equal(kept[kept >= 0], y[kept >= 0])
    assert bool((more[few >= 0] == few[few >= 0]).all())
    assert not torch.equal(few, keep_per_class(y, 5, seed=5, classes=[0, 1, 2]))
    assert torch.equal(keep_per_class(y, 0, seed=4, classes=[0, 1, 2]), y)
    with pytest.raises(ContrastiveError, match=r"class 'cat' has .* fewer than --labels-per-class 400"):
        keep_per_class(y, 400, seed=0, classes=["cat", "dog", "ape"])


def test_unlabelled_rows_are_held_out_first():
    y = torch.tensor([0, 1, -1, 0, -1, 1])
    assert hold_out_unlabelled_first(torch.arange(6), y, 2).tolist() == [2, 4, 0, 1, 3, 5]
    assert hold_out_unlabelled_first(torch.arange(6), y, 4).tolist() == [2, 4, 0, 1, 3, 5]
    assert hold_out_unlabelled_first(torch.arange(6).flip(0), y, 1).tolist() == [4, 5, 3, 2, 1, 0]


def test_labelled_batches_are_a_function_of_seed_and_position():
    z, y = torch.randn(40, 2), torch.arange(10) % 3
    source = LabelledSource(ArraySource(z), ArraySource(z[:10], y), 10, 4)
    whole, late = source.batches(8, 3, 0), source.batches(8, 3, 7)
    first = [next(whole) for _ in range(20)]
    for batch in first[7:]:
        assert all(torch.equal(a, b) for a, b in zip(batch.labelled, next(late).labelled))
    seen = torch.cat([batch.labelled.z for batch in first[:5]])  # 20 rows: each of the 10 twice
    assert all(int((seen == row).all(1).sum()) == 2 for row in z[:10])
    for batch in first:
        assert all(bool((z[:10] == row).all(1).any()) for row in batch.labelled.z)
    with pytest.raises(ContrastiveError, match="10 labelled rows are fewer than a batch of 11"):
        LabelledSource(ArraySource(z), ArraySource(z[:10], y), 10, 11)


@pytest.mark.parametrize("name", ["two-spirals", "moons", "8gaussians"])
def test_classes_of_a_density_are_its_parts(name):
    """Labelled draws are the plain ones, and each part has as many as its posterior says, within 5 sd."""
    density = make_density(name)
    torch.manual_seed(5)
    plain = density.sample((4000,))
    torch.manual_seed(5)
    x, y = density.sample_labelled(4000)
    assert torch.equal(plain, x)
    log_joint = density.class_log_prob(x.double())
    torch.testing.assert_close(log_joint.exp().mean(1).log(), density.log_prob(x.double()))
    posterior = log_joint.softmax(1)
    for k in range(density.num_classes):
        expected, spread = float(posterior[:, k].sum()), float((posterior[:, k] * (1 - posterior[:, k])).sum()) ** 0.5
        assert abs(float((y == k).sum()) - expected) < 5 * spread + 1e-3


def test_labels_of_a_density_are_few_and_its_test_labels_all():
    prepared = prepare("two-spirals", configure(labels_per_class=7, label_seed=2))
    assert torch.bincount(prepared.source.labelled.y).tolist() == [7, 7]
    density = make_density("two-spirals")
    labelled = prepared.source.labelled
    assert float((density.class_log_prob(labelled.z).argmax(1) == labelled.y).double().mean()) > 0.8
    right = density.class_log_prob(prepared.test[:2000]).argmax(1) == prepared.test_labels[:2000]
    assert float(right.double().mean()) > 0.99
    with pytest.raises(ContrastiveError, match="not made of parts"):
        prepare("rings", configure(labels_per_class=7))
    with pytest.raises(ContrastiveError, match="have no end"):
        prepare("moons", configure(labels_per_class=0))


def test_rows_and_labels_stay_together():
    x = torch.arange(200.0).reshape(100, 2) + torch.rand(100, 2)
    y = (x[:, 0] > 100).long()
    y[::4] = -1
    for data in (x, torch.utils.data.TensorDataset(x)):
        prepared = prepare(data, configure(), y)
        labelled = prepared.scaling.inverse(prepared.source.labelled.z)
        assert torch.equal((labelled[:, 0] > 100).long(), prepared.source.labelled.y)
        known = prepared.test_labels >= 0
        assert torch.equal((prepared.test[known, 0] > 100).long(), prepared.test_labels[known])
        assert len(prepared.source.labelled.z) + int(known.sum()) == 75  # none is lost to validation
    with pytest.raises(ContrastiveError, match="3 labels for 100 rows"):
        prepare(x, configure(), [0, 1, 0])
    with pytest.raises(ContrastiveError, match="are its own"):
        prepare("moons", configure(), y)


def test_labelled_images_are_dequantised_anew_and_hidden_labels_are_left_out(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.integers(256, size=(80, 1, 12, 12)).astype(np.uint8), random.integers(3, size=80)
    np.savez(tmp_path / "images.npz", x=x, y=y)
    for data, labels in ((x, y), (tmp_path / "images.npz", None)):
        prepared = prepare(data, configure(labels_per_class=4, batch_size=20), labels)
        assert prepared.classes == [0, 1, 2]
        assert int((prepared.labels >= 0).sum()) == 12
        first, second = (batch for batch, _ in zip(prepared.source.batches(20, 0, 0), range(2)))
        assert first.y is None
        assert first.labelled.y.shape == second.labelled.y.shape == (12,)
        for batch in (first, second):
            pixels = prepared.scaling.inverse(batch.labelled.z).floor().numpy()
            for image, label in zip(pixels, batch.labelled.y):
                assert y[int((x == image).all((1, 2, 3)).argmax())] == label
                assert (x == image).all((1, 2, 3)).any()
        by_label = [batch.labelled.z[batch.labelled.y.argsort()] for batch in (first, second)]
        assert not torch.equal(*by_label)
    with pytest.raises(ContrastiveError, match="labels of images are in the array y"):
        prepare(tmp_path / "images.npz", configure(label_column="kind"))
    words = prepare(x, configure(batch_size=20), np.array(["ape", "bee", ""])[y])
    assert words.classes == ["ape", "bee"]
    assert len(words.source.labelled.rows) == int((words.labels >= 0).sum())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with a column of words, a fifth of them empty; the same as an .npz; a finished run."""
    folder = tmp_path_factory.mktemp("labels")
    random = np.random.default_rng(0)
    y = random.integers(3, size=400)
    x = random.normal(size=(400, 2)) + 3 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    words = np.array(["ape", "bee", "cat"])[y]
    with (folder / "table.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["height", "kind", "weight"])
        writer.writerows([a, "" if i % 5 == 0 else word, b] for i, ((a, b), word) in enumerate(zip(x.tolist(), words)))
    np.savez(folder / "arrays.npz", x=x, y=y)
    np.save(folder / "bare.npy", x)
    settings = {**QUICK, "steps": 400, "batch_size": 200}
    fit(folder / "table.csv", label_column="kind", noise="student-t", out=str(folder / "run"), **settings)
    return folder


def test_a_table_with_a_label_column(folder):
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["classes"] == ["ape", "bee", "cat"]
    assert summary["columns"] == ["height", "weight"]
    assert summary["test_error"] < 0.35
    assert {"test_log_loss", "test_calibration_error"} <= set(summary)
    assert load(folder / "run").predict_proba(torch.zeros(2, 2)).shape == (2, 3)


def test_predict_writes_classes_and_probabilities(folder, capsys):
    arguments = ["predict", str(folder / "run"), "--data", str(folder / "table.csv"), "--out"]
    assert main([*arguments, str(folder / "p.csv")]) == 0
    assert "400 rows, classes ape, bee, cat" in capsys.readouterr().out
    assert main([*arguments, str(folder / "p.npz")]) == 0
    with (folder / "p.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    arrays = np.load(folder / "p.npz")
    estimator = load(folder / "run")
    x = torch.from_numpy(np.load(folder / "arrays.npz")["x"])
    proba = estimator.predict_proba(x).numpy()
    np.testing.assert_allclose(arrays["probabilities"], proba, atol=1e-6)
    np.testing.assert_allclose(arrays["log_p"], estimator.log_prob(x).numpy(), atol=1e-5)
    names = np.array(["ape", "bee", "cat"])[proba.argmax(1)].tolist()
    assert arrays["label"].tolist() == [row["label"] for row in rows] == names
    np.testing.assert_allclose([float(row["probability of bee"]) for row in rows], proba[:, 1], atol=1e-6)
    # A file without the labels will do as well.
    (folder / "new.csv").write_text("height,weight\n0,0\n3,0\n")
    assert (
        main(["predict", str(folder / "run"), "--data", str(folder / "new.csv"), "--out", str(folder / "n.csv")]) == 0
    )
    assert len((folder / "n.csv").read_text().splitlines()) == 3


def test_evaluate_judges_labels_where_the_file_has_them(folder, capsys):
    assert main(["evaluate", str(folder / "run"), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    assert own["test_error"] == json.loads((folder / "run" / "summary.json").read_text())["test_error"]
    assert main(["evaluate", str(folder / "run"), "--data", str(folder / "table.csv"), "--json"]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["test_error"] < 0.4
    (folder / "bare.csv").write_text("height,weight\n0,0\n3,0\n")
    assert main(["evaluate", str(folder / "run"), "--data", str(folder / "bare.csv"), "--json"]) == 0
    assert "test_error" not in json.loads(capsys.readouterr().out)


def test_draws_of_one_class(folder):
    """The run gives each draw of a class back to it, but for what its classes share."""
    estimator = load(folder / "run")
    for k in range(3):
        out = folder / f"{k}.npy"
        command = ["sample", str(folder / "run"), "--sampler", "resampling", "--label", str(k), "-n", "500"]
        assert main([*command, "--out", str(out)]) == 0
        share = (estimator.predict(torch.from_numpy(np.load(out))) == k).double().mean()
        assert float(share) > 0.6


@pytest.mark.parametrize("settings", [{"label_column": "y"}, {"labels_per_class": 4}])
def test_labels_of_an_npz(folder, settings):
    prepared = prepare(folder / "arrays.npz", configure(**settings))
    assert prepared.classes == [0, 1, 2]
    assert len(prepared.source.labelled.z) == (320 if "label_column" in settings else 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit --data {}/table.csv", "columns that are not numeric: kind; .*--label-column"),
        ("fit --data {}/table.csv --label-column kinds", "no column 'kinds'"),
        ("fit --data {}/table.csv --columns height,kind --label-column kind", "leave it out of --columns"),
        ("fit --data {}/table.csv --label-column weight --columns height", "whole numbers or words"),
        ("fit --data {}/arrays.npz --label-column z", "no array 'z'"),
        ("fit --data {}/bare.npy --label-column y", "save an .npz with x and y"),
        ("fit --data {}/bare.npy --labels-per-class 3", "no labels to learn"),
        ("fit --data {}/table.csv --label-column kind --labels-per-class 300", "fewer than --labels-per-class 300"),
        ("fit --data {}/table.csv --label-column kind --energy gaussian", "cannot have classes"),
        ("fit --data rings --labels-per-class 3", "not made of parts"),
        ("predict {}/run --data {}/table.csv --out {}/p.txt", ".csv or .npz"),
        ("predict {}/run --data {}/table.csv --out {}/table.csv", "exists already"),
        ("predict {}/run --data {}/bare.npy --out {}/run", ".csv or .npz"),
        ("predict {}/none --data {}/bare.npy --out {}/q.csv", "is not a run"),
        ("sample {}/run --label 3 --out {}/q.npy", "has classes 0 to 2"),
    ],
)
def test_errors_are_one_line(folder, capsys, arguments, message):
    errors = refused(capsys, *arguments.replace("{}", str(folder)).split())
    assert re.search(message, errors), errors


def test_predict_needs_a_run_with_classes(tmp_path, capsys):
    fit("moons", noise="gaussian", out=str(tmp_path / "run"), **QUICK)
    assert main(["predict", str(tmp_path / "run"), "--data", "moons", "--out", str(tmp_path / "p.csv")]) == 2
    assert "was fitted without labels" in capsys.readouterr().err


def test_the_report_shows_classes_and_calibration(folder):
    assert main(["plot", str(folder / "run")]) == 0
    html = (folder / "run" / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 8  # densities, classes, calibration, curves; light and dark
    assert "label error" in html
