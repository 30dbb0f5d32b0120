"""Distances between sets of images: what is reported, kept, refused; and the networks themselves."""

import sys

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional

import contrastive.metrics.images as images_package
from contrastive.errors import ContrastiveError
from contrastive.io.torchvision_import import import_with_torchvision
from contrastive.metrics.images import (
    EmbeddingMoments,
    cached_summary,
    embed,
    frechet_distance,
    image_distances,
    kernel_distance,
    make_network,
    summarize,
    summary,
    weights,
)
from contrastive.metrics.images.inception import Inception


class Colours:
    """Mean and spread of each channel: a network that counts its calls."""

    name, version, dimension = "colours", "1", 6

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        x = images.float().flatten(2) / 255
        return torch.cat([x.mean(2), x.std(2)], 1)


def pictures(n, high=256):
    return torch.randint(high, (n, 3, 8, 8), dtype=torch.uint8)


def test_distances_are_those_of_the_embeddings():
    samples, reference, network = pictures(300, 200), pictures(520), Colours()
    a, b = network(samples), network(reference)
    value, error = kernel_distance(a, b)
    found = image_distances(samples, reference, network)
    assert found["fd_colours"] == pytest.approx(
        frechet_distance(EmbeddingMoments.of(a), EmbeddingMoments.of(b)), rel=1e-9
    )
    assert found["kd_colours"] == pytest.approx(value, abs=4 * error)
    assert found["kd_colours_standard_error"] == pytest.approx(error, rel=1.5)
    assert (found["images"], found["reference_images"]) == (300, 520)
    assert not any("fid" in key or "kid" in key for key in found)


def test_a_stream_of_batches_is_as_good_as_a_tensor():
    samples, reference = pictures(300), pictures(300).numpy()
    whole = image_distances(samples, reference, Colours())
    streamed = image_distances(
        iter(samples.split(37)), (part for part in reference.reshape(3, 100, 3, 8, 8)), Colours()
    )
    assert streamed == pytest.approx(whole, rel=1e-6)


def test_no_more_than_the_limit_is_taken():
    """Of a tensor at random, since its rows may be sorted; of a stream the beginning, and no further."""
    images = torch.arange(200, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    taken = summarize(images, Colours(), limit=50).embeddings[:, 0] * 255
    assert len(taken.unique()) == 50
    assert 60 < float(taken.mean()) < 140
    network = Colours()
    assert summarize(iter(images.split(20)), network, limit=50).embeddings[:, 0].max() * 255 == pytest.approx(49)
    assert network.images == 50


def test_few_embeddings_are_kept_of_many_images(monkeypatch):
    monkeypatch.setattr(summary, "_KERNEL_ROWS", 40)
    found = summarize(pictures(300), Colours())
    assert found.moments.count == 300
    assert found.embeddings.shape == (40, 6)


def test_gray_images_are_colour_images_of_equal_channels():
    gray = pictures(9)[:, :1]
    torch.testing.assert_close(embed(gray, Colours()), Colours()(gray.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.rand(4, 3, 8, 8), r"not float32 of shape \(4, 3, 8, 8\)"),
        (torch.zeros(4, 8, 8, 3, dtype=torch.uint8), r"not uint8 of shape \(4, 8, 8, 3\)"),
        ([torch.zeros(3, 8, 8, dtype=torch.uint8)], r"not uint8 of shape \(3, 8, 8\)"),
        ([(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4))], "expected batches of images, .* not tuple"),
        ([], "no images"),
    ],
)
def test_what_is_not_uint8_images_is_refused(images, found):
    with pytest.raises(ContrastiveError, match=found):
        image_distances(images, pictures(30), Colours())


