"""Schemas of tables: what is read, what contradicts, and the encoding of rows against autograd and quadrature."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data.preparation.mixed import schema_of
from contrastive.data.schema import Column, TableScaling
from contrastive.data.tables.raw import RawColumn, raw_table
from contrastive.numerics.layout import on_support, parse_layout

N = 600


def people() -> pd.DataFrame:
    """Every kind of column, with gaps and atoms."""
    rng = np.random.default_rng(0)
    income = np.where(rng.random(N) < 0.3, 0.0, rng.lognormal(10, 1, N))
    height = rng.normal(170, 10, N)
    height[rng.random(N) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "country": rng.choice(["at", "de", None], N, p=[0.5, 0.3, 0.2]),
            "children": rng.integers(0, 5, N).astype(float),
            "visits": rng.poisson(40, N),
            "married": rng.random(N) < 0.5,
            "seen": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, N), unit="D"),
            "share": np.where(rng.random(N) < 0.1, 1.0, rng.beta(2, 3, N)),
            "income": income,
            "height": height,
            "bearing": rng.uniform(-180, 180, N),
        }
    )


def schema(frame=None, **told):
    frame = people() if frame is None else frame
    return schema_of(raw_table(frame), configure({"data": "x", **told}))


def fitted(**told):
    told = {"positive": "income", "bounded": "share:0:1", "circular": "bearing:-180:180", **told}
    columns = schema(**told)
    width = sum(len(column.entries) for column in columns)
    x = TableScaling(columns, torch.zeros(width), torch.ones(width)).encode(raw_table(people()))
    return TableScaling.fitted(columns, x), x


def test_kinds_are_read_from_the_values():
    found = {column.name: column for column in schema()}
    kinds = {name: column.kind for name, column in found.items()}
    assert kinds == {
        "country": "category",
        "children": "category",
        "visits": "integer",
        "married": "boolean",
        "seen": "date",
        "share": "continuous",
        "income": "continuous",
        "height": "continuous",
        "bearing": "continuous",
    }
    assert found["country"].values == ("at", "de")
    assert [name for name, column in found.items() if column.missing] == ["country", "height"]
    assert (found["income"].atoms, found["share"].atoms) == ((0.0,), (1.0,))
    assert found["seen"].step == 1
    assert not found["height"].is_discrete
    assert found["visits"].is_discrete


def test_what_is_told_goes_before_what_is_read():
    told = schema(categorical=["visits"], integer="children", positive="income", continuous="seen", bounded="share:0:1")
    found = {column.name: column for column in told}
    assert found["visits"].kind == "category"
    assert (found["children"].kind, found["children"].step) == ("integer", 1)
    assert (found["income"].kind, found["income"].atoms) == ("positive", (0.0,))
    assert (found["share"].kind, found["share"].low, found["share"].high, found["share"].atoms) == (
        "bounded",
        0,
        1,
        (1.0,),
    )
    assert found["seen"].step is None


def test_values_off_every_step_are_numbers_of_the_last_decimal_and_new_ones_are_no_surprise():
    values = np.round(np.random.default_rng(0).normal(size=300), 2)
    values[:150] = values[150:]
    values[7] += 0.011
    (column,) = schema(pd.DataFrame({"a": values}))
    assert (column.kind, column.step) == ("integer", pytest.approx(0.001))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"positive": "height2"}, "no column 'height2'; did you mean 'height'"),
        ({"positive": "bearing"}, "'bearing' is positive, but -.* in row .* is not positive"),
        ({"bounded": "income:0:10"}, "'income' is bounded, but .* is not between 0 and 10"),
        ({"circular": "bearing:0:360"}, "is not within 0 to 360"),
        ({"integer": "height"}, "is no whole number"),
        ({"integer": "country"}, "'country' is told to be integer, but it has words, such as 'd?a?[et]?' in row"),
        ({"bounded": "share"}, "NAME:LOW:HIGH"),
        ({"bounded": "share:1:0"}, "LOW below HIGH"),
        ({"integer": "visits", "categorical": "visits"}, "named twice"),
    ],
)
def test_a_schema_that_contradicts_the_data_is_one_clear_line(told, message):
    with pytest.raises(ContrastiveError, match=message) as error:
        schema(**told)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("values", [["a", "a", "a"], [1.0, 1.0, np.nan], [None, None, None]])
def test_a_column_of_one_value_is_refused(values):
    with pytest.raises(ContrastiveError, match=r"'a' has (one value|no values)"):
        schema(pd.DataFrame({"a": values, "b": [1.0, 2.0, 3.0]}))


def test_rows_come_back_from_their_encoding_as_they_were():
    scaling, x = fitted()
    z = scaling(x, torch.float64)
    assert z.isfinite().all()
    assert bool(on_support(z, scaling.layout).all())
    decoded = pd.DataFrame(scaling.decode(scaling.inverse(z)))
    frame = people()
    for name in ("country", "married"):
        assert (
            decoded[name].where(decoded[name].notna(), None).tolist()
            == frame[name].where(frame[name].notna(), None).tolist()
        )
    for name in ("children", "visits", "share", "income", "height", "bearing"):
        np.testing.assert_allclose(decoded[name].astype(float), frame[name], rtol=1e-9, equal_nan=True)
    days = (frame["seen"] - pd.Timestamp("1970-01-01")).dt.days
    np.testing.assert_array_equal(decoded["seen"], days)


def test_float32_coordinates_lose_no_code_and_no_step():
    scaling, x = fitted()
    back = scaling.inverse(scaling(x))
    discrete = torch.tensor([entry.is_discrete for entry in scaling.layout])
    assert torch.equal(back[:, discrete], x[:, discrete])


def test_a_schema_survives_its_buffers():
    scaling, x = fitted()
    twin = TableScaling.restored(scaling.schema, scaling.shift, scaling.scale)
    assert twin.columns == scaling.columns
    assert torch.equal(twin(x), scaling(x))
    with pytest.raises(ContrastiveError, match="damaged"):
        TableScaling.restored(scaling.schema[:-5], scaling.shift, scaling.scale)


def test_log_det_is_that_of_autograd_and_counts_only_values_that_are_there():
    scaling, x = fitted()
    rows = x[:40].clone().requires_grad_()
    z = scaling(rows, torch.float64)
    slopes = torch.autograd.grad(z.sum(), rows)[0]
    real = torch.tensor([entry.kind in ("real", "circle") for entry in scaling.layout])
    expected = torch.where(real & (slopes != 0), slopes.clamp_min(1e-300).log(), 0.0).sum(1)
    torch.testing.assert_close(scaling.log_det(rows.detach()), expected)
    assert len(scaling.log_det(rows.detach()).unique()) > 10


@pytest.mark.parametrize(
    "column",
    [
        Column("a", "continuous"),
        Column("a", "positive"),
        Column("a", "bounded", low=-1.0, high=3.0),
        Column("a", "circular", low=0.0, high=360.0),
    ],
    ids=lambda column: column.kind,
)
def test_a_density_in_the_columns_units_integrates_to_one(column):
    scaling = TableScaling([column], torch.tensor([0.0 if column.kind == "circular" else 0.3]), torch.tensor([1.0]))

    def density(value):
        x = torch.tensor([[value]], dtype=torch.float64)
        z = scaling(x, torch.float64)
        log_q = (
            -math.log(2 * math.pi) if column.kind == "circular" else float(torch.distributions.Normal(0, 1).log_prob(z))
        )
        return math.exp(log_q + float(scaling.log_det(x)))

    low, high = {"continuous": (-9, 9), "positive": (1e-9, 200)}.get(
        column.kind, (column.low + 1e-9, column.high - 1e-9)
    )
    total, _ = scipy.integrate.quad(density, low, high, limit=200, points=[column.low + 1e-3] if column.high else None)
    assert total == pytest.approx(1, abs=1e-4)


def test_an_unseen_category_is_named_with_its_row():
    scaling, _ = fitted()
    frame = people().head(3)
    frame.loc[2, "country"] = "fr"
    with pytest.raises(ContrastiveError, match="column 'country', row 3: the category 'fr' was not seen in training"):
        scaling.encode(raw_table(frame))


def test_a_gap_where_training_had_none_is_told_apart_from_a_missing_value():
    scaling, _ = fitted()
    frame = people().head(3)
    frame.loc[1, "visits"] = np.nan
    frame.loc[0, "height"] = np.nan
    x = scaling.encode(raw_table(frame))
    at = scaling.entries.index("visits")
    assert x[:, at].isnan().tolist() == [False, True, False]
    opened, known, forbidden = scaling.opened(x)
    assert opened.isfinite().all()
    assert not known[1, at]
    assert not known[0, scaling.entries.index("height")]
    assert known[0, scaling.entries.index("height (state)")]
    assert opened[0, scaling.entries.index("height (state)")] == 0
    assert (forbidden == -1).all()


def test_words_of_a_text_file_are_read_as_they_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("who,when,n,ok\nanna,2020-01-02,1,true\n,2020-01-03,2,false\nbob,,3,\n")
    table = raw_table(path)
    assert {name: column.holds for name, column in table.columns.items()} == {
        "who": "words",
        "when": "dates",
        "n": "numbers",
        "ok": "truths",
    }
    assert table.columns["who"].words() == ["anna", None, "bob"]
    np.testing.assert_array_equal(table.columns["when"].values, [18263, 18264, np.nan])
    np.testing.assert_array_equal(table.columns["ok"].values, [1, 0, np.nan])


def test_words_of_a_frame_are_dates_and_truths_where_all_are():
    frame = pd.DataFrame({"when": ["2020-01-02", None], "ok": ["True", "False"], "not": ["2020-02-31", "2020-01-01"]})
    assert [column.holds for column in raw_table(frame).columns.values()] == ["dates", "truths", "words"]


def test_a_frame_of_polars_and_a_parquet_file_read_as_that_of_pandas(tmp_path):
    polars = pytest.importorskip("polars")
    frame = people()
    frame.to_parquet(tmp_path / "t.parquet")
    ours = raw_table(frame)
    for other in (raw_table(tmp_path / "t.parquet"), raw_table(polars.from_pandas(frame))):
        for name, column in ours.columns.items():
            assert other.columns[name].holds == column.holds, name
            assert other.columns[name].words() == column.words(), name


@given(st.lists(st.sampled_from(["real", "circle", "category:3", "grid:0.25"]), min_size=1, max_size=4))
def test_words_of_a_layout_come_back(words):
    assert [entry.word for entry in parse_layout(words, len(words))] == words


@pytest.mark.parametrize("words", ["real?", "number", "category", "category:0", "grid:0", "real,real"])
def test_a_layout_that_is_none_is_refused(words):
    with pytest.raises(ContrastiveError):
        parse_layout(words, 1)


def test_raw_columns_know_whole_numbers_as_words():
    assert RawColumn(np.array([1.0, np.nan, 2.5])).words() == ["1", None, "2.5"]
