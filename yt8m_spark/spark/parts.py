"""Parquet parts that tasks write themselves, so that wide rows never pass through the JVM.

A row of [mean; std; top5] is 32 kB and one of frames 250 kB: turned into Spark's rows and back they
cost more than all the reading. The parts are those of an ordinary Parquet table; Spark reads them,
and finds its own schema in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import StructType

from yt8m_spark.artifacts import file_in_place
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["finish_table", "write_part"]

# Where Spark keeps its schema in a Parquet file, and with it the widths of feature lists.
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_VALUES_AT_ONCE = 1 << 16  # of a column; a row of top5 alone is 5,120
_REPETITIVE = ["labels.list.element", "shard"]  # columns that a dictionary makes smaller


def write_part(batches: Iterable[pa.RecordBatch], schema: StructType, path: Path) -> int:
    """Write ``batches`` of ``schema`` to one Parquet file, whole or not at all.

    A row group a batch, so no more than one is in memory.

    Returns
    -------
    int
        Rows written.
    """
    arrow = arrow_schema(schema).with_metadata({_SPARK_SCHEMA: schema.json()})
    n_rows = 0
    with (
        file_in_place(path) as temporary,
        pq.ParquetWriter(
            temporary,
            arrow,
            compression="snappy",
            use_dictionary=_REPETITIVE,
            write_statistics=["video_id"],
            write_batch_size=_VALUES_AT_ONCE,
        ) as writer,
    ):
        for batch in batches:
            table = pa.Table.from_batches([batch])
            writer.write_table(table.replace_schema_metadata(arrow.metadata))
            n_rows += batch.num_rows
    return n_rows


def finish_table(folder: Path) -> None:
    """Mark the table in ``folder`` as complete, as Spark's own writers do."""
    (folder / "_SUCCESS").touch()