def test_a_reference_is_computed_once(tmp_path):
    samples, reference, network = pictures(30), pictures(40), Colours()
    first = image_distances(samples, reference, network, cache=tmp_path)
    network.images = 0
    assert image_distances(samples, reference, network, cache=tmp_path) == first
    assert network.images == 30, "the reference was computed again"
    assert first == pytest.approx(image_distances(samples, reference, Colours()))
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_another_reference_or_another_version_is_computed_anew(tmp_path):
    reference, network = pictures(40), Colours()
    changed = reference.clone()
    changed[7, 1, 2, 3] ^= 1
    network.version = "2"
    for images, net in (
        (reference, Colours()),
        (changed, Colours()),
        (reference, network),
        (reference[:39], Colours()),
    ):
        cached_summary(images, net, tmp_path)
        assert net.images == len(images)
    assert len(list(tmp_path.iterdir())) == 4


def test_only_a_tensor_can_be_cached(tmp_path):
    with pytest.raises(ContrastiveError, match="one tensor or array"):
        image_distances(pictures(30), [pictures(30)], Colours(), cache=tmp_path)


def same(a, b):
    return a.moments.count == b.moments.count and all(
        torch.equal(x, y)
        for x, y in (
            (a.moments.mean, b.moments.mean),
            (a.moments.scatter, b.moments.scatter),
            (a.embeddings, b.embeddings),
        )
    )


