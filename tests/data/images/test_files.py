"""Images from files: arrays, folders, and the named sets in their official formats, written here at a small size."""

import pickle
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data.images import ImageOptions, folder, names_images, read_images
from contrastive.data.preparation import prepare
from contrastive.io.torchvision_import import import_with_torchvision

RANDOM = np.random.default_rng(0)


def pixels(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


# Arrays -------------------------------------------------------------------------------------------------------------


def test_npy_is_memory_mapped(tmp_path):
    x = pixels(12, 8, 6, 3)
    np.save(tmp_path / "x.npy", x)
    found = read_images(str(tmp_path / "x.npy"), ImageOptions())
    assert isinstance(found.pixels.base, np.memmap) or isinstance(found.pixels, np.memmap)
    assert np.array_equal(found.pixels, np.moveaxis(x, 3, 1))


@pytest.mark.parametrize("label", ["y", "labels"])
def test_npz_with_labels(tmp_path, label):
    x = pixels(12, 3, 8, 6)
    np.savez(tmp_path / "x.npz", x=x, **{label: np.arange(12)}, note=np.array(["a"]))
    found = read_images(str(tmp_path / "x.npz"), ImageOptions())
    assert np.array_equal(found.pixels, x)
    assert found.labels.tolist() == list(range(12))


def test_an_npz_of_several_arrays_of_images_wants_a_name(tmp_path):
    np.savez(tmp_path / "x.npz", a=pixels(12, 8, 8), b=pixels(10, 8, 8))
    with pytest.raises(ContrastiveError, match="pick one with --columns, a or b"):
        read_images(str(tmp_path / "x.npz"), ImageOptions())
    assert len(read_images(str(tmp_path / "x.npz"), ImageOptions(name="b"))) == 10


def test_numbers_that_are_no_pixels_stay_a_table(tmp_path):
    np.save(tmp_path / "floats.npy", np.zeros((5, 3, 8, 8)))
    np.save(tmp_path / "rows.npy", pixels(5, 4))
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    for name in ("floats.npy", "rows.npy", "broken.npz"):
        assert not names_images(str(tmp_path / name))


# Folders ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Two classes of three pictures of several kinds, one of them not square."""
    for name, mode, size in [
        ("cats/a.png", "RGB", (12, 12)),
        ("cats/b.jpg", "RGB", (16, 12)),
        ("cats/c.bmp", "L", (12, 12)),
        ("dogs/a.png", "P", (12, 12)),
        ("dogs/deep/b.gif", "L", (12, 12)),
        ("dogs/c.png", "RGBA", (12, 20)),
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(size[1], size[0], 3)).convert(mode).save(path)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("nor this")
    return tmp_path


def test_a_folder_is_read_with_its_classes(pictures):
    found = read_images(str(pictures), ImageOptions(size=8))
    assert found.pixels.shape == (6, 3, 8, 8)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert read_images(str(pictures), ImageOptions(size=8, color="gray")).pixels.shape == (6, 1, 8, 8)


def test_pixels_of_a_folder_are_those_of_its_files(tmp_path):
    x = pixels(3, 9, 7, 3)
    for i, image in enumerate(x):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    found = read_images(str(tmp_path), ImageOptions())
    assert np.array_equal(found.pixels, np.moveaxis(x, 3, 1))
    assert found.labels is None


def test_gray_pictures_stay_gray(tmp_path):
    for i in range(2):
        Image.fromarray(pixels(6, 6)).save(tmp_path / f"{i}.png")
    assert read_images(str(tmp_path), ImageOptions()).pixels.shape == (2, 1, 6, 6)
    assert read_images(str(tmp_path), ImageOptions(color="rgb")).pixels.shape == (2, 3, 6, 6)


def test_the_centre_of_a_picture_is_kept_or_all_of_it_squeezed(tmp_path):
    wide = np.zeros((8, 16), np.uint8)
    wide[:, 4:12] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read_images(str(tmp_path), ImageOptions(size=8)).pixels == 255).all()
    squeezed = read_images(str(tmp_path), ImageOptions(size=8, crop="none")).pixels
    assert squeezed[0, 0, 4, 0] == 0
    assert squeezed[0, 0, 4, 4] == 255


