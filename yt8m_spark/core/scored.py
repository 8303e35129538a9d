"""Scores of a batch of videos, and their order: descending score, then ascending entity.

Axes: B videos, E entities, L labels of all B videos, N listed scores of all B videos, K top-k.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = [
    "RankedBatch",
    "ScoredBatch",
    "check_scores",
    "label_set",
    "order_bits",
    "pair_keys",
    "rank_lists",
    "rank_scored",
    "restrict",
    "row_of_each",
    "slices",
    "top_k",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

# Rows whose best are found at once: their scores stay in the cache, and a row's number has 7 bits.
_ROWS_AT_ONCE = 128
# Columns of which the largest is taken first.
_TILE = 64


class ScoredBatch(NamedTuple):
    """The score of every entity for each video of a batch."""

    video_ids: list[str]  # (B,)
    label_offsets: Ints  # (B + 1,), labels of video b are label_values[offsets[b]:offsets[b + 1]]
    label_values: Ints  # (L,), entity ids
    entities: Ints  # (E,), strictly ascending
    scores: Floats  # (B, E) in [0, 1]


class RankedBatch(NamedTuple):
    """Some entities of each video of a batch with their scores, best first; lists may differ."""

    video_ids: list[str]  # (B,)
    label_offsets: Ints  # (B + 1,)
    label_values: Ints  # (L,)
    offsets: Ints  # (B + 1,), the list of video b is entities[offsets[b]:offsets[b + 1]]
    entities: Ints  # (N,)
    scores: Floats  # (N,) in [0, 1]


def order_bits(scores: NDArray[np.floating]) -> NDArray[np.int32]:
    """Integers in the order of float32 ``scores`` (no NaN): equal only for equal scores."""
    # Adding 0 turns -0.0, whose bits differ, into 0.0.
    bits = (np.asarray(scores, dtype=np.float32) + np.float32(0)).view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))  # negative floats run backwards


def top_k(scores: NDArray[np.floating], k: int) -> Ints:
    """Columns of the ``k`` best scores of each row, best first; ties go to the lower column.

    Parameters
    ----------
    scores : (B, E) float32
        Finite; compared as float32. E < 2**24.
    k : int
        At least 1.

    Returns
    -------
    (B, min(k, E)) int64

    Raises
    ------
    ValueError
        If ``scores`` is not a matrix, holds NaN or ``k`` is less than 1.
    """
    if scores.ndim != 2 or k < 1:
        raise ValueError(f"top_k takes a (B, E) matrix and k >= 1, got {scores.shape}, k = {k}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    k = min(k, scores.shape[1])
    if not k:
        return np.empty((len(scores), 0), dtype=np.int64)
    best = np.empty((len(scores), k), dtype=np.int64)
    for start in range(0, len(scores), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        best[part] = _top_columns(np.asarray(scores[part], dtype=np.float32), k)
    return best


def best_of(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """`top_k` columns of each row, and the scores that stand there: (B, min(k, E)) each."""
    columns = top_k(scores, k)
    return columns, np.take_along_axis(scores, columns, axis=1)


def _top_columns(scores: Floats, k: int) -> Ints:
    n_rows, n_columns = scores.shape
    # Few scores reach a bound that k of them reach, and only those are sorted.
    found = np.flatnonzero(scores >= _reached_by(scores, k)[:, None])
    rows, columns = np.divmod(found, n_columns)
    # One integer a score, all different: the row above, the reversed score, the column below.
    reversed_bits = 0x7FFFFFFF - order_bits(scores.reshape(-1)[found]).astype(np.int64)
    keys = np.sort((rows << 56) | (reversed_bits << 24) | columns)
    first = np.searchsorted(rows, np.arange(n_rows))  # rows ascend, in the keys too
    best: Ints = keys[first[:, None] + np.arange(k)] & 0xFFFFFF
    return best


def _reached_by(scores: Floats, k: int) -> Floats:
    """A score of each row that at least ``k`` of the row reach, and few more where it can be."""
    n_rows, n_columns = scores.shape
    n_tiles = n_columns // _TILE
    if n_tiles >= k:
        # The largest of each tile are n_tiles scores; to look at them alone is four times faster.
        tiles = scores[:, : n_tiles * _TILE].reshape(n_rows, n_tiles, _TILE)
        scores = tiles.max(axis=2)
    return np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]


def row_of_each(offsets: Ints) -> Ints:
    """Row of each value of a ragged array with ``offsets`` (B + 1,)."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def pair_keys(rows: Ints, entities: Ints) -> Ints:
    """One integer for each (row, entity), ascending in rows, then in entities (32-bit ids)."""
    return (rows << 32) + entities


