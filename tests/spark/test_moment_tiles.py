"""Moments in tiles, made by tasks, against NumPy. Products with tiles are tested in tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.moment_tiles import strip_width, tiled_moments

SCHEMA = "x array<float>, y array<float>"
# 12 W^2 bytes in a quarter of it: W = 3, so 7 features are 3 strips and 6 tiles.
MEMORY = 4 * 12 * 3**2


def make_rows(n=50):
    rng = np.random.default_rng(7)
    return rng.normal(100, 0.1, size=(n, 5)).astype(np.float32), rng.random((n, 2), np.float32)


def make_table(spark, x, y, n_partitions=2):
    rows = list(zip(x.tolist(), y.tolist(), strict=True))
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def test_the_width_of_strips_is_bounded_by_memory_and_by_what_is_useful():
    assert strip_width(7, MEMORY) == 3
    assert strip_width(7168, 512 << 20) == 2048
    assert 12 * strip_width(7168, 64 << 20) ** 2 <= (64 << 20) / 4


@pytest.mark.parametrize("n_partitions", [1, 3, 60])  # of 60, some hold no row
def test_tiles_are_numpys_covariance_whatever_the_partitions(spark, tmp_path, n_partitions):
    x, y = make_rows()
    table = make_table(spark, x, y, n_partitions)
    moments = tiled_moments(table, ["x", "y"], str(tmp_path / "w"), memory=MEMORY)
    both = np.concatenate([x, y], axis=1).astype(np.float64)
    expected = np.cov(both.T, bias=True)
    deviations = np.sqrt(np.diag(expected))
    found = moments.covariance_times(np.eye(7))
    assert (moments.n, moments.edges) == (50, [0, 3, 6, 7])
    assert (np.abs(found - expected) / np.outer(deviations, deviations)).max() < 16 * 2.0**-23
    assert_allclose(moments.mean, both.mean(axis=0), rtol=1e-13)


def test_rows_go_to_files_of_a_bounded_size_and_are_removed(spark, tmp_path, monkeypatch):
    x, y = make_rows()
    kept = []
    remove = "yt8m_spark.spark.moment_tiles.shutil.rmtree"
    monkeypatch.setattr(remove, lambda folder: kept.extend(sorted(folder.iterdir())))
    tiled_moments(make_table(spark, x, y, 4), ["x"], str(tmp_path / "w"), memory=MEMORY)
    assert sum(len(np.load(file)) for file in kept) == 50
    monkeypatch.undo()
    tiled_moments(make_table(spark, x, y, 4), ["x"], str(tmp_path / "v"), memory=MEMORY)
    assert not (tmp_path / "v/rows").exists()
    names = {path.name for path in (tmp_path / "v").iterdir()}
    assert names == {
        "mean-000.npy",
        "mean-001.npy",
        "tile-000-000.npy",
        "tile-000-001.npy",
        "tile-001-001.npy",
        "tiles.json",
    }


def test_a_row_with_a_null_column_is_left_out(spark, tmp_path):
    rows = [([1.0, 2.0], [3.0]), (None, [9.0]), ([5.0, 6.0], None), ([2.0, 1.0], [7.0])]
    table = spark.createDataFrame(rows, SCHEMA)
    moments = tiled_moments(table, ["x", "y"], str(tmp_path / "w"), memory=MEMORY)
    whole = np.array([[1, 2, 3], [2, 1, 7]], np.float64)
    assert moments.n == 2
    assert_allclose(moments.covariance_times(np.eye(3)), np.cov(whole.T, bias=True))


def test_no_rows_are_refused(spark, tmp_path):
    table = spark.createDataFrame([], SCHEMA)
    message = failure(lambda: tiled_moments(table, ["x"], str(tmp_path / "w"), memory=MEMORY))
    assert message == "no rows to take moments of in column x"


@pytest.mark.parametrize("n_partitions", [1, 2])
def test_widths_that_differ_are_refused_in_a_task_and_between(spark, tmp_path, n_partitions):
    rows = [(0, [1.0, 2.0, 3.0], [0.0]), (1, [1.0, 2.0], [0.0])]
    table = spark.createDataFrame(rows, f"i int, {SCHEMA}").repartitionByRange(n_partitions, "i")
    message = failure(lambda: tiled_moments(table, ["x"], str(tmp_path / "w"), memory=MEMORY))
    assert message.startswith("feature widths differ in column ")


def test_nan_is_refused_with_its_column(spark, tmp_path):
    table = spark.createDataFrame([([1.0, float("nan")], [0.0])], SCHEMA)
    message = failure(lambda: tiled_moments(table, ["x"], str(tmp_path / "w"), memory=MEMORY))
    assert message.startswith("value is not finite in column 'x', feature 1")
