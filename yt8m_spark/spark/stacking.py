"""Scores of a first stage as features of a second: `core.stacking` on tables.

No table of all scores is ever written: each pass over them scores the videos anew, which costs a
fraction of what training on them does. Axes: B videos, E entities, C components, K folds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial, reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.stacking import FOLD, score_roots
from yt8m_spark.core.whitening import Whitening
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark.arrow import float_lists, to_matrix, typed_batch
from yt8m_spark.spark.hashed_ids import hash_column
from yt8m_spark.spark.schemas import FLOATS, INTS, arrow_schema
from yt8m_spark.spark.scoring import batch_slices, scorable
from yt8m_spark.spark.whitening import fit_columns

__all__ = ["ROOTS", "fit_map", "fold_column", "unseen_scores"]

ROOTS = "roots"  # column of what `normalize_videos` makes features of

_SCORED = StructType(
    [
        StructField("video_id", StringType()),
        StructField("labels", INTS),
        StructField(ROOTS, FLOATS),
    ]
)
_VIDEOS_AT_ONCE = 512  # of 4,800 entities, 10 MB of scores


def fold_column(n_folds: int, seed: int) -> Column:
    """Fold of the column ``video_id``, as `core.stacking.fold_of` has it; 0 where it is null."""
    return F.coalesce(hash_column(FOLD, seed) % n_folds, F.lit(0)).cast("int")


def unseen_scores(features: DataFrame, models: Sequence[str], *, seed: int) -> DataFrame:
    """Roots of the scores that each video gets from the model that has not seen it.

    Parameters
    ----------
    features : DataFrame
        Features table.
    models : sequence of str
        Folders that all tasks see: the model of fold k was trained on the other folds; a single
        one scores all videos. All are of the same entities.
    seed : int
        Of `fold_column`.

    Returns
    -------
    DataFrame
        ``video_id, labels, roots array<float>``, E wide. A task holds one model, and reads of the
        table the videos of one fold.

    Raises
    ------
    InputError
        As `spark.scoring.scorable`.
    """
    fold = fold_column(len(models), seed)
    parts = []
    for number, model in enumerate(models):
        table = scorable(features, model)
        of_fold = table if len(models) == 1 else table.where(fold == number)
        task = partial(_score_partition, model=str(Path(model).resolve()))
        parts.append(of_fold.mapInArrow(task, _SCORED))
    return reduce(DataFrame.unionAll, parts)


def fit_map(
    scores: DataFrame,
    n_components: int,
    *,
    ridge: float,
    work: str,
    heartbeats: str | None = None,
) -> Whitening:
    """Whitening of what `unseen_scores` gives, reduced to ``n_components``, at most E.

    Paper: §4.2.2. A task holds 8 E² bytes, twice: 119 MB at 3,862 entities; past what
    `spark.whitening.TASK_MEMORY` allows they go by tiles in the folder ``work``, where the roots
    are then laid, 4 E bytes a video.

    Raises
    ------
    InputError
        If there are no videos, scores do not vary at all, or an option is out of range.
    """
    return fit_columns(
        scores, [ROOTS], n_components=n_components, ridge=ridge, work=work, heartbeats=heartbeats
    )[0]


def _score_partition(batches: Iterable[pa.RecordBatch], model: str) -> Iterator[pa.RecordBatch]:
    scorer, schema = load_scorer(model), arrow_schema(_SCORED)
    for batch in batch_slices(batches, _VIDEOS_AT_ONCE):
        features = to_matrix(batch.column("features"), "features", scorer.n_features)
        roots = float_lists(score_roots(score_videos(scorer, features)))
        yield typed_batch([batch.column("video_id"), batch.column("labels"), roots], schema)
