"""Submissions to the YouTube-8M challenges as DataFrames, and predictions as submissions.

A file is read by one task, a line at a time, and is one partition. To write one, tasks sort the
lines and write them to files beside it, which the driver strings together, so that nothing that
grows with the data is in its memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.segments import AT_K
from yt8m_spark.errors import InputError
from yt8m_spark.formats.submission_writer import format_segments, format_video, write_submission
from yt8m_spark.formats.submissions import (
    SEGMENT_HEADER,
    VIDEO_HEADER,
    EntitySegments,
    VideoPredictions,
    read_segment_submission,
    read_video_submission,
)
from yt8m_spark.spark.prediction_lists import (
    SEGMENT_START,
    best,
    listed,
    prediction_keys,
    ranked_lists,
    require_distinct,
)
from yt8m_spark.spark.schemas import FLOATS, INTS, arrow_schema
from yt8m_spark.spark.segments import RANKED_SEGMENTS, rank_segments
from yt8m_spark.spark.storage import absolute, open_file

__all__ = [
    "is_submission",
    "read_segments",
    "read_submission",
    "write_segment_submission",
    "write_video_submission",
]

_VIDEO_LISTS = StructType(
    [
        StructField("video_id", StringType()),
        StructField("entities", INTS),
        StructField("scores", FLOATS),
    ]
)
_VIDEO_LINES = StructType(
    [StructField("video_id", StringType()), StructField("line", StringType())]
)
_ENTITY_LINES = StructType([StructField("line", StringType())])
_LINES_AT_ONCE = 4096  # of a video submission: 80,000 pairs

Ids = NDArray[np.int64] | None


def is_submission(path: str) -> bool:
    """Whether ``path`` is named as a submission is, not a table."""
    return path.lower().endswith((".csv", ".csv.gz"))


def read_submission(spark: SparkSession, path: str) -> DataFrame:
    """Video submission as a predictions table without labels.

    Parameters
    ----------
    spark : SparkSession
    path : str
        A file that all tasks see, local or remote; gzip'ed or not.

    Returns
    -------
    DataFrame
        ``video_id string, entities array<int>, scores array<float>``, one partition, rows in the
        order of the file, lists best first (equal confidences: the lower entity first).

    Raises
    ------
    InputError
        The Spark task fails with one that names file and line; see
        `formats.submissions.read_video_submission`.
    """
    return _one_task(spark, partial(_read_videos, path=absolute(path)), _VIDEO_LISTS)


def read_segments(spark: SparkSession, path: str) -> DataFrame:
    """Segment submission as ``entity int, rank int, video_id string, segment_start_time int``.

    One row a listed segment, rank 1 the best of its entity; one partition, as in the file.

    Raises
    ------
    InputError
        The Spark task fails with one that names file and line; see
        `formats.submissions.read_segment_submission`.
    """
    return _one_task(spark, partial(_read_segments, path=absolute(path)), RANKED_SEGMENTS)


def write_video_submission(
    predictions: DataFrame,
    path: str,
    *,
    k: int = 20,
    digits: int = 6,
    only: Ids = None,
    zipped: bool | None = None,
) -> int:
    """Write the ``k`` best entities of each video to a CSV at ``path``, videos by id.

    Parameters
    ----------
    predictions : DataFrame
        Predictions table (labels are not needed), read twice: from storage, not a model's scores.
    path : str
        Local file; written whole or not at all.
    k, digits : int
        Pairs of a line and significant digits of a confidence (see `format_video`). Confidences
        that were different may print as equal; their order in the line stays.
    only : (E,) int64, optional
        Entities that may be listed.
    zipped : bool, optional
        Whether to gzip; default if ``path`` ends in ``.gz``.

    Returns
    -------
    int
        Videos written.

    Raises
    ------
    InputError
        If there are no rows, a video comes twice, or as `ranked_lists` and `format_video`.
    """
    if prediction_keys(predictions) != ["video_id"]:
        raise InputError("predictions are of segments", expected="predictions of whole videos")
    require_distinct(predictions, ["video_id"], "predictions table")
    task = partial(_video_lines, k=k, digits=digits, only=only)
    lists = predictions.select("video_id", "entities", "scores")
    lines = lists.mapInArrow(task, _VIDEO_LINES).orderBy("video_id").select("line")
    return _write(lines, path, VIDEO_HEADER, zipped)


def write_segment_submission(
    predictions: DataFrame,
    path: str,
    *,
    k: int = 20,
    at_most: int = AT_K,
    only: Ids = None,
    zipped: bool | None = None,
) -> int:
    """Write the best segments of each entity to a CSV at ``path``, entities ascending.

    Parameters
    ----------
    predictions : DataFrame
        ``video_id, segment_start_time, entities, scores``, one row a segment, read twice.
    path, only, zipped
        As for `write_video_submission`.
    k : int
        Entities of a segment that count, as many as inference.py keeps.
    at_most : int
        Segments listed for an entity: the challenge looks at no more than 100,000.

    Returns
    -------
    int
        Entities written: those that some segment lists.
    """
    ranked = rank_segments(predictions, k=k, at_most=at_most, only=only)
    # A range of entities a task, in their order, each entity whole in one of them.
    sorted_rows = ranked.repartitionByRange("entity").sortWithinPartitions("entity", "rank")
    return _write(
        sorted_rows.mapInArrow(_entity_lines, _ENTITY_LINES), path, SEGMENT_HEADER, zipped
    )


def _one_task(spark: SparkSession, task: Callable[..., Any], schema: StructType) -> DataFrame:
    return spark.range(0, 1, 1, 1).mapInArrow(task, schema)


def _read_videos(batches: Iterable[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    schema = arrow_schema(_VIDEO_LISTS)
    for _ in (batch for batch in batches if batch.num_rows):
        with open_file(path) as file:
            lines = read_video_submission(file, path)
            while chunk := list(islice(lines, _LINES_AT_ONCE)):
                columns = [list(column) for column in zip(*chunk, strict=True)]
                arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                yield _best_first(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _best_first(batch: pa.RecordBatch) -> pa.RecordBatch:
    ranked = ranked_lists(batch)
    lists = [list(column) for column in zip(*listed(ranked), strict=True)]
    arrays = [pa.array(c, batch.schema.field(i).type) for i, c in enumerate(lists, start=1)]
    return pa.RecordBatch.from_arrays([batch.column(0), *arrays], schema=batch.schema)


def _read_segments(batches: Iterable[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    schema = arrow_schema(RANKED_SEGMENTS)
    for _ in (batch for batch in batches if batch.num_rows):
        with open_file(path) as file:
            for line in read_segment_submission(file, path):
                n = len(line.video_ids)
                columns = [[line.entity] * n, range(1, n + 1), line.video_ids, line.start_times]
                arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _video_lines(
    batches: Iterable[pa.RecordBatch], k: int, digits: int, only: Ids
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ranked = best(ranked_lists(batch, only=only), k)
        rows = zip(ranked.video_ids, listed(ranked), strict=True)
        lines = [format_video(VideoPredictions(name, *lists), digits) for name, lists in rows]
        arrays = [pa.array(ranked.video_ids, pa.string()), pa.array(lines, pa.string())]
        yield pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(_VIDEO_LINES))


def _entity_lines(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Lines of sorted rows of `RANKED_SEGMENTS`; one entity's segments are held at a time."""
    entity, video_ids, start_times = None, list[str](), list[int]()
    for batch in batches:
        rows = (batch.column(name).to_pylist() for name in ("entity", "video_id", SEGMENT_START))
        for of, video_id, start_time in zip(*rows, strict=True):
            if of != entity and entity is not None:
                yield _entity_line(EntitySegments(entity, video_ids, start_times))
                video_ids, start_times = [], []
            entity = of
            video_ids.append(video_id)
            start_times.append(start_time)
    if entity is not None:
        yield _entity_line(EntitySegments(entity, video_ids, start_times))


def _entity_line(line: EntitySegments) -> pa.RecordBatch:
    text = pa.array([format_segments(line)], pa.string())
    return pa.RecordBatch.from_arrays([text], schema=arrow_schema(_ENTITY_LINES))


def _write(lines: DataFrame, path: str, header: str, zipped: bool | None) -> int:
    """Write sorted ``lines`` to parts beside ``path``, then string these together."""
    target = Path(path).resolve()
    parts = target.with_name(f".{target.name}.parts")
    try:
        lines.write.mode("overwrite").text(str(parts))
        return write_submission(str(target), header, _pieces(parts), zipped=zipped)
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _pieces(parts: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Bytes of Spark's text files, in the order of their partitions."""
    for path in sorted(parts.glob("part-*")):
        with path.open("rb") as file:
            while piece := file.read(size):
                yield piece
