"""The labelled loss, alone and as a term of the energy's update."""

import torch
from helpers.classes import Normals, normalized

from contrastive import ContrastiveEstimator, make_noise
from contrastive.data.sources import Batch, Labelled
from contrastive.objectives.supervised import labelled_loss
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game
from contrastive.training.terms import LabelledTerm


def test_the_labelled_loss_is_minus_the_mean_log_posterior_of_the_labelled():
    x, y = 2 * torch.randn(40, 2, dtype=torch.float64), torch.randint(3, (40,))
    y[::3] = -1
    estimator = normalized((0.2, 0.5, 0.3))
    means = estimator.energy.means.detach().clone().requires_grad_()
    prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    joint = torch.exp(-0.5 * (x[:, None] - means).square().sum(-1)) * prior
    posterior = (joint / joint.sum(1, keepdim=True))[torch.arange(40), y.clamp_min(0)]
    by_hand = -posterior[y >= 0].log().mean()
    loss = labelled_loss(estimator.class_logits(x), y)
    torch.testing.assert_close(loss, by_hand, atol=1e-6, rtol=1e-6)
    ours = torch.autograd.grad(loss, estimator.energy.means)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(by_hand, means)[0], atol=1e-6, rtol=1e-5)


def test_no_label_is_no_loss():
    logits = torch.randn(5, 3, requires_grad=True)
    loss = labelled_loss(logits, torch.full((5,), -1))
    assert float(loss.detach()) == 0
    assert not bool(torch.autograd.grad(loss, logits)[0].any())


def test_labels_add_their_loss_to_the_energys_move_and_none_to_the_noises():
    noise = make_noise("diag-gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(Normals(), noise, adapt_noise=True)
    z, labelled = torch.randn(30, 2), Labelled(torch.randn(6, 2), torch.randint(3, (6,)))

    def gradient(mover, terms):
        class Recorder:
            def step(self, loss, progress):
                self.gradient = torch.autograd.grad(loss, list(getattr(estimator, mover).parameters()))[0]

        schedule, recorder = Alternate(1, 1), Recorder()
        schedule.mover = mover
        torch.manual_seed(1)
        Game(estimator, {"energy": recorder, "noise": recorder}, schedule, 10, terms=terms).update(
            Batch(z, labelled=labelled), 0.0
        )
        return recorder.gradient

    added = torch.autograd.grad(labelled_loss(estimator.class_logits(labelled.z), labelled.y), estimator.energy.means)[
        0
    ]
    torch.testing.assert_close(gradient("energy", [LabelledTerm(0.7)]), gradient("energy", []) + 0.7 * added)
    assert torch.equal(gradient("noise", [LabelledTerm(0.7)]), gradient("noise", []))


def test_labels_of_the_batch_serve_where_there_is_no_labelled_batch():
    estimator, z, y = normalized(), torch.randn(9, 2, dtype=torch.float64), torch.randint(-1, 3, (9,))
    term = LabelledTerm(2.0)
    expected = 2 * labelled_loss(estimator.class_logits(z), y)
    torch.testing.assert_close(term(estimator, Batch(z, y=y)), expected)
    assert float(term(estimator, Batch(z))) == 0


def test_contrast_weight_nought_is_supervised_learning():
    """Two labels a class, no contrast: the energy's gradient is the labelled loss's alone, the noise is not drawn."""
    estimator, z = normalized(), torch.randn(30, 2, dtype=torch.float64)
    labelled = Labelled(torch.randn(4, 2, dtype=torch.float64), torch.tensor([0, 1, 2, -1]))

    class Recorder:
        def step(self, loss, progress):
            (self.loss,) = loss

    recorder = Recorder()
    estimator.noise = None
    game = Game(estimator, {"energy": recorder}, None, 10, terms=[LabelledTerm(1.0)], contrast_weight=0.0)
    game.update(Batch(z, labelled=labelled), 0.0)
    torch.testing.assert_close(recorder.loss, labelled_loss(estimator.class_logits(labelled.z), labelled.y))
