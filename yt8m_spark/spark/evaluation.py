"""Metrics of predictions and of models (paper §5.1): `core.metrics` spread over partitions.

A video is scored once. Each task boils its videos down to counts, a histogram and their 20 best
predictions; Spark adds up the first two and sorts the last; what reaches the driver is sized by
entities. Whole numbers travel, so the metrics do not depend on partitioning or order (to the
last bits of a float64 sum).

What counts as what, beyond the paper:

- A video's labels are a set, whether or not the model knows them: a label that the model was not
  trained on is one it can only miss. ``entities`` restricts labels and predictions alike.
- The entities of mAP are all that label a video; one that is never predicted has an average
  precision of 0.
- Ties go to the lower entity, then (in pools over videos) to the lower video_id.
- A predictions table holds all there is: an entity not listed for a video is not predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from yt8m_spark.core.average_precision import counts_above
from yt8m_spark.core.metrics import EntityFigures, entity_figures, evaluation_metrics
from yt8m_spark.core.ranking import RankingCounts
from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation_rows import (
    COUNTS,
    SUMS,
    Score,
    sum_precisions,
    tally_predictions,
    tally_scored,
)
from yt8m_spark.spark.schemas import INTS, PREDICTIONS, require_columns

__all__ = [
    "Evaluation",
    "evaluate_predictions",
    "evaluate_scored",
]

Ints = NDArray[np.int64]

_LABELLED: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one evaluation.

    Parameters
    ----------
    metrics : dict of str to float
        ``map, hit_at_1, hit_at_5, perr, gap_at_20`` and ``starter_map, starter_hit_at_1,
        starter_perr, starter_gap_at_20``, fractions in [0, 1].
    n_videos, n_labelled_videos : int
        All videos, and those with a label.
    per_entity : pyarrow.Table
        One row an entity that labels a video, ascending: ``entity int32, n_positives int64,
        average_precision double, starter_average_precision double``.
    """

    metrics: dict[str, float]
    n_videos: int
    n_labelled_videos: int
    per_entity: pa.Table


def evaluate_predictions(
    predictions: DataFrame, *, entities: Iterable[int] | None = None
) -> Evaluation:
    """Evaluate a predictions table, with lists of any length and in any order.

    Lists cut to their best k give the same figures as whole ones, if k is at least 20 and at
    least the labels of a video; except ``map``, where what is cut off counts as not predicted.

    Parameters
    ----------
    predictions : DataFrame
        ``video_id, labels, entities, scores`` (design: "Tables"); a null list is an empty one.
    entities : iterable of int, optional
        Evaluate these alone; labels and predictions of others are dropped first.

    Raises
    ------
    InputError
        If a column is missing, there are no videos, none has a label or a video_id stands twice.
        The Spark task fails with one that names the video for a score that is null, NaN or
        outside [0, 1], lists of unequal length, and an entity listed twice.
    """
    require_columns(predictions, PREDICTIONS, "predictions table")
    task = partial(tally_predictions, entities=_entity_set(entities))
    lists = predictions.select(*(field.name for field in PREDICTIONS))
    return _evaluate(lists.mapInArrow(task, COUNTS))


def evaluate_scored(
    features: DataFrame, score: Score, *, entities: Iterable[int] | None = None
) -> Evaluation:
    """Evaluate what ``score`` makes of ``features``, without storing a score.

    Parameters
    ----------
    features : DataFrame
        ``video_id``, ``labels`` and the columns that ``score`` reads; every column of it goes to
        the Python worker, so select first.
    score : callable
        From the Arrow batches of a partition to `ScoredBatch`es of its videos: a module-level
        function, or a `functools.partial` of one (it travels to the tasks).
    entities : iterable of int, optional
        As in `evaluate_predictions`.

    Raises
    ------
    InputError
        As in `evaluate_predictions`.
    """
    require_columns(features, _LABELLED, "features table")
    task = partial(tally_scored, score=score, entities=_entity_set(entities))
    return _evaluate(features.mapInArrow(task, COUNTS))


def _evaluate(counts: DataFrame) -> Evaluation:
    with _kept(counts) as kept:
        _require_distinct_videos(kept)
        tables = _count_tables(kept)
        ranking = _ranking(tables)
        n_labelled = int(ranking.n_videos[ranking.n_labels > 0].sum())
        if not n_labelled:
            found = f"{int(ranking.n_videos.sum())} without"
            raise InputError("nothing to evaluate", expected="videos with labels", found=found)
        sums = _precision_sums(kept, tables.get("top", {}))
    n_positives = {entity: hits for entity, (hits, _) in tables["positives"].items()}
    figures = entity_figures(n_positives, sums["map"], sums["starter"])
    metrics = evaluation_metrics(ranking, figures, math.fsum(sums["pool"].values()))
    return Evaluation(metrics, int(ranking.n_videos.sum()), n_labelled, _entity_table(figures))


