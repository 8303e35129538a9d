"""`core.coverage` over a table: both filters of §3.2, in rounds until nothing changes.

What is left is told by the entities alone, so a round is one pass over the labels with the list of
those that are left. No round builds on the plan or the table of the one before it: the fiftieth
costs what the first does, and there is nothing to store or to cut.

Axes: E entities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from yt8m_spark.core.coverage import covered_videos, kept_labels, removal_rounds
from yt8m_spark.spark.arrow import ragged, ragged_lists, typed_batch
from yt8m_spark.spark.schemas import INTS, arrow_schema

__all__ = ["FixedPoint", "Round", "fixed_point", "settled"]

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_VIDEOS = -1  # place of the number of videos among the counts of the entities
_COUNTS = StructType([StructField("place", IntegerType()), StructField("n", LongType())])


class Round(NamedTuple):
    """One round of the filters."""

    n_videos: int  # with enough entities, when it began
    n_entities: int  # that were left, when it began
    n_removed: int  # entities that it found to have too few videos


class FixedPoint(NamedTuple):
    """What both filters leave."""

    entities: Ints  # (E,) ascending, all that were looked at
    removed_in: Ints  # (E,) round, from 1; 0 for an entity that stays
    n_videos: Ints  # (E,) videos at the end; of a removed one, when it was
    rounds: list[Round]  # the last removes nothing


def fixed_point(
    labels: DataFrame,
    entities: Ints,
    *,
    min_videos: int,
    min_labels: int = 1,
    told: Callable[[Round], None] | None = None,
) -> FixedPoint:
    """Entities of at least ``min_videos`` videos that have at least ``min_labels`` such entities.

    Paper: §3.2, 200 videos and one entity.

    Parameters
    ----------
    labels : DataFrame
        ``labels array<int>``, each entity at most once in a video and of ``entities``; a table, not
        a long plan: it is read once a round.
    entities : (E,) int64
        Ascending.
    min_videos, min_labels : int
    told : callable, optional
        Called after each round.

    Returns
    -------
    FixedPoint
        E numbers come to the driver in each round. With ``min_labels`` 1 there are two rounds, the
        second to see that nothing is left to do (see `core.coverage`).
    """
    removed_in = np.zeros(len(entities), dtype=np.int64)
    n_videos = np.zeros(len(entities), dtype=np.int64)
    rounds: list[Round] = []
    while True:
        alive = removed_in == 0
        counts, n_covered = _count(labels, entities, alive, min_labels)
        n_videos[alive] = counts[alive]
        few = alive & (counts < min_videos)
        rounds.append(Round(n_covered, int(alive.sum()), int(few.sum())))
        if told:
            told(rounds[-1])
        if not few.any():
            return FixedPoint(entities, removed_in, n_videos, rounds)
        removed_in[few] = len(rounds)


def settled(videos: DataFrame, found: FixedPoint, *, min_labels: int = 1) -> DataFrame:
    """``videos`` with the labels that stay, and ``round int`` in which a video left; 0: it stays.

    Other columns are as they were. Labels are in the order in which they were.
    """
    schema = StructType(
        [*(f for f in videos.schema if f.name != "labels"), StructField("labels", INTS)]
    )
    schema = schema.add(StructField("round", IntegerType()))
    task = partial(_settle, schema=schema, found=found, min_labels=min_labels)
    return videos.mapInArrow(task, schema)


def _count(labels: DataFrame, entities: Ints, alive: Flags, min_labels: int) -> tuple[Ints, int]:
    """Videos of each entity (E,), and videos that have enough entities."""
    task = partial(_count_rows, entities=entities, alive=alive, min_labels=min_labels)
    sums = labels.select("labels").mapInArrow(task, _COUNTS).groupBy("place").agg(F.sum("n"))
    found = sums.toPandas().to_numpy(np.int64).reshape(-1, 2)
    counts = np.zeros(len(entities) + 1, dtype=np.int64)
    counts[found[:, 0]] = found[:, 1]  # `_VIDEOS` is the last place
    return counts[:-1], int(counts[_VIDEOS])


def _count_rows(
    batches: Iterable[pa.RecordBatch], entities: Ints, alive: Flags, min_labels: int
) -> Iterator[pa.RecordBatch]:
    """Rows of `_COUNTS`, of all batches of a partition together."""
    counts, n_videos = np.zeros(len(entities), dtype=np.int64), 0
    for batch in batches:
        offsets, places = _places(batch, entities)
        more, n_more = covered_videos(offsets, places, alive, min_labels=min_labels)
        counts += more
        n_videos += n_more
    found = np.flatnonzero(counts)
    columns = [np.append(found, _VIDEOS), np.append(counts[found], n_videos)]
    yield typed_batch(columns, arrow_schema(_COUNTS))


def _settle(
    batches: Iterable[pa.RecordBatch], schema: StructType, found: FixedPoint, min_labels: int
) -> Iterator[pa.RecordBatch]:
    wanted = arrow_schema(schema)
    for batch in batches:
        offsets, places = _places(batch, found.entities)
        rounds = removal_rounds(offsets, places, found.removed_in, min_labels=min_labels)
        offsets, places = kept_labels(offsets, places, found.removed_in == 0)
        kept = pa.array(found.entities[places], pa.int32())
        more = {"labels": ragged_lists(offsets, kept), "round": rounds}
        columns = [more[f.name] if f.name in more else batch.column(f.name) for f in wanted]
        yield typed_batch(columns, wanted)


def _places(batch: pa.RecordBatch, entities: Ints) -> tuple[Ints, Ints]:
    """Offsets and places among ``entities`` of the labels of a batch."""
    offsets, labels = ragged(batch.column("labels"))
    return offsets, np.searchsorted(entities, labels)
