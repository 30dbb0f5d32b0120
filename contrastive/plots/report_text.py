"""What a report says of a run in sentences: what was fitted, how good it is, whether log Z holds, what is wrong."""

from pathlib import Path
from typing import Any, NamedTuple

from contrastive.data.preparation import describe_copies, describe_spread
from contrastive.metrics import bits_per_dim
from contrastive.plots.runs import FinishedRun

_ENERGIES = {
    "mlp": "a neural network",
    "conv": "a convolutional network",
    "conv-small": "a convolutional network",
    "conv-large": "a convolutional network",
    "tilted": "the noise's density times a learned correction",
    "gaussian": "a Gaussian",
    "ica": "independent component analysis",
    "ising": "an Ising model",
    "rbm": "a restricted Boltzmann machine",
    "ring": "a ring-shaped density",
}
_NOISES = {
    "gaussian": "a Gaussian",
    "diag-gaussian": "a Gaussian with independent columns",
    "gaussian-mixture": "a mixture of Gaussians",
    "student-t": "a Student's t distribution",
    "uniform": "a uniform distribution",
    "kde": "a kernel density estimate",
    "stack": "a weighted mixture of several models",
    "bernoulli-spins": "independent spins",
    **dict.fromkeys(("glow", "nsf", "maf", "iaf"), "a normalising flow"),
    **dict.fromkeys(("made", "pixelcnn"), "an autoregressive model"),
}
_SURE = 2.0  # standard errors
_ALIKE, _LOST = 0.001, 0.01  # nats
_OFTEN = 0.01  # of the updates


class Gain(NamedTuple):
    """Mean of log p - log q over held-out rows, nats a row.

    Attributes:
        mean: with log Z at the upper end of its interval where there is one, else by the learned c.
        error: its standard error, paired over rows; None where the run has none.
        uses_log_z: whether that is the upper end of log Z.
    """

    mean: float
    error: float | None
    uses_log_z: bool

    @property
    def in_errors(self) -> float | None:
        """The mean in standard errors; None where that says nothing."""
        return self.mean / self.error if self.error else None


def gain(summary: dict[str, Any]) -> Gain | None:
    """How much better the model is than its noise; None where the run has no energy."""
    log_q, upper = summary.get("test_log_prob_noise"), summary.get("test_log_prob_energy_normalized")
    log_p = summary.get("test_log_prob_energy") if upper is None else upper
    if summary["method"] == "mle" or log_p is None or log_q is None:
        return None
    return Gain(log_p - log_q, summary.get("test_gain_error"), upper is not None)


def opening(run: FinishedRun) -> list[str]:
    """Three sentences: what was fitted, how much better than the noise it is, and whether log Z can be trusted.

    Where the noise is a stack, the second says too how far it is ahead of the best of its candidates alone.
    """
    return [_what(run), _how_good(run).removesuffix(".") + _to_the_best_alone(run.summary) + ".", _log_z(run)]


def warnings(run: FinishedRun) -> list[str]:
    """What is wrong with a run, each with what to do: those that the run found, updates skipped, a model that lost."""
    summary = run.summary
    found = [str(text) for key, text in summary.items() if key.endswith("_warning") and text]
    moves, skipped = max(1, summary.get("steps") or 0), summary.get("skipped_steps") or 0
    if skipped > _OFTEN * moves:
        found.append(
            f"{skipped:,} of {moves:,} updates were skipped for gradients that were not finite: lower the learning rate"
        )
    mean, error = summary.get("energy_gain"), summary.get("energy_gain_standard_error")
    if _is_noise(summary) and mean is None and not found:
        found.append("no energy was trained: the model is the noise")
    elif _is_noise(summary) and mean is not None:
        figure = "" if error is None else f" (gain {mean:+.3f} ± {error:.3f} nats a row)"
        found.append(
            f"the energy was not ahead of its noise on held-out rows{figure} and was not kept: the model is the noise; "
            "give more rows, or another energy, to gain on it"
        )
    better = gain(summary)
    if not found and better is not None and better.mean < -_LOST and (better.in_errors or 0.0) < -_SURE:
        found.append(
            "the model is worse than its noise on held-out rows: take an energy that begins as the noise (--energy "
            "tilted) or fewer --steps, or use the noise alone"
        )
    return [_sentence(text) for text in found]


