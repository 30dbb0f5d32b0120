"""Runs on images, from the first batch to the report."""

import itertools
import json
import re
import subprocess
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import torch
from helpers.settings import resolved
from PIL import Image

from contrastive import ContrastiveError, fit, load
from contrastive.cli.main import main
from contrastive.config import choose_models, configure, resolve, with_recipe
from contrastive.data.images import PixelScaling, dequantize
from contrastive.data.preparation import prepare
from contrastive.training.models import facts_of
from contrastive.training.run_directory import RunDirectory

MODELS = "--energy conv --energy.widths 8,8 --noise glow --noise.blocks 1 --noise.levels 2 --noise.width 8 --method fce"
SHORT = "--pretrain-steps 4 --steps 6 --batch-size 16 --evaluate-every 3 --log-partition-draws 1000"


def blobs(n=120, side=8):
    """Colour images with a bright spot each, gray levels that a small flow can learn."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    centre = random.uniform(2, side - 2, (2, n, 1, 1, 1))
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 4) * random.uniform(60, 200, (n, 3, 1, 1))
    return np.clip(spot + random.integers(0, 40, (n, 3, side, side)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 PNGs."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate(blobs()):
        Image.fromarray(np.moveaxis(image, 0, 2)).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """A finished run on them."""
    out = tmp_path_factory.mktemp("runs") / "run"
    arguments = f"fit --data {pictures} {MODELS} {SHORT} --flip true --quiet --out {out}"
    assert main(arguments.split()) == 0
    return out


def refused(capsys, arguments):
    code = main(arguments.split())
    errors = capsys.readouterr().err.strip()
    assert code == 2, errors
    assert len(errors.splitlines()) == 1, errors
    return errors


def figures(path):
    summary = json.loads((path / "summary.json").read_text())
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    clock = {"seconds", "seconds_evaluation"}
    return [{k: v for k, v in entry.items() if k not in clock} for entry in [summary, *lines]]


def test_a_folder_becomes_a_run_with_a_report(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["event_shape"] == [3, 8, 8]
    assert summary["test_rows"] == 12
    assert summary["columns"] == []
    for model in ("noise", "energy", "energy_normalized"):
        nats = summary[f"test_log_prob_{model}"]
        assert summary[f"bits_per_dim_{model}"] == pytest.approx(-nats / (192 * np.log(2)))
    assert 0 < summary["bits_per_dim_noise"] < 20
    grids = sorted(path.name for path in (finished / "plots" / "samples").iterdir())
    assert grids == ["000003.png", "000004.png", "000007.png", "000010.png"]
    html = (finished / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 6  # samples, neighbours, curves, and three grids
    sentence = re.search(r"A density on colour images of 8 x 8 pixels, .*bits per dimension, the energy", html)
    assert sentence is not None
    assert "after 3 updates" in html
    assert "after 10 updates" in html
    for name in ("densities", "neighbours", "curves"):
        assert (finished / "plots" / f"{name}.png").stat().st_size > 1_000


def test_a_resumed_run_ends_as_the_uninterrupted_one(finished, pictures, tmp_path, monkeypatch):
    """Interrupted after the fifth update, in the middle of an epoch and of the game."""
    from contrastive.training.trainer import Trainer

    whole_check, updates = Trainer._check, itertools.count(1)

    def interrupt(self, stage, mover):
        whole_check(self, stage, mover)
        if next(updates) == 5:
            self.save()
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_check", interrupt)
        command = f"fit --data {pictures} {MODELS} {SHORT} --flip true --quiet --no-report --out {out}"
        assert main(command.split()) == 130
    assert main(f"fit --resume {out} --quiet --no-report".split()) == 0
    assert figures(out) == figures(finished)


def test_sample_grids_are_drawn_at_the_same_latents_and_leave_the_training_alone(finished, pictures, tmp_path):
    """A run that is not kept draws no grids; its figures are those of the run that does."""
    assert configure().data.images.flip is False
    estimator = fit(
        str(pictures),
        energy="conv",
        energy_options={"widths": [8, 8]},
        noise="glow",
        noise_options={"blocks": 1, "levels": 2, "width": 8},
        method="fce",
        pretrain_steps=4,
        steps=6,
        batch_size=16,
        evaluate_every=3,
        log_partition_draws=1000,
        flip=True,
        quiet=True,
    )
    kept = load(finished)
    x = dequantize(torch.from_numpy(blobs()[:5]))
    torch.testing.assert_close(kept.log_prob(x), estimator.log_prob(x).detach(), rtol=1e-6, atol=1e-3)


def test_load_restores_the_coordinates(finished):
    estimator = load(finished)
    assert isinstance(estimator.scaling, PixelScaling)
    assert (estimator.scaling.event_shape, estimator.scaling.bits) == ((3, 8, 8), 8)


def test_evaluate(finished, pictures, tmp_path, capsys):
    assert main(["evaluate", str(finished), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    summary = json.loads((finished / "summary.json").read_text())
    assert own["bits_per_dim_energy"] == pytest.approx(summary["bits_per_dim_energy"], rel=1e-5)
    assert own["bits_per_dim_energy_normalized"] == pytest.approx(summary["bits_per_dim_energy_normalized"], rel=1e-5)
    np.savez(tmp_path / "other.npz", x=np.moveaxis(blobs(30), 1, 3))
    assert main(["evaluate", str(finished), "--data", str(tmp_path / "other.npz"), "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["rows"] == 30
    assert other["bits_per_dim_noise"] == pytest.approx(own["bits_per_dim_noise"], abs=1.0)
    np.save(tmp_path / "large.npy", blobs(5, 16))
    assert "(3, 16, 16)" in refused(capsys, f"evaluate {finished} --data {tmp_path / 'large.npy'}")


def test_image_distances_are_those_of_the_runs_own_samples(finished, capsys, monkeypatch):
    """A run at 8 x 8 pixels from 40 of its training images; the flow's samples are far, the data's own are not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(finished.parent / "cache"))
    assert main(["evaluate", str(finished), "--image-distances", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == found["reference_images"] == 40
    assert found["fd_efficientnet_lite0"] > 0
    for options in ("--image-distances 1", "--inception-weights w.pth", "--image-distances 20 --data cifar10"):
        refused(capsys, f"evaluate {finished} {options}")


def test_sample(finished, tmp_path, capsys):
    for model, name in [("noise", "a.npz"), ("noise", "b.npy"), ("energy", "c.png")]:
        sampler = "--sampler resampling" if model == "energy" else ""
        arguments = f"sample {finished} --from {model} -n 9 --out {tmp_path / name} {sampler}"
        assert main(arguments.split()) == 0
    arrays = np.load(tmp_path / "a.npz")["x"], np.load(tmp_path / "b.npy")
    for array in arrays:
        assert array.shape == (9, 3, 8, 8)
        assert array.dtype == np.uint8
    assert np.array_equal(*arrays)
    assert Image.open(tmp_path / "c.png").size == (3 * 9 * 4 + 4, 3 * 9 * 4 + 4)  # enlarged four times
    capsys.readouterr()
    assert ".npz or .npy or .png" in refused(capsys, f"sample {finished} --out {tmp_path / 'd.csv'}")


def test_maximum_likelihood_alone_reports_the_noise(pictures, tmp_path):
    out = tmp_path / "run"
    noise = "--noise glow --noise.blocks 1 --noise.levels 1 --noise.width 8 --method mle"
    command = f"fit --data {pictures} {noise} --steps 4 --batch-size 16 --bits 5 --logit 0.05 --quiet --out {out}"
    assert main(command.split()) == 0
    assert "estimated by maximum likelihood of glow" in (out / "report.html").read_text()
    estimator = load(out)
    assert (estimator.scaling.bits, estimator.scaling.logit) == (5, 0.05)
    x = dequantize(torch.from_numpy(blobs()[:5]), 5)
    torch.testing.assert_close(estimator.log_prob(x), estimator.noise_log_prob(x), rtol=1e-5, atol=1e-2)


def test_a_game_begins_with_the_noise_of_a_run_by_likelihood(pictures, tmp_path, capsys):
    noise = "--noise glow --noise.blocks 1 --noise.levels 1 --noise.width 8 --batch-size 16 --quiet --no-report"
    assert main(f"fit --data {pictures} {noise} --method mle --steps 3 --out {tmp_path / 'mle'}".split()) == 0
    game = "--method fce --energy conv --energy.widths 8 --steps 1 --batch-size 16 --log-partition-draws 0"
    rest = f"--quiet --no-report --init-noise {tmp_path / 'mle'}"
    assert main(f"fit --data {pictures} {game} {rest} --seed 1 --out {tmp_path / 'fce'}".split()) == 0
    before, after = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("mle", "fce"))
    assert after["bits_per_dim_noise"] == pytest.approx(before["bits_per_dim_noise"], abs=1e-6)
    capsys.readouterr()
    assert "--bits and --logit" in refused(
        capsys, f"fit --data {pictures} {game} {rest} --bits 5 --out {tmp_path / 'x'}"
    )


class FakeWriter:
    """Stands for torch.utils.tensorboard.SummaryWriter, which is not installed here."""

    made: ClassVar[list["FakeWriter"]] = []

    def __init__(self, log_dir, purge_step=None):
        self.log_dir, self.purge_step, self.scalars, self.images = log_dir, purge_step, [], []
        FakeWriter.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        assert dataformats == "HWC"
        self.images.append((name, image.shape, step))

    def flush(self):
        pass


def test_tensorboard_gets_figures_and_grids(pictures, tmp_path, monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    FakeWriter.made.clear()
    out = tmp_path / "run"
    assert main(f"fit --data {pictures} {MODELS} {SHORT} --tensorboard --quiet --no-report --out {out}".split()) == 0
    (writer,) = FakeWriter.made
    assert writer.log_dir == str(out / "tensorboard")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    written = [(value, step) for name, value, step in writer.scalars if name == "bits_per_dim_noise"]
    assert written == [(line["bits_per_dim_noise"], line["updates"]) for line in lines]
    assert [(name, step) for name, _, step in writer.images] == [("samples", step) for step in (3, 4, 7, 10)]


def test_tensorboard_that_is_not_installed_is_asked_for_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    out = tmp_path / "run"
    assert "pip install 'contrastive-estimation[tensorboard]'" in refused(
        capsys, f"fit --data moons --tensorboard --out {out}"
    )
    assert not out.exists()
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with pytest.raises(ContrastiveError, match="needs a run that is kept"):
        fit("moons", steps=1, tensorboard=True, quiet=True)


def test_arrays_of_uint8_are_images_and_floats_are_not():
    config = configure(energy="conv")
    data = prepare(torch.from_numpy(blobs(100)), config)
    assert data.are_images
    assert data.batch_size == 64
    assert data.labels is None
    floats = prepare(blobs(100).astype(np.float32), config)
    assert not floats.are_images


def test_constant_pixels_have_a_density():
    x = blobs(100)
    x[:, :, 0] = 0
    data = prepare(x, configure(energy="conv"))
    assert float(data.fitting[:, :, 0].std()) > 0


def test_the_split_is_the_same_for_every_seed_and_its_parts_are_disjoint():
    one, other = (prepare(blobs(100), configure(seed=seed)) for seed in (0, 1))
    assert torch.equal(one.test, other.test)
    assert torch.equal(one.source.rows, other.source.rows)
    shown = [x.floor().flatten(1) for x in (one.test, one.validation, one.source.pixels(torch.arange(80)).float())]
    together = {tuple(row) for x in shown for row in x.tolist()}
    assert len(together) == 100
    assert len(prepare(blobs(100), configure(test_rows=3)).test) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--noise glow", "--energy tilted, or conv"),
        ("--energy conv --standardize true", "leave out --standardize"),
        ("--energy conv --batch-size 500", "96 training rows are fewer than a batch of 500"),
        ("--energy conv --bits 9", "bits must be 1 to 8"),
        ("--energy conv --logit 0.7", "logit must be in (0, 0.5)"),
        ("--energy conv --image-size 0", "image_size must be at least 1"),
        ("--energy conv --crop middle", "--crop"),
        ("--energy conv --image-size 10", "take fewer --energy.widths"),
    ],
)
def test_bad_inputs_are_one_line(pictures, tmp_path, capsys, arguments, expected):
    assert expected in refused(capsys, f"fit --data {pictures} {arguments} --out {tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_options_of_images_are_refused_for_other_data(tmp_path, capsys):
    errors = refused(capsys, f"fit --data moons --image-size 8 --flip true --out {tmp_path / 'run'}")
    assert "--image-size, --flip is for images" in errors


def test_reading_images_is_left_until_they_are_asked_for():
    code = (
        "import sys, contrastive; contrastive.fit('moons', steps=2, quiet=True)\n"
        "print([name for name in ('torchvision', 'PIL.Image', 'scipy.io') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_early_stopping_without_validation_images_is_refused():
    with pytest.raises(ContrastiveError, match="leave none to train, validate or test with"):
        prepare(blobs(100), configure(validation=0.0, early_stopping=3))
    assert len(prepare(blobs(100), configure(validation=0.0)).source.rows) == 90


def test_images_have_a_recipe_of_their_own_unless_one_is_named(finished):
    assert with_recipe(configure(), images=True).game.noise.gradient == "path"
    assert with_recipe(configure(), images=False).run.recipe == "default"
    assert with_recipe(configure(recipe="paper"), images=True).game.noise.gradient == "full"
    assert with_recipe(configure(noise_gradient="full"), images=True).game.noise.gradient == "full"
    assert RunDirectory(finished).read_config().run.recipe == "images"


@pytest.mark.parametrize(
    ("energy", "penalty", "noise_rate", "options"),
    [("tilted", 0.25, 2e-3, {}), ("conv", 0.0, 5e-4, {"detail": 16.0}), ("conv-small", 0.0, 5e-4, {})],
)
def test_the_recipe_of_images_minds_whether_f_has_log_q_in_it(energy, penalty, noise_rate, options):
    found = resolved(blobs(40, side=16), energy=energy, noise="glow", method="fce")
    assert (found.game.energy.gradient_penalty, found.game.noise.learning_rate) == (penalty, noise_rate)
    assert found.energy.options == options


def test_other_recipes_treat_energies_alike():
    found = resolved(blobs(40, side=16), recipe="paper", energy="conv", noise="glow", method="fce")
    assert (found.game.energy.gradient_penalty, found.game.noise.learning_rate) == (0.0, 1e-5)
    assert found.energy.options == {}
    assert choose_models(configure(recipe="paper"), images=False).energy.options == {"activation": "leaky-relu"}


def test_what_is_told_goes_before_the_recipe():
    options = {"detail": 0.0, "widths": [8]}
    found = resolved(blobs(40, side=16), energy="conv", energy_options=options, gradient_penalty=0.1)
    assert (found.game.energy.gradient_penalty, found.energy.options) == (0.1, options)


@pytest.mark.parametrize("setting", [{"gate_accuracy": 0.7}, {"gate_memory": 0.9}, {"max_noise_run": 3}])
def test_a_setting_of_the_gate_asks_for_the_gate(setting):
    assert with_recipe(configure(), images=True).game.schedule.name == "alternate"
    assert with_recipe(configure(**setting), images=True).game.schedule.name == "gate"
    asked = configure(**setting, schedule="alternate")
    assert with_recipe(asked, images=True).game.schedule.name == "alternate"


class FollowsTheNoise(torch.nn.Module):
    """A stranger's energy that is built on log q, by the protocol and not by our base class."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def start_from(self, noise):
        object.__setattr__(self, "base", noise)

    restart_from = start_from

    def forward(self, x):
        return self.base.log_prob(x) + self.weight


def test_the_recipe_of_images_asks_the_protocol():
    from contrastive import ContrastiveEstimator, make_noise

    config = configure(noise="gaussian", energy="conv")
    data = prepare(blobs(40, side=8), config)
    estimator = ContrastiveEstimator(FollowsTheNoise(), make_noise("gaussian", event_shape=data.event_shape))
    assert resolve(config, data.facts, facts_of(estimator)).game.energy.gradient_penalty == 0.25
