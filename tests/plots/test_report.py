"""What a report says, and that its page stands alone, on a phone and in the dark."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers.finished import finished
from helpers.paths import ROOT

from contrastive.metrics import goodness_of_fit
from contrastive.metrics.model_samples import ModelSamples
from contrastive.plots import render_report
from contrastive.plots.curves import curves_figure
from contrastive.plots.report_tables import candidates_table, details_table, first_table
from contrastive.plots.report_terms import TERMS
from contrastive.plots.report_text import gain, opening, warnings
from contrastive.plots.themes import darken

PLAIN = {
    "log_normalizer": 1.0, "log_partition_low": 0.9, "log_partition_high": 1.2, "log_partition": 1.1,
    "log_partition_method": "bridge", "log_partition_verdict": "reliable", "test_gain_error": 0.1,
    "test_log_prob_energy_normalized": -2.1, "train_log_prob_energy": -1.7, "train_log_prob_noise": -2.8,
    "energy": "mlp", "train_rows": 1200,
}  # fmt: skip


def with_figures(d=3, **figures):
    run = finished(d)
    run.summary.update(PLAIN | figures)
    return run


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset")]


def test_the_opening_says_what_how_good_and_whether_log_z_holds():
    what, better, log_z = opening(with_figures())
    assert "A neural network (mlp) was fitted to 1,200 rows with 3 columns of table3.csv" in what
    assert "On 20 held-out rows the model's log-density is 0.900 ± 0.100 nats a row above its noise's" in better
    assert "log Z at the upper end of its interval" in better
    assert "better than its noise by 9.0 standard errors" in better
    assert "can be trusted" in log_z
    assert "the learned c, 1.000, lies inside" in log_z


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"test_log_prob_energy_normalized": -2.9}, "within chance, and the model is not shown to be better"),
        ({"test_log_prob_energy_normalized": -3.5}, "the model is worse than its noise by 5.0 standard errors"),
        ({"test_log_prob_energy_normalized": -3.0002, "test_gain_error": 1e-5}, "same mean log-density"),
        ({"test_log_prob_energy_normalized": -3.0, "test_gain_error": 0.0}, "to a thousandth of a nat: -3.000"),
        ({"test_log_prob_energy_normalized": None}, "by the learned c, not by log Z"),
        ({"test_gain_error": None}, "with an unknown error"),
        ({"log_partition_verdict": "doubtful because the weights may have no variance"}, "cannot be trusted (the wei"),
        ({"log_normalizer": 1.5}, "the learned c, 1.500, lies outside, by 0.3 nats"),
        ({"log_partition_verdict": None}, "log Z was not estimated"),
        ({"method": "mle"}, "The model is normalised"),
        (
            {"energy_kept": False, "energy_gain": -0.1},
            "A Gaussian was fitted to 1,200 rows with 3 columns of table3.csv and is the model; a",
        ),
    ],
)
def test_the_opening_is_plain_about_doubt(figures, said):
    assert said in " ".join(opening(with_figures(**figures)))


def test_the_opening_says_how_far_a_stack_is_ahead_of_the_best_simple_model():
    stack = {"name": "stack", "label": "stack of ...", "log_q": -3.0, "difference": 0.0, "difference_error": 0.0}
    mixture = {"name": "gaussian-mixture", "label": "gaussian-mixture components=2", "log_q": -3.1}
    mixture |= {"difference": -0.1, "difference_error": 0.02}
    better = opening(with_figures(noise="stack", noise_candidates=[stack, mixture]))[1]
    assert "0.100 ± 0.02 nats a row ahead of the best simple model, gaussian-mixture components=2, on rows" in better
    assert "ahead" not in opening(with_figures(noise_candidates=[mixture]))[1]


def test_the_gain_counts_with_the_upper_end_of_log_z():
    assert gain(with_figures().summary).mean == pytest.approx(-2.1 + 3.0)
    assert gain(with_figures(test_log_prob_energy_normalized=None).summary).mean == pytest.approx(-1.9 + 3.0)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"noise_warning": "the energy overfits: give more rows"}, "The energy overfits: give more rows."),
        ({"skipped_steps": 50}, "50 of 99 updates were skipped for gradients that were not finite: lower"),
        (
            {"test_log_prob_energy_normalized": -3.5},
            "worse than its noise on held-out rows: take an energy",
        ),
        ({"energy_kept": False, "energy_gain": -0.1}, "was not kept: the model is the noise; give more rows"),
        ({"energy_kept": False}, "No energy was trained: the model is the noise."),
    ],
)
def test_what_is_wrong_stands_first_with_what_to_do(figures, said):
    run = with_figures(**figures)
    (warning,) = warnings(run)
    assert said in warning
    page = render_report([run])
    assert page.index('class="warning"') < page.index('class="lead"')
    assert warnings(with_figures()) == []
    assert 'class="warning"' not in render_report([with_figures()])


def test_the_first_table_has_training_beside_held_out_by_the_same_log_z():
    table = first_table([with_figures(), with_figures(test_error=0.1, kl_energy=0.3)])
    assert len(table.headings) <= 8
    row = dict(zip([heading.name for heading in table.headings], table.rows[0]))
    assert row["log p, held out"] == "-2.100"
    assert row["log p, training"] == "-1.900", "0.2 nats of log Z go from both"
    assert row["log q of the noise, training"] == "-2.800"
    assert row["gain over the noise"] == "+0.900 ± 0.100"
    assert row["log Z"] == "0.900 to 1.200, reliable"
    assert all(heading.unit for heading in table.headings if heading.name != "model")


def test_candidates_are_shown_best_first_and_failures_are_named():
    fine = {"label": "gaussian", "log_q": -3.0, "difference": -0.5, "difference_error": 0.1, "seconds": 0.1}
    best = {"label": "nsf", "log_q": -2.5, "difference": 0.0, "difference_error": 0.0, "seconds": 9.0, "error": None}
    broken = {"label": "glow", "log_q": None, "difference": None, "seconds": 1.0, "error": "needs 2 columns"}
    worse = [{**fine, "label": f"nsf of {k} bins", "name": "nsf", "log_q": -2.6} for k in range(3)]
    others = [{**fine, "label": f"noise {k}", "log_q": -4.0} for k in range(20)]
    tried = [fine, broken, *worse, {**best, "name": "nsf"}, *others]
    table, failed = candidates_table({"noise_candidates": tried})
    assert [row[0] for row in table.rows] == ["nsf", "gaussian", *[f"noise {k}" for k in range(10)]]
    assert [row[2] for row in table.rows[:2]] == ["best", "-0.500 ± 0.100"]
    assert failed == ["glow: needs 2 columns"]
    page = render_report([with_figures(noise_candidates=[fine, broken])])
    assert "What each noise would have given" in page
    assert "Failed: glow: needs 2 columns." in page
    assert candidates_table({}) == (None, [])


def test_every_figure_of_the_details_stands_in_the_reference():
    names = "".join((ROOT / "docs" / "reference" / page).read_text() for page in ("glossary.md", "run-directory.md"))
    assert [term.key for term in TERMS if f"`{term.key}`" not in names] == []
    shown = [row[0] for row in details_table(with_figures()).rows]
    assert "learned c" in shown
    assert "label error" not in shown


def test_a_test_of_the_fit_is_shown_with_its_figures():
    run = with_figures(2)
    samples = ModelSamples(run.data[100:] * 3, "by hand")
    tested = (run.data[:100], samples, goodness_of_fit(run.data[:100], samples.x, run.columns))
    page = render_report([replace(run, tested=tested)])
    assert "The model is wrong somewhere" in page
    assert 'alt="Corner plot' in page
    assert 'alt="Probability-integral transform' in page
    assert "kept words" in render_report([replace(run, tested=tested, kept_verdict="kept words")])
    assert "--goodness" in render_report([run])


def test_several_runs_share_a_table_and_a_warning_names_its_run():
    page = render_report([with_figures(), with_figures(noise_warning="look out")])
    assert "<h1>2 runs</h1>" in page
    (first, *_) = re.findall(r"<tbody>.*?</tbody>", page, re.S)
    assert first.count("<tr>") == 2
    assert "<strong>table3: fixed-flow NCE with gaussian:</strong> Look out." in page


def test_the_page_stands_alone_and_escapes_what_users_named():
    hostile = finished(3, columns=["<script>alert(1)</script>", "b", "c"])
    hostile.config["columns"] = "<script>alert(1)</script>"
    page = Page(render_report([hostile, finished(2)]))
    assert "script" not in page.tags
    assert len(page.sources) == 8, "two densities, two figures of curves, each light and dark"
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)


def test_pages_escape_every_name_of_a_run():
    hostile = '"><script>alert(1)</script>'
    run = finished(2, columns=[hostile, hostile])
    run.summary["data"], run.summary["noise"], run.summary["noise_warning"] = f"{hostile}.csv", hostile, hostile
    run.summary["log_partition_verdict"] = hostile
    run.summary["noise_candidates"] = [{"label": hostile, "error": hostile}, {"label": hostile, "log_q": 0.0}]
    page = Page(render_report([replace(run, config={hostile: hostile}, path=Path(hostile), kept_verdict=hostile)]))
    assert "script" not in page.tags


def test_a_figure_for_dark_paper_has_light_text():
    figure = curves_figure([finished(2)])
    panel = figure.axes[0]
    assert panel.title.get_color() == "black"
    darken(figure)
    assert panel.title.get_color() == panel.xaxis.label.get_color() == "#e4e4e7"
