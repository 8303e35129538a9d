"""The baseline that looks at no video: every video gets each entity's training frequency.

Axes: E entities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.evaluation import Evaluation, evaluate_scored

__all__ = ["evaluate_prior", "score_prior"]

# Videos scored at once: the work of an evaluation is cut to 256 of them anyway.
_VIDEOS_AT_ONCE = 256


def evaluate_prior(
    features: DataFrame,
    frequencies: Mapping[int, float],
    *,
    entities: Iterable[int] | None = None,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Evaluate the baseline that looks at no video: see `score_prior`.

    Raises
    ------
    InputError
        If ``frequencies`` is empty; else as in `evaluate_predictions`.
    """
    if not frequencies:
        raise InputError("the prior has no entities")
    ids = sorted(frequencies)
    score = partial(score_prior, entities=ids, frequencies=[frequencies[e] for e in ids])
    labelled = features.select("video_id", "labels")
    return evaluate_scored(
        labelled, score, entities=entities, options=options or EvaluationOptions()
    )


def score_prior(
    batches: Iterator[pa.RecordBatch], *, entities: list[int], frequencies: list[float]
) -> Iterator[ScoredBatch]:
    """Score every video with each entity's ``frequencies``, its share of the training videos."""
    ids = np.asarray(entities, dtype=np.int64)
    prior = np.asarray(frequencies, dtype=np.float32)
    for whole in batches:
        for start in range(0, whole.num_rows, _VIDEOS_AT_ONCE):
            batch = whole.slice(start, _VIDEOS_AT_ONCE)
            offsets, values = ragged(batch.column("labels"))
            video_ids = batch.column("video_id").to_pylist()
            scores = np.broadcast_to(prior, (batch.num_rows, len(prior)))
            yield ScoredBatch(video_ids, offsets, values, ids, scores)
