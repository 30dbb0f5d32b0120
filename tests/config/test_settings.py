"""One door for settings: keywords, YAML and options of the command line are read alike."""

import numpy as np
import pytest
import torch

import contrastive
from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.config import (
    DataFacts,
    ModelFacts,
    choose_models,
    configure,
    flattened,
    resolve,
    shown,
    without_effect,
)
from contrastive.errors import ContrastiveError, ContrastiveWarning

X = np.random.default_rng(0).normal(size=(40, 2))
WRONG = {
    "method": ("FCE", "did you mean 'fce'"),
    "optimizer": ("sgd", "did you mean 'ngd'"),
    "noise_optimizer": ("Adam", "did you mean 'adam'"),
    "precision": ("bfloat16", "'bf16'"),
    "recipe": ("papre", "did you mean 'paper'"),
    "schedule": ("gated", "did you mean 'gate'"),
    "decay": ("cosin", "did you mean 'cosine'"),
    "steps": ("many", "a whole number"),
    "batch_size": (2.5, "a whole number"),
    "learning_rate": ("fast", "a number"),
    "compile": ("perhaps", "true or false"),
}


def shown_as(name):
    """What messages call a setting."""
    (path,) = flattened({name: None})
    return shown(path)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_at_every_door(name, tmp_path, capsys):
    value, hint = WRONG[name]
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    doors = [
        lambda: contrastive.fit(X, quiet=True, **{name: value}),
        lambda: configure(**{name: value}),
        lambda: configure({name: value}),
    ]
    if name != "method":  # the estimator has its own
        doors.append(lambda: estimator.fit(X, quiet=True, **{name: value}))
    for door in doors:
        with pytest.raises(ContrastiveError, match=f"{shown_as(name)} must be .*{hint}"):
            door()
    (tmp_path / "config.yaml").write_text(f"{name}: {value}\n")
    assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 2
    assert main(["fit", f"--{name.replace('_', '-')}", str(value)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": "3", "seed": "1", "learning_rate": "1e-3"},
        {"steps": np.int64(3), "learning_rate": np.float32(0.001), "compile": np.bool_(False)},
        {"steps": torch.tensor(3), "validation": torch.tensor(0.25)},
        {"steps": 3.0},
    ],
)
def test_numbers_of_other_kinds_are_numbers(settings):
    assert configure(**settings).game.steps == 3
    contrastive.fit(X, quiet=True, **settings)


def test_lists_are_taken_where_the_command_line_takes_commas():
    assert configure(columns=["age", "height"]).data.columns == "age, height"
    assert configure(class_prior=[0.25, 0.75]).labels.prior == "0.25, 0.75"
    assert configure(class_prior=np.array([0.25, 0.75])).labels.prior == "0.25, 0.75"


@pytest.mark.parametrize("options", [3, "width", [1], {1: 2}])
def test_options_must_be_a_dictionary(options):
    with pytest.raises(ContrastiveError, match="noise_options must be a dictionary"):
        contrastive.fit(X, noise_options=options)


def test_a_config_keeps_its_own_options():
    options = {"width": 3}
    config = configure(noise_options=options)
    options["width"] = 4
    assert config.noise.options == {"width": 3}


@pytest.mark.parametrize("setting", [{"out": "runs/x"}, {"tensorboard": True}, {"noise_per_data": 2.0}])
def test_a_setting_that_an_estimators_own_fit_would_ignore_is_refused(setting):
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    with pytest.raises(ContrastiveError, match=f"{next(iter(setting))}.*leave it out"):
        estimator.fit(X, quiet=True, steps=3, **setting)


def test_a_misspelt_keyword_names_the_near_one():
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    for door in (contrastive.fit, estimator.fit):
        with pytest.raises(ContrastiveError, match="unknown setting 'learning_rat'; did you mean 'learning_rate'"):
            door(X, learning_rat=1e-3)


def test_an_estimators_fit_has_the_guard_of_bf16():
    estimator = ContrastiveEstimator(make_energy("ica", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    with pytest.raises(ContrastiveError, match="would round the log-density"):
        estimator.fit(X, quiet=True, steps=3, precision="bf16")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"gate_accuracy": 0.7}, "gate_accuracy"),
        ({"noise_learning_rate": 7e-4}, "noise_learning_rate"),
        ({"schedule": "alternate", "method": "fce", "gate_margin": 0.1}, "gate_margin"),
        ({"schedule": "gate", "method": "fce", "noise_updates": 3}, "noise_updates"),
        ({"gate_on": "divergence", "method": "fce", "gate_accuracy": 0.7}, "gate_accuracy"),
        ({"method": "mle", "noise_ratio": 2.0}, "noise_ratio"),
        ({"vat_epsilon": 0.3}, "vat_epsilon"),
        ({"label_seed": 3}, "label_seed"),
    ],
)
def test_a_setting_without_effect_is_said(settings, name):
    assert list(without_effect(configure(**settings))) == [shown_as(name)]
    with pytest.warns(ContrastiveWarning, match=f"{shown_as(name)} has no effect here"):
        contrastive.fit(X, steps=3, quiet=True, log_partition_draws=0, **settings)


@pytest.mark.parametrize("method", ["nce", "fce", "mle"])
@pytest.mark.parametrize("recipe", ["default", "images", "paper"])
def test_what_a_recipe_has_set_is_not_said(method, recipe):
    """A run's own config.yaml, run again."""
    config = configure(method=method, recipe=recipe)
    assert without_effect(config) == {}
    facts = DataFacts(recipe == "images", True, True, 100, True, 0.1, 90)
    for built_on_noise in (False, True):
        models = ModelFacts(True, False, False, method == "fce", True, built_on_noise)
        chosen = choose_models(config, images=facts.images)
        assert without_effect(resolve(chosen, facts, models)) == {}
