"""Features of an energy: beside the layers run by hand, and what a user is told who asks for the wrong ones."""

import numpy as np
import pytest
import torch
from torch import nn

from contrastive import ContrastiveError, ContrastiveEstimator, from_energy, load, make_energy, make_noise
from contrastive.api import fit
from contrastive.cli.main import main
from contrastive.data.images import PixelScaling, dequantize
from contrastive.data.scaling import Scaling
from contrastive.inference.features import extract_features

IMAGE = (3, 32, 32)


def estimator_of(energy, event_shape, scaling=None):
    return ContrastiveEstimator(energy, make_noise("diag-gaussian", event_shape=event_shape), scaling=scaling)


@pytest.fixture(scope="module")
def images():
    """Images in original units, and an estimator whose scaling is not the identity."""
    torch.manual_seed(0)
    x = 255 * torch.rand(10, *IMAGE, dtype=torch.float64)
    scaling = Scaling(torch.full(IMAGE, 100.0), torch.full(IMAGE, 50.0))
    return x, estimator_of(make_energy("conv", event_shape=IMAGE, widths=(4, 6, 8)), IMAGE, scaling)


def largest_of_blocks(maps, side):
    """Max over equal blocks, by reshaping: another road than adaptive pooling."""
    n, channels, height, width = maps.shape
    return maps.reshape(n, channels, side, height // side, side, width // side).amax((3, 5))


def test_features_are_the_layers_run_by_hand(images):
    x, estimator = images
    z, layers = ((x - 100) / 50).float(), estimator.energy.layers
    hidden = [layers[:2](z), layers[:4](z), layers[:6](z)]
    assert [tuple(h.shape[1:]) for h in hidden] == [(4, 16, 16), (6, 8, 8), (8, 4, 4)]
    pooled = torch.cat([largest_of_blocks(h, 4).flatten(1) for h in hidden], 1)
    torch.testing.assert_close(estimator.features(x, "dcgan"), pooled.detach())
    torch.testing.assert_close(estimator.features(x), hidden[2].flatten(1).detach())
    both = torch.cat([hidden[1].flatten(1), layers[0](z).flatten(1)], 1).detach()
    torch.testing.assert_close(estimator.features(x, ["layers.3", "layers.0"]), both)
    in_two = largest_of_blocks(hidden[1], 2).flatten(1).detach()
    torch.testing.assert_close(estimator.features(x, "layers.3", pool=2), in_two)


@pytest.mark.parametrize(("widths", "numbers"), [((64, 128, 256), 7_168), ((128, 256, 512), 14_336)])
def test_dcgan_preset_gives_sixteen_numbers_a_channel(widths, numbers):
    estimator = estimator_of(make_energy("conv", event_shape=IMAGE, widths=widths), IMAGE)
    features = extract_features(estimator, torch.zeros(2, *IMAGE), "dcgan")
    assert features.values.shape == (2, numbers)
    assert features.sizes == tuple(16 * width for width in widths)
    assert features.values.dtype == torch.float32


def test_batches_and_rows_keep_their_order(images):
    x, estimator = images
    whole = estimator.features(x, "dcgan")
    torch.testing.assert_close(estimator.features(x, "dcgan", batch_size=3), whole)
    order = torch.randperm(len(x))
    torch.testing.assert_close(estimator.features(x[order], "dcgan"), whole[order])
    assert (whole[0] - whole[1]).abs().max() > 1e-3


def test_vectors_have_features_too():
    torch.manual_seed(0)
    estimator = estimator_of(make_energy("mlp", event_shape=(5,), widths=(7, 11)), (5,))
    x, layers = torch.randn(6, 5), estimator.energy.layers
    torch.testing.assert_close(estimator.features(x), layers[:5](x).detach())
    torch.testing.assert_close(estimator.features(x, "layers.2"), layers[:3](x).detach())


@pytest.mark.parametrize(
    ("energy", "top"),
    [
        (make_energy("tilted", event_shape=(2,), widths=(5, 9)), "correction.layers.4"),
        (make_energy("bridges", event_shape=(2,), levels=3, widths=(5, 9)), "ratios.layers.4"),
        (from_energy(make_energy("mlp", event_shape=(2,), widths=(5, 9))), "energy.layers.4"),
    ],
)
def test_energies_around_another_have_its_features(energy, top):
    estimator = estimator_of(energy, (2,))
    x = torch.randn(4, 2)
    assert extract_features(estimator, x).layers == (top,)
    torch.testing.assert_close(estimator.features(x), estimator.features(x, top))
    assert estimator.features(x).shape == (4, 9)


class Dropping(nn.Module):
    """An energy with dropout, an activation in place, a module that runs twice and one that never does."""

    def __init__(self):
        super().__init__()
        self.first, self.in_place, self.drop = nn.Linear(3, 50), nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.last, self.unused = nn.Linear(50, 1), nn.Linear(1, 1)
        self.several = nn.GRU(3, 2, batch_first=True)
        self.total = nn.Flatten(0)

    def forward(self, x):
        self.several(x[:, None])
        h = self.drop(self.in_place(self.in_place(self.first(x))))
        return self.total(self.last(h))


def test_dropout_is_off_and_the_mode_comes_back():
    energy = Dropping()
    estimator = estimator_of(energy, (3,)).train()
    energy.last.eval()
    x = torch.randn(20, 3)
    torch.testing.assert_close(estimator.features(x, "drop"), energy.first(x).relu().detach())
    assert energy.training
    assert energy.drop.training
    assert not energy.last.training
    assert not any(module._forward_hooks for module in energy.modules())


def test_activation_in_place_leaves_the_layer_before_it():
    energy = Dropping()
    x = torch.randn(20, 3)
    features = estimator_of(energy, (3,)).features(x, "first")
    torch.testing.assert_close(features, energy.first(x).detach())
    assert (features < 0).any()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("layer.1", r"no layer 'layer.1'; it has first \(Linear\), in_place \(ReLU\).*presets: top, dcgan"),
        ("top", r"'top' is not known for Dropping; name layers yourself: it has first \(Linear\)"),
        ("in_place", "'in_place' ran 2 times in one call"),
        ("unused", "'unused' ran 0 times in one call"),
        ("several", "'several' gave a tuple"),
        (["first", "first"], "different names"),
        ([], "one at least"),
    ],
)
def test_wrong_layers_are_told_with_the_right_ones(layers, message):
    with pytest.raises(ContrastiveError, match=message):
        estimator_of(Dropping(), (3,)).features(torch.zeros(4, 3), layers)


