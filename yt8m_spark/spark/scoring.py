"""Score a features table with a trained model: `core.scoring` spread over partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from yt8m_spark.core.scored import ScoredBatch, top_k
from yt8m_spark.core.scoring import Scorer, score_videos
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged, ragged_lists, to_matrix
from yt8m_spark.spark.counted import counted, counting
from yt8m_spark.spark.evaluation import Evaluation, evaluate_scored
from yt8m_spark.spark.models import load_scorer
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["evaluate_model", "predict", "scorable", "score_batches"]

# Videos scored at once: at 4,800 entities, 20 MB of scores.
_VIDEOS_AT_ONCE = 1024


def scorable(features: DataFrame, model: str) -> DataFrame:
    """Columns of a features table that ``model``, a folder, scores.

    Raises
    ------
    InputError
        If ``model`` is none, or the table has the wrong schema.
    """
    load_scorer(model)  # a model that cannot be read is told of here, not from a task
    features = with_float_arrays(features, ["features"])
    require_columns(features, FEATURES, "features table")
    return features.select("video_id", "labels", "features")


def predict(
    features: DataFrame, model: str, k: int = 20, *, heartbeats: str | None = None
) -> DataFrame:
    """Predictions table: the ``k`` best entities of each video with scores in [0, 1].

    Best first; equal scores in the order of entity ids. Tasks read the model from the folder
    ``model``, which all of them must see, and count finished videos in the folder ``heartbeats``.

    Raises
    ------
    ValueError
        If ``k`` is less than 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    model = str(Path(model).resolve())  # tasks may run in another directory
    task = partial(_predict_partition, model=model, k=k)
    return scorable(features, model).mapInArrow(counted(task, heartbeats), PREDICTIONS)


def score_batches(
    batches: Iterable[pa.RecordBatch], model: str, heartbeats: str | None = None
) -> Iterator[ScoredBatch]:
    """Scores of all entities for batches of a features table, inside a task."""
    scored = (scored for _, scored in _scored(batches, load_scorer(model)))
    return counting(scored, heartbeats, lambda batch: len(batch.video_ids))


def _scored(
    batches: Iterable[pa.RecordBatch], scorer: Scorer
) -> Iterator[tuple[pa.RecordBatch, ScoredBatch]]:
    """Slices of ``batches`` and their scores."""
    for whole in batches:
        for start in range(0, whole.num_rows, _VIDEOS_AT_ONCE):
            batch = whole.slice(start, _VIDEOS_AT_ONCE)
            features = to_matrix(batch.column("features"), "features")
            if features.shape[1] != scorer.n_features:
                raise InputError(
                    "feature width is not the model's",
                    where="features table",
                    expected=scorer.n_features,
                    found=features.shape[1],
                )
            ids, labels = batch.column("video_id").to_pylist(), ragged(batch.column("labels"))
            scores = score_videos(scorer, features)
            yield batch, ScoredBatch(ids, *labels, scorer.entities, scores)


def _predict_partition(
    batches: Iterable[pa.RecordBatch], model: str, k: int
) -> Iterator[pa.RecordBatch]:
    schema = arrow_schema(PREDICTIONS)
    for batch, scored in _scored(batches, load_scorer(model)):
        best = top_k(scored.scores, k)  # (B, k)
        offsets = np.arange(len(best) + 1, dtype=np.int64) * best.shape[1]
        entities = pa.array(scored.entities[best].ravel(), pa.int32())
        scores = np.take_along_axis(scored.scores, best, axis=1).ravel()
        arrays = [
            batch.column("video_id"),
            batch.column("labels"),
            ragged_lists(offsets, entities),
            ragged_lists(offsets, pa.array(scores, pa.float32())),
        ]
        cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(cast, schema=schema)


def evaluate_model(
    features: DataFrame,
    model: str,
    *,
    entities: Iterable[int] | None = None,
    heartbeats: str | None = None,
) -> Evaluation:
    """Metrics of ``model``, a folder, on a features table; no score is stored.

    ``entities`` restricts labels and scores to these ids, as `evaluate_scored` tells; finished
    videos are counted in the folder ``heartbeats``.
    """
    model = str(Path(model).resolve())  # tasks may run in another directory
    score = partial(score_batches, model=model, heartbeats=heartbeats)
    return evaluate_scored(scorable(features, model), score, entities=entities)