def rows(summary: dict[str, Any]) -> str:
    """What was done to rounded columns before the fit, and how many held-out rows are copies; empty for neither."""
    steps, count = summary.get("dequantized") or {}, len(summary.get("columns") or [])
    copies, rounded = summary.get("duplicated_test_rows") or 0, summary.get("tied_columns", 0) == count
    said = [
        describe_spread(steps, summary.get("atoms") or {}, count),
        describe_copies(copies, summary["test_rows"], rounded=rounded),
    ]
    return " ".join(_sentence(text) for text in said if text)


def stopping(summary: dict[str, Any]) -> str:
    """Which state early stopping kept; empty without it."""
    best = summary.get("best_update")
    if best is None:
        return ""
    end = "It stopped early, without gain on the rows held out for that. " if summary["stopped_early"] else ""
    return f"{end}The state of update {best:,} was the best on held-out rows, and is the one reported."


def _is_noise(summary: dict[str, Any]) -> bool:
    """Whether the energy lost and was left."""
    return summary.get("energy_kept") is False and summary["method"] != "mle"


def _what(run: FinishedRun) -> str:
    summary = run.summary
    noise, energy = str(summary["noise"]), str(summary.get("energy") or "the energy")
    noise = _NOISES.get(noise, noise)  # the method names it, too
    energy = f"{_ENERGIES[energy]} ({energy})" if energy in _ENERGIES else energy
    rows = f"{summary['train_rows']:,} " if summary.get("train_rows") else ""
    what = f"{_events(run, rows)} of {Path(str(summary['data'])).name}"
    updates = f"in {summary['steps']:,} updates"
    if summary["method"] == "mle":
        return f"{_capital(noise)} was fitted to {what} {updates} ({run.method})."
    if _is_noise(summary) and summary.get("energy_gain") is None:
        return f"{_capital(noise)} was fitted to {what} and is the model ({run.method})."
    if _is_noise(summary):
        return f"{_capital(noise)} was fitted to {what} and is the model; {energy} was to improve on it ({run.method})."
    trained = ", which was trained against it" if summary["method"] == "fce" else ""
    return (
        f"{_capital(energy)} was fitted to {what} as an unnormalised log-density: it learned {updates} to tell them "
        f"from samples of {noise}{trained} ({run.method})."
    )


def _events(run: FinishedRun, rows: str) -> str:
    if run.are_images:
        channels, height, width = run.summary["event_shape"]
        return f"{rows}{'colour' if channels == 3 else 'gray'} images of {height} x {width} pixels"
    given = run.summary.get("given") or []
    count = len(run.columns) - len(given)
    what = f"{rows}rows with {count} column{'s' if count > 1 else ''}" if count else f"{rows}rows"
    return f"{what} given {', '.join(given[:4])}{' and others' if len(given) > 4 else ''}" if given else what