def test_other_wrong_questions():
    estimator = estimator_of(make_energy("mlp", event_shape=(3,), widths=(4, 5)), (3,))
    with pytest.raises(ContrastiveError, match="needs 3 hidden layers, MLP has 2"):
        estimator.features(torch.zeros(4, 3), "dcgan")
    with pytest.raises(ContrastiveError, match="no rows"):
        estimator.features(torch.zeros(0, 3))
    with pytest.raises(ContrastiveError, match="expected a batch of events"):
        estimator.features(torch.zeros(4, 2))
    with pytest.raises(ContrastiveError, match="at least 1"):
        estimator.features(torch.zeros(4, 3), batch_size=0)
    plain = estimator_of(lambda z: z.sum(1), (3,))
    with pytest.raises(ContrastiveError, match="no torch module"):
        plain.features(torch.zeros(4, 3))


def test_images_of_uint8_are_taken_at_the_middle_of_their_cells():
    torch.manual_seed(0)
    energy = make_energy("conv", event_shape=(1, 8, 8), widths=(4,))
    estimator = estimator_of(energy, (1, 8, 8), PixelScaling((1, 8, 8), bits=5))
    pixels = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    whole = (pixels.int() // 8).double()
    torch.testing.assert_close(estimator.features(pixels), estimator.features(whole + 0.5))
    drawn = torch.stack([estimator.model_coordinates(dequantize(pixels, 5)) for _ in range(2000)]).mean(0)
    # A mean of 2,000 uniform numbers over 16: sd 0.0004; beyond 6 sd with probability 8e-7 over the 384 pixels.
    assert (drawn - estimator.model_coordinates(whole + 0.5)).abs().max() < 6 * 0.0004035


# The command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny run on images of an .npz that has labels, and a table with a label column."""
    folder = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(200, 1, 8, 8)), random.integers(0, 10, 200).astype(np.uint8)
    np.savez(folder / "images.npz", x=x, y=y, short=y[:5])
    settings = {"energy": "conv", "energy_options": {"widths": [3, 4]}, "noise": "diag-gaussian"}
    fit(folder / "images.npz", columns="x", **settings, steps=3, out=str(folder / "run"), quiet=True)
    table = random.normal(size=(60, 3))
    lines = ["a,b,label", *(f"{a},{b},{round(abs(c))}" for a, b, c in table)]
    (folder / "table.csv").write_text("\n".join(lines))
    fit(folder / "table.csv", columns="a,b", steps=3, out=str(folder / "table"), quiet=True)
    return folder


