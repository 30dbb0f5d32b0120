"""`estimator.save`: a directory of settings and tensors that `contrastive.load` and the commands read."""

import json

import numpy as np
import pytest
import torch
import yaml
from helpers.registered import REQUIRED
from helpers.runs import QUICK
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, available_noises, fit, load, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.config import changed
from contrastive.training.run_files import MARKER

SMALL = {"energy_options": {"widths": [4]}}
FILES = {MARKER, "config.yaml", "model.safetensors", "summary.json"}


def table(rows=100, columns=2):
    return torch.from_numpy(np.random.default_rng(0).normal(3, 2, (rows, columns)))


def same_answers(first, second, x):
    torch.testing.assert_close(first.log_prob(x), second.log_prob(x), rtol=0, atol=0)
    torch.testing.assert_close(first.noise_log_prob(x), second.noise_log_prob(x), rtol=0, atol=0)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    return True


@pytest.fixture(scope="module")
def estimator():
    return fit(table(), **SMALL, **QUICK)


@pytest.fixture
def saved(estimator, tmp_path):
    estimator.save(tmp_path / "saved")
    return tmp_path / "saved"


CASES = {
    "fixed noise": {},
    "adaptive noise with a defensive component": {
        "noise": "glow",
        "method": "fce",
        "noise_options": {"depth": 1, "width": 4},
    },
    "built on the noise": {"energy": "tilted", "defensive_share": 0.3, "noise": "student-t"},
    "another objective": {"objective": "conditional", "objective_options": {"scale": 0.3}, "noise_ratio": 2.0},
    "likelihood alone": {"method": "mle"},
    "original units": {"standardize": False},
}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_what_is_loaded_answers_as_what_was_saved(settings, tmp_path):
    x = table()
    options = {} if settings.get("method") == "mle" else SMALL
    estimator = fit(x, **options, **settings, **QUICK)
    estimator.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert same_answers(estimator, loaded, x)
    assert loaded.summary == json.loads(json.dumps(estimator.summary))
    assert loaded.config == changed(estimator.config, {"run.out": str(tmp_path / "saved")})
    assert loaded.adapt_noise == estimator.adapt_noise
    assert loaded.noise_ratio == estimator.noise_ratio


@pytest.mark.parametrize(
    "name", [name for name in available_noises() if name not in ("distribution", "bernoulli-spins")]
)
def test_what_settings_name_is_rebuilt_with_every_noise(name, tmp_path):
    shape = (2,)
    try:
        make_noise(name, event_shape=shape, **REQUIRED.get(name, {}))
    except ContrastiveError:
        shape = (1, 2, 3)
    x = table(40, int(np.prod(shape))).reshape(-1, *shape)
    estimator = fit(x, noise=name, noise_options=REQUIRED.get(name, {}), pretrain_steps=0, **SMALL, **QUICK)
    estimator.save(tmp_path / "saved")
    assert same_answers(estimator, load(tmp_path / "saved"), x)


def test_a_saved_directory_holds_a_run_and_nothing_else(saved, estimator):
    assert {path.name for path in saved.iterdir()} == FILES
    assert json.loads((saved / MARKER).read_text())["format"] == "contrastive-run-1"
    assert yaml.safe_load((saved / "config.yaml").read_text())["run"]["out"] == str(saved)
    assert json.loads((saved / "summary.json").read_text()) == json.loads(json.dumps(estimator.summary))


def test_a_run_that_was_loaded_can_be_saved_elsewhere(tmp_path):
    estimator = fit(table(), out=str(tmp_path / "run"), **SMALL, **QUICK)
    load(tmp_path / "run").save(tmp_path / "copy")
    estimator.save(tmp_path / "twin")
    assert same_answers(load(tmp_path / "copy"), load(tmp_path / "twin"), table())
    assert (tmp_path / "copy" / "summary.json").read_bytes() == (tmp_path / "run" / "summary.json").read_bytes()


def test_columns_and_classes_are_kept(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table().numpy(), columns=["height", "weight"])
    estimator = fit(frame, y=["a" if h > 3 else "b" for h in frame.height], class_prior="labelled", **SMALL, **QUICK)
    estimator.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert loaded.columns == estimator.columns == ("height", "weight")
    assert same_answers(estimator, loaded, frame[["weight", "height"]])
    assert torch.equal(loaded.predict_proba(frame), estimator.predict_proba(frame))


