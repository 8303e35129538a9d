"""The ``yt8m`` data source: TFRecord shards as a frames or videos table, one partition a shard.

``spark.read.format("yt8m").load("train*.tfrecord")`` after `register`, or `read_shards`, which
registers it. Options: ``level`` (auto, frame, video) and ``vocabulary`` (path of a CSV file; a
label outside it is an error).

Without a schema the columns are those of the first record, and a record with another feature is
an error. Spark does not prune the columns of Python data sources, so a schema given by the user
is the projection: only its columns are built, and features outside it are ignored. A record that
lacks a feature of the schema is an error in both cases.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames, decode_video, detect_level
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.spark.records import RecordBatches, Rules
from yt8m_spark.spark.schemas import FRAME_COLUMNS, SEGMENT_FIELDS, frames_schema, videos_schema

__all__ = ["LEVELS", "Layout", "YouTube8MSource", "read_shards", "register"]

LEVELS = ("auto", "frame", "video")

_OPTIONS = ("path", "level", "vocabulary")
# A video without a frame of a list does not tell the width; so many records are asked for it.
_RECORDS_EXAMINED = 100
# How an InputError raised in Spark's planner shows in the exception that reaches the user.
_IN_PLANNER = re.compile(r"yt8m_spark\.errors\.InputError: (.+)")


class Layout(NamedTuple):
    """What the records of a set of shards look like, from the first of them."""

    level: str
    widths: dict[str, int]  # D of each feature; 0 where no record examined has a frame
    segments: bool

    @property
    def schema(self) -> StructType:
        """Schema of all columns."""
        if self.level == "frame":
            return frames_schema(self.widths, segments=self.segments)
        return videos_schema(list(self.widths))


class YouTube8MSource(DataSource):
    """Spark data source ``yt8m``."""

    _columns_detected = False

    @classmethod
    def name(cls) -> str:
        """Format name for ``spark.read.format``."""
        return "yt8m"

    def schema(self) -> StructType:
        """Columns of the frames or videos table, as the first record has them."""
        # Spark asks only where the user gives no schema, and ships this object to the reader.
        self._columns_detected = True
        _entities(self.options)  # a bad vocabulary is told now, not when the first task runs
        return _layout(_shards(self.options), _level(self.options)).schema

    def reader(self, schema: StructType) -> DataSourceReader:
        """Reader of the columns of ``schema``."""
        shards = _shards(self.options)
        layout = _layout(shards, _level(self.options))
        _check_schema(schema, layout)
        rules = Rules(
            level=layout.level,
            widths={name: width for name, width in layout.widths.items() if name in schema.names},
            exact=self._columns_detected,
            entities=_entities(self.options),
        )
        return ShardReader(shards, RecordBatches(schema, rules))


class Shard(InputPartition):
    """One file, read by one task."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class ShardReader(DataSourceReader):
    """Reads shards into Arrow batches."""

    def __init__(self, shards: Sequence[str], batches: RecordBatches) -> None:
        self._shards = shards
        self._batches = batches

    def partitions(self) -> Sequence[InputPartition]:
        """One for each file."""
        return [Shard(path) for path in self._shards]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Batches of the videos of one shard."""
        return self._batches.read(partition.value)


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
) -> DataFrame:
    """Frames or videos table of the TFRecord shards that ``pattern`` means.

    Parameters
    ----------
    spark : SparkSession
        Classic or Connect; the files must be where its server and tasks are.
    pattern : str
        A file, a folder of ``*.tfrecord*`` files or a pattern (see `match_shards`).
    level : str
        "frame", "video", or "auto" to tell from the first record.
    vocabulary : str, optional
        CSV of the entities that labels may name.
    projection : sequence of str, optional
        Columns to read; default all. Features left out are ignored in the records too.

    Raises
    ------
    InputError
        If nothing matches, the first record cannot be read or is not of ``level``, the vocabulary
        cannot be read, or ``projection`` names a column that there is not. A bad record further
        on fails the Spark task with an error that names the file and the record.
    """
    register(spark)
    reader = spark.read.format("yt8m").option("level", level)
    if vocabulary is not None:
        reader = reader.option("vocabulary", _absolute(vocabulary))
    try:
        frame = reader.load(_absolute(pattern))
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
    return reader.schema(projected).load(_absolute(pattern))


def _absolute(path: str) -> str:
    """The same path whatever folder the server and the tasks stand in."""
    has_scheme = ":" in path.partition("/")[0]
    return path if has_scheme else os.path.join(os.getcwd(), path)


def _shards(options: Mapping[str, str]) -> list[str]:
    """Files of the option ``path``; other options are checked by name."""
    unknown = [name for name in options if name not in _OPTIONS and not name.startswith("_")]
    if unknown:
        raise InputError(
            f"unknown option {unknown[0]!r} of format yt8m", expected=" or ".join(_OPTIONS)
        )
    if "path" not in options:
        raise InputError("no path to load", expected='one path: .load("train*.tfrecord")')
    return match_shards(options["path"])


def _level(options: Mapping[str, str]) -> str:
    level = options.get("level", "auto")
    if level not in LEVELS:
        raise InputError("unknown level", expected=" or ".join(LEVELS), found=level)
    return level


def _entities(options: Mapping[str, str]) -> NDArray[np.int64] | None:
    """Entities of the vocabulary, if there is one."""
    path = options.get("vocabulary")
    return None if path is None else read_vocabulary(path).entities


def _layout(shards: Sequence[str], level: str) -> Layout:
    """Layout of the first records that there are."""
    layout: Layout | None = None
    for where, data in islice(_records(shards), _RECORDS_EXAMINED):
        found = _layout_of(data, level, where)
        layout = found if layout is None else _with_widths(layout, found)
        if all(layout.widths.values()):
            break
    if layout is None:
        raise InputError("no records", where=shards[0], found=f"{len(shards)} empty files")
    return layout


def _with_widths(layout: Layout, other: Layout) -> Layout:
    """``layout`` with the widths that it lacks from ``other``."""
    widths = {name: width or other.widths.get(name, 0) for name, width in layout.widths.items()}
    return layout._replace(widths=widths)


def _records(shards: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Place and data of every record."""
    for path in shards:
        for number, data in read_records(path):
            yield f"{path}, record {number}", data


