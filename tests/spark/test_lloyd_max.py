"""Codebooks fitted over partitions are those of all rows at once. The fit itself: tests/core."""

import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from yt8m_spark.core.histograms import histogram_of, range_of
from yt8m_spark.core.lloyd_max import fit_lloyd_max
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.lloyd_max import fit_codebook

SCHEMA = "x array<float>, y array<float>"


def make_rows(n=12):
    """x has 130 features, more than are fitted in one task, of different ranges."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, 130)) * rng.uniform(0.1, 30, 130)
    x[:, 5] = 3
    return x.astype(np.float32), rng.random((n, 2), np.float32)


def make_table(spark, x, y, n_partitions=2):
    rows = list(zip(x.tolist(), y.tolist(), strict=True))
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


def expected(values, n_levels=8, n_bins=64):
    return fit_lloyd_max(histogram_of(values, range_of(values), n_bins), n_levels)


def same(found, wanted):
    for name in ("levels", "thresholds", "bounds"):
        assert_array_equal(getattr(found, name), getattr(wanted, name))


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.mark.parametrize("n_partitions", [1, 3, 14])  # of 14, some hold no row
def test_codebooks_are_those_of_all_rows_at_once_to_the_bit(spark, n_partitions):
    x, y = make_rows()
    table = make_table(spark, x, y, n_partitions)
    found = fit_codebook(table, ["x", "y"], n_levels=8, n_bins=64)
    assert list(found) == ["x", "y"]
    same(found["x"], expected(x))
    same(found["y"], expected(y))


def test_the_order_of_rows_and_batches_changes_nothing(spark):
    x, y = make_rows()
    order = np.random.default_rng(0).permutation(len(x))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 3)
    try:
        table = make_table(spark, x[order], y[order], 3)
        found = fit_codebook(table, ["x"], n_levels=8, n_bins=64)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    same(found["x"], expected(x))


def test_shared_levels_are_those_of_all_features_as_one(spark):
    x, y = make_rows()
    table = make_table(spark, x, y, 3)
    found = fit_codebook(table, ["x", "y"], scope="shared", n_levels=8, n_bins=64)
    same(found["x"], expected(x.reshape(-1, 1)))
    same(found["y"], expected(y.reshape(-1, 1)))
    assert found["x"].width is None


def test_tasks_count_each_video_twice(spark, tmp_path):
    (tmp_path / "beats").mkdir()
    x, y = make_rows()
    table = make_table(spark, x, y, 3)
    fit_codebook(table, ["y"], n_levels=2, n_bins=8, heartbeats=str(tmp_path / "beats"))
    counts = [int(path.read_text()) for path in (tmp_path / "beats").iterdir()]
    assert sum(counts) == 2 * len(x)


def test_tables_without_rows_columns_or_features_are_refused(spark):
    empty = spark.createDataFrame([], SCHEMA)
    message = failure(lambda: fit_codebook(empty, ["x", "y"]))
    assert message == "no rows to fit a codebook on in column x, y"
    assert "no column 'z' in videos table" in failure(lambda: fit_codebook(empty, ["z"]))
    table = spark.createDataFrame([([], [1.0])], SCHEMA)
    assert "no features in column 'x'" in failure(lambda: fit_codebook(table, ["x"]))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1.0, None], "null value in column 'x'"),
        ([1.0, float("nan")], "value is not finite in column 'x', feature 1"),
    ],
)
def test_nulls_and_nan_fail_the_task_with_the_column(spark, bad, message):
    table = spark.createDataFrame([([1.0, 2.0], [0.0]), (bad, [0.0])], SCHEMA)
    assert message in failure(lambda: fit_codebook(table, ["x"]))


def test_nulls_are_left_out_of_the_fit(spark):
    rows = [([1.0, 2.0], [0.0]), (None, [0.0]), ([3.0, 5.0], [0.0])]
    book = fit_codebook(spark.createDataFrame(rows, SCHEMA), ["x"], n_levels=2)["x"]
    np.testing.assert_allclose(book.levels, [[1, 3], [2, 5]])


@pytest.mark.parametrize("n_partitions", [1, 2])
def test_widths_that_differ_are_refused_in_a_batch_and_between(spark, n_partitions):
    rows = [(0, [1.0, 2.0, 3.0], [0.0]), (1, [1.0, 2.0], [0.0])]
    table = spark.createDataFrame(rows, f"i int, {SCHEMA}").repartitionByRange(n_partitions, "i")
    message = failure(lambda: fit_codebook(table, ["x"], scope="shared"))
    assert "feature widths differ in column 'x'" in message


def test_rows_that_change_between_the_two_passes_are_refused(spark):
    start = int(time.time() * 1000)
    waited = (F.unix_millis(F.current_timestamp()) - start).cast("float")
    table = spark.range(0, 3).select(F.array(waited).alias("x"))
    assert "rows changed between two readings" in failure(lambda: fit_codebook(table, ["x"]))


def test_options_out_of_range_are_refused(spark):
    table = make_table(spark, *make_rows(3))
    for n_levels in (1, 257):
        message = failure(lambda n=n_levels: fit_codebook(table, ["x"], n_levels=n))
        assert message == f"wrong n_levels, expected 2 to 256, found {n_levels}"
    message = failure(lambda: fit_codebook(table, ["x"], n_levels=9, n_bins=8))
    assert message == "too few bins, expected at least 9, found 8"