@contextmanager
def _kept(df: DataFrame) -> Iterator[DataFrame]:
    """``df`` cached while the block runs: three jobs read it, scoring should run once."""
    try:
        kept = df.persist()
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        # Serverless compute caches nothing: right all the same, at three times the work.
        yield df
        return
    try:
        yield kept
    finally:
        kept.unpersist()


def _require_distinct_videos(counts: DataFrame) -> None:
    """Refuse a video_id that stands twice: one video would count as two."""
    videos = counts.where(F.col("kind") == "video").groupBy("video_id").count()
    twice = videos.where(F.col("count") > 1).orderBy("video_id").limit(1).collect()
    if twice:
        found = f"{twice[0]['count']} rows"
        raise InputError("duplicate video_id", where=repr(twice[0].video_id), found=found)


def _count_tables(counts: DataFrame) -> dict[str, dict[int, tuple[int, int]]]:
    """Hits and totals by key, by kind; at most 16,257 pool buckets and some rows an entity."""
    small = counts.where(~F.col("kind").isin("cell", "video")).groupBy("kind", "key")
    tables: dict[str, dict[int, tuple[int, int]]] = {}
    for row in small.agg(F.sum("hits").alias("hits"), F.sum("totals").alias("totals")).collect():
        tables.setdefault(row.kind, {})[row.key] = (row.hits, row.totals)
    if not tables:
        raise InputError("nothing to evaluate", expected="videos", found="no rows")
    return tables


def _ranking(tables: Mapping[str, Mapping[int, tuple[int, int]]]) -> RankingCounts:
    kinds = RankingCounts._fields[2:]
    n_labels = sorted(tables[kinds[0]])
    n_videos = [tables[kinds[0]][n][1] for n in n_labels]
    found = [[tables[kind][n][0] for n in n_labels] for kind in kinds]
    return RankingCounts(*(np.array(c, dtype=np.int64) for c in (n_labels, n_videos, *found)))


def _precision_sums(
    counts: DataFrame, pool: Mapping[int, tuple[int, int]]
) -> dict[str, dict[int, float]]:
    """Sums of h_i H_i / T_i: "map" and "starter" by entity, "pool" by bucket of scores."""
    by_cell = counts.where(F.col("kind") == "cell").groupBy("entity", "key")
    cells = by_cell.agg(F.sum("hits").alias("hits"), F.sum("totals").alias("totals"))
    top = counts.where(F.col("kind") == "top")
    best_first = F.desc("score")
    of_map = partial(sum_precisions, kind="map", group="entity")
    of_starter = partial(sum_precisions, kind="starter", group="entity")
    of_pool = partial(sum_precisions, kind="pool", group="key", above=_above(pool))
    parts = _sorted_sums(cells, "entity", [F.desc("key")], of_map)
    parts = parts.union(_sorted_sums(top, "entity", [best_first, F.col("video_id")], of_starter))
    ties = [best_first, F.col("entity"), F.col("video_id")]
    parts = parts.union(_sorted_sums(top, "key", ties, of_pool))
    sums: dict[str, dict[int, float]] = {"map": {}, "starter": {}, "pool": {}}
    grouped = parts.groupBy("kind", "key").agg(F.sum("precision_sum").alias("precision_sum"))
    for row in grouped.collect():
        sums[row.kind][row.key] = row.precision_sum
    return sums


def _sorted_sums(
    rows: DataFrame,
    group: str,
    order: list[Column],
    task: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
) -> DataFrame:
    """`sum_precisions` of ``rows``, each group whole in one partition and sorted by ``order``."""
    whole = rows.repartition(F.col(group)).sortWithinPartitions(F.col(group), *order)
    return whole.select(group, "hits", "totals").mapInArrow(task, SUMS)


def _above(pool: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Hits and predictions of the pool's buckets above each bucket."""
    buckets = np.array(sorted(pool), dtype=np.int64)
    counts = np.array([pool[b] for b in buckets.tolist()], dtype=np.int64).reshape(-1, 2)
    above = np.stack([counts_above(buckets, column) for column in counts.T], axis=1)
    return {bucket: (h, t) for bucket, (h, t) in zip(buckets.tolist(), above.tolist(), strict=True)}


def _entity_table(figures: EntityFigures) -> pa.Table:
    return pa.table(
        {
            "entity": pa.array(figures.entities, pa.int32()),
            "n_positives": pa.array(figures.n_positives, pa.int64()),
            "average_precision": pa.array(figures.average_precision, pa.float64()),
            "starter_average_precision": pa.array(figures.starter_average_precision, pa.float64()),
        }
    )


def _entity_set(entities: Iterable[int] | None) -> Ints | None:
    if entities is None:
        return None
    ids = np.unique(np.fromiter(entities, dtype=np.int64))
    if not len(ids):
        raise InputError("the set of entities to evaluate is empty")
    return ids
