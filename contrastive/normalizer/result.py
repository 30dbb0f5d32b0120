"""An estimate of log Z with its interval and verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contrastive.errors import ContrastiveError
from contrastive.numerics.statistics import normal_threshold

_ROUNDING = 1e-12  # relative; equal densities leave nothing else


@dataclass(frozen=True)
class LogPartition:
    """log Z of an energy, with how far to trust it. Nats throughout.

    Attributes:
        log_z: the estimate.
        standard_error: of `log_z`; NaN for an interval that does not come from one.
        low: lower end of the interval.
        high: upper end: the conservative one, since log p = f - log Z is lowest there.
        level: the probability with which the interval should hold log Z.
        method: "importance", "bridge", "annealing" or "certified".
        reasons: why the estimate is doubtful, each half a sentence; none if it is not.
        diagnostics: what the verdict rests on, by name.

    Example:
        >>> print(LogPartition.normal(1.8372, 0.0011, level=0.95, method="bridge"))
        log Z = 1.8372 +- 0.0011 (95 %: [1.8350, 1.8394]) by bridge: reliable
    """

    log_z: float
    standard_error: float
    low: float
    high: float
    level: float
    method: str
    reasons: tuple[str, ...] = ()
    diagnostics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def normal(
        cls,
        log_z: float,
        standard_error: float,
        *,
        level: float,
        method: str,
        reasons: Sequence[str] = (),
        diagnostics: dict[str, Any] | None = None,
    ) -> "LogPartition":
        """An estimate whose error is taken to be normal, and no smaller than float64's rounding."""
        standard_error = max(standard_error, _ROUNDING * (1 + abs(log_z)))
        radius = normal_threshold(1 - level) * standard_error
        return cls(
            log_z,
            standard_error,
            log_z - radius,
            log_z + radius,
            level,
            method,
            tuple(reasons),
            diagnostics or {},
        )

    @property
    def verdict(self) -> str:
        """ "reliable" or "doubtful"."""
        return "doubtful" if self.reasons else "reliable"

    @property
    def verdict_with_reasons(self) -> str:
        """ "reliable", or "doubtful because ..."."""
        return self.verdict + (f" because {'; '.join(self.reasons)}" if self.reasons else "")

    @property
    def is_reliable(self) -> bool:
        """Whether nothing speaks against the interval."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """Every field, the verdict included, for JSON."""
        return {
            "log_z": self.log_z,
            "standard_error": self.standard_error,
            "low": self.low,
            "high": self.high,
            "level": self.level,
            "method": self.method,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "diagnostics": self.diagnostics,
        }

    def __str__(self) -> str:
        error = "" if math.isnan(self.standard_error) else f" +- {self.standard_error:.{self._digits}f}"
        interval = f"[{self.low:.{self._digits}f}, {self.high:.{self._digits}f}]"
        return (
            f"log Z = {self.log_z:.{self._digits}f}{error} ({100 * self.level:g} %: {interval}) "
            f"by {self.method}: {self.verdict_with_reasons}"
        )

    @property
    def _digits(self) -> int:
        """Enough to show two digits of the interval's half-width, four at the least."""
        half = (self.high - self.low) / 2
        return 4 if not 0 < half < math.inf else min(12, max(4, 1 - math.floor(math.log10(half))))


def check_level(level: float) -> None:
    """Refuse a level that is no probability.

    Raises:
        ContrastiveError: unless it is between 0 and 1.
    """
    if not 0 < level < 1:
        raise ContrastiveError(f"the level of an interval must be between 0 and 1, got {level}; take 0.95 or 0.99")
