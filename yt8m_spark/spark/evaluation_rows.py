"""The task side of `spark.evaluation`: videos to counts, packed for those who add them up.

Axes: B videos, E entities, C rows of counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from yt8m_spark.core.average_precision import pool_parts
from yt8m_spark.core.bootstrap import video_hashes
from yt8m_spark.core.confusions import confusions_of
from yt8m_spark.core.dense_tally import part_width, tally_dense
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.list_tally import tally_lists
from yt8m_spark.core.ranking import (
    RankingCounts,
    hits,
    merge_ranking,
    n_ranks,
    ranking_counts,
    top_ranks,
)
from yt8m_spark.core.scored import (
    RankedBatch,
    ScoredBatch,
    check_scores,
    rank_lists,
    rank_scored,
    restrict,
    row_of_each,
    slices,
)
from yt8m_spark.core.tallies import EntitySums, TopRows, merge_sums, sum_rows
from yt8m_spark.spark.evaluation_input import check_known, lists_of, require_ids
from yt8m_spark.spark.evaluation_merge import SUMMED, joined, merged
from yt8m_spark.spark.packing import pack
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["COUNTS", "Digest", "Task", "VideoIds", "tally_predictions", "tally_scored"]

Ints = NDArray[np.int64]

# Few rows, each with the counts of one kind of one part of a domain, packed. All rows of a part
# meet in one place; domains are: entities (part: id // 64, by group id // 16), videos (by hash),
# pool (by score) and ranking (part 0).
COUNTS = StructType(
    [
        StructField("domain", StringType()),
        StructField("part", LongType()),
        StructField("kind", StringType()),
        StructField("payload", BinaryType()),
    ]
)

# Videos counted at once: 5 million scores, 20 MB, at E = 4,800; and lists.
_VIDEOS_AT_ONCE = 1024
_LISTS_AT_ONCE = 4096
# Counts that a task holds before it passes them on: some 100 MB.
_MOST_PENDING = 4_000_000
_VIDEO_PARTS = 64


class VideoIds(NamedTuple):
    """Ids of videos, to find those that stand twice."""

    video_ids: pa.Array


class Digest(NamedTuple):
    """Sums of the hashes of videos, modulo 2**64: the same in whatever order."""

    sums: NDArray[np.uint64]  # (C,)


@dataclass(frozen=True)
class Task:
    """What a task is told: how to count, and which entities alone (ascending ids), if not all."""

    options: EvaluationOptions
    entities: Ints | None


def tally_scored(
    batches: Iterator[pa.RecordBatch], *, score: Any, task: Task
) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS` for the videos that ``score`` makes of the partition."""
    outbox = _Outbox(task.options.n_groups)
    for batch in score(batches):
        require_ids(batch.video_ids)
        check_scores(batch)
        check_known(batch, task.options.vocabulary)
        for part in slices(restrict(batch, task.entities), _VIDEOS_AT_ONCE):
            _count_scored(part, task.options, outbox)
            yield from outbox.flush_if_full()
    yield from outbox.flush()


