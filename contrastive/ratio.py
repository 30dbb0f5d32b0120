"""Log-ratios of two samples, log p_A(x) / p_B(x), and of a joint law to the product of its margins.

The estimator is the one of every fit. The base measure is p_B itself: the noise draws rows of B and its log-density is
0, so the learned log-density f - c is the log-ratio, and log Z is log E_B[exp f].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.config import FitConfig, changed, configure, flattened, shown, with_part
from contrastive.core.estimator import Estimator
from contrastive.data.points import Rows
from contrastive.data.preparation.ratio import PreparedRatio, prepare_independence, prepare_ratio
from contrastive.data.schema.told import BY_NAME, BY_RANGE
from contrastive.errors import ContrastiveError
from contrastive.metrics import log_densities
from contrastive.metrics.ratio import (
    Calibration,
    Divergence,
    TwoSampleTest,
    Weights,
    calibrate,
    independence_test,
    kl_bound,
    pair_rows,
    twice_jsd_bound,
    two_sample_test,
)
from contrastive.training.progress import Progress
from contrastive.training.run import train

Sides = tuple[str | int | Sequence[str | int], str | int | Sequence[str | int]]

_TEST = 0.25  # share of each sample that is held out: every figure that is reported rests on it
_PAIRS = 1_000_000
_WIDTHS, _LEARNING_RATE = (64, 64), 2e-3  # of networks: docs/how-to/ratios.md has what they were measured against
_LEVELS = 4  # of bridges: 8 were no better up to 10 nats
_SMALL, _EVERY_SMALL, _EVERY, _PATIENCE = 5_000, 25, 100, 20
_CHAINED = ("telescoping", "multinomial")
_OTHERS = (
    *("noise.", "labels.", "likelihood.", "game.method", "run.out", "run.tensorboard"),
    *(f"data.{name}" for name in ("dequantize", "given", "weight_column", "mixed", *BY_NAME, *BY_RANGE)),
)


@dataclass(frozen=True)
class RatioEstimate:
    """A learned log-ratio log p_A(x) / p_B(x), with what held-out rows say of it.

    Rows `x` are what `fit_ratio` takes, in original units; of a joint law, the columns of the first side come first,
    and those of a data frame are found by name.

    Attributes:
        estimator: of which log p is the log-ratio.
        kl: lower bound of KL(A || B), with its interval; of a joint law, of the mutual information.
        twice_jsd: the same of two times the Jensen-Shannon divergence.
        test: whether both samples (or sides) could have the same law (be independent).
        calibration: of P(A | x).
        held_out: log-ratios at held-out rows of A, and at those of B or at pairs of rows.
        data: rows, columns and splits.
    """

    estimator: Estimator
    kl: Divergence
    twice_jsd: Divergence
    test: TwoSampleTest
    calibration: Calibration
    held_out: tuple[Float[Tensor, " n"], Float[Tensor, "m *pairs"]]
    data: PreparedRatio

    def log_ratio(self, x: Rows) -> Float[Tensor, " n"]:
        """log p_A(x) / p_B(x) of each row in nats, float64; it is the same in all units.

        Raises:
            ContrastiveError: if `x` is no batch of rows, or lacks a column.
        """
        return log_densities(self.estimator, self.estimator.points(x))

    def ratio(self, x: Rows) -> Float[Tensor, " n"]:
        """p_A(x) / p_B(x) of each row, float64."""
        return self.log_ratio(x).exp()

    def weights(self, x: Rows) -> Weights:
        """Importance weights of rows of B, by which they stand for A (covariate shift), with their effective size.

        Rows that the ratio was trained on get weights that are a little too uneven.
        """
        return Weights.of(self.log_ratio(x))

    def posterior_weights(self, theta: Rows, x: Any) -> Weights:
        """Weights by which prior draws of theta stand for its posterior at one observed x: posterior = prior * ratio.

        For `fit_ratio(simulations, independent=(theta, x))`, whose first side are the parameters.

        Args:
            theta: draws of the prior, shape `(n, d_theta)`; with one parameter `(n,)` will do.
            x: the observation, shape `(d_x,)` or a number.

        Raises:
            ContrastiveError: for a ratio of two samples, or shapes that are not the sides'.
        """
        return Weights.of(self.log_ratio(self._beside(theta, x)))

    def resample(self, theta: Rows, x: Any, n: int, *, seed: int = 0) -> Float[Tensor, "n *event"]:
        """`n` of the prior draws `theta`, drawn with replacement by their posterior weights at the observed `x`.

        They are worth no more than the weights' effective size; arguments as in `posterior_weights`.
        """
        theta = torch.as_tensor(theta)
        weights = self.posterior_weights(theta, x)
        generator = torch.Generator().manual_seed(seed)
        return theta[torch.multinomial(weights.values, n, replacement=True, generator=generator)]

    @property
    def mutual_information(self) -> Divergence:
        """Lower bound of the mutual information of the two sides, nats.

        Raises:
            ContrastiveError: for a ratio of two samples.
        """
        self._split("mutual_information")
        return self.kl

    @property
    def held_out_weights(self) -> Weights:
        """Weights of the held-out rows of B, or of the pairs."""
        return Weights.of(self.held_out[1].flatten())

    @property
    def warning(self) -> str:
        """Said where held-out rows are described no better than by a ratio of 1; empty elsewhere."""
        if self.twice_jsd.value > 0:
            return ""
        return (
            "on held-out rows the ratio is no better than 1 everywhere: there is nothing to learn, or too few rows to "
            "learn it from; do not use it"
        )

    @property
    def summary(self) -> dict[str, Any]:
        """Every figure by name, for JSON."""
        bounds = {"kl": self.kl, "twice_jsd": self.twice_jsd}
        weights = self.held_out_weights
        trained = self.estimator.summary or {}
        return {
            "columns": self.data.a.columns,
            "sides": None if self.data.split is None else list(self._names()),
            **{name: trained.get(name) for name in ("energy", "objective", "seed", "steps", "best_update", "seconds")},
            "train_rows": trained.get("train_rows"),
            "held_out_rows": len(self.held_out[0]),
            "held_out_rows_of_b": self.held_out[1].numel(),
            **{f"{key}_{part}": getattr(bound, part) for key, bound in bounds.items() for part in ("low", "high")},
            **{key: bound.value for key, bound in bounds.items()},
            **{f"{key}_standard_error": bound.standard_error for key, bound in bounds.items()},
            "interval_level": self.kl.level,
            "kl_warning": self.kl.warning,
            "warning": self.warning,
            "mean_log_ratio": float(self.held_out[0].mean()),
            "test_p_value": self.test.p_value,
            "test_level": self.test.level,
            "test_rejects": self.test.rejects,
            "calibration_error": self.calibration.expected_calibration_error,
            "log_score": self.calibration.log_score,
            "brier_score": self.calibration.brier_score,
            "mean_ratio": self.calibration.mean_ratio,
            "mean_ratio_standard_error": self.calibration.mean_ratio_error,
            "effective_size": weights.effective_size,
        }

    def __str__(self) -> str:
        test, found, weights = self.test, self.calibration, self.held_out_weights
        joint = self.data.split is not None
        of_b = f"{self.held_out[1].numel():,} {'pairs of them' if joint else 'of B'}"
        same, other = ("independent", "dependent") if joint else ("equal", "different")
        verdict = f"{other} (level {test.level:g})" if test.rejects else f"no sign that they are not {same}"
        lines = [
            f"log-ratio of {self._described()}",
            f"held-out rows: {len(self.held_out[0]):,} of {'the table' if joint else 'A'}, {of_b}",
            str(self.kl),
            str(self.twice_jsd),
            f"test on {test.rows:,} held-out rows: {verdict}, p = {test.p_value:.3g}",
            f"P(A | x): calibration error {found.expected_calibration_error:.3f}, log score {found.log_score:.4f} "
            f"(0.6931 for no difference), Brier score {found.brier_score:.4f} (0.25)",
            f"mean ratio over B: {found.mean_ratio:.3f}, standard error {found.mean_ratio_error:.3f} (1 where right)",
        ]
        if self.warning:
            lines.append(self.warning)
        if not joint:
            share = weights.effective_size / len(weights.values)
            lines.append(
                f"weights of B towards A: effective size {weights.effective_size:.1f}, {100 * share:.0f} % of B"
            )
        return "\n".join(lines)

    def _described(self) -> str:
        if self.data.split is not None:
            x, y = (", ".join(side) for side in self._names())
            return f"the joint law of ({x}) and ({y}) to the product of its margins"
        return f"A to B in {len(self.data.a.columns)} column{'s' * (len(self.data.a.columns) > 1)}"

    def _names(self) -> tuple[list[str], list[str]]:
        split = self.data.split
        return self.data.a.columns[:split], self.data.a.columns[split:]

    def _split(self, what: str) -> int:
        if self.data.split is None:
            raise ContrastiveError(f"{what} is for a joint law: fit_ratio(table, independent=(theta, x))")
        return self.data.split

    def _beside(self, theta: Rows, x: Any) -> Tensor:
        split = self._split("the posterior")
        theta, x = torch.as_tensor(theta).double(), torch.as_tensor(x).double().reshape(-1)
        theta = theta.unsqueeze(1) if theta.ndim == 1 and split == 1 else theta
        rest = len(self.data.a.columns) - split
        if theta.ndim != 2 or theta.shape[1] != split or len(x) != rest:
            raise ContrastiveError(
                f"expected parameters of shape (n, {split}) and one observation of {rest} numbers, got "
                f"{tuple(theta.shape)} and {len(x)}"
            )
        return torch.cat([theta, x.expand(len(theta), -1)], 1)


def fit_ratio(
    a: Any,
    b: Any = None,
    *,
    independent: Sides | None = None,
    level: float = 0.95,
    quiet: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> RatioEstimate:
    """Learn log p_A(x) / p_B(x) from a sample of each, without a density of either.

    Args:
        a: rows of A: an array or tensor `(n, d)`, nested lists, a data frame, or the path of a table.
        b: rows of B, with the same columns; they are found by name where both have names.
        independent: in place of `b`: two groups of columns of `a`, by name or by number. A is then their joint law, and
            B the product of their margins: `("theta", ["x1", "x2"])`.
        level: of the intervals; the false-alarm rate of the test is 1 less that.
        quiet: show no progress.
        progress: what shows it (default: a bar on standard error).
        **settings: as in `contrastive.fit`: `objective`, `energy`, `energy_options`, `columns`, `steps`, `seed`, ...
            A quarter of each sample is held out for the figures (`test`), and a tenth stops the training.

    Returns:
        The log-ratio, with divergences, a test, calibration and weights.

    Raises:
        ContrastiveError: if the data or the settings cannot work.

    Example:
        >>> import torch
        >>> estimate = fit_ratio(torch.randn(200, 2) + 1, torch.randn(200, 2), steps=20, quiet=True)
        >>> estimate.log_ratio(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    if not 0 < level < 1:
        raise ContrastiveError(f"the level of the intervals must be in (0, 1), got {level}")
    energy = settings["energy"] if isinstance(settings.get("energy"), nn.Module) else None
    if energy is not None:
        settings["energy"] = type(energy).__name__
    config = ratio_config(settings)
    if (b is None) == (independent is None):
        raise ContrastiveError("give two samples, fit_ratio(a, b), or one and independent=(columns, other columns)")
    data = prepare_ratio(a, b, config) if independent is None else prepare_independence(a, independent, config)
    progress = progress or Progress(quiet=quiet)
    config = _paced(config, len(data.data.fitting))
    trained = train(config, data.data, energy=energy, noise=data.noise, progress=progress)
    return _judged(trained.estimator, data, level, config.run.seed)


def mutual_information(x: Any, y: Any, **settings: Any) -> Divergence:
    """Lower bound of the mutual information of x and y in nats, with an interval; arrays with a row a pair.

    Args:
        x: shape `(n,)` or `(n, d_x)`.
        y: shape `(n,)` or `(n, d_y)`.
        **settings: as in `fit_ratio`.

    Raises:
        ContrastiveError: if the rows are not as many, or as `fit_ratio`.

    Example:
        >>> import torch
        >>> x = torch.randn(500)
        >>> mutual_information(x, x + torch.randn(500), steps=20, quiet=True).level
        0.95
    """
    sides = [torch.as_tensor(side).double() for side in (x, y)]
    sides = [side.unsqueeze(1) if side.ndim == 1 else side for side in sides]
    if sides[0].ndim != 2 or sides[1].ndim != 2 or len(sides[0]) != len(sides[1]):
        raise ContrastiveError(
            f"x and y need a row for each pair, got shapes {tuple(sides[0].shape)} and {tuple(sides[1].shape)}"
        )
    split, d = sides[0].shape[1], sides[0].shape[1] + sides[1].shape[1]
    independent = (list(range(split)), list(range(split, d)))
    return fit_ratio(torch.cat(sides, 1), independent=independent, **settings).mutual_information


def ratio_config(settings: dict[str, Any]) -> FitConfig:
    """The settings of a ratio, with its own defaults.

    Raises:
        ContrastiveError: for settings that a ratio does not have, or an objective that cannot learn one.
    """
    paths = flattened(settings)
    if others := sorted(shown(path) for path in paths if path.startswith(_OTHERS)):
        raise ContrastiveError(
            f"a ratio has no {', '.join(others)}: its noise draws rows of the second sample; leave it out"
        )
    config = configure({"data": "ratio", **({} if "data.test" in paths else {"test": _TEST}), **settings})
    if config.objective.name == "conditional":
        raise ContrastiveError(
            "the objective 'conditional' perturbs rows of A and never looks at B: it learns no ratio; take 'nce'"
        )
    name = config.energy.name or ("bridges" if config.objective.name in _CHAINED else "mlp")
    own: dict[str, Any] = {"widths": _WIDTHS} if name in ("mlp", "bridges") else {}
    own |= {"levels": _LEVELS} if name == "bridges" else {}
    config = with_part(config, "energy", name, {**own, **config.energy.options})
    rate = _LEARNING_RATE if config.game.energy.learning_rate is None else config.game.energy.learning_rate
    return changed(config, {"game.energy.learning_rate": rate, "run.log_partition_draws": 0})


def _paced(config: FitConfig, rows: int) -> FitConfig:
    """A network that tells two samples apart overfits few rows within tens of updates: it is looked at more often."""
    if config.run.evaluate_every is not None:
        return config
    config = changed(config, {"run.evaluate_every": _EVERY_SMALL if rows <= _SMALL else _EVERY})
    if config.run.early_stopping is not None or config.game.steps is not None:
        return config
    return changed(config, {"run.early_stopping": _PATIENCE})


def _judged(estimator: Estimator, data: PreparedRatio, level: float, seed: int) -> RatioEstimate:
    """The estimate with every figure of held-out rows."""

    def log_ratio(x: Tensor) -> Tensor:
        return log_densities(estimator, x)

    x = data.data.test
    at_a = log_ratio(x)
    if data.split is None:
        assert data.test is not None
        at_b, names = log_ratio(data.test), ("KL(A || B)", "2 JSD(A, B)")
        test = two_sample_test(at_a, at_b, level=1 - level, seed=seed)
    else:
        at_b, names = pair_rows(log_ratio, x, data.split, _PAIRS), ("mutual information", "2 JSD(joint, product)")
        test = independence_test(log_ratio, x, data.split, level=1 - level, most=_PAIRS // 4, seed=seed)
    return RatioEstimate(
        estimator,
        kl_bound(at_a, at_b, level=level, name=names[0]),
        twice_jsd_bound(at_a, at_b, level=level, name=names[1]),
        test,
        calibrate(at_a, at_b),
        (at_a, at_b),
        data,
    )
