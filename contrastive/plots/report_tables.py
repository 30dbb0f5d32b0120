"""The tables of a report: one row a run, what other noises would have given, and every figure with its meaning."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from contrastive.metrics import bits_per_dim
from contrastive.metrics.goodness import QUANTILES, Goodness
from contrastive.plots.report_terms import TERMS
from contrastive.plots.report_text import gain
from contrastive.plots.runs import FinishedRun

_MOST_COLUMNS = 8
_MOST_CANDIDATES = 12
_MOST_GOODNESS = 12


class Heading(NamedTuple):
    """Of a column: name, unit, and one line of meaning."""

    name: str
    unit: str
    meaning: str


class Table(NamedTuple):
    """Cells as text, a row a run, noise or column of the data."""

    headings: list[Heading]
    rows: list[list[str]]


def first_table(runs: Sequence[FinishedRun]) -> Table:
    """At most eight columns; those that no run has are left out."""
    images = all(run.are_images for run in runs)
    unit = "bits/dim" if images else "nats/row"
    name = "bits, " if images else "log p, "
    noise = "bits of the noise, " if images else "log q of the noise, "
    event = "image" if images else "row"
    columns: list[tuple[Heading, Callable[[FinishedRun], str | None]]] = [
        (Heading("model", "", "method and noise; the energy-based model is p, the noise q"), lambda run: run.method),
        (
            Heading(f"{name}held out", unit, "mean over held-out rows, log Z at the upper end of its interval"),
            lambda run: _log_density(run, "test", "energy", images),
        ),
        (
            Heading(f"{name}training", unit, "the same at rows that were trained on: far better there is overfitting"),
            lambda run: _log_density(run, "train", "energy", images),
        ),
        (
            Heading(f"{noise}held out", unit, "mean over held-out rows; the noise is normalised"),
            lambda run: _log_density(run, "test", "noise", images),
        ),
        (
            Heading(f"{noise}training", unit, "the same at rows that were trained on"),
            lambda run: _log_density(run, "train", "noise", images),
        ),
        (
            Heading("gain over the noise", f"nats/{event}", "mean of log p - log q, ± its standard error"),
            _gain_text,
        ),
        (Heading("label error", "share", "held-out labels that are predicted wrongly"), _figure("test_error", ".3f")),
        (Heading("KL(truth, model)", "nats/row", "mean of log p_true - log p, by the same log Z"), _kl_text),
        (Heading("log Z", "nats", "interval of the log-partition function, and whether it is reliable"), _log_z_text),
    ]
    shown = [column for column in columns if any(column[1](run) is not None for run in runs)]
    if len(shown) > _MOST_COLUMNS:
        shown = [column for column in shown if column[0].name != "KL(truth, model)"]
    return Table([heading for heading, _ in shown], [[text(run) or "–" for _, text in shown] for run in runs])


def details_table(run: FinishedRun) -> Table:
    """Every figure of a run that a report knows, with unit and meaning."""
    headings = [Heading(name, "", "") for name in ("figure", "value", "unit", "meaning")]
    known = [(term, run.summary.get(term.key)) for term in TERMS]
    rows = [[term.heading, term.text(value), term.unit, term.meaning] for term, value in known if value is not None]
    return Table(headings, rows)


def candidates_table(summary: dict[str, Any]) -> tuple[Table | None, list[str]]:
    """What the best noise of each family would have given, best first, and those that failed with the reason.

    Args:
        summary: with "noise_candidates", a list of `label`, `log_q`, `difference` to the best and its
            `difference_error` (nats a row, held out, paired), `seconds`, `error` and, where it has one, the `name` of
            its family.
    """
    tried = summary.get("noise_candidates") or []
    fitted = [entry for entry in tried if not entry.get("error") and entry.get("log_q") is not None]
    failed = [f"{entry['label']}: {entry.get('error') or 'no figure'}" for entry in tried if entry not in fitted]
    if not fitted:
        return None, failed
    headings = [
        Heading("noise", "", "family and its options"),
        Heading("log q, held out", "nats/row", "mean over rows held out for this choice, in the data's own units"),
        Heading("behind the best", "nats/row", "mean difference, paired over rows, ± its standard error"),
        Heading("time", "s", "to fit it"),
    ]
    families: dict[str, dict[str, Any]] = {}
    for entry in sorted(fitted, key=lambda entry: -entry["log_q"]):
        families.setdefault(entry.get("name") or entry["label"], entry)
    return Table(headings, [_candidate(entry) for entry in list(families.values())[:_MOST_CANDIDATES]]), failed


def goodness_table(goodness: Goodness) -> Table:
    """Quantiles of data and samples by column, those with the smallest p-values first."""
    headings = [Heading("column", "", "of the data"), Heading("p", "", "of a uniform probability-integral transform")]
    headings += [Heading(f"{100 * q:g} %", "data / samples", "quantile, in the column's units") for q in QUANTILES]
    rows = []
    for column in sorted(goodness.columns, key=lambda column: column.p_value)[:_MOST_GOODNESS]:
        pairs = zip(column.data_quantiles, column.sample_quantiles)
        cells = [f"{_short(of_data)} / {_short(of_samples)}" for of_data, of_samples in pairs]
        rows.append([column.name, f"{column.p_value:.2g}", *cells])
    return Table(headings, rows)


def _candidate(entry: dict[str, Any]) -> list[str]:
    difference, error, seconds = (entry.get(key) for key in ("difference", "difference_error", "seconds"))
    if difference is None:
        behind = "–"
    else:
        behind = f"{difference:+.3f}" + ("" if not error else f" ± {error:.3f}") if difference else "best"
    return [str(entry["label"]), f"{entry['log_q']:.3f}", behind, "–" if seconds is None else f"{seconds:.1f}"]


def _log_density(run: FinishedRun, part: str, model: str, images: bool) -> str | None:
    """The energy's with log Z at its upper end, where there is one, for training rows as well."""
    summary = run.summary
    value = summary.get(f"{part}_log_prob_{model}")
    if value is None or (model == "energy" and summary["method"] == "mle"):
        return None
    value += _shift(summary) if model == "energy" else 0.0
    return f"{bits_per_dim(value, run.data[0].numel()):.4f}" if images else f"{value:.3f}"