def _layout_of(data: bytes, level: str, where: str) -> Layout:
    """Layout of one record."""
    found = detect_level(data, where=where)
    if level not in ("auto", found):
        raise InputError("records are of the wrong level", where=where, expected=level, found=found)
    if found == "frame":
        frames = decode_frames(data, where=where)
        widths = {name: codes.shape[1] for name, codes in frames.features.items()}
        return Layout(found, _ordered(widths), frames.segments is not None)
    video = decode_video(data, where=where)
    widths = {name: len(values) for name, values in video.features.items()}
    if not widths:
        raise InputError("record has no features", where=where, expected="frames or float lists")
    return Layout(found, _ordered(widths), False)


def _ordered(widths: Mapping[str, int]) -> dict[str, int]:
    """Rgb, then audio, then by name: the keys of a record come in any order."""

    def rank(name: str) -> tuple[int, str]:
        last = name.rpartition("_")[2]
        return (("rgb", "audio").index(last) if last in ("rgb", "audio") else 2), name

    return {name: widths[name] for name in sorted(widths, key=rank)}


def _check_schema(schema: StructType, layout: Layout) -> None:
    """Refuse a schema with a column that there is not, or of another type."""
    known = {field.name: field.dataType for field in layout.schema}
    if layout.level == "frame":
        known |= {field.name: field.dataType for field in SEGMENT_FIELDS}
    taken = sorted(set(layout.widths) & ({"video_id", "labels", "n_frames"} | FRAME_COLUMNS))
    if taken:
        raise InputError(f"a feature has the name of the column {taken[0]!r}", where="records")
    for field in schema:
        if field.name not in known:
            columns = ", ".join(known)
            raise InputError(
                f"no column {field.name!r}", where="the records", expected=f"one of {columns}"
            )
        wanted, found = known[field.name].simpleString(), field.dataType.simpleString()
        if wanted != found:
            raise InputError(
                f"column {field.name!r} of the schema has the wrong type",
                expected=wanted,
                found=found,
            )
