"""Vectors and arrays of double as features. Other types are refused by schemas, tested there."""

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import IntegerType, StructField, StructType

from yt8m_spark.spark.schemas import FLOATS
from yt8m_spark.spark.vectors import with_float_arrays

VECTORS = StructType([StructField("i", IntegerType()), StructField("x", VectorUDT())])


def rows_of(table):
    assert table.schema["x"].dataType.simpleString() == FLOATS.simpleString()
    return [row.x for row in table.orderBy("i").collect()]


def test_dense_and_sparse_vectors_become_arrays_of_float(spark):
    rows = [(0, Vectors.dense([0.1, 0, 2])), (1, Vectors.sparse(3, {1: 5.0}))]
    table = with_float_arrays(spark.createDataFrame(rows, VECTORS), ["x"])
    assert rows_of(table) == [[float(np.float32(0.1)), 0, 2], [0, 5, 0]]


def test_a_null_vector_becomes_a_null_array(spark):
    rows = [(0, Vectors.dense([1.0])), (1, None)]
    assert rows_of(with_float_arrays(spark.createDataFrame(rows, VECTORS), ["x"])) == [[1], None]


def test_doubles_become_the_nearest_floats(spark):
    table = spark.createDataFrame([(0, [0.1, 1 / 3])], "i int, x array<double>")
    expected = np.float32([0.1, 1 / 3]).tolist()
    assert rows_of(with_float_arrays(table, ["x"])) == [expected]


@pytest.mark.parametrize("kind", ["array<float>", "array<int>", "string"])
def test_other_columns_are_left_as_they_are(spark, kind):
    table = spark.createDataFrame([], f"i int, x {kind}, y array<double>")
    assert with_float_arrays(table, ["x", "absent"]).schema == table.schema
