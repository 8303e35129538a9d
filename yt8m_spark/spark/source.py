"""The ``yt8m`` data source: TFRecord shards as a frames or videos table, and back.

``spark.read.format("yt8m").load("train*.tfrecord")`` after `register`, or `read_shards`, which
registers it. Options:

==========================  =====================================================================
``level``                   auto (told from the records), frame or video
``mode``                    failfast (default), dropmalformed or permissive: what becomes of a bad
                            record, as in Spark's own readers
``columnNameOfCorruptRecord``  default ``_corrupt_record``: file, record, byte and reason of a bad
                            record in mode permissive, whose other columns are null
``features``                ``rgb:1024,audio:128``: features to read, and their widths if known
``idKey``, ``labelsKey``    where the records keep id and labels (default: id or video_id; labels)
``vocabulary``              path of a CSV file; a label outside it makes a record bad
``statistics``, ``pca``     ``mean,std,top5``: the videos table of these statistics of the frames
                            instead of the frames, in ReLU space if there is a PCA. The frames
                            never leave the task. ``unbiased`` true: without the 1/128 that the
                            release's decoder adds
``checksums``               all (default), or lengths: a record of which only ids, labels or
                            segments are read is not read through for the checksum of its data,
                            so that damage to them may pass unseen
``partitionBytes``          size above which a plain local shard is read by several tasks
==========================  =====================================================================

Without a schema the columns are those of the first records; features that only later records have
are left out. Spark does not prune the columns of Python data sources, so a schema given by the
user is the projection: only its columns are built, and features outside it are never decoded. A
record that lacks a feature of the schema is bad in both cases.

Records of YouTube-8M 2016 to 2019 and AudioSet are read alike, and MediaPipe's, whose floats are
quantized by the release's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceWriter,
    InputPartition,
)
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.partitions import Pieces
from yt8m_spark.spark.read_options import LEVELS, read_options
from yt8m_spark.spark.scan import Scan, plan_scan
from yt8m_spark.spark.sink import ShardWriter
from yt8m_spark.spark.storage import absolute

__all__ = ["LEVELS", "YouTube8MSource", "read_shards", "register"]

# How an InputError raised in Spark's planner shows in the exception that reaches the user.
_IN_PLANNER = re.compile(r"yt8m_spark\.errors\.InputError: (.+)")


class YouTube8MSource(DataSource):
    """Spark data source ``yt8m``."""

    _columns_detected = False

    @classmethod
    def name(cls) -> str:
        """Format name for ``spark.read.format``."""
        return "yt8m"

    def schema(self) -> StructType:
        """Columns of the frames or videos table, as the first records have them."""
        # Spark asks only where the user gives no schema, and ships this object to the reader.
        self._columns_detected = True
        return plan_scan(read_options(self.options)).schema

    def reader(self, schema: StructType) -> DataSourceReader:
        """Reader of the columns of ``schema``."""
        options = read_options(self.options)
        return ShardReader(plan_scan(options, None if self._columns_detected else schema))

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        """Writer of a table of ``schema`` (see `yt8m_spark.spark.sink`)."""
        return ShardWriter(schema, self.options, overwrite)


class Shards(InputPartition):
    """What one task reads."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(pieces)
        self.pieces = pieces


class ShardReader(DataSourceReader):
    """Reads shards into Arrow batches."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def partitions(self) -> Sequence[InputPartition]:
        """One a shard, more for a big one, fewer for very many."""
        return [Shards(pieces) for pieces in self._scan.partitions]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Batches of the videos of one partition."""
        return self._scan.read(partition.value)


def register(spark: SparkSession) -> None:
    """Make ``spark.read.format("yt8m")`` known to the session."""
    spark.dataSource.register(YouTube8MSource)


def read_shards(
    spark: SparkSession,
    pattern: str,
    *,
    level: str = "auto",
    vocabulary: str | None = None,
    projection: Sequence[str] | None = None,
    options: Mapping[str, str] | None = None,
) -> DataFrame:
    """Frames or videos table of the TFRecord shards that ``pattern`` means.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect; the files must be where its server and tasks are.
    pattern : str
        A file, a folder of ``*.tfrecord*`` files or a pattern, on a file system that all tasks
        see or remote: ``s3a://``, ``gs://``, ``abfss://``, ``hdfs://`` (see `match_files`).
    level : str
        "frame", "video", or "auto" to tell from the first record.
    vocabulary : str, optional
        CSV of the entities that labels may name.
    projection : sequence of str, optional
        Columns to read; default all. Features left out are ignored in the records too.
    options : mapping of str to str, optional
        Further options of the format (above), by name.

    Raises
    ------
    InputError
        If nothing matches, the first record cannot be read or is not of ``level``, the vocabulary
        cannot be read, or ``projection`` names a column that there is not. A bad record further
        on fails the Spark task with an error that names the file and the record.
    """
    register(spark)
    given = {name.lower(): value for name, value in (options or {}).items()}
    if level != "auto":
        given["level"] = level
    if vocabulary is not None:
        given["vocabulary"] = vocabulary
    paths = {name: absolute(given[name]) for name in ("vocabulary", "pca") if name in given}
    reader = spark.read.format("yt8m").options(**(given | paths))
    try:
        frame = reader.load(absolute(pattern))
        schema = frame.schema
    except PySparkException as error:
        line = _IN_PLANNER.search(str(error))
        if line is None:
            raise
        raise InputError(line[1]) from None
    if projection is None:
        return frame
    missing = [name for name in projection if name not in schema.names]
    if missing:
        columns = ", ".join(schema.names)
        raise InputError(f"no column {missing[0]!r}", where=pattern, expected=f"one of {columns}")
    projected = StructType([schema[name] for name in projection])
    return reader.schema(projected).load(absolute(pattern))
