"""Coding columns with codebooks kept in a folder. Fitting them: test_lloyd_max.py."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pyspark.errors import PySparkException

from yt8m_spark.core.codebooks import Codebook, decode, encode, linear_code
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.codebooks import (
    dequantize_columns,
    load_codebooks,
    quantize_columns,
    save_codebooks,
)

SCHEMA = "video_id string, labels array<int>, x array<float>, n int, y array<float>"


def make_codebook(width, n_levels=5, seed=0):
    levels = np.sort(np.random.default_rng(seed).normal(size=(width, n_levels)), axis=1)
    levels = levels.astype(np.float32)
    thresholds = (levels[:, 1:].astype(float) + levels[:, :-1]) / 2
    return Codebook(levels, thresholds, levels[:, [0, -1]])


@pytest.fixture
def books(tmp_path):
    """x has levels of its own for each of 3 features, y shares the release's."""
    codebooks = {"x": make_codebook(3), "y": linear_code()}
    save_codebooks(str(tmp_path / "books"), codebooks)
    return codebooks, str(tmp_path / "books")


def make_rows(n=11):
    rng = np.random.default_rng(7)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.random((n, 2), np.float32)


def make_table(spark, n_partitions=2):
    x, y = make_rows()
    rows = [
        (f"v{i:02d}", [i], a, i, b)
        for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def test_codebooks_come_back_as_they_were_saved(books):
    codebooks, folder = books
    loaded = load_codebooks(folder)
    assert {name: book.digest for name, book in loaded.items()} == {
        name: book.digest for name, book in codebooks.items()
    }
    with open(f"{folder}/codebook.json") as file:
        described = json.load(file)["columns"]
    assert (described["x"]["code"], described["x"]["scope"]) == ("lloyd_max", "dimension")
    assert (described["y"]["code"], described["y"]["scope"]) == ("released", "shared")


@pytest.mark.parametrize("n_partitions", [1, 3, 14])  # of 14, some hold no row
def test_columns_become_bytes_and_floats_again_beside_all_others(spark, books, n_partitions):
    codebooks, folder = books
    table = make_table(spark, n_partitions)
    coded = quantize_columns(table, folder)
    types = [(f.name, f.dataType.simpleString()) for f in coded.schema]
    assert types == [
        ("video_id", "string"), ("labels", "array<int>"), ("x", "binary"), ("n", "int"),
        ("y", "binary"),
    ]  # fmt: skip
    rows = sorted(coded.collect())
    assert [(row.video_id, row.labels, row.n) for row in rows] == [
        (f"v{i:02d}", [i], i) for i in range(11)
    ]
    read = sorted(dequantize_columns(coded, folder).collect())
    for name, matrix in zip("xy", make_rows(), strict=True):
        codes = encode(matrix, codebooks[name])
        found = np.array([np.frombuffer(row[name], np.uint8) for row in rows])
        assert_array_equal(found, codes)
        values = np.array([row[name] for row in read], np.float32)
        assert_array_equal(values, decode(codes, codebooks[name]))
    assert dequantize_columns(coded, folder).schema == table.schema


def test_a_coded_table_remembers_its_codebook_through_parquet(spark, books, tmp_path):
    _, folder = books
    quantize_columns(make_table(spark), folder).write.parquet(str(tmp_path / "t"))
    stored = spark.read.parquet(str(tmp_path / "t"))
    assert dequantize_columns(stored, folder).count() == 11
    other = {"x": make_codebook(3, seed=1), "y": linear_code()}
    save_codebooks(str(tmp_path / "other"), other)
    message = failure(lambda: dequantize_columns(stored, str(tmp_path / "other")))
    assert "written with another codebook in column 'x'" in message


def test_codebooks_replaced_in_the_meantime_are_refused(spark, books):
    _, folder = books
    coded = quantize_columns(make_table(spark), folder)
    save_codebooks(folder, {"x": make_codebook(3, seed=1), "y": linear_code()})
    assert "have been replaced" in failure(coded.collect)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([0.0, float("nan"), 1.0], "value is not finite in column 'x', feature 1"),
        ([0.0, None, 1.0], "null value in column 'x'"),
        ([0.0, 1.0], "feature widths differ in column 'x', expected 3, found 2"),
    ],
)
def test_rows_that_have_no_code_fail_the_task_with_the_column(spark, books, x, message):
    table = spark.createDataFrame([("a", [1], x, 1, [0.0])], SCHEMA)
    assert message in failure(quantize_columns(table, books[1]).collect)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (b"\0\1", "bytes of wrong width in column 'x', expected 3, found 2"),
        (b"\0\1\5", "codes must be below 5, got 5 in column 'x'"),
    ],
)
def test_bytes_that_are_no_codes_fail_the_task_with_the_column(spark, books, x, message):
    table = spark.createDataFrame([(x, b"\0")], "x binary, y binary")
    assert message in failure(dequantize_columns(table, books[1]).collect)


def test_a_video_without_frames_of_a_list_stays_null(spark, books):
    rows = [("a", [1], None, 1, [0.0]), ("b", [1], [0.0, 1.0, 2.0], 1, None)]
    coded = quantize_columns(spark.createDataFrame(rows, SCHEMA), books[1])
    assert [(row.x is None, row.y is None) for row in coded.orderBy("video_id").collect()] == [
        (True, False),
        (False, True),
    ]
    read = dequantize_columns(coded, books[1]).orderBy("video_id").collect()
    assert [(row.x is None, row.y is None) for row in read] == [(True, False), (False, True)]


def test_columns_that_are_missing_or_of_another_type_are_refused(spark, books, tmp_path):
    table = make_table(spark)
    assert "no column 'y'" in failure(lambda: quantize_columns(table.drop("y"), books[1]))
    assert "expected binary" in failure(lambda: dequantize_columns(table, books[1]))
    assert "no such file" in failure(lambda: quantize_columns(table, str(tmp_path / "nowhere")))


def test_files_of_two_fits_are_refused(books, tmp_path):
    _, folder = books
    save_codebooks(str(tmp_path / "other"), {"x": make_codebook(3, seed=1), "y": linear_code()})
    (tmp_path / "other/codebook.json").rename(tmp_path / "books/codebook.json")
    with pytest.raises(InputError, match="not of one fit"):
        load_codebooks(folder)
