"""What benchmarks of images share: splits, labelled subsets, runs that are there already, AUROC."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib.ebm_runs import FLOW, chosen_scale, energy_parser, places_of
from benchmarks.lib.image_sets import label_subset, load_split
from benchmarks.library.outliers import auroc
from contrastive.config import configure
from contrastive.training.run_directory import RunDirectory


def test_test_images_are_not_among_those_for_training():
    split = load_split("shapes", Path("nowhere"))
    train = {image.tobytes() for image in split.x}
    assert len(train) == len(split.x)
    assert not train & {image.tobytes() for image in split.x_test}
    assert (load_split("shapes", Path("nowhere")).x == split.x).all()


def test_labelled_subsets_are_balanced_nested_and_differ_by_seed():
    y = np.random.default_rng(0).choice(3, 300, p=[0.6, 0.3, 0.1])
    small, large = label_subset(y, 30, seed=1), label_subset(y, 60, seed=1)
    assert set(small) <= set(large)
    assert len(set(large)) == 60
    assert np.bincount(y[small]).tolist() == [10, 10, 10]
    assert set(small) != set(label_subset(y, 30, seed=2))
    rare = int((y == 2).sum())
    assert np.bincount(y[label_subset(y, 3 * rare + 20, seed=1)]).tolist() == [rare + 10, rare + 10, rare]


def finished(path, **options):
    directory = RunDirectory(path)
    config = configure(energy="tilted", energy_options={"correction": "conv", **options}, out=str(path))
    directory.create(config)
    directory.write_summary({})


def test_finished_runs_are_taken_and_say_how_their_network_is_made(tmp_path):
    finished(tmp_path / "given" / "FCE" / "shapes-seed0", widths=[5, 6, 7], detail=16.0)
    unfinished = tmp_path / "given" / FLOW / "shapes-seed0"
    unfinished.mkdir(parents=True)
    words = ["--quick", "--runs", str(tmp_path / "given"), "--out", str(tmp_path / "own"), "--steps", "7"]
    arguments = energy_parser(None, "any").parse_args(words)
    scale, data, described = chosen_scale(arguments)
    assert scale.conv == {"widths": [5, 6, 7], "detail": 16.0}
    assert (scale.steps, data, described["scale"]) == (7, "shapes", "quick")
    places = places_of(arguments, data)
    assert places.path("FCE", 0) == tmp_path / "given" / "FCE" / "shapes-seed0"
    assert places.path("FCE", 1) == tmp_path / "own" / "FCE" / "shapes-seed1"
    assert places.path(FLOW, 0) == tmp_path / "own" / FLOW / "shapes-seed0"
    assert [fields["seed"] for _, fields in places.missing("FCE", 3, {})] == [1, 2]


@pytest.mark.parametrize("other", [{"widths": [5, 6, 8]}, {"widths": [5, 6, 7], "detail": 16.0}])
def test_energies_of_several_networks_are_not_compared(tmp_path, other):
    finished(tmp_path / "FCE" / "shapes-seed0", widths=[5, 6, 7])
    finished(tmp_path / "Gaussian NCE" / "shapes-seed0", **other)
    with pytest.raises(SystemExit, match="cannot be compared"):
        chosen_scale(energy_parser(None, "any").parse_args(["--quick", "--runs", str(tmp_path)]))


def test_auroc_is_the_chance_that_the_set_is_likelier():
    inner, outer = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, -np.inf, np.nan])
    pairs = [(a > b) + (a == b) / 2 for a in inner for b in np.nan_to_num(outer, nan=-np.inf)]
    assert auroc(inner, outer) == pytest.approx(np.mean(pairs))
    assert auroc(inner, inner - 10) == 1
    assert auroc(inner, np.full(3, np.inf)) == 0
