"""Who moves next."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from contrastive.errors import ContrastiveError
from contrastive.training.players import Player, learning_rate_factor
from contrastive.training.schedules import Alternate, EnergyOnly, Gate


def moves(schedule, levels):
    made = []
    for level in levels:
        made.append(schedule.mover)
        schedule.update(SimpleNamespace(accuracy=level, twice_jsd=level / 10))
    return "".join(name[0] for name in made)


def test_energy_only_never_moves_the_noise():
    assert moves(EnergyOnly(), [0.99] * 5) == "eeeee"


def test_alternate_takes_turns():
    assert moves(Alternate(3, 2), [0.5] * 12) == "eeenneeennee"


def test_gate_moves_the_energy_until_accurate_then_the_noise_until_not():
    gate = Gate(threshold=0.6)
    assert moves(gate, [0.5, 0.59, 0.61, 0.9, 0.7, 0.6, 0.55, 0.7]) == "eeennnee"


def test_gate_lets_a_noise_that_cannot_follow_give_way():
    assert moves(Gate(threshold=0.6, max_noise_steps=3), [0.9] * 9) == "ennnennne"


def test_gate_leaves_the_energy_its_turn_even_where_it_tells_them_apart_at_once():
    assert moves(Gate(threshold=0.6, max_noise_steps=2, min_energy_steps=3), [0.9] * 12) == "eeenneeennee"


def test_gate_on_divergence_looks_at_that():
    assert moves(Gate(0.06, measure="divergence"), [0.5, 0.59, 0.61, 0.9, 0.7, 0.6, 0.55, 0.7]) == "eeennnee"


def test_gate_with_a_margin_wants_more_of_both():
    assert moves(Gate(0.6, margin=0.05), [0.61, 0.66, 0.61, 0.56, 0.54, 0.64, 0.7, 0.5]) == "eennneen"


def test_gate_with_a_memory_does_not_jump_at_one_batch():
    """0.5, then 0.9 * 0.5 + 0.1 * 0.9 = 0.54, 0.576, 0.608: above 0.6 after the fourth."""
    assert moves(Gate(0.6, ema=0.9), [0.5, 0.9, 0.9, 0.9, 0.9]) == "eeeen"
    assert moves(Gate(0.6, ema=0.9), [float("nan"), 0.9, 0.9]) == "een"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 39), st.sampled_from([0.0, 0.7]))
def test_a_restored_schedule_goes_on_as_the_first(accuracies, cut, memory):
    whole, begun, restored = (Gate(0.6, 4, 2, ema=memory, margin=0.02) for _ in range(3))
    cut = min(cut, len(accuracies))
    first = moves(begun, accuracies[:cut])
    restored.load_state_dict(begun.state_dict())
    assert moves(whole, accuracies) == first + moves(restored, accuracies[cut:])


def test_alternate_needs_a_move_each():
    with pytest.raises(ContrastiveError, match="at least one update"):
        Alternate(0, 1)


def one_parameter(**settings):
    parameter, average = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3), requires_grad=False)
    return parameter, average, Player([parameter], [average], **settings)


def test_a_step_with_a_non_finite_gradient_is_skipped_and_counted():
    parameter, average, player = one_parameter()
    player.step((parameter.sum() - 1) ** 2, 0.0)
    before = parameter.detach().clone(), average.detach().clone(), player.state_dict()["tensors"]["0.exp_avg"].clone()
    player.step((parameter * float("nan")).sum(), 0.1)
    player.step((parameter * float("inf")).sum(), 0.1)
    assert (player.updates, player.skipped, player.skipped_in_a_row) == (1, 2, 2)
    torch.testing.assert_close((parameter, average, player.state_dict()["tensors"]["0.exp_avg"]), before)
    player.step((parameter.sum() - 1) ** 2, 0.1)
    assert player.skipped_in_a_row == 0


def test_gradients_are_clipped_to_the_norm():
    parameter, _, player = one_parameter(clip_norm=0.5)
    player.step(1e6 * parameter.sum(), 0.0)
    assert float(parameter.grad.norm()) == pytest.approx(0.5, rel=1e-4)


def test_moving_average_is_the_weighted_mean_of_the_path():
    parameter, average, player = one_parameter(ema=0.9, decay="constant")
    expected = torch.zeros(3)
    for update in range(1, 200):
        player.step((parameter.sum() - 1) ** 2, 0.0)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * parameter.detach()
    torch.testing.assert_close(average.detach(), expected)


@pytest.mark.parametrize("optimizer", ["adam", "adamax"])
def test_a_restored_player_goes_on_as_the_first(optimizer):
    a, _, player = one_parameter(optimizer=optimizer)
    for step in range(5):
        player.step((a.sum() - 1) ** 2, step / 10)
    b, _, twin = one_parameter(optimizer=optimizer)
    b.data.copy_(a.data)
    twin.load_state_dict(player.state_dict())
    for step in range(5, 10):
        player.step((a.sum() - 1) ** 2, step / 10)
        twin.step((b.sum() - 1) ** 2, step / 10)
    assert torch.equal(a, b)
    assert twin.updates == 10


def test_cosine_decay_goes_from_one_to_zero():
    assert learning_rate_factor("cosine", 0.0) == 1
    assert learning_rate_factor("cosine", 0.5) == pytest.approx(0.5)
    assert learning_rate_factor("cosine", 1.0) == pytest.approx(0)
    assert learning_rate_factor("constant", 0.7) == 1


def test_momentum_is_adams_first_beta():
    """Under a gradient of 1, then of -1, Adam's second step goes on with a momentum of 0.9, and turns without."""
    ends = {}
    for momentum in (0.0, 0.9):
        parameter = torch.nn.Parameter(torch.zeros(()))
        player = Player([parameter], [parameter.detach().clone()], decay="constant", ema=0.0, beta1=momentum)
        player.step(-parameter, 0.0)
        first = float(parameter.detach())
        player.step(parameter, 0.0)
        ends[momentum] = float(parameter.detach()) - first
    assert ends[0.0] < 0 < first
    assert abs(ends[0.9]) < 0.1 * abs(ends[0.0])  # (0.9 - 1) of the first step's 1, corrected for the start
