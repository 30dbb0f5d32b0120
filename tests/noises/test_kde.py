"""The kernel density estimate: bandwidth against brute force, density against scikit-learn's, ties, runs."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity as Peer
from torch.distributions import MultivariateNormal

import contrastive
from contrastive import ContrastiveError
from contrastive.noises import KernelDensity
from contrastive.noises.kde import best_bandwidth, distances_to_others, leave_one_out
from contrastive.training.callbacks import Callback

PACE = {"checkpoint_every": 10, "evaluate_every": 10}


class StopAtSecondEvaluation(Callback):
    def on_evaluation(self, trainer, metrics):
        if metrics["step"] == 20:
            raise KeyboardInterrupt


def rows(n=60, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return x @ torch.tensor([[1.0, 0.8], [0.0, 0.3]], dtype=torch.float64) if d == 2 else x


def fitted(x, **options):
    noise = KernelDensity(tuple(x.shape[1:]), **options).to(x.dtype)
    noise.fit(x)
    return noise


@pytest.mark.parametrize("bandwidth", [0.2, 0.7])
def test_leave_one_out_is_that_of_brute_force(bandwidth):
    x = rows()
    log_q = []
    for i in range(len(x)):
        others = torch.cat([x[:i], x[i + 1 :]])
        kernels = MultivariateNormal(others, bandwidth**2 * torch.eye(2, dtype=x.dtype))
        log_q.append(kernels.log_prob(x[i]).logsumexp(0) - math.log(len(others)))
    found = leave_one_out(distances_to_others(x, x), bandwidth, 2)
    assert found == pytest.approx(float(torch.stack(log_q).mean()), abs=1e-5)


def test_the_bandwidth_is_the_best_of_a_fine_grid():
    x = rows()
    distances = distances_to_others(x, x)
    grid = np.geomspace(0.02, 3, 2000)
    best = max(leave_one_out(distances, h, 2) for h in grid)
    assert leave_one_out(distances, best_bandwidth(x, len(x)), 2) == pytest.approx(best, abs=1e-4)


def test_density_is_scikit_learns():
    x, h = rows(), 0.3
    noise = fitted(x, bandwidth=h, covariance="diagonal")
    scale = x.std(0, correction=0)
    peer = Peer(bandwidth=h).fit((x / scale).numpy())
    points = 3 * rows(seed=1)
    expected = torch.from_numpy(peer.score_samples((points / scale).numpy())) - scale.log().sum()
    torch.testing.assert_close(noise.log_prob(points), expected)


@pytest.mark.parametrize("covariance", ["sample", "diagonal"])
def test_the_kernel_has_the_covariance_of_the_rows(covariance):
    x = rows()
    noise = fitted(x, covariance=covariance, bandwidth=0.5)
    s = x.mT.cov(correction=0)
    expected = 0.25 * (s if covariance == "sample" else s.diagonal().diag())
    torch.testing.assert_close(noise.scale_tril @ noise.scale_tril.mT, expected)


def test_copied_rows_do_not_change_the_bandwidth():
    """Each row three times: counted as others of themselves, they would draw the bandwidth to 0."""
    x = rows()
    once, thrice = best_bandwidth(x, 1000), best_bandwidth(x.repeat(3, 1), 1000)
    assert thrice > 0.5 * once
    same = leave_one_out(distances_to_others(x, x), once, 2)
    copied = x.repeat(3, 1)
    assert leave_one_out(distances_to_others(copied, copied), once, 2) == pytest.approx(same, abs=1e-4)


def test_whole_numbers_keep_a_bandwidth_of_the_size_of_their_steps():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 10, (500, 1), generator=generator).double()
    assert float(fitted(x).scale_tril) > 0.2


def test_many_rows_are_thinned_and_all_of_few_are_centres():
    x = rows(500)
    assert len(fitted(x, max_rows=100).centres) == 100
    assert torch.equal(fitted(x).centres, x)


def test_scores_in_blocks_are_scores_at_once(monkeypatch):
    noise, x = fitted(rows()), rows(50, seed=1)
    expected = noise.log_prob(x)
    monkeypatch.setattr("contrastive.noises.kde._DISTANCES_AT_ONCE", 100)
    torch.testing.assert_close(noise.log_prob(x), expected)


def test_a_fresh_noise_loads_any_number_of_centres():
    noise, fresh = fitted(rows()), KernelDensity((2,)).double()
    fresh.load_state_dict(noise.state_dict())
    torch.testing.assert_close(fresh.log_prob(rows(seed=1)), noise.log_prob(rows(seed=1)), rtol=0, atol=0)
    assert fresh.is_fitted
    with pytest.raises(RuntimeError, match="centres"):
        KernelDensity((3,)).load_state_dict(noise.state_dict())


def test_the_gradient_at_a_centre_is_finite():
    x = rows(20).requires_grad_()
    (gradient,) = torch.autograd.grad(fitted(x.detach()).log_prob(x).sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("energy", ["mlp", "tilted"])
def test_a_run_is_saved_loaded_and_resumed(energy, tmp_path):
    x, out = rows(200).numpy(), tmp_path / "run"
    common = {"noise": "kde", "energy": energy, "quiet": True, "log_partition_draws": 0, "seed": 3}
    whole = contrastive.fit(x, steps=40, **PACE, **common)

    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(x, steps=40, **PACE, out=str(out), callbacks=[StopAtSecondEvaluation()], **common)
    resumed = contrastive.fit(x, resume=str(out), quiet=True)
    torch.testing.assert_close(resumed.log_prob(x), whole.log_prob(x), rtol=0, atol=0)
    loaded = contrastive.load(out)
    torch.testing.assert_close(loaded.log_prob(x), resumed.log_prob(x), rtol=0, atol=0)
    assert len(loaded.noise.centres) > 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": 0.0}, "bandwidth must be positive"),
        ({"covariance": "full"}, "unknown covariance 'full'"),
        ({"max_rows": 1}, "max_rows must be at least 2"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ContrastiveError, match=message):
        KernelDensity((2,), **options)


def test_rows_without_spread_are_refused():
    with pytest.raises(ContrastiveError, match="not positive definite"):
        fitted(torch.ones(10, 1).double())
