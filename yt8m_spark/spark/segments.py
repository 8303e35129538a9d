"""Segments and their ratings (2019): `core.segments` over tables.

A list of segments, ``RANKED_SEGMENTS``, is one row a segment and an entity, with its rank from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.scored import row_of_each
from yt8m_spark.core.segments import AT_K, segment_average_precision
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.prediction_lists import (
    SEGMENT_START,
    best,
    prediction_keys,
    ranked_lists,
    require_distinct,
)
from yt8m_spark.spark.schemas import SEGMENT_FIELDS, arrow_schema, require_columns
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.tables import is_table, read_table

__all__ = [
    "RANKED_SEGMENTS",
    "SegmentEvaluation",
    "evaluate_segments",
    "rank_segments",
    "rated_segments",
    "read_rated_segments",
]

_ENTITY = StructField("entity", IntegerType())
_SEGMENT = [StructField("video_id", StringType()), StructField(SEGMENT_START, IntegerType())]
RANKED_SEGMENTS = StructType([_ENTITY, StructField("rank", IntegerType()), *_SEGMENT])
_SCORED = StructType([_ENTITY, *_SEGMENT, StructField("score", FloatType())])
_RATED = StructType([_ENTITY, *_SEGMENT, StructField("is_positive", BooleanType())])
_PRECISION = StructType(
    [
        _ENTITY,
        StructField("n_listed", LongType()),
        StructField("average_precision", DoubleType()),
    ]
)
_KEYS = ["entity", "video_id", SEGMENT_START]
_ARRAYS = ("segment_start_times", "segment_labels", "segment_scores")


class SegmentEvaluation(NamedTuple):
    """Segment MAP@K of a list of segments."""

    map_at_k: float
    n_rated: int  # pairs of segment and entity that were rated, of all entities looked at
    per_entity: pa.Table  # entity, n_rated, n_positives, n_listed, average_precision (null: no AP)


def rated_segments(frames: DataFrame) -> DataFrame:
    """Ratings of segments: ``entity, video_id, segment_start_time, is_positive``.

    Parameters
    ----------
    frames : DataFrame
        Frames table with ``segment_start_times, segment_labels, segment_scores``; a score above 0
        says that raters saw the entity. Videos without segments give no row.

    Raises
    ------
    InputError
        If a column is missing. The Spark task fails with one that names the video, if its arrays
        differ in length or a score is null or NaN.
    """
    fields: dict[str, DataType] = {f.name: f.dataType for f in SEGMENT_FIELDS if f.name in _ARRAYS}
    require_columns(frames, {"video_id": StringType(), **fields}, "frames table")
    return frames.select("video_id", *_ARRAYS).mapInArrow(_rated_rows, _RATED)


def read_rated_segments(spark: SparkSession, source: str) -> DataFrame:
    """`rated_segments` of a frames table or of frame-level shards, whose frames are not decoded."""
    if is_table(source):
        return rated_segments(read_table(spark, source))
    columns = ["video_id", *_ARRAYS]
    return rated_segments(read_shards(spark, source, level="frame", projection=columns))


def rank_segments(
    predictions: DataFrame,
    *,
    k: int | None = None,
    at_most: int = AT_K,
    only: NDArray[np.int64] | None = None,
) -> DataFrame:
    """List the segments of each entity (`RANKED_SEGMENTS`) by descending score.

    Equal scores go to the lower video_id, then to the earlier segment.

    Parameters
    ----------
    predictions : DataFrame
        ``video_id, segment_start_time, entities, scores``, one row a segment; read twice.
    k : int, optional
        Use the ``k`` best entities of each segment; default all that are listed.
    at_most : int
        Segments kept for an entity.
    only : (E,) int64, optional
        Entities to keep, before the ``k`` best are taken.

    Raises
    ------
    InputError
        If a column is missing or a segment comes twice. The Spark task fails with one as
        `ranked_lists`.
    """
    keys = prediction_keys(predictions)
    if SEGMENT_START not in keys:
        expected = f"a column {SEGMENT_START} int"
        raise InputError("predictions are of whole videos", expected=expected)
    require_distinct(predictions, keys, "predictions table")
    scored = predictions.select(*keys, "entities", "scores").mapInArrow(
        partial(_scored_rows, k=k, only=only), _SCORED
    )
    order = [F.desc("score"), F.col("video_id"), F.col(SEGMENT_START)]
    rank = F.row_number().over(Window.partitionBy("entity").orderBy(*order))
    kept = scored.withColumn("rank", rank).where(F.col("rank") <= at_most)
    return kept.select(*RANKED_SEGMENTS.names)


def evaluate_segments(
    ranked: DataFrame,
    rated: DataFrame,
    *,
    at_k: int = AT_K,
    only: NDArray[np.int64] | None = None,
) -> SegmentEvaluation:
    """Segment MAP@K, the mean AP of the entities that have a positive segment.

    The driver receives one row an entity; a task holds the rated segments of one.

    Parameters
    ----------
    ranked : DataFrame
        Segments listed for each entity, `RANKED_SEGMENTS`; no segment twice for one entity.
    rated : DataFrame
        As `rated_segments` gives; read three times, so from storage.
    at_k : int
        How much of each list counts, rated or not.
    only : (E,) int64, optional
        Evaluate these entities alone.

    Raises
    ------
    InputError
        If nothing is rated, a segment is rated twice and differently, no entity has a positive
        segment, or nothing of ``ranked`` is rated, which ids of another data set would explain.
    """
    if only is not None:
        rated = rated.where(F.col("entity").isin(only.tolist()))
    rated = _one_rating_each(rated)
    positives = F.sum(F.col("is_positive").cast("long")).alias("n_positives")
    totals = rated.groupBy("entity").agg(F.count("*").alias("n_rated"), positives)
    in_list = ranked.where(F.col("rank") <= at_k).join(rated, _KEYS, "inner")
    grouped = in_list.join(totals, "entity", "inner").groupBy("entity", "n_positives")
    precision = grouped.applyInArrow(_entity_precision, _PRECISION)
    rows = totals.join(precision, "entity", "left").orderBy("entity").collect()
    return _summary(rows)


def _one_rating_each(rated: DataFrame) -> DataFrame:
    """``rated`` with a segment that stands twice only once."""
    once = rated.groupBy(*_KEYS).agg(
        F.max("is_positive").alias("is_positive"), F.min("is_positive").alias("_lowest")
    )
    row = once.where("is_positive != _lowest").orderBy(*_KEYS).first()
    if row is not None:
        where = f"video {row.video_id!r}, segment at {row[SEGMENT_START]} s, entity {row.entity}"
        raise InputError("rated twice, once yes and once no", where=where)
    return once.select(*_KEYS, "is_positive")


def _summary(rows: list[Any]) -> SegmentEvaluation:
    if not rows:
        expected = "videos with segment_labels of the entities asked for"
        raise InputError("no rated segments", expected=expected, found="none")
    if not any(row.n_listed for row in rows):
        expected = "segments of the videos that are rated"
        raise InputError("no listed segment is rated", expected=expected)
    figures = [
        None if not row.n_positives else row.average_precision or 0.0 for row in rows
    ]  # an entity that is not listed has an AP of 0
    with_positives = [figure for figure in figures if figure is not None]
    if not with_positives:
        raise InputError("no segment was rated positive", expected="segment_scores above 0")
    table = pa.table(
        {
            "entity": pa.array([row.entity for row in rows], pa.int32()),
            "n_rated": pa.array([row.n_rated for row in rows], pa.int64()),
            "n_positives": pa.array([row.n_positives for row in rows], pa.int64()),
            "n_listed": pa.array([row.n_listed or 0 for row in rows], pa.int64()),
            "average_precision": pa.array(figures, pa.float64()),
        }
    )
    n_rated = sum(row.n_rated for row in rows)
    return SegmentEvaluation(float(np.mean(with_positives)), n_rated, table)


def _entity_precision(key: tuple[Any, ...], rows: pa.Table) -> pa.Table:
    """AP of the rated segments of one entity's list."""
    entity, n_positives = (value.as_py() for value in key)
    order = pc.sort_indices(rows["rank"])
    is_positive = rows["is_positive"].take(order).to_numpy().astype(bool)
    ap = segment_average_precision(is_positive, n_positives) if n_positives else None
    columns = {"entity": [entity], "n_listed": [len(is_positive)], "average_precision": [ap]}
    return pa.Table.from_pydict(columns, schema=arrow_schema(_PRECISION))