def asked(*words):
    return main(["features", *map(str, words)])


def test_command_writes_features_layers_and_labels(finished, tmp_path, capsys):
    out, data = tmp_path / "features.npz", finished / "images.npz"
    assert asked(finished / "run", "--data", data, "--layers", "layers.1,layers.3", "--pool", 2, "--out", out) == 0
    assert "200 rows of 28 features (12 of layers.1 + 16 of layers.3), with y" in capsys.readouterr().out
    with np.load(out) as kept, np.load(data) as given:
        x, y = given["x"], given["y"]
        features = load(finished / "run").features(torch.from_numpy(x), ["layers.1", "layers.3"], pool=2)
        np.testing.assert_array_equal(kept["features"], features.numpy())
        np.testing.assert_array_equal(kept["y"], y)
        assert kept["layers"].tolist() == ["layers.1", "layers.3"]
        assert kept["sizes"].tolist() == [12, 16]
        assert kept["features"].dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_command_reads_labels_of_a_table(finished, tmp_path):
    out = tmp_path / "features.npz"
    assert asked(finished / "table", "--data", finished / "table.csv", "--labels", "label", "--out", out) == 0
    with np.load(out) as kept:
        assert kept["features"].shape == (60, 128)
        column = [int(line.split(",")[2]) for line in (finished / "table.csv").read_text().splitlines()[1:]]
        assert kept["y"].tolist() == column


def test_command_lists_layers(finished, capsys):
    assert asked(finished / "run", "--list-layers") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["layers", "Sequential"],
        ["layers.0", "Conv2d"],
        ["layers.1", "LeakyReLU"],
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--layers", "layers.9", "--out", "OUT"],
            "no layer 'layers.9'; it has layers (Sequential), layers.0 (Conv2d)",
        ),
        (["--layers", "dcgan", "--out", "OUT"], "needs 3 hidden layers, Convolutional has 2"),
        (["--out", "features.csv"], "expected a .npz file"),
        ([], "give both --data and --out"),
        (["--labels", "z", "--out", "OUT"], "no array 'z' of labels: it holds x, y, short"),
        (["--labels", "short", "--out", "OUT"], "expected one for each of 200 rows"),
        (["--pool", "0", "--out", "OUT"], "at least 1"),
        (["--layers", "layers.1,,layers.3", "--out", "OUT"], "no layer ''"),
    ],
)
def test_command_is_refused_in_one_line(words, message, finished, tmp_path, capsys):
    out = tmp_path / "features.npz"
    words = [str(out) if word == "OUT" else word for word in words]
    assert asked(finished / "run", "--data", finished / "images.npz", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_command_keeps_what_is_there(finished, tmp_path, capsys):
    out = tmp_path / "features.npz"
    out.write_text("mine")
    words = [finished / "run", "--data", finished / "images.npz", "--out", out]
    assert asked(*words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert asked(*words, "--overwrite") == 0
    with np.load(out) as kept:
        assert kept["features"].shape == (200, 16)
