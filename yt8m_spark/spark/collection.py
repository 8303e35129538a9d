"""Which candidates become videos of the data set, and why the others do not (paper §3.2).

The stages are the paper's, in its order: views, duration, a random sample, annotation, and the two
filters to a fixed point (`spark.fixed_point`). Before them stand readable rows and each id once.
Every candidate has one reason, that of the first stage it does not pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.scored import label_set
from yt8m_spark.core.split_hash import SAMPLE
from yt8m_spark.spark.arrow import ragged_lists, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.hashed_ids import hash_column
from yt8m_spark.spark.schemas import INTS, arrow_schema

__all__ = [
    "LEFT",
    "NUMBER",
    "REASONS",
    "SIFTED",
    "STAGES",
    "Bounds",
    "sift",
    "stage_of",
]

NUMBER = "number"  # column of the hash that the sample is drawn by

LEFT = "too_few_entities_left"  # reason of the last stage

# Stages in order, and the reasons of each for which a candidate does not pass.
STAGES: dict[str, tuple[str, ...]] = {
    "rows": ("unreadable_row", "no_video_id"),
    "duplicates": ("repeated_row", "conflicting_topics"),
    "views": ("views_missing", "views_no_number", "views_negative", "too_few_views"),
    "duration": (
        "duration_missing",
        "duration_no_number",
        "duration_negative",
        "too_short",
        "too_long",
    ),
    "sample": ("not_sampled",),
    "annotation": ("topics_missing", "no_topics", "no_topic_in_vocabulary"),
    "fixed_point": (LEFT,),
}
REASONS = {reason: stage for stage, reasons in STAGES.items() for reason in reasons}

SIFTED = StructType(
    [
        StructField("video_id", StringType()),
        StructField("views", LongType()),
        StructField("duration", DoubleType()),  # seconds
        StructField("labels", INTS),  # entities of the vocabulary, ascending
        StructField("reason", StringType()),  # of a stage before the sample
        StructField("annotation", StringType()),  # reason of that stage
        StructField(NUMBER, LongType()),
    ]
)


class Bounds(NamedTuple):
    """What a candidate must have; all bounds are inclusive, as the paper's words are."""

    min_views: int = 1000  # "at least 1,000 views"
    min_duration: float = 120.0  # seconds; "too short (< 120 secs)" is excluded
    max_duration: float = 500.0  # seconds; "too long (> 500 secs)" is excluded


def stage_of(reason: Column) -> Column:
    """Stage to which a reason belongs."""
    found = F.lit(None).cast("string")
    for stage, reasons in STAGES.items():
        found = F.when(reason.isin(*reasons), stage).otherwise(found)
    return found


def sift(
    candidates: DataFrame,
    topics: Mapping[str, int],
    bounds: Bounds,
    *,
    seed: int = 0,
    heartbeats: str | None = None,
) -> DataFrame:
    """Candidates with the reasons of all stages that need to see one video alone (`SIFTED`).

    Parameters
    ----------
    candidates : DataFrame
        As `spark.candidates` gives: ``video_id, views, duration, topics, bad_row,
        is_conflicting``, each id once.
    topics : mapping of str to int
        Entity that a topic means; it goes to the tasks, some 60 bytes a topic.
    bounds : Bounds
    seed : int
        Of the number by which the sample is drawn.
    heartbeats : str, optional
        Folder to count candidates in (see `yt8m_spark.progress`).
    """
    reason = _reason(bounds)
    judged = candidates.select(
        "video_id",
        # A long has no NaN; such views have their reason.
        F.when(~F.isnan("views"), F.col("views").try_cast("long")).alias("views"),
        "duration",
        F.when(reason.isNull(), F.col("topics")).alias("topics"),
        reason.alias("reason"),
        hash_column(SAMPLE, seed).alias(NUMBER),
    )
    task = partial(
        _annotate,
        names=pa.array(list(topics), pa.string()),
        entities=np.array(list(topics.values()), dtype=np.int64),
    )
    return judged.mapInArrow(counted(task, heartbeats), SIFTED)


def _reason(bounds: Bounds) -> Column:
    """Reason why a candidate does not even come into the sample; null if it does."""
    views, duration = F.col("views"), F.col("duration")
    reason = F.when(F.col("bad_row"), "unreadable_row")
    reason = reason.when(F.coalesce(F.col("video_id"), F.lit("")) == "", "no_video_id")
    reason = reason.when(F.col("is_conflicting"), "conflicting_topics")
    for name, value in (("views", views), ("duration", duration)):
        reason = reason.when(value.isNull(), f"{name}_missing")
        no_count = value >= 2.0**63 if name == "views" else F.lit(False)  # that fits a long
        reason = reason.when(F.isnan(value) | no_count, f"{name}_no_number")
        reason = reason.when(value < 0, f"{name}_negative")
        if name == "views":
            reason = reason.when(value < bounds.min_views, "too_few_views")
    reason = reason.when(duration < bounds.min_duration, "too_short")
    return reason.when(duration > bounds.max_duration, "too_long")


def _annotate(
    batches: Iterable[pa.RecordBatch], names: pa.Array, entities: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Rows of `SIFTED`: topics become entities, or a reason why there are none."""
    wanted = arrow_schema(SIFTED)
    for batch in batches:
        labels, annotation = _labels(batch.column("topics"), names, entities)
        more = {"labels": labels, "annotation": annotation}
        columns = [more[f.name] if f.name in more else batch.column(f.name) for f in wanted]
        yield typed_batch(columns, wanted)


def _labels(topics: pa.Array, names: pa.Array, entities: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """Labels of each row, and the reason where there are none; both for rows with topics."""
    lengths = pc.fill_null(pc.list_value_length(topics), 0).to_numpy(zero_copy_only=False)
    places = pc.index_in(topics.drop_null().flatten(), value_set=names)
    known = places.is_valid().to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(topics)), lengths)[known]
    found = entities[places.drop_null().to_numpy(zero_copy_only=False)]
    ends = np.cumsum(np.bincount(rows, minlength=len(topics)))
    offsets, values = label_set(np.concatenate([[0], ends]).astype(np.int64), found)
    none = np.where(lengths == 0, "no_topics", "no_topic_in_vocabulary")
    reasons = np.where(topics.is_null().to_numpy(zero_copy_only=False), "topics_missing", none)
    labelled = np.diff(offsets) > 0
    annotation = pa.array(reasons, pa.string(), mask=labelled)
    return ragged_lists(offsets, pa.array(values, pa.int32())), annotation