def _how_good(run: FinishedRun) -> str:
    summary = run.summary
    event, an_event = ("image", "an image") if run.are_images else ("row", "a row")
    where = f"On {summary['test_rows']:,} held-out {event}s"
    better = gain(summary)
    if better is None:
        log_q = summary["test_log_prob_noise"]
        bits = f", or {_bits(run, log_q):.3f} bits per dimension" if run.are_images else ""
        return f"{where} its mean log-density is {log_q:.3f} nats{bits}."
    if abs(better.mean) < _ALIKE:
        log_q = summary["test_log_prob_noise"]
        same = "have the same mean log-density, to a thousandth of a nat"
        return f"{where} the model and its noise {same}: {log_q:.3f} nats {an_event}."
    spread = "" if better.error is None else f" ± {_nats(better.error)}"
    by = "log Z at the upper end of its interval" if better.uses_log_z else "by the learned c, not by log Z"
    error = "" if better.error is None else "± standard error, paired over rows; "
    side = "above" if better.mean > 0 else "below"
    log_q = summary["test_log_prob_noise"]
    pair = (_bits(run, log_q + better.mean), _bits(run, log_q)) if run.are_images else None
    bits = f", {pair[0]:.4f} against {pair[1]:.4f} bits per dimension" if pair else ""
    return (
        f"{where} the model's log-density is {_nats(abs(better.mean))}{spread} nats {an_event} {side} its noise's"
        f"{bits} ({error}{by}): {_how_sure(better)}."
    )


def _to_the_best_alone(summary: dict[str, Any]) -> str:
    """How far a stack is ahead of the best candidate alone; empty where the noise is none."""
    tried = summary.get("noise_candidates") or []
    alone = next((entry for entry in tried if entry.get("name") != "stack" and entry.get("difference")), None)
    if summary.get("noise") != "stack" or alone is None:
        return ""
    ahead = f"{_nats(-alone['difference'])} ± {_nats(alone['difference_error'])} nats a row ahead"
    return f"; the noise itself is {ahead} of the best simple model, {alone['label']}, on rows held out for the choice"


def _nats(value: float) -> str:
    """Three decimals, or two digits of a small number."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:.2g}"


def _bits(run: FinishedRun, log_prob: float) -> float:
    return bits_per_dim(log_prob, run.data[0].numel())


def _how_sure(better: Gain) -> str:
    errors = better.in_errors
    if errors is None:
        return f"the model is {'better' if better.mean > 0 else 'no better'} than its noise, with an unknown error"
    if abs(errors) < _SURE:
        return (
            f"a difference of {abs(errors):.1f} standard errors is within chance, and the model is not shown to be "
            "better than its noise"
        )
    side = "better" if errors > 0 else "worse"
    return f"the model is {side} than its noise by {abs(errors):.1f} standard errors, more than chance would give"


def _log_z(run: FinishedRun) -> str:
    """Whether log Z, and with it the level of the log-densities, can be trusted."""
    summary = run.summary
    verdict, remedy = summary.get("log_partition_verdict"), "run contrastive normalizer on this run"
    if summary["method"] == "mle":
        return "The model is normalised, so its log-densities need no log Z."
    if verdict is None:
        return f"log Z was not estimated: log-densities rest on the learned c, which no theory ties to it; {remedy}."
    verdicts = verdict if isinstance(verdict, list) else [verdict]
    doubtful = list(dict.fromkeys(text for text in verdicts if not text.startswith("reliable")))
    if doubtful:
        reason = "; ".join(text.removeprefix("doubtful because ") for text in doubtful)
        off = "the densities of the classes may be off by a constant each, while differences within a class hold"
        if not isinstance(verdict, list):
            off = "every log p may be off by one and the same constant, while differences between rows hold"
        return f"log Z cannot be trusted ({reason}): {off}; {remedy}."
    low, high = summary["log_partition_low"], summary["log_partition_high"]
    c, method = summary["log_normalizer"], summary["log_partition_method"]
    if isinstance(verdict, list):
        return f"log Z of each of the {len(verdicts)} classes can be trusted, by the checks of its estimate."
    inside = "inside" if low <= c <= high else f"outside, by {max(low - c, c - high):.2g} nats"
    return (
        f"log Z can be trusted by the checks of its estimate ({method}): its interval is {low:.3f} to {high:.3f}, and "
        f"the learned c, {c:.3f}, lies {inside}."
    )


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return _capital(text if text.endswith(".") else f"{text}.")


def _capital(text: str) -> str:
    """With a capital letter, unless the first word is a name in the code or a symbol."""
    return text if text.startswith("log ") else text[:1].upper() + text[1:]