def _rated_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        offsets, start_times = ragged(batch.column(_ARRAYS[0]))
        label_offsets, labels = ragged(batch.column(_ARRAYS[1]))
        lists = batch.column(_ARRAYS[2])
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        differ = (label_offsets != offsets)[1:] | (np.cumsum(lengths) != offsets[1:])
        if differ.any():
            where = f"video {batch.column('video_id')[int(np.argmax(differ))].as_py()!r}"
            expected = "as many segment_labels and segment_scores as segment_start_times"
            raise InputError("segments do not fit together", where=where, expected=expected)
        rows = row_of_each(offsets)
        scores = lists.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        if np.isnan(scores).any():
            video_id = batch.column("video_id")[int(rows[np.argmax(np.isnan(scores))])].as_py()
            where = f"video {video_id!r}"
            raise InputError("segment score is not a number", where=where, expected="0 or 1")
        video_ids = batch.column("video_id").take(pa.array(rows))
        yield _record(_RATED, [labels, video_ids, start_times, scores > 0])


def _scored_rows(
    batches: Iterable[pa.RecordBatch], k: int | None, only: NDArray[np.int64] | None
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ranked = ranked_lists(batch, only=only)
        if k is not None:
            ranked = best(ranked, k)
        rows = pa.array(row_of_each(ranked.offsets))
        video_ids, starts = (batch.column(i).take(rows) for i in range(2))
        yield _record(_SCORED, [ranked.entities, video_ids, starts, ranked.scores])


def _record(schema: StructType, columns: list[Any]) -> pa.RecordBatch:
    arrow = arrow_schema(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, arrow, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)
