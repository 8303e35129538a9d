"""Metrics of predictions and of models (paper §5.1): `core.metrics` spread over partitions.

A video is scored once. Each task boils its videos down to counts: of each entity the histogram of
its rounded scores, sums, and the 20 best predictions of each video, packed by parts of 64 entities
(`spark.evaluation_rows`). The counts of a part meet in one place, which makes the figures of its
entities (`spark.evaluation_parts`); what reaches the driver is sized by entities: some kilobytes
each. Counts are whole numbers, so the metrics do not depend on partitioning or order (sums of
losses: to the last bits of a float64).

What counts as what, beyond the paper:

- A video's labels are a set, whether or not the model knows them: a label that the model was not
  trained on is one it can only miss. ``entities`` restricts labels and predictions alike.
- The entities of mAP are all that label a video; one that is never predicted has an average
  precision of 0.
- Ties go to the lower entity, then (in pools over videos) to the lower video_id. What their order
  may make of a metric, bounds tell (`core.tie_bounds`).
- A predictions table holds all there is: an entity not listed for a video is not predicted.
- Intervals are of a bootstrap over videos (`core.bootstrap`), all metrics in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation_parts import FIGURES
from yt8m_spark.spark.evaluation_result import Evaluation, Figures, Reduce, by_kind, conclude
from yt8m_spark.spark.evaluation_rows import COUNTS, Task, tally_predictions, tally_scored
from yt8m_spark.spark.schemas import INTS, PREDICTIONS, require_columns

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "Score",
    "evaluate_predictions",
    "evaluate_scored",
]

Ints = NDArray[np.int64]
Score = Callable[[Iterator[pa.RecordBatch]], Iterator[ScoredBatch]]

_LABELLED: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
_USUAL = EvaluationOptions()


def evaluate_predictions(
    predictions: DataFrame,
    *,
    entities: Iterable[int] | None = None,
    options: EvaluationOptions = _USUAL,
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
    options : EvaluationOptions, optional
        Ranks of Hit@k, bootstrap, vocabulary.

    Raises
    ------
    InputError
        If a column is missing, there are no videos, none has a label or a video_id stands twice.
        The Spark task fails with one that names the video for a score that is null, NaN or
        outside [0, 1], lists of unequal length, an entity listed twice, and one that the
        vocabulary has not.
    """
    require_columns(predictions, PREDICTIONS, "predictions table")
    task = partial(tally_predictions, task=Task(options, _entity_set(entities)))
    lists = predictions.select(*(field.name for field in PREDICTIONS))
    return _evaluate(lists.mapInArrow(task, COUNTS), options)


def evaluate_scored(
    features: DataFrame,
    score: Score,
    *,
    entities: Iterable[int] | None = None,
    options: EvaluationOptions = _USUAL,
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
    entities, options : optional
        As in `evaluate_predictions`.

    Raises
    ------
    InputError
        As in `evaluate_predictions`.
    """
    require_columns(features, _LABELLED, "features table")
    task = partial(tally_scored, score=score, task=Task(options, _entity_set(entities)))
    return _evaluate(features.mapInArrow(task, COUNTS), options)


def _evaluate(counts: DataFrame, options: EvaluationOptions) -> Evaluation:
    with _kept(counts) as kept:
        return conclude(partial(_reduced, kept), options)


@contextmanager
def _kept(df: DataFrame) -> Iterator[DataFrame]:
    """``df`` cached while the block runs: two jobs read it, scoring should run once."""
    try:
        kept = df.persist()
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        # Serverless compute caches nothing: right all the same, at twice the work.
        yield df
        return
    try:
        yield kept
    finally:
        kept.unpersist()


def _reduced(counts: DataFrame, task: Reduce, domain: str | None) -> Figures:
    """Packed figures of all parts, by kind; some kilobytes an entity."""
    chosen = counts if domain is None else counts.where(F.col("domain") == domain)
    whole = chosen.repartition("domain", "part").sortWithinPartitions("domain", "part")
    return by_kind(whole.mapInArrow(task, FIGURES).toArrow().to_batches())


def _entity_set(entities: Iterable[int] | None) -> Ints | None:
    if entities is None:
        return None
    ids = np.unique(np.fromiter(entities, dtype=np.int64))
    if not len(ids):
        raise InputError("the set of entities to evaluate is empty")
    return ids
