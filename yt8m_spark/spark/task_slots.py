"""How many tasks the session runs at a time."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

__all__ = ["task_slots"]


def task_slots(spark: SparkSession) -> int:
    """Tasks that run at a time, as Spark itself assumes when nobody tells it otherwise.

    Asked by the partitions of a range: the SparkContext that knows is not there on Spark Connect.
    """
    numbers = spark.range(1 << 20).select(F.spark_partition_id().alias("partition"))
    return max(numbers.distinct().count(), 1)