@pytest.mark.filterwarnings("ignore:.*is damaged:RuntimeWarning")
def test_no_damaged_byte_of_a_cache_changes_a_number(tmp_path):
    """A flipped bit at 150 places, and every tenth length: computed anew, unless the bit does not matter."""
    reference = pictures(25)
    truth = cached_summary(reference, Colours(), tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    anew = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        network = Colours()
        assert same(cached_summary(reference, network, tmp_path), truth), f"byte {place}"
        anew += network.images > 0
    assert anew > 75
    for length in range(0, len(whole), len(whole) // 10):
        path.write_bytes(whole[:length])
        with pytest.warns(RuntimeWarning, match="is damaged .*: computing it anew"):
            assert same(cached_summary(reference, Colours(), tmp_path), truth)
    assert path.read_bytes() == whole


def test_a_cache_of_other_images_is_not_taken(tmp_path):
    cached_summary(pictures(25), Colours(), tmp_path / "a")
    reference = pictures(25)
    cached_summary(reference, Colours(), tmp_path / "b")
    (foreign,), (path,) = (tmp_path / "a").iterdir(), (tmp_path / "b").iterdir()
    path.write_bytes(foreign.read_bytes())
    with pytest.warns(RuntimeWarning, match="it is of other images"):
        assert same(cached_summary(reference, Colours(), tmp_path / "b"), summarize(reference, Colours()))


@pytest.fixture(scope="module")
def efficientnet():
    return make_network("efficientnet-lite0")


def test_efficientnet_knows_a_daisy(efficientnet):
    """Class 985 of ImageNet, and 442 or 698 (bell cote, palace) for a temple: the weights and their input are right."""
    for name, labels in (("flower.jpg", {985}), ("china.jpg", {442, 698})):
        image = torch.tensor(load_sample_image(name)).permute(2, 0, 1)[None, :, :, 100:527]
        embeddings = efficientnet(image)
        assert int(efficientnet._network._fc(embeddings).argmax()) in labels


def test_efficientnets_embeddings_are_those_before_its_classifier(efficientnet):
    images = pictures(10)
    embeddings = efficientnet(images)
    assert embeddings.shape == (10, efficientnet.dimension)
    assert 0 <= embeddings.min() < embeddings.max() <= 6
    torch.testing.assert_close(efficientnet(images[:3]), embeddings[:3], rtol=1e-4, atol=1e-4)
    resized = functional.interpolate(images.float(), (224, 224), mode="bilinear", align_corners=False)
    with torch.no_grad():
        logits = efficientnet._network((resized - 127) / 128)
    torch.testing.assert_close(efficientnet._network._fc(embeddings), logits, rtol=1e-3, atol=1e-3)


def test_blur_moves_images_away(efficientnet):
    """Two halves of structured images are nearer to each other than one of them is to the other blurred."""
    images = functional.interpolate(pictures(40)[:, :, :4, :4].float(), 16)
    blurred = functional.avg_pool2d(images[20:], 5, stride=1, padding=2, count_include_pad=False)
    one, other, moved = (summarize(x.byte(), efficientnet) for x in (images[:20], images[20:], blurred))
    assert frechet_distance(one.moments, moved.moments) > 1.5 * frechet_distance(one.moments, other.moments)
    split, away = (kernel_distance(one.embeddings, x.embeddings) for x in (other, moved))
    assert away.value - split.value > 4 * split.standard_error


def test_an_absent_extra_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    expected = r"need efficientnet_lite_pytorch: pip install 'contrastive-estimation\[images\]'"
    with pytest.raises(ContrastiveError, match=expected):
        make_network("efficientnet-lite0")


def test_unknown_networks_are_refused():
    with pytest.raises(ContrastiveError, match="did you mean 'inception'"):
        make_network("inception-v3")


def test_fid_without_its_weights_says_which_file_goes_where(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    expected = tmp_path / "checkpoints" / weights.INCEPTION_FILES[0]
    with pytest.raises(ContrastiveError) as caught:
        image_distances(pictures(30), pictures(30), "inception")
    assert str(expected) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ContrastiveError, match=r"there is no file absent\.pth"):
        make_network("inception", weights="absent.pth")
    expected.parent.mkdir()
    expected.write_bytes(b"something else")
    with pytest.raises(ContrastiveError, match=r"damaged or another file: .*, expected 6726825d"):
        make_network("inception")


def test_weights_that_are_unpickled_are_known_by_their_whole_digest(tmp_path, monkeypatch):
    """A file with code in it that meets the first eight digits can be made."""

    class Digest:
        def hexdigest(self):
            return "6726825d" + "0" * 56

    (tmp_path / "made.pth").write_bytes(b"code")
    monkeypatch.setattr(weights.hashlib, "file_digest", lambda handle, name: Digest())
    with pytest.raises(ContrastiveError, match="damaged or another file"):
        weights.inception_weights(tmp_path / "made.pth")


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """Weights of the right form, in a file: the true ones cannot be had offline."""
    module = import_with_torchvision("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_inceptions_embeddings_are_torch_fidelitys_and_its_distances_are_called_fid(random_inception, monkeypatch):
    monkeypatch.setattr(weights, "_INCEPTION_SHA256", "")
    peer, path = random_inception
    images = pictures(2)
    network = make_network("inception", weights=path)
    embeddings = embed(images, network)
    assert embeddings.shape == (2, network.dimension)
    torch.testing.assert_close(embeddings, peer(images)[0])
    # 2,048 dimensions take their time; the names do not depend on the embeddings.
    monkeypatch.setattr(Inception, "__call__", lambda self, images: Colours()(images))
    found = image_distances(pictures(20), pictures(20), "inception", weights=path)
    assert {"fid", "kid", "kid_standard_error", "images", "reference_images"} == set(found)


def test_other_errors_of_an_import_are_left_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "breaks_on_import.py").write_text("raise RuntimeError('something else')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="something else"):
        import_with_torchvision("breaks_on_import")
    with pytest.raises(ImportError):
        import_with_torchvision("absent_altogether")


@pytest.mark.parametrize("old", ["FeatureMoments", "FeatureNetwork", "FeatureSummary", "extract_features"])
def test_names_of_before_warn_and_are_the_present_ones(old):
    new = old.replace("Feature", "Embedding").replace("extract_features", "embed")
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated.*use {new}"):
        assert getattr(images_package, old) is getattr(images_package, new)


def test_the_features_of_before_are_the_embeddings():
    summary = summarize(torch.zeros(3, 3, 2, 2, dtype=torch.uint8), Colours())
    with pytest.warns(DeprecationWarning, match="use embeddings"):
        assert summary.features is summary.embeddings
