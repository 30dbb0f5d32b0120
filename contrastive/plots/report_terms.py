"""The figures of a report: name, unit, format and meaning, the last as in docs/reference/glossary.md."""

from typing import Any, NamedTuple


class Term(NamedTuple):
    """A figure of summary.json as a report shows it.

    Attributes:
        key: in summary.json.
        heading: of its column or row.
        unit: empty for a plain number.
        form: format of the value.
        meaning: one line.
    """

    key: str
    heading: str
    unit: str
    form: str
    meaning: str

    def text(self, value: Any) -> str:
        """The value for people; a list has its entries in a row."""
        if value is None:
            return "–"
        return ", ".join(map(self.form.format, value)) if isinstance(value, list) else self.form.format(value)


_ROW = "nats/row"

#: Everything that the details show, in their order.
TERMS = [
    Term("test_gain", "gain by the learned c", _ROW, "{:+.4f}", "mean of log p - log q over held-out rows"),
    Term("test_gain_error", "standard error of the gain", _ROW, "{:.4f}", "paired over the held-out rows"),
    Term("energy_gain", "gain that decided", _ROW, "{:+.4f}",
         "mean of log p - log q, log Z at its upper end, at rows that chose nothing: whether the energy is kept"),
    Term("energy_gain_standard_error", "its standard error", _ROW, "{:.4f}", "paired over those rows"),
    Term("energy_gain_rows", "its rows", "rows", "{:,}", "how many they are"),
    Term("test_log_prob_energy_normalized", "log p, upper log Z", _ROW, "{:.4f}",
         "mean log-density of the model at held-out rows, log Z at the upper end of its interval"),
    Term("test_log_prob_energy", "log p, learned c", _ROW, "{:.4f}",
         "mean log-density of the model at held-out rows, by the learned c"),
    Term("train_log_prob_energy", "log p, training rows", _ROW, "{:.4f}", "the same at rows that were trained on"),
    Term("test_log_prob_noise", "log q", _ROW, "{:.4f}", "mean log-density of the noise at held-out rows"),
    Term("train_log_prob_noise", "log q, training rows", _ROW, "{:.4f}", "the same at rows that were trained on"),
    Term("test_log_prob_gaussian", "log-density of a Gaussian", _ROW, "{:.4f}",
         "of a Gaussian fitted to the training rows, at held-out rows: what a learned noise has to beat"),
    Term("bits_per_dim_energy_normalized", "bits, model, upper log Z", "bits/dim", "{:.4f}",
         "-log p / (D log 2) at held-out images, log Z at the upper end of its interval"),
    Term("bits_per_dim_energy", "bits, model, learned c", "bits/dim", "{:.4f}", "the same by the learned c"),
    Term("bits_per_dim_noise", "bits, noise", "bits/dim", "{:.4f}", "-log q / (D log 2) at held-out images"),
    Term("kl_energy", "KL(truth, model)", _ROW, "{:.5f}",
         "mean of log p_true - log p by the learned c, where the truth is known"),
    Term("kl_noise", "KL(truth, noise)", _ROW, "{:.4f}", "mean of log p_true - log q"),
    Term("mse_log_prob_energy", "squared error of log p", "nats²", "{:.5f}", "mean of (log p_true - log p)²"),
    Term("mse_log_prob_noise", "squared error of log q", "nats²", "{:.4f}", "mean of (log p_true - log q)²"),
    Term("log_normalizer", "learned c", "nats", "{:.4f}",
         "the learned stand-in for log Z: near it after a good fit, never equal by construction"),
    Term("log_partition", "log Z", "nats", "{:.4f}", "log of the integral of exp(f), the log-partition function"),
    Term("log_partition_low", "log Z, lower end", "nats", "{:.4f}", "of its interval, 95 % unless asked otherwise"),
    Term("log_partition_high", "log Z, upper end", "nats", "{:.4f}", "of its interval: gives the lowest log p"),
    Term("log_partition_method", "log Z by", "", "{}", "how log Z was estimated"),
    Term("value", "value V", "nats", "{:.4f}",
         "E_data[log sigmoid(r)] + nu E_q[log sigmoid(-r)]: minus the NCE loss; -log 4 is chance level at nu = 1"),
    Term("accuracy", "accuracy", "", "{:.3f}", "of the discriminator, data against noise: 1/2 for equal densities"),
    Term("overlap", "overlap", "", "{:.3f}", "E_p[q / (p + q)]: 1/2 for equal densities, 0 for disjoint ones"),
    Term("relative_ess", "relative ESS", "", "{:.3f}", "relative effective sample size of the data in the loss, to 1"),
    Term("twice_jsd", "2 JSD", "nats", "{:.3f}", "twice the Jensen-Shannon divergence of p and q, 0 to log 4"),
    Term("noise_spread", "noise spread", "", "{:.2f}",
         "median distance of two noise samples over that of two data points; near 0: mode collapse"),
    Term("test_error", "label error", "", "{:.4f}", "share of held-out labels that are predicted wrongly"),
    Term("test_log_loss", "label log-loss", "nats", "{:.4f}", "mean -log P(y | x) at held-out labels"),
    Term("test_calibration_error", "calibration error", "", "{:.4f}",
         "expected difference between the predicted probability and the share that is right"),
    Term("labelled_rows", "labelled rows", "rows", "{:,}", "training rows with a label"),
    Term("train_rows", "training rows", "rows", "{:,}", "rows that training repeats"),
    Term("test_rows", "held-out rows", "rows", "{:,}", "test rows: by them figures are reported"),
    Term("effective_test_rows", "effective held-out rows", "rows", "{:,.1f}", "(sum w)² / sum w² of their weights"),
    Term("duplicated_test_rows", "held-out copies", "rows", "{:,}", "test rows that occur among the training rows too"),
    Term("pretrain_steps", "updates of the noise alone", "updates", "{:,}", "maximum likelihood, before the contrast"),
    Term("steps_energy", "updates of the energy", "updates", "{:,}", "in the contrast"),
    Term("steps_noise", "updates of the noise", "updates", "{:,}", "in the contrast (FCE)"),
    Term("skipped_steps", "skipped updates", "updates", "{:,}", "for a gradient that was not finite"),
    Term("best_update", "update that was kept", "updates", "{:,}", "the best state on the rows held out for that"),
    Term("seconds", "training time", "s", "{:.0f}", "without evaluations"),
]  # fmt: skip
