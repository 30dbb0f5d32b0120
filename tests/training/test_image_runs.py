"""Runs on images, from the first batch to the report."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.images import blobs, write_blobs
from helpers.runs import figures, refused
from PIL import Image

from contrastive import fit, load
from contrastive.cli.main import main
from contrastive.config import configure, with_recipe
from contrastive.data.images import PixelScaling, dequantize
from contrastive.training.run_directory import RunDirectory

MODELS = "--energy conv --energy.widths 8,8 --noise glow --noise.blocks 1 --noise.levels 2 --noise.width 8 --method fce"
SHORT = "--pretrain-steps 4 --steps 6 --batch-size 16 --evaluate-every 3 --log-partition-draws 1000"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 PNGs."""
    return write_blobs(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """A finished run on them."""
    out = tmp_path_factory.mktemp("runs") / "run"
    arguments = f"fit --data {pictures} {MODELS} {SHORT} --flip true --quiet --out {out}"
    assert main(arguments.split()) == 0
    return out


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
    assert html.count("data:image/png;base64,") == 9  # samples, neighbours, curves, light and dark; three grids
    sentence = re.search(r"images of 8 x 8 pixels .* held-out images .*against [\d.]+ bits per dimension", html, re.S)
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
    assert "(3, 16, 16)" in refused(capsys, *f"evaluate {finished} --data {tmp_path / 'large.npy'}".split())


def test_image_distances_are_those_of_the_runs_own_samples(finished, capsys, monkeypatch):
    """A run at 8 x 8 pixels from 40 of its training images; the flow's samples are far, the data's own are not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(finished.parent / "cache"))
    assert main(["evaluate", str(finished), "--image-distances", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == found["reference_images"] == 40
    assert found["fd_efficientnet_lite0"] > 0
    for options in ("--image-distances 1", "--inception-weights w.pth", "--image-distances 20 --data cifar10"):
        refused(capsys, *f"evaluate {finished} {options}".split())


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
    assert ".npz or .npy or .png" in refused(capsys, *f"sample {finished} --out {tmp_path / 'd.csv'}".split())


def test_maximum_likelihood_alone_reports_the_noise(pictures, tmp_path):
    out = tmp_path / "run"
    noise = "--noise glow --noise.blocks 1 --noise.levels 1 --noise.width 8 --method mle"
    command = f"fit --data {pictures} {noise} --steps 4 --batch-size 16 --bits 5 --logit 0.05 --quiet --out {out}"
    assert main(command.split()) == 0
    assert "(maximum likelihood of glow)" in (out / "report.html").read_text()
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
        capsys, *f"fit --data {pictures} {game} {rest} --bits 5 --out {tmp_path / 'x'}".split()
    )


def test_reading_images_is_left_until_they_are_asked_for():
    code = (
        "import sys, contrastive; contrastive.fit('moons', steps=2, quiet=True)\n"
        "print([name for name in ('torchvision', 'PIL.Image', 'scipy.io') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_images_have_a_recipe_of_their_own_unless_one_is_named(finished):
    assert with_recipe(configure(), images=True).game.noise.gradient == "path"
    assert with_recipe(configure(), images=False).run.recipe == "default"
    assert with_recipe(configure(recipe="paper"), images=True).game.noise.gradient == "full"
    assert with_recipe(configure(noise_gradient="full"), images=True).game.noise.gradient == "full"
    assert RunDirectory(finished).read_config().run.recipe == "images"