def test_a_camera_turned_on_its_side_is_turned_back(tmp_path):
    picture = Image.fromarray(pixels(6, 10, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    assert read_images(str(tmp_path), ImageOptions()).pixels.shape == (1, 3, 10, 6)


def test_a_broken_file_is_named_in_one_line(pictures):
    broken = pictures / "dogs" / "a.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(ContrastiveError) as raised:
        read_images(str(pictures), ImageOptions(size=8))
    assert f"cannot read the picture {broken}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pixels_of_more_than_eight_bits_are_refused(tmp_path):
    Image.fromarray(RANDOM.integers(0, 65_536, (6, 6), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ContrastiveError, match=r"deep\.png: its pixels have more than 8 bits"):
        read_images(str(tmp_path), ImageOptions())


@pytest.mark.parametrize("name", ["cat.png", "cat.eps", "cat.jpg"])
def test_postscript_is_no_picture(name, tmp_path, monkeypatch):
    """Whatever it is called: Pillow would have Ghostscript run it."""

    def run(*arguments, **settings):
        raise AssertionError("a program was started")

    Image.new("RGB", (8, 8)).save(tmp_path / "cat.eps")
    (tmp_path / "cat.eps").rename(tmp_path / name)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    with pytest.raises(ContrastiveError, match="there are no pictures" if name == "cat.eps" else "cannot identify"):
        read_images(str(tmp_path), ImageOptions())


def test_sizes_that_differ_and_empty_folders_are_refused(pictures, tmp_path_factory):
    with pytest.raises(ContrastiveError, match=r"cats/a\.png is 12 x 12, .*cats/b\.jpg is 16 x 12; .*--image-size N"):
        read_images(str(pictures), ImageOptions())
    with pytest.raises(ContrastiveError, match="there are no pictures in"):
        read_images(str(tmp_path_factory.mktemp("empty")), ImageOptions())


def test_many_pictures_are_decoded_once(pictures, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    direct = read_images(str(pictures), ImageOptions(size=8)).pixels
    monkeypatch.setattr(folder, "_KEPT_FROM", 2)
    first = read_images(str(pictures), ImageOptions(size=8)).pixels
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_decode", None)
        second = read_images(str(pictures), ImageOptions(size=8)).pixels
    assert isinstance(second, np.memmap)
    assert np.array_equal(first, direct)
    assert np.array_equal(second, direct)
    (kept,) = cache.glob("contrastive/pixels/*.npy")
    kept.write_bytes(kept.read_bytes()[:200])
    assert np.array_equal(read_images(str(pictures), ImageOptions(size=8)).pixels, direct), "damaged: decoded anew"
    Image.fromarray(np.zeros((12, 12, 3), np.uint8)).save(pictures / "cats" / "a.png")
    assert read_images(str(pictures), ImageOptions(size=8)).pixels[0].max() == 0


# Named sets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def prepared(name, root, **settings):
    return prepare(name, configure(data_root=str(root), **settings))


def test_cifar10_batches(tmp_path, monkeypatch):
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    rows = {name: pixels(4, 3072) for name in names}
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    for name in names:
        (base / name).write_bytes(pickle.dumps({"data": rows[name], "labels": [3, 1, 4, 1]}))
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    cifar = import_with_torchvision("torchvision.datasets.cifar")
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: True)
    found = read_images("cifar10", ImageOptions(root=tmp_path))
    assert np.array_equal(found.pixels[4:8].reshape(4, -1), rows["data_batch_2"])
    assert np.array_equal(found.test.pixels.reshape(4, -1), rows["test_batch"])
    assert found.labels[:4].tolist() == [3, 1, 4, 1]
    data = prepared("cifar10", tmp_path)
    assert data.test.shape == (4, 3, 32, 32)
    assert len(data.source.rows) == 18
    assert data.labels.shape == (18,)
    assert sorted(data.test_labels.tolist()) == [1, 1, 3, 4]


def test_svhn_mat_files(tmp_path, monkeypatch):
    x = {part: pixels(32, 32, 3, 10) for part in ("train", "test")}
    for part in x:
        savemat(tmp_path / f"{part}_32x32.mat", {"X": x[part], "y": np.arange(1, 11)[:, None]})
    svhn = import_with_torchvision("torchvision.datasets.svhn")
    monkeypatch.setattr(svhn, "check_integrity", lambda path, md5=None: True)
    found = read_images("svhn", ImageOptions(root=tmp_path))
    assert np.array_equal(found.pixels[7], np.moveaxis(x["train"][..., 7], 2, 0))
    assert np.array_equal(found.test.pixels[2], np.moveaxis(x["test"][..., 2], 2, 0))
    assert found.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]  # 10 stands for 0


@pytest.mark.parametrize(("name", "folder_name"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_idx_files(tmp_path, name, folder_name):
    raw = tmp_path / folder_name / "raw"
    raw.mkdir(parents=True)
    x = {"train": pixels(10, 28, 28), "t10k": pixels(6, 28, 28)}
    for part, values in x.items():
        header = struct.pack(">iiii", 2051, len(values), 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + values.tobytes())
        labels = struct.pack(">ii", 2049, len(values)) + bytes(range(len(values)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    found = read_images(name, ImageOptions(root=tmp_path))
    assert found.pixels.shape == (10, 1, 32, 32)  # a black frame, so that a flow can halve them
    assert np.array_equal(found.pixels[:, 0, 2:30, 2:30], x["train"])
    assert found.pixels[:, :, :2].max() == 0
    assert np.array_equal(found.test.pixels[:, 0, 2:30, 2:30], x["t10k"])
    assert found.labels.tolist() == list(range(10))
    assert read_images(name, ImageOptions(root=tmp_path, size=28)).pixels.shape == (10, 1, 28, 28)


def test_celeba_files(tmp_path, monkeypatch):
    base = tmp_path / "celeba"
    (base / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 8)]
    for name in names:
        face = np.zeros((218, 178, 3), np.uint8)
        face[35:183, 15:163] = 200  # the centred square of 148
        Image.fromarray(face).save(base / "img_align_celeba" / name, quality=100)
    partitions = [0, 0, 0, 0, 1, 2, 2]
    (base / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(names, partitions)))
    (base / "identity_CelebA.txt").write_text("".join(f"{n} 1\n" for n in names))
    for file, columns, numbers in [
        ("list_bbox_celeba.txt", "image_id x_1 y_1 width height", "1 2 3 4"),
        ("list_landmarks_align_celeba.txt", " ".join(f"x{i}" for i in range(10)), " ".join("1" * 10)),
        ("list_attr_celeba.txt", " ".join(f"a{i}" for i in range(40)), " ".join(["-1"] * 40)),
    ]:
        lines = [str(len(names)), columns, *(f"{n} {numbers}" for n in names)]
        (base / file).write_text("\n".join(lines) + "\n")
    celeba = import_with_torchvision("torchvision.datasets.celeba")
    monkeypatch.setattr(celeba, "check_integrity", lambda path, md5=None: True)
    found = read_images("celeba", ImageOptions(root=tmp_path))
    assert found.pixels.shape == (4, 3, 32, 32)
    assert found.test.pixels.shape == (2, 3, 32, 32)
    assert found.pixels[:, :, 1:-1, 1:-1].min() >= 195, "nothing of the black around the face is left"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar10", "put cifar-10-batches-py/ with data_batch_1 to 5"),
        ("svhn", "put train_32x32.mat and test_32x32.mat there"),
        ("mnist", "put MNIST/raw/ with"),
        ("celeba", "put celeba/ with the folder img_align_celeba"),
    ],
)
def test_a_set_that_is_not_there_is_asked_for_in_one_sentence(tmp_path, no_network, name, expected):
    with pytest.raises(ContrastiveError) as raised:
        read_images(name, ImageOptions(root=tmp_path))
    assert expected in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)