def _shift(summary: dict[str, Any]) -> float:
    """From log p by the learned c to that by the upper end of log Z, where there is one."""
    upper = summary.get("test_log_prob_energy_normalized")
    return 0.0 if upper is None else upper - summary["test_log_prob_energy"]


def _kl_text(run: FinishedRun) -> str | None:
    value = run.summary.get("kl_energy")
    return None if value is None else f"{value - _shift(run.summary):.4f}"


def _gain_text(run: FinishedRun) -> str | None:
    better = gain(run.summary)
    if better is None:
        return None
    return f"{better.mean:+.3f}" + ("" if better.error is None else f" ± {better.error:.3f}")


def _figure(key: str, form: str) -> Callable[[FinishedRun], str | None]:
    def text(run: FinishedRun) -> str | None:
        value = run.summary.get(key)
        return None if value is None else format(value, form)

    return text


def _log_z_text(run: FinishedRun) -> str | None:
    summary = run.summary
    verdict = summary.get("log_partition_verdict")
    if verdict is None or summary["method"] == "mle":
        return None
    low, high = summary.get("log_partition_low"), summary.get("log_partition_high")
    if isinstance(verdict, list):
        doubtful = sum(not text.startswith("reliable") for text in verdict)
        return f"{len(verdict)} classes, {doubtful} doubtful" if doubtful else f"{len(verdict)} classes, reliable"
    word = "reliable" if verdict.startswith("reliable") else "doubtful"
    return word if low is None or high is None else f"{low:.3f} to {high:.3f}, {word}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
