"""What a run says while it goes on."""

import pytest

from contrastive.training.progress import Progress


def reported(progress, *losses):
    progress.start("contrast", 100, 0)
    for step, loss in enumerate(losses):
        progress.report({"stage": "contrast", "step": step, "value": -1.4 - loss, "twice_jsd": -loss})
    progress.close()


@pytest.mark.parametrize("lines", [True, False])
def test_an_energy_that_is_lost_is_told_once_and_early(capsys, lines):
    reported(Progress(lines=lines), 900.0, 800.0)
    shown = capsys.readouterr().err
    assert shown.count("900 nats above chance level") == shown.count("--energy tilted") == 1


def test_an_energy_near_chance_level_needs_no_note(capsys):
    reported(Progress(lines=True), 5.0, 0.0, -1.0)
    progress = Progress(lines=True)
    progress.start("likelihood", 10, 0)
    progress.report({"stage": "likelihood", "step": 1, "test_log_prob_noise": -5000.0})
    assert "note" not in capsys.readouterr().err


def test_quiet_is_quiet(capsys):
    reported(Progress(quiet=True), 900.0)
    assert capsys.readouterr().err == ""
