"""Score videos with a trained model, spread over partitions.

A model of video features takes a features table; a model of frames (`spark.frame_sampling`) takes a
frames table and gives each video the mean over all its frames (§4.1.1, Eq. 1); a network (§4.1.2,
§4.1.3) takes a frames table too. Which one it is, its folder tells; `spark.task_models` has them.
Axes: B videos, E entities, K top-k.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from yt8m_spark.calibration import check_calibration
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import check_model, model_frames
from yt8m_spark.spark.arrow import ragged, ragged_lists, typed_batch
from yt8m_spark.spark.counted import counted, counting
from yt8m_spark.spark.evaluation import Evaluation, evaluate_scored
from yt8m_spark.spark.frame_sampling import frame_columns
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS, arrow_schema, require_columns
from yt8m_spark.spark.tables import is_frames_table
from yt8m_spark.spark.task_models import load_task_model
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = ["batch_slices", "evaluate_model", "predict", "scorable", "score_batches"]


def scorable(table: DataFrame, model: str) -> DataFrame:
    """Columns of a features table, or a frames table, that ``model``, a folder, scores.

    Reads of the model its description and the ids of its entities, not the weights.

    Raises
    ------
    InputError
        If ``model`` is none, or the table has the wrong schema: frames where the model was trained
        on features of videos, or the reverse.
    """
    check_model(model)  # a model that cannot be read is told of here, not from a task
    frames = model_frames(model)
    if frames is not None:
        return frame_columns(table, frames.features)
    if is_frames_table(table) and "features" not in table.columns:
        raise InputError(
            "model is of video features",
            where=model,
            expected="a features table, as normalize_videos makes",
            found="frames",
        )
    features = with_float_arrays(table, ["features"])
    require_columns(features, FEATURES, "features table")
    return features.select("video_id", "labels", "features")


def predict(
    table: DataFrame,
    model: str,
    k: int = 20,
    *,
    calibration: str | None = None,
    heartbeats: str | None = None,
) -> DataFrame:
    """Predictions table: the ``k`` best entities of each video with scores in [0, 1].

    Best first; equal scores in the order of entity ids. Tasks read the model from the folder
    ``model``, which all of them must see, and count finished videos in the folder ``heartbeats``.
    For a model that takes frames, a video without frames scores 0 for every entity. With
    ``calibration``, a folder of `fit_calibration` that tasks see too, scores are probabilities, and
    rank as such.

    Raises
    ------
    ValueError
        If ``k`` is less than 1.
    InputError
        As `scorable`; or if ``calibration`` is none, or of another model.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    model, calibration = _resolved(model, calibration)
    task = partial(_predict_partition, model=model, calibration=calibration, k=k)
    return scorable(table, model).mapInArrow(counted(task, heartbeats), PREDICTIONS)


def evaluate_model(
    table: DataFrame,
    model: str,
    *,
    entities: Iterable[int] | None = None,
    options: EvaluationOptions | None = None,
    calibration: str | None = None,
    heartbeats: str | None = None,
) -> Evaluation:
    """Metrics of ``model``, a folder, on a features or frames table; no score is stored.

    ``entities`` restricts labels and scores to these ids, as `evaluate_scored` tells, and
    ``options`` what to give; finished videos are counted in the folder ``heartbeats``.
    ``calibration`` is as in `predict`.
    """
    model, calibration = _resolved(model, calibration)
    score = partial(score_batches, model=model, calibration=calibration, heartbeats=heartbeats)
    return evaluate_scored(
        scorable(table, model), score, entities=entities, options=options or EvaluationOptions()
    )


def score_batches(
    batches: Iterable[pa.RecordBatch],
    model: str,
    heartbeats: str | None = None,
    *,
    calibration: str | None = None,
) -> Iterator[ScoredBatch]:
    """Scores of all entities for batches of what `scorable` gave, inside a task."""
    scored = _scored(batches, model, calibration)
    return counting(scored, heartbeats, lambda batch: len(batch.video_ids))


def _scored(
    batches: Iterable[pa.RecordBatch], model: str, calibration: str | None
) -> Iterator[ScoredBatch]:
    scorer = load_task_model(model, calibration)
    for batch in batch_slices(batches, scorer.videos_at_once):
        ids, labels = batch.column("video_id").to_pylist(), ragged(batch.column("labels"))
        yield ScoredBatch(ids, *labels, scorer.entities, scorer.scores(batch))


def _predict_partition(
    batches: Iterable[pa.RecordBatch], model: str, calibration: str | None, k: int
) -> Iterator[pa.RecordBatch]:
    scorer = load_task_model(model, calibration)
    for batch in batch_slices(batches, scorer.videos_at_once):
        yield _predictions(batch, *scorer.best(batch, k))


def _resolved(model: str, calibration: str | None) -> tuple[str, str | None]:
    """Both folders as tasks find them, which may run in another directory; they fit together."""
    model = str(Path(model).resolve())
    if calibration is None:
        return model, None
    check_calibration(calibration, model)
    return model, str(Path(calibration).resolve())


def batch_slices(batches: Iterable[pa.RecordBatch], n_videos: int) -> Iterator[pa.RecordBatch]:
    """``batches`` in pieces of at most ``n_videos``, inside a task."""
    for batch in batches:
        for start in range(0, batch.num_rows, n_videos):
            yield batch.slice(start, n_videos)


def _predictions(
    batch: pa.RecordBatch, entities: NDArray[np.int64], scores: NDArray[np.float32]
) -> pa.RecordBatch:
    """Rows of the predictions table for ``entities`` and ``scores`` (B, K), best first."""
    offsets = np.arange(len(entities) + 1, dtype=np.int64) * entities.shape[1]
    arrays = [
        batch.column("video_id"),
        batch.column("labels"),
        ragged_lists(offsets, pa.array(entities.ravel(), pa.int32())),
        ragged_lists(offsets, pa.array(scores.ravel(), pa.float32())),
    ]
    schema = arrow_schema(PREDICTIONS)
    return typed_batch(arrays, schema)
