"""Accept pyspark.ml vectors and arrays of double where arrays of float are meant."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType

from yt8m_spark.spark.schemas import FLOATS

__all__ = ["with_float_arrays"]


def with_float_arrays(df: DataFrame, columns: Sequence[str]) -> DataFrame:
    """``df`` with those of ``columns`` that are vectors or array<double> as array<float>."""
    for name in columns:
        kind = df.schema[name].dataType if name in df.columns else None
        if isinstance(kind, VectorUDT):
            # Spark's conversion fails on a null vector with a page of Java; a null array is told
            # of as any other null is.
            array = F.when(F.col(name).isNotNull(), vector_to_array(F.col(name), "float32"))
            df = df.withColumn(name, array)
        elif isinstance(kind, ArrayType) and isinstance(kind.elementType, DoubleType):
            df = df.withColumn(name, F.col(name).cast(FLOATS))
    return df
