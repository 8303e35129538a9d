"""Count what a batch of videos with a score for every entity says about each entity.

Axes: B videos, E entities, e of them at once, G groups of videos, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.average_precision import N_THRESHOLDS
from yt8m_spark.core.log_loss import loss_of_labels, loss_of_others
from yt8m_spark.core.scored import ScoredBatch, row_of_each
from yt8m_spark.core.tallies import N_SUMS, Cells, EntitySums, Hits

__all__ = ["DenseTally", "part_width", "tally_dense"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class DenseTally(NamedTuple):
    """Counts of some entities of a batch; ``part`` is their number // `part_width`."""

    part: int
    cells: Cells
    hits: Hits


class _Videos(NamedTuple):
    """The videos of a batch in the order of their groups."""

    order: Ints  # (B,), rows of the batch
    groups: Ints  # (B,), ascending
    first: Ints  # first place of each group that has videos
    n_groups: int
    label_places: Ints  # (L,), where in the order the video of a label stands
    label_columns: Ints  # (L,), column of its entity in the scores, -1 if there is none


def part_width(n_groups: int) -> int:
    """Entities of a part, whose scores are sorted at once and whose counts meet in one place.

    1,024 videos of 64 entities are 512 KiB of scores. Counts by group are ten times as many.
    """
    return 64 if n_groups == 1 else 16


def tally_dense(
    batch: ScoredBatch, groups: Ints, n_groups: int
) -> tuple[Iterator[DenseTally], EntitySums]:
    """Cells and hits, part by part, and the sums of all entities once the parts are through.

    Each entity's scores are rounded and sorted, and the lengths of the runs are its row of the
    histogram: a score costs 5 ns, however scores are spread, and nothing is as large as the
    histogram of all thresholds.

    Parameters
    ----------
    batch : ScoredBatch
        Labels as sets.
    groups : (B,) int64
        Group of each video, 0 <= g < ``n_groups``.
    n_groups : int
    """
    known = np.union1d(batch.entities, batch.label_values)
    sums = EntitySums(known, np.zeros((len(known), n_groups, N_SUMS)))
    videos = _videos(batch, groups, n_groups)
    _add_unknown_labels(batch, videos, sums)
    return _parts(batch, videos, sums), sums


def _videos(batch: ScoredBatch, groups: Ints, n_groups: int) -> _Videos:
    order = np.argsort(groups, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = np.full(len(batch.label_values), -1)
    if len(batch.entities):
        found = np.searchsorted(batch.entities, batch.label_values).clip(
            max=len(batch.entities) - 1
        )
        columns = np.where(batch.entities[found] == batch.label_values, found, -1)
    in_order = groups[order]
    first = np.flatnonzero(np.diff(in_order, prepend=-1))
    places = place[row_of_each(batch.label_offsets)]
    return _Videos(order, in_order, first, n_groups, places, columns)


def _parts(batch: ScoredBatch, videos: _Videos, sums: EntitySums) -> Iterator[DenseTally]:
    numbers = batch.entities // part_width(videos.n_groups)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True):
        entities = batch.entities[start:stop]
        chosen = np.flatnonzero((videos.label_columns >= start) & (videos.label_columns < stop))
        labels = videos.label_columns[chosen] - start, videos.label_places[chosen]
        scores = batch.scores[videos.order, start:stop].T.astype(np.float64, order="C")
        keys = _keys(scores, videos)  # (e, B)
        hit_keys = keys[labels].astype(np.int64)
        is_hit = hit_keys >= videos.n_groups
        hits = Hits(entities[labels[0][is_hit]], hit_keys[is_hit])
        yield DenseTally(int(numbers[start]), _runs(keys, entities, videos.n_groups), hits)
        _add_sums(sums, entities, scores, labels, videos)


def _keys(scores: Floats, videos: _Videos) -> NDArray[np.unsignedinteger]:
    """``j * G + g`` of each score, (e, B); 16 bits sort twice as fast where they do."""
    nearest = np.rint(scores * N_THRESHOLDS)
    if videos.n_groups == 1:
        return nearest.astype(np.uint16)
    keys = nearest.astype(np.uint32)
    keys *= np.uint32(videos.n_groups)
    keys += videos.groups.astype(np.uint32)
    return keys


def _runs(keys: NDArray[np.unsignedinteger], entities: Ints, n_groups: int) -> Cells:
    """Number of scores of each entity and key; sorts ``keys`` (e, B) in place."""
    keys.sort(axis=1, kind="stable" if keys.dtype == np.uint16 else "quicksort")
    starts_run = np.ones(keys.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=starts_run[:, 1:])
    first = np.flatnonzero(starts_run)
    totals = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=totals[:-1])
    totals[-1:] = keys.size - first[-1:]
    found = keys.reshape(-1)[first].astype(np.int64)
    kept = found >= n_groups  # the rest rounds to zero
    return Cells(entities[first[kept] // keys.shape[1]], found[kept], totals[kept])


def _add_sums(
    sums: EntitySums, entities: Ints, scores: Floats, labels: tuple[Ints, Ints], videos: _Videos
) -> None:
    """Add the counts and losses of ``entities``, of which all videos have ``scores`` (e, B)."""
    rows = np.searchsorted(sums.entities, entities)
    present = videos.groups[videos.first]
    n_videos = np.diff(videos.first, append=len(videos.groups))
    of_labels = loss_of_labels(scores[labels])
    scores[labels] = 0.0  # at which the loss of others is a constant, taken back below
    of_others = loss_of_others(scores)
    at_zero = loss_of_others(np.zeros(1))
    values = np.zeros((len(entities), len(present), N_SUMS))
    values[:, :, 1] = values[:, :, 2] = n_videos
    place = labels[0], np.searchsorted(present, videos.groups[labels[1]])
    np.add.at(values[:, :, 0], place, 1)
    for column, at_labels, others, constant in zip(
        (3, 4), of_labels, of_others, at_zero, strict=True
    ):
        values[:, :, column] = np.add.reduceat(others, videos.first, axis=1)
        np.add.at(values[:, :, column], place, at_labels - constant)
    sums.values[rows[:, None], present] += values


def _add_unknown_labels(batch: ScoredBatch, videos: _Videos, sums: EntitySums) -> None:
    """Add labels of which there is no score: they are missed with a score of 0."""
    unknown = np.flatnonzero(videos.label_columns < 0)
    rows = np.searchsorted(sums.entities, batch.label_values[unknown])
    loss, starter_loss = (float(value[0]) for value in loss_of_labels(np.zeros(1)))
    one = np.array([1, 0, 1, loss, starter_loss])
    np.add.at(sums.values, (rows, videos.groups[videos.label_places[unknown]]), one)
