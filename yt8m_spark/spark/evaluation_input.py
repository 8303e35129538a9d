"""What a task takes of tables to evaluate, and what it refuses. Axes: B videos, E entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.core.scored import RankedBatch, ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.prediction_lists import scores_beside

__all__ = ["check_known", "lists_of", "require_ids"]

Ints = NDArray[np.int64]


def lists_of(batch: pa.RecordBatch) -> RankedBatch:
    """The lists of a batch of a predictions table, as they stand.

    Raises
    ------
    InputError
        If an id is null, or there are not as many scores as entities.
    """
    video_ids = batch.column("video_id").to_pylist()
    require_ids(video_ids)
    label_offsets, label_values = _whole_numbers(batch, "labels")
    offsets, entities = _whole_numbers(batch, "entities")
    scores = scores_beside(offsets, batch.column("scores"), lambda row: f"video {video_ids[row]!r}")
    return RankedBatch(video_ids, label_offsets, label_values, offsets, entities, scores)


def require_ids(video_ids: Sequence[str | None]) -> None:
    """Refuse a video without an id.

    Raises
    ------
    InputError
        Names the row.
    """
    if None in video_ids:
        raise InputError("null video_id", where=f"row {video_ids.index(None)} of a batch")


def check_known(batch: ScoredBatch | RankedBatch, vocabulary: Sequence[int] | None) -> None:
    """Refuse labels and predictions of entities that the vocabulary has not.

    Raises
    ------
    InputError
        Names the entity and the video, or the model: evaluated with other people's ids, all
        figures would be low without a word.
    """
    if vocabulary is None:
        return
    known = np.asarray(vocabulary)
    _check(batch.label_values, known, "labels", batch.video_ids, batch.label_offsets)
    if isinstance(batch, RankedBatch):
        _check(batch.entities, known, "predictions", batch.video_ids, batch.offsets)
        return
    unknown = batch.entities[~np.isin(batch.entities, known)]
    if len(unknown):
        raise InputError(f"entity {unknown[0]} is not in the vocabulary", where="the model")


def _check(entities: Ints, known: Ints, what: str, video_ids: Sequence[str], offsets: Ints) -> None:
    unknown = np.flatnonzero(~np.isin(entities, known))
    if len(unknown):
        row = int(np.searchsorted(offsets, unknown[0], side="right")) - 1
        raise InputError(
            f"entity {entities[unknown[0]]} is not in the vocabulary",
            where=f"{what} of video {video_ids[row]!r}",
        )


def _whole_numbers(batch: pa.RecordBatch, name: str) -> tuple[Ints, Ints]:
    """Offsets and values of an array<int> column; a null row is an empty list."""
    column = batch.column(name)
    if column.flatten().null_count:
        raise InputError("null value", where=f"column {name!r}", expected="entity ids")
    return ragged(column)
