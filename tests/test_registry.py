"""Names: near ones in errors, plugins loaded lazily, broken and rival ones named."""

import subprocess
import sys

import pytest

from contrastive import ContrastiveError, available_noises, make_noise
from contrastive.registry import Registry, register_noise


def install(path, monkeypatch, name, points, body):
    """A distribution with entry points, as pip would leave it on the path."""
    (path / f"{name}.py").write_text(body)
    info = path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.0\n")
    lines = "\n".join(f"{key} = {value}" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[contrastive.noises]\n{lines}\n")
    monkeypatch.syspath_prepend(str(path))


def test_listing_imports_no_plugin():
    code = "import sys, contrastive; contrastive.available_noises(); print('contrastive_glow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unknown_name_lists_the_near_ones():
    with pytest.raises(ContrastiveError, match=r"'gausian'; did you mean .*'gaussian'"):
        make_noise("gausian", event_shape=(2,))


def test_a_name_of_a_known_plugin_says_which_package_brings_it(monkeypatch):
    registry = Registry("noise", "no.such.group")
    with pytest.raises(ContrastiveError, match="pip install contrastive-glow"):
        registry.load("glow")
    with pytest.raises(ContrastiveError, match=r"'gloww'.*'glow'.*contrastive-glow"):
        registry.load("gloww")


def test_unknown_option_lists_the_near_ones():
    with pytest.raises(ContrastiveError, match=r"no option 'componets'; did you mean 'components'"):
        make_noise("gaussian-mixture", event_shape=(2,), componets=3)


def test_a_broken_plugin_is_named_and_does_not_break_the_rest(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "broken_one", {"broken": "broken_one:Noise"}, "raise RuntimeError('no luck')")
    assert "broken" in available_noises()
    with pytest.raises(ContrastiveError, match=r"'broken' of package dist-broken_one .* RuntimeError: no luck"):
        make_noise("broken", event_shape=(2,))
    make_noise("gaussian", event_shape=(2,))


def test_two_plugins_claiming_one_name_are_both_named(tmp_path, monkeypatch):
    for name in ("rival_a", "rival_b"):
        install(tmp_path, monkeypatch, name, {"contested": f"{name}:make"}, "make = None")
    with pytest.raises(ContrastiveError, match=r"dist-rival_[ab].*dist-rival_[ab]"):
        make_noise("contested", event_shape=(2,))


def test_a_name_registered_in_this_process_is_made_and_rivals_are_refused():
    @register_noise("test-registered")
    def first(event_shape, width=3):
        return ("made", event_shape, width)

    assert make_noise("test-registered", event_shape=[2], width=4) == ("made", (2,), 4)
    with pytest.raises(ContrastiveError, match="two noise factories claim"):
        register_noise("test-registered")(lambda event_shape: None)