def tally_predictions(batches: Iterator[pa.RecordBatch], *, task: Task) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS` for the videos of a predictions table."""
    outbox = _Outbox(task.options.n_groups)
    for batch in batches:
        for start in range(0, batch.num_rows, _LISTS_AT_ONCE):
            lists = lists_of(batch.slice(start, _LISTS_AT_ONCE))
            check_scores(lists)
            check_known(lists, task.options.vocabulary)
            _count_lists(rank_lists(lists, task.entities), task.options, outbox)
            yield from outbox.flush_if_full()
    yield from outbox.flush()


@dataclass
class _Outbox:
    """Counts of a task that wait to be passed on.

    Equal keys are added up first. So a task whose (entity, threshold, group) cells and 40 best
    predictions a video come to fewer than `_MOST_PENDING` rows passes each cell on once; of more,
    each time that the distinct ones fill half of that. Cells that travel are never more than the
    predictions that do not round to zero.
    """

    n_groups: int
    pending: dict[tuple[str, int, str], list[Any]] = field(default_factory=dict)
    n_pending: int = 0
    sums: EntitySums | None = None
    ranking: RankingCounts | None = None

    def put(self, domain: str, part: int, kind: str, columns: Any) -> None:
        """Keep ``columns``, a NamedTuple of arrays (C,) or (C, K), for a part."""
        n_rows = len(columns[0])
        if n_rows:
            self.pending.setdefault((domain, part, kind), []).append(columns)
            self.n_pending += n_rows

    def put_by(self, domain: str, parts: Ints, kind: str, columns: Any) -> None:
        """Keep each row for its part of ``parts`` (C,)."""
        order = np.argsort(parts, kind="stable")
        ordered = parts[order]
        first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
        in_order = [_taken(values, order) for values in columns]
        ends = np.append(first, len(order))[1:].tolist()
        for start, stop in zip(first.tolist(), ends, strict=True):
            rows = type(columns)(*(values[start:stop] for values in in_order))
            self.put(domain, int(ordered[start]), kind, rows)

    def put_by_entity(self, kind: str, columns: Any) -> None:
        """Keep each row, of an entity, for the part of that."""
        self.put_by("entities", columns.entities // part_width(self.n_groups), kind, columns)

    def flush_if_full(self) -> Iterator[pa.RecordBatch]:
        """Merge what waits, if that is much, and pass it on if it still is.

        Sums, which do not grow, wait for the end.
        """
        if self.n_pending > _MOST_PENDING:
            self._merge()
            # Half full it would soon be merged again, for little.
            if self.n_pending > _MOST_PENDING // 2:
                yield self._packed()

    def flush(self) -> Iterator[pa.RecordBatch]:
        """Pass on all."""
        if self.sums is not None:
            rows = sum_rows(self.sums)
            self.put_by_entity("sums", rows)
            self.sums = None
        if self.ranking is not None:
            self.put("ranking", 0, "ranking", self.ranking)
            self.ranking = None
        if self.pending:
            yield self._packed()

    def _merge(self) -> None:
        """Leave one row of each key."""
        for key, rows in self.pending.items():
            self.pending[key] = [merged(rows) if key[2] in SUMMED else joined(rows)]
        self.n_pending = sum(len(rows[0][0]) for rows in self.pending.values())

    def _packed(self) -> pa.RecordBatch:
        self._merge()
        columns: list[list[Any]] = [[*key, pack(rows[0])] for key, rows in self.pending.items()]
        self.pending, self.n_pending = {}, 0
        arrays = [
            pa.array(values, column.type)
            for values, column in zip(zip(*columns, strict=True), arrow_schema(COUNTS), strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(COUNTS))


def _count_scored(batch: ScoredBatch, options: EvaluationOptions, outbox: _Outbox) -> None:
    hashes = video_hashes(batch.video_ids, options.seed)
    groups = _groups(hashes, options.n_groups)
    parts, sums = tally_dense(batch, groups, options.n_groups)
    for found in parts:
        outbox.put("entities", found.part, "cells", found.cells)
        outbox.put("entities", found.part, "hits", found.hits)
    outbox.sums = merge_sums(outbox.sums, sums)
    ranked = rank_scored(batch, n_ranks(batch.label_offsets, options.hit_at))
    _count_ranked(ranked, hits(ranked), hashes, groups, options, outbox)


def _count_lists(ranked: RankedBatch, options: EvaluationOptions, outbox: _Outbox) -> None:
    hashes = video_hashes(ranked.video_ids, options.seed)
    groups = _groups(hashes, options.n_groups)
    is_hit = hits(ranked)
    cells, found, sums = tally_lists(ranked, is_hit, groups, options.n_groups)
    outbox.put_by_entity("cells", cells)
    outbox.put_by_entity("hits", found)
    outbox.sums = merge_sums(outbox.sums, sums)
    _count_ranked(ranked, is_hit, hashes, groups, options, outbox)


def _count_ranked(
    ranked: RankedBatch,
    is_hit: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    groups: Ints,
    options: EvaluationOptions,
    outbox: _Outbox,
) -> None:
    """Count what only the order of a video's entities tells."""
    ids = pa.array(ranked.video_ids, pa.string())
    parts = (hashes >> np.uint64(32)).astype(np.int64) % _VIDEO_PARTS
    outbox.put_by("videos", parts, "ids", VideoIds(ids))
    outbox.put("ranking", 0, "digest", Digest(hashes.sum(keepdims=True)))
    counts = ranking_counts(ranked, options.hit_at, groups)
    outbox.ranking = merge_ranking([c for c in (outbox.ranking, counts) if c is not None])
    found = confusions_of(ranked, is_hit)
    outbox.put_by_entity("confusions", found)
    top = top_ranks(ranked)
    rows = row_of_each(ranked.offsets)[top]
    best = TopRows(
        ranked.entities[top],
        ranked.scores[top],
        is_hit[top],
        groups[rows],
        ids.take(pa.array(rows)),
    )
    outbox.put_by_entity("top", best)
    outbox.put_by("pool", pool_parts(best.scores), "top", best)


def _groups(hashes: NDArray[np.uint64], n_groups: int) -> Ints:
    """The bootstrap's group of each video."""
    return (hashes & np.uint64(0xFFFFFFFF)).astype(np.int64) % n_groups


def _taken(values: Any, chosen: Ints) -> Any:
    return values.take(pa.array(chosen)) if isinstance(values, pa.Array) else values[chosen]
