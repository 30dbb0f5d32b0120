"""Sections: files, nested keywords and dotted options name the same settings, and the fields' names are aliases."""

import pytest
import yaml
from helpers.paths import ROOT
from hypothesis import given
from hypothesis import strategies as st

import contrastive
from contrastive.cli.main import build_parser, main
from contrastive.cli.options import build_config
from contrastive.config import (
    ALIASES,
    EVERYDAY,
    RECIPES,
    SETTINGS,
    DataFacts,
    ModelFacts,
    by_path,
    choose_models,
    configure,
    flattened,
    read_config,
    resolve,
    to_sections,
)
from contrastive.config.names import OF_0_1, nested
from contrastive.errors import ContrastiveError

RUNS_OF_0_1 = ROOT / "tests" / "training" / "runs_of_0_1_flat"
WHOLE = {
    "data": {"source": "moons", "validation": 0.2},
    "noise": {"name": "glow", "width": 16, "depth": 2},
    "energy": {"name": "mlp", "widths": [8, 8]},
    "game": {
        "method": "fce",
        "steps": 30,
        "energy": {"learning_rate": 4e-3},
        "noise": {"learning_rate": 1e-3, "freeze_after": 0.5},
        "schedule": {"name": "gate", "accuracy": 0.65},
    },
    "run": {"seed": 3},
}
FLAT = {
    "data": "moons", "validation": 0.2, "noise": "glow", "energy": "mlp", "method": "fce", "steps": 30, "seed": 3,
    "learning_rate": 4e-3, "noise_learning_rate": 1e-3, "hold_noise_after": 0.5, "schedule": "gate",
    "gate_accuracy": 0.65, "noise.width": 16, "noise.depth": 2, "energy.widths": [8, 8],
}  # fmt: skip


def test_every_alias_names_a_setting_and_no_setting_has_two_everyday_names():
    assert set(ALIASES.values()) <= set(SETTINGS)
    assert len(set(EVERYDAY.values())) == len(EVERYDAY)
    assert not set(ALIASES) & set(SETTINGS)


def test_every_name_of_the_flat_settings_of_0_1_is_still_read():
    flat = yaml.safe_load((RUNS_OF_0_1 / "finished" / "config.yaml").read_text())
    assert len(flat) > 70
    assert set(flattened(flat)) == OF_0_1 | {"energy.num_classes", "energy.widths"}


def test_sections_dotted_paths_and_aliases_are_the_same_settings(tmp_path):
    expected = configure(FLAT)
    assert expected != configure()
    dotted = {ALIASES.get(name, name): value for name, value in FLAT.items()}
    for settings in (WHOLE, FLAT, dotted, {**{k: v for k, v in FLAT.items() if k != "seed"}, "run": {"seed": 3}}):
        assert configure(settings) == expected
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(WHOLE))
    assert read_config(tmp_path / "config.yaml") == expected
    words = (
        "--energy mlp --data moons --data.validation 0.2 --noise glow --game.method fce --game.steps 30 --run.seed 3 "
    )
    words += "--game.energy.learning-rate 4e-3 --noise-learning-rate 1e-3 --game.noise.freeze-after 0.5 "
    words += "--game.schedule.name gate --gate-accuracy 0.65 --noise.width 16 --noise.depth=2 --energy.widths 8,8"
    known, rest = build_parser().parse_known_args(["fit", *words.split()])
    given_options = {path: value for path, value in vars(known).items() if path in SETTINGS}
    assert build_config(given_options, rest, None) == expected


def test_keywords_may_be_sections():
    estimator = contrastive.fit(quiet=True, data="moons", **{k: v for k, v in WHOLE.items() if k != "data"})
    assert type(estimator.noise).__name__ == "Glow"
    assert estimator.summary["seed"] == 3


def test_a_config_comes_back_from_its_sections():
    config = configure(FLAT)
    assert configure(yaml.safe_load(yaml.safe_dump(to_sections(config)))) == config
    assert configure(by_path(config)) == config


@given(st.dictionaries(st.sampled_from(sorted(SETTINGS)), st.integers(), max_size=8))
def test_nesting_and_flattening_are_inverse(flat):
    assert flattened(nested(flat)) == flat


FACTS = st.builds(
    DataFacts,
    images=st.booleans(),
    vectors=st.booleans(),
    repeats=st.booleans(),
    rows=st.integers(1, 10**6),
    standardize=st.booleans(),
    validation=st.sampled_from([0.0, 0.1]),
    batch_size=st.integers(1, 1000),
)
MODELS = st.builds(ModelFacts, *[st.booleans()] * 4, st.just(True), st.booleans())


@given(FACTS, MODELS, st.sampled_from([None, *RECIPES]), st.sampled_from(["nce", "fce", "mle"]))
def test_resolving_leaves_nothing_open_and_changes_nothing_that_was_given(data, models, recipe, method):
    given = configure(recipe=recipe, method=method, learning_rate=0.123)
    settled = resolve(choose_models(given, images=data.images), data, models)
    assert None not in by_path(settled).values()
    assert settled.game.energy.learning_rate == 0.123
    assert resolve(settled, data, models) == settled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"game": {"noise": {"learning_rat": 1}}}, "unknown setting 'game.noise.learning_rat'; did you mean"),
        ({"game.step": 3}, "unknown setting 'game.step'; did you mean 'game.steps'"),
        ({"steps": 3, "game": {"steps": 4}}, "steps is given twice, as steps and as game.steps"),
        ({"data": {"images": {"siz": 3}}}, "unknown setting 'data.images.siz'"),
    ],
)
def test_a_wrong_name_in_a_section_is_one_line(settings, message):
    with pytest.raises(ContrastiveError, match=message):
        flattened(settings)


def test_the_same_setting_under_two_names_is_refused(capsys):
    assert main(["fit", "--steps", "3", "--game.steps", "4"]) == 2
    assert "--steps and --game.steps are the same setting" in capsys.readouterr().err
    assert main(["fit", "--game.noise.learning-rat", "4"]) == 2
    assert "did you mean '--game.noise.learning-rate'" in capsys.readouterr().err


def test_init_config_writes_sections_that_read_back(tmp_path, capsys):
    assert main(["init-config", "--noise", "glow", "--noise.width", "64", "--game.method", "fce"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(text)
    config = read_config(tmp_path / "c.yaml")
    assert (config.noise.name, config.game.method, config.noise.options) == ("glow", "fce", {"width": 64})
    assert set(yaml.safe_load(text)) == {"data", "labels", "noise", "energy", "objective", "likelihood", "game", "run"}


HOSTILE = {
    "laughs": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi")),
    "deep": "data: " + "[" * 5000 + "]" * 5000,
    "digits": "steps: " + "9" * 5000,
    "date": "steps: 2020-13-45",
    "large": "x" * 2_000_000,
    "list": "- 1\n- 2",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_config_is_one_line(name, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(HOSTILE[name])
    assert main(["fit", "--config", str(tmp_path / "c.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert len(error) < 500