def label_set(offsets: Ints, values: Ints, entities: Ints | None = None) -> tuple[Ints, Ints]:
    """Labels as sets: each once, ascending within a video, only those of ``entities`` if given.

    Returns
    -------
    offsets : (B + 1,) int64
    values : (L',) int64, L' <= L
    """
    keys = np.unique(pair_keys(row_of_each(offsets), values))
    rows = (keys + (1 << 31)) >> 32
    kept = keys - (rows << 32)
    if entities is not None:
        wanted = np.isin(kept, entities)
        rows, kept = rows[wanted], kept[wanted]
    return _offsets(rows, len(offsets) - 1), kept


def restrict(batch: ScoredBatch, entities: Ints | None) -> ScoredBatch:
    """``batch`` with labels as sets and, if given, only ``entities`` (labels and scores)."""
    offsets, values = label_set(batch.label_offsets, batch.label_values, entities)
    batch = batch._replace(label_offsets=offsets, label_values=values)
    if entities is None:
        return batch
    columns = np.flatnonzero(np.isin(batch.entities, entities))
    return batch._replace(entities=batch.entities[columns], scores=batch.scores[:, columns])


def slices(batch: ScoredBatch, n_videos: int) -> Iterator[ScoredBatch]:
    """``batch`` cut into batches of at most ``n_videos``."""
    for start in range(0, len(batch.video_ids), n_videos):
        stop = min(start + n_videos, len(batch.video_ids))
        first, last = batch.label_offsets[start], batch.label_offsets[stop]
        yield ScoredBatch(
            video_ids=batch.video_ids[start:stop],
            label_offsets=batch.label_offsets[start : stop + 1] - first,
            label_values=batch.label_values[first:last],
            entities=batch.entities,
            scores=batch.scores[start:stop],
        )


def rank_scored(batch: ScoredBatch, k: int) -> RankedBatch:
    """The ``k`` best entities of each video (all of them where E < k)."""
    columns = top_k(batch.scores, k)
    return RankedBatch(
        video_ids=batch.video_ids,
        label_offsets=batch.label_offsets,
        label_values=batch.label_values,
        offsets=np.arange(len(batch.video_ids) + 1, dtype=np.int64) * columns.shape[1],
        entities=batch.entities[columns.ravel()],
        scores=np.take_along_axis(batch.scores, columns, axis=1).ravel(),
    )


def rank_lists(batch: RankedBatch, entities: Ints | None = None) -> RankedBatch:
    """``batch`` with lists put best first and labels as sets; only ``entities`` if given.

    Raises
    ------
    InputError
        If an entity stands twice in the list of a video: it would count twice in every metric.
    """
    label_offsets, label_values = label_set(batch.label_offsets, batch.label_values, entities)
    rows = row_of_each(batch.offsets)
    keys = np.sort(pair_keys(rows, batch.entities))
    if (np.diff(keys) == 0).any():
        key = keys[np.argmax(np.diff(keys) == 0)]
        row = int((key + (1 << 31)) >> 32)
        where = f"predictions of video {batch.video_ids[row]!r}"
        raise InputError(f"entity {key - (row << 32)} is listed twice", where=where)
    order = np.lexsort((batch.entities, -batch.scores, rows))
    if entities is not None:
        order = order[np.isin(batch.entities[order], entities)]
    return RankedBatch(
        video_ids=batch.video_ids,
        label_offsets=label_offsets,
        label_values=label_values,
        offsets=_offsets(rows[order], len(batch.video_ids)),
        entities=batch.entities[order],
        scores=batch.scores[order],
    )


def check_scores(batch: ScoredBatch | RankedBatch) -> None:
    """Refuse a score outside [0, 1], NaN among them, and arrays that do not fit together.

    Raises
    ------
    InputError
        Names the video, the entity and the score: such scores would fall into no bucket of Eq. 8.
    ValueError
        If shapes disagree or ``entities`` of a ScoredBatch do not ascend.
    """
    n_videos, scores = len(batch.video_ids), batch.scores
    if isinstance(batch, ScoredBatch):
        expected: tuple[int, ...] = (n_videos, len(batch.entities))
        if (np.diff(batch.entities) <= 0).any():
            raise ValueError("entities of a scored batch must be strictly ascending")
    else:
        expected = (len(batch.entities),)
    if scores.shape != expected or len(batch.label_offsets) != n_videos + 1:
        raise ValueError(f"scores must be {expected}, got {scores.shape}, {n_videos} videos")
    # A NaN makes both minimum and maximum NaN, and every comparison with it false.
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise _score_error(batch)


def _score_error(batch: ScoredBatch | RankedBatch) -> InputError:
    place = int(np.argmax(~((batch.scores >= 0) & (batch.scores <= 1))))
    if isinstance(batch, ScoredBatch):
        row, column = divmod(place, len(batch.entities))
    else:
        row, column = int(np.searchsorted(batch.offsets, place, side="right")) - 1, place
    where = f"video {batch.video_ids[row]!r}, entity {batch.entities[column]}"
    found = batch.scores.reshape(-1)[place]
    return InputError("score out of range", where=where, expected="0 to 1", found=found)


def _offsets(rows: Ints, n_rows: int) -> Ints:
    counts = np.bincount(rows, minlength=n_rows)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
