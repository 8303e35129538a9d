"""A reading of shards, planned on the driver: what each task reads and what it makes of it.

The data source runs a scan as Spark's own; `map_shards` runs one with a task that takes the
batches further where they are, so that frames never pass through the JVM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.spark.layout import (
    Layout,
    check_columns,
    check_schema,
    corrupt_field,
    find_layout,
)
from yt8m_spark.spark.partitions import Pieces, plan_partitions
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.records import RecordBatches, Rules
from yt8m_spark.spark.statistics import Aggregation, aggregate_batches, plan_aggregation
from yt8m_spark.spark.storage import ShardFile, match_files

__all__ = ["Scan", "ShardTask", "map_shards", "plan_scan"]

# What a task does with the partition of that number: it reads it by `Scan.read`.
ShardTask = Callable[["Scan", int], Iterator[pa.RecordBatch]]


class Scan(NamedTuple):
    """Shards, what to read of them, and what to make of it."""

    files: list[ShardFile]
    partitions: list[Pieces]
    batches: RecordBatches
    aggregation: Aggregation | None  # of the frames; None: the frames themselves
    layout: Layout

    @property
    def schema(self) -> StructType:
        """Columns that it gives."""
        return self.aggregation.schema if self.aggregation else self.batches.schema

    def read(self, pieces: Pieces) -> Iterator[pa.RecordBatch]:
        """Batches of ``pieces``, in order."""
        batches = (batch for piece in pieces for batch in self.batches.read(piece))
        return aggregate_batches(batches, self.aggregation) if self.aggregation else batches


def plan_scan(options: ReadOptions, schema: StructType | None = None) -> Scan:
    """Find the files, look into the first records and share the shards out.

    Parameters
    ----------
    options : ReadOptions
    schema : StructType, optional
        Columns wanted; default all there are. Features outside it are never decoded.

    Raises
    ------
    InputError
        If no file matches, the first records are bad or of another kind than ``options`` say,
        the vocabulary, the PCA or the codebooks cannot be read, or ``schema`` has a column that
        there is not.
    """
    files = match_files(options.path)
    layout = find_layout(files, options)
    entities = read_vocabulary(options.vocabulary).entities if options.vocabulary else None
    aggregation = _aggregation(layout, options, schema)
    read_schema = _frames_read(layout, options, aggregation) if aggregation else schema
    if read_schema is None:
        read_schema = StructType([*layout.schema, *corrupt_field(options)])
    check_schema(read_schema, layout, options)
    rules = Rules(
        level=layout.level,
        widths={n: width for n, width in layout.widths.items() if n in read_schema.names},
        exact=schema is None and aggregation is None,
        entities=entities,
        keys=options.keys,
        mediapipe=layout.mediapipe,
        mode=options.mode,
        check_data=options.checksums == "all",
        corrupt_record=options.corrupt_record,
    )
    partitions = plan_partitions(files, options.partition_bytes)
    return Scan(files, partitions, RecordBatches(read_schema, rules), aggregation, layout)


def map_shards(spark: SparkSession, scan: Scan, task: ShardTask, schema: StructType) -> DataFrame:
    """Run ``task`` on every partition of ``scan``, a Spark task each; gives what they give.

    The plan travels with the task: some hundred bytes a shard.
    """
    n_tasks = len(scan.partitions)
    numbers = spark.range(0, n_tasks, 1, n_tasks)
    return numbers.mapInArrow(partial(_run, scan=scan, task=task), schema)


def _run(
    batches: Iterable[pa.RecordBatch], scan: Scan, task: ShardTask
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from task(scan, number)


def _aggregation(
    layout: Layout, options: ReadOptions, schema: StructType | None
) -> Aggregation | None:
    """What to make of the frames, if the options say so."""
    if not options.statistics:
        return None
    if layout.level != "frame":
        raise InputError("no frames to take statistics of", where=options.path, expected="frames")
    whole = plan_aggregation(
        layout.widths,
        options.statistics,
        pca=options.pca,
        unbiased=options.unbiased,
        codebook=options.codebook,
        extra=corrupt_field(options),
    )
    if schema is None:
        return whole
    check_columns(schema, {field.name: field.dataType for field in whole.schema})
    return whole.restricted_to(schema)


def _frames_read(layout: Layout, options: ReadOptions, aggregation: Aggregation) -> StructType:
    """Columns of the frames table that ``aggregation`` takes."""
    frames = layout.schema
    names = ["video_id", "labels", "n_frames", *aggregation.features]
    fields = [frames[name] for name in names]
    corrupt = [f for f in corrupt_field(options) if f.name in aggregation.schema.names]
    return StructType([*fields, *corrupt])
