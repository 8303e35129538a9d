"""Lists of a predictions table as `core.scored` has them: checked, best first, cut to their best.

A table of predictions of segments has a column ``segment_start_time int`` (seconds) beside
``video_id``. Axes: B rows of a batch, N listed entities of all of them, K top-k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import DataType, IntegerType, StringType

from yt8m_spark.core.scored import RankedBatch, check_scores, rank_lists, row_of_each
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.schemas import FLOATS, INTS, require_columns

__all__ = [
    "SEGMENT_START",
    "best",
    "listed",
    "prediction_keys",
    "ranked_lists",
    "require_distinct",
    "scores_beside",
]

SEGMENT_START = "segment_start_time"

_LISTS: dict[str, DataType] = {"video_id": StringType(), "entities": INTS, "scores": FLOATS}
_SEGMENT_LISTS = {**_LISTS, SEGMENT_START: IntegerType()}


def prediction_keys(predictions: DataFrame, what: str = "predictions table") -> list[str]:
    """Columns that tell the rows of ``predictions`` apart: the video, or the video and the start.

    Raises
    ------
    InputError
        If a column of predictions is missing or has another type.
    """
    of_segments = SEGMENT_START in predictions.columns
    require_columns(predictions, _SEGMENT_LISTS if of_segments else _LISTS, what)
    return ["video_id", SEGMENT_START] if of_segments else ["video_id"]


def require_distinct(rows: DataFrame, keys: list[str], what: str) -> None:
    """Refuse rows of which two have the same ``keys``; one pass over these columns.

    Raises
    ------
    InputError
        Names ``what``, the table, and the first such key: it would count twice.
    """
    twice = rows.groupBy(*keys).count().where("count > 1").orderBy(*keys).first()
    if twice is not None:
        of = ", ".join(f"{key} {twice[key]!r}" for key in keys)
        raise InputError(f"{of} comes twice", where=what, found=f"{twice['count']} rows")


def ranked_lists(
    batch: pa.RecordBatch,
    entities: str = "entities",
    scores: str = "scores",
    *,
    only: NDArray[np.int64] | None = None,
) -> RankedBatch:
    """Lists of a batch, best first (equal scores: the lower entity first), without labels.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Has ``video_id``, for segments ``segment_start_time``, and the two columns named; a null
        list is an empty one.
    entities, scores : str
        Names of the columns.
    only : (E,) int64, optional
        Keep these entities alone.

    Raises
    ------
    InputError
        For a null id, lists of unequal length, an entity listed twice, and a score that is null,
        NaN or outside [0, 1]. It names the video.
    """
    names = _names(batch)
    offsets, ids = ragged(batch.column(entities))
    flat = scores_beside(offsets, batch.column(scores), names.__getitem__)
    none = np.zeros(len(names) + 1, dtype=np.int64)
    lists = RankedBatch(names, none, np.empty(0, dtype=np.int64), offsets, ids, flat)
    check_scores(lists)
    return rank_lists(lists, only)


def scores_beside(
    offsets: NDArray[np.int64], scores: pa.Array, name_of: Callable[[int], str]
) -> NDArray[np.float32]:
    """Scores (N,) of an array<float> column beside lists with ``offsets`` (B + 1,).

    A null list is an empty one; a null score becomes NaN, which `check_scores` refuses.

    Raises
    ------
    InputError
        If a list has not as many scores as entities; ``name_of`` says what its row is called.
    """
    lengths = pc.fill_null(pc.list_value_length(scores), 0).to_numpy(zero_copy_only=False)
    differ = np.diff(offsets) != lengths
    if differ.any():
        row = int(np.argmax(differ))
        raise InputError(
            "entities and scores differ in number",
            where=f"predictions of {name_of(row)}",
            expected=f"{np.diff(offsets)[row]} scores",
            found=int(lengths[row]),
        )
    flat = scores.drop_null().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32)


def best(ranked: RankedBatch, k: int) -> RankedBatch:
    """``ranked`` with lists cut to their first ``k``."""
    rows = row_of_each(ranked.offsets)
    kept = np.arange(len(rows)) - ranked.offsets[rows] < k
    lengths = np.minimum(np.diff(ranked.offsets), k)
    return ranked._replace(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        entities=ranked.entities[kept],
        scores=ranked.scores[kept],
    )


def listed(ranked: RankedBatch) -> Iterable[tuple[list[int], list[float]]]:
    """Entities and scores of each row of ``ranked``."""
    entities, scores, offsets = ranked.entities.tolist(), ranked.scores.tolist(), ranked.offsets
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield entities[start:stop], scores[start:stop]


def _names(batch: pa.RecordBatch) -> list[str]:
    """What errors call the rows of a batch; a segment is ``video:start``."""
    ids = batch.column("video_id")
    if ids.null_count:
        raise InputError("null video_id", where="predictions table", expected="an id")
    if SEGMENT_START not in batch.schema.names:
        names: list[str] = ids.to_pylist()
        return names
    starts = batch.column(SEGMENT_START)
    if starts.null_count or (pc.min(starts).as_py() or 0) < 0:
        raise InputError("bad segment_start_time", where="predictions table", expected="seconds")
    return [f"{v}:{s}" for v, s in zip(ids.to_pylist(), starts.to_pylist(), strict=True)]
