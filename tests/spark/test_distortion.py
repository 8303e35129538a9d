"""Errors measured over partitions are those of all rows at once. The sums: tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException

from yt8m_spark.core.codebooks import linear_code
from yt8m_spark.core.distortion import distortion_of
from yt8m_spark.core.histograms import histogram_of, range_of
from yt8m_spark.core.lloyd_max import fit_lloyd_max
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.codebooks import save_codebooks
from yt8m_spark.spark.distortion import column_distortions

SCHEMA = "x array<float>, y array<float>"


@pytest.mark.parametrize("n_partitions", [1, 3, 25])  # of 25, some hold no row
def test_errors_are_those_of_all_rows_at_once(spark, tmp_path, n_partitions):
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(0, 1.5, size=(20, 4)), "y": rng.random((20, 2))}
    values = {name: matrix.astype(np.float32) for name, matrix in values.items()}
    fitted = {n: fit_lloyd_max(histogram_of(v, range_of(v), 64), 4) for n, v in values.items()}
    save_codebooks(str(tmp_path), fitted)
    rows = list(zip(values["x"].tolist(), values["y"].tolist(), strict=True))
    table = spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)
    found = column_distortions(table, str(tmp_path))
    for name, matrix in values.items():
        codes = {
            "released": linear_code(),
            "unbiased": linear_code(unbiased=True),
            "lloyd_max": fitted[name],
        }
        assert list(found[name]) == list(codes)
        for code, codebook in codes.items():
            expected = distortion_of(matrix, codebook)
            for one, other in zip(found[name][code], expected, strict=True):
                assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_no_rows_and_widths_that_differ_are_refused(spark, tmp_path):
    save_codebooks(str(tmp_path), {"x": linear_code()})
    tables = {
        "no rows to measure in column x": spark.createDataFrame([], SCHEMA),
        "feature widths differ in column 'x'": spark.createDataFrame(
            [(0, [0.0]), (1, [0.0, 1.0])], "i int, x array<float>"
        ).repartitionByRange(2, "i"),
    }
    for message, table in tables.items():
        with pytest.raises((InputError, PySparkException)) as caught:
            column_distortions(table, str(tmp_path))
        assert message in user_error(caught.value)
