"""Moments of array columns against NumPy. The merge itself is tested in tests/core."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.moments import column_means, column_moments, fits_one_state

SCHEMA = "x array<float>, y array<float>"


def make_rows(n=40):
    """Mean 100, standard deviation 0.01, float32: squares taken uncentred would hold nothing."""
    rng = np.random.default_rng(7)
    return rng.normal(100, 0.01, size=(n, 3)).astype(np.float32), rng.random((n, 2), np.float32)


def make_table(spark, x, y, n_partitions=2):
    rows = list(zip(x.tolist(), y.tolist(), strict=True))
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


def assert_covariance(moments, rows):
    """Equal to NumPy's but for float32 products: see tests/core/test_moments.py."""
    expected = np.cov(rows.T.astype(np.float64), bias=True)
    deviations = np.sqrt(np.diag(expected))
    errors = np.abs(moments.covariance - expected) / np.outer(deviations, deviations)
    assert errors.max() < 16 * 2.0**-23


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.mark.parametrize("n_partitions", [1, 3, 14])  # of 14, some hold no row
def test_moments_are_numpys_whatever_the_partitions(spark, n_partitions):
    x, y = make_rows(11)
    moments = column_moments(make_table(spark, x, y, n_partitions), ["x", "y"])
    both = np.concatenate([x, y], axis=1).astype(np.float64)
    assert moments.n == 11
    assert_allclose(moments.mean, both.mean(axis=0), rtol=1e-12)
    assert_covariance(moments, both)


def test_row_order_changes_nothing_but_the_rounding_of_float64(spark):
    x, y = make_rows()
    order = np.random.default_rng(0).permutation(len(x))
    one = column_moments(make_table(spark, x, y, 3), ["x"])
    other = column_moments(make_table(spark, x[order], y, 3), ["x"])
    assert_covariance(one, x)
    # Of an entry between two features the deviations' product is the measure, not the entry.
    assert_allclose(other.covariance, one.covariance, rtol=1e-12, atol=1e-12 * one.covariance.max())


@pytest.mark.parametrize("n_partitions", [1, 3, 14])
def test_means_alone_are_numpys(spark, n_partitions):
    x, y = make_rows(11)
    n, mean = column_means(make_table(spark, x, y, n_partitions), ["x", "y"])
    assert n == 11
    both = np.concatenate([x, y], axis=1)
    assert_allclose(mean, both.mean(axis=0, dtype=np.float64), rtol=1e-13)


def test_means_of_no_rows_are_refused(spark):
    message = failure(lambda: column_means(spark.createDataFrame([], SCHEMA), ["x"]))
    assert message == "no rows to take moments of in column x"


def test_values_that_overflow_fail_the_task_with_the_column(spark):
    wide = [0.0] * 256  # with the first, too many for float64 products
    table = spark.createDataFrame([([1e30, *wide], [0.0]), ([-1e30, *wide], [0.0])], SCHEMA)
    message = failure(lambda: column_moments(table.coalesce(1), ["x"]))
    assert message == "feature 0 is too large to be squared in float32 in column x"


def test_which_widths_are_one_state():
    # An eighth of 512 MiB holds 8 D^2 bytes up to D = 2,896.
    assert fits_one_state(2896, 512 << 20)
    assert not fits_one_state(2897, 512 << 20)


def test_columns_stand_side_by_side_in_the_order_asked(spark):
    x, y = make_rows(5)
    moments = column_moments(make_table(spark, x, y), ["y", "x"])
    assert_allclose(moments.mean, np.r_[y.mean(axis=0), x.mean(axis=0)], rtol=1e-6)


def test_batches_of_one_partition_are_merged(spark):
    x, y = make_rows()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 7)
    try:
        moments = column_moments(make_table(spark, x, y, 1), ["x"])
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert moments.n == 40
    assert_covariance(moments, x)


def test_a_table_without_rows_is_refused(spark):
    message = failure(lambda: column_moments(spark.createDataFrame([], SCHEMA), ["x", "y"]))
    assert message == "no rows to take moments of in column x, y"


def test_a_missing_column_is_refused(spark):
    message = failure(lambda: column_moments(spark.createDataFrame([], SCHEMA), ["x", "z"]))
    assert "no column 'z' in videos table" in message


@pytest.mark.parametrize(("n_partitions", "column"), [(1, "'x'"), (2, "x")])
@pytest.mark.parametrize("second", [[1.0, 2.0], []])
def test_widths_that_differ_are_refused_in_a_batch_and_between(spark, n_partitions, column, second):
    rows = [(0, [1.0, 2.0, 3.0], [0.0]), (1, second, [0.0])]
    table = spark.createDataFrame(rows, f"i int, {SCHEMA}").repartitionByRange(n_partitions, "i")
    message = failure(lambda: column_moments(table, ["x"]))
    assert message.startswith(f"feature widths differ in column {column}, expected ")
    assert {int(number) for number in re.findall(r"\d+", message)} == {3, len(second)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1.0, None], "null value in column 'x'"),
        ([1.0, float("nan")], "value is not finite in column 'x', feature 1"),
    ],
)
def test_nulls_and_nan_fail_the_task_with_the_column(spark, bad, message):
    table = spark.createDataFrame([([1.0, 2.0], [0.0]), (bad, [0.0])], SCHEMA)
    assert message in failure(lambda: column_moments(table, ["x"]))


def test_a_row_with_a_null_column_is_left_out_of_all_of_them(spark):
    rows = [([1.0, 2.0], [3.0]), (None, [9.0]), ([5.0, 6.0], None), ([2.0, 1.0], [7.0])]
    moments = column_moments(spark.createDataFrame(rows, SCHEMA), ["x", "y"])
    whole = np.array([[1, 2, 3], [2, 1, 7]], np.float64)
    assert moments.n == 2
    assert_allclose(moments.mean, whole.mean(axis=0))
    assert_allclose(moments.covariance, np.cov(whole.T, bias=True))