def test_images_are_saved(tmp_path):
    x = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8)
    estimator = fit(x, energy="conv", noise="diag-gaussian", bits=5, logit=0.05, **SMALL, **QUICK)
    estimator.save(tmp_path / "saved")
    assert same_answers(estimator, load(tmp_path / "saved"), x)


def test_double_precision_is_kept(estimator, tmp_path):
    double = fit(table(), **SMALL, **QUICK).double()
    with torch.no_grad():
        double.log_normalizer += 1e-12
    double.save(tmp_path / "saved")
    assert same_answers(double, load(tmp_path / "saved"), table())


def test_a_fit_in_place_is_saved_with_the_models_that_it_had(saved):
    loaded = load(saved, trainable=True)
    loaded.fit(table() + 1, steps=3, batch_size=10, log_partition_draws=0, quiet=True)
    loaded.save(saved, overwrite=True)
    again = load(saved)
    assert same_answers(loaded, again, table())
    assert (again.config.energy.name, again.config.energy.options) == ("mlp", {"widths": [4]})
    assert (again.config.game.steps, again.config.game.batch_size) == (3, 10)


def test_the_commands_work_on_a_saved_directory(saved, tmp_path, capsys):
    np.savetxt(tmp_path / "x.csv", table(), delimiter=",", header="x0,x1", comments="")
    assert main(["sample", str(saved), "-n", "7", "--out", str(tmp_path / "draws.npy")]) == 0
    assert np.load(tmp_path / "draws.npy").shape == (7, 2)
    capsys.readouterr()
    assert main(["evaluate", str(saved), "--data", str(tmp_path / "x.csv"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["test_log_prob_energy"] == pytest.approx(float(load(saved).log_prob(table()).mean()))


def test_random_numbers_go_on_as_before(estimator, tmp_path):
    state = torch.get_rng_state()
    estimator.save(tmp_path / "saved")
    assert torch.equal(torch.get_rng_state(), state)


# What is refused -------------------------------------------------------------------------------------------------


def by_hand():
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    return ContrastiveEstimator(make_energy("mlp", event_shape=(2,), widths=(4,)), noise)


def one_line(refusal):
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_an_estimator_of_objects_says_to_pickle_it(tmp_path):
    for estimator in (by_hand(), by_hand().fit(table(), **QUICK), fit(table(), energy=by_hand().energy, **QUICK)):
        with pytest.raises(ContrastiveError, match="pickle it") as refusal:
            estimator.save(tmp_path / "saved")
        assert "fit by names" in one_line(refusal)
    assert not (tmp_path / "saved").exists()


def test_a_part_that_was_replaced_is_not_saved(tmp_path):
    estimator = fit(table(), **SMALL, **QUICK)
    estimator.energy = make_energy("mlp", event_shape=(2,), widths=(5,))
    with pytest.raises(ContrastiveError, match="no longer") as refusal:
        estimator.save(tmp_path / "saved")
    assert one_line(refusal)
    assert not (tmp_path / "saved").exists()


def test_a_place_that_is_taken_is_refused(estimator, saved):
    before = (saved / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(ContrastiveError, match="overwrite=True") as refusal:
        estimator.save(saved)
    assert "--resume" not in one_line(refusal)
    assert (saved / "model.safetensors").stat().st_mtime_ns == before


def test_overwrite_replaces_the_files_of_a_run_alone(saved):
    (saved / "thesis.tex").write_text("years of work")
    (saved / "normalizer.json").write_text("{}")
    other = fit(table() - 5, seed=1, **SMALL, **QUICK)
    other.save(saved, overwrite=True)
    assert same_answers(other, load(saved), table())
    assert {path.name for path in saved.iterdir()} == FILES | {"thesis.tex"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_run_is_never_replaced(overwrite, estimator, tmp_path):
    (tmp_path / "config.yaml").write_text("mine: true")
    with pytest.raises(ContrastiveError):
        estimator.save(tmp_path, overwrite=overwrite)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"config.yaml": "mine: true"}


def test_a_file_in_the_place_is_refused(estimator, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ContrastiveError, match="is a file"):
        estimator.save(tmp_path / "file", overwrite=True)


def test_a_run_is_not_replaced_by_an_estimator_that_is_not_finite(saved):
    before = (saved / "model.safetensors").read_bytes()
    estimator = fit(table(), **SMALL, **QUICK)
    with torch.no_grad():
        estimator.log_normalizer.fill_(torch.nan)
    with pytest.raises(ContrastiveError, match="not finite"):
        estimator.save(saved, overwrite=True)
    assert (saved / "model.safetensors").read_bytes() == before
