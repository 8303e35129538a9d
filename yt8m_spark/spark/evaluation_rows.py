"""The task side of `spark.evaluation`: scored videos to compact rows, sorted rows to sums.

Axes: B videos, E entities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql.types import (
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.core.average_precision import (
    Cells,
    cells_of,
    merge_cells,
    pool_buckets,
    precision_sums,
    run_starts,
)
from yt8m_spark.core.ranking import RankingCounts, hits, n_ranks, ranking_counts
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
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["COUNTS", "SUMS", "Score", "sum_precisions", "tally_predictions", "tally_scored"]

Ints = NDArray[np.int64]
Score = Callable[[Iterator[pa.RecordBatch]], Iterator[ScoredBatch]]

# One long table for every kind of count, so that a video is scored once.
# kind       key              and
# a ranking  |G_v|            hits, totals (videos); the kinds are RankingCounts' fields
# positives  entity           hits = totals = labelled videos
# cell       threshold j      entity, hits, totals
# top        pool bucket      video_id, entity, score, hits (0 or 1), totals (1)
# video      (null)           video_id
COUNTS = StructType(
    [
        StructField("kind", StringType()),
        StructField("key", LongType()),
        StructField("video_id", StringType()),
        StructField("entity", IntegerType()),
        StructField("score", FloatType()),
        StructField("hits", LongType()),
        StructField("totals", LongType()),
    ]
)
SUMS = StructType(
    [
        StructField("kind", StringType()),
        StructField("key", LongType()),
        StructField("precision_sum", DoubleType()),
    ]
)

_POOLED = 20
# Videos counted at once: 1.2 million scores, some 40 MB of arrays, at E = 4,800.
_VIDEOS_AT_ONCE = 256
_LISTS_AT_ONCE = 4096
# Cells a task holds before it passes them on: 64 MB. Spark adds up what tasks send.
_MOST_CELLS = 2_000_000


def tally_scored(
    batches: Iterator[pa.RecordBatch], *, score: Score, entities: Ints | None
) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS` for the videos that ``score`` makes of the partition."""
    return _tally(_rank_dense(score(batches), entities))


def tally_predictions(
    batches: Iterator[pa.RecordBatch], *, entities: Ints | None
) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS` for the videos of a predictions table."""
    return _tally(_rank_listed(batches, entities))


def sum_precisions(
    batches: Iterator[pa.RecordBatch],
    *,
    kind: str,
    group: str,
    above: dict[int, tuple[int, int]] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Rows of `SUMS`: `precision_sums` of each value of column ``group``.

    A group stands whole in one partition, its rows in a row and best first; ``above`` holds the
    hits and predictions that precede each group, if they do.
    """
    last, after = None, np.zeros(2, dtype=np.int64)
    for batch in batches:
        if not batch.num_rows:
            continue
        groups, hit_counts, totals = (_ints(batch, name) for name in (group, "hits", "totals"))
        first = run_starts(groups)
        keys = groups[first]
        before = np.array([above[k] if above else (0, 0) for k in keys.tolist()], dtype=np.int64)
        if keys[0] == last:  # the group goes on from the batch before
            before[0] = after
        sums, ends = precision_sums(first, hit_counts, totals, before)
        last, after = keys[-1], ends[-1]
        yield _record(SUMS, len(keys), {"kind": kind, "key": keys, "precision_sum": sums})


def _rank_dense(
    scored: Iterable[ScoredBatch], entities: Ints | None
) -> Iterator[tuple[RankedBatch, Cells]]:
    for batch in scored:
        check_scores(batch)
        for part in slices(restrict(batch, entities), _VIDEOS_AT_ONCE):
            yield rank_scored(part, n_ranks(part.label_offsets)), cells_of(part)


def _rank_listed(
    batches: Iterable[pa.RecordBatch], entities: Ints | None
) -> Iterator[tuple[RankedBatch, Cells]]:
    for batch in batches:
        for start in range(0, batch.num_rows, _LISTS_AT_ONCE):
            lists = _lists_of(batch.slice(start, _LISTS_AT_ONCE))
            check_scores(lists)
            ranked = rank_lists(lists, entities)
            yield ranked, cells_of(ranked)


def _tally(counted: Iterable[tuple[RankedBatch, Cells]]) -> Iterator[pa.RecordBatch]:
    cells: list[Cells] = []
    for ranked, part in counted:
        _require_ids(ranked.video_ids)
        yield from _ranking_rows(ranking_counts(ranked))
        yield _positive_rows(ranked)
        yield _top_rows(ranked)
        yield _record(
            COUNTS, len(ranked.video_ids), {"kind": "video", "video_id": ranked.video_ids}
        )
        cells.append(part)
        if sum(len(c.totals) for c in cells) > _MOST_CELLS:
            cells = [merge_cells(cells)]
            if len(cells[0].totals) > _MOST_CELLS // 2:
                yield _cell_rows(cells.pop())
    if cells:
        yield _cell_rows(merge_cells(cells))


def _ranking_rows(counts: RankingCounts) -> Iterator[pa.RecordBatch]:
    for kind, found in zip(counts._fields[2:], counts[2:], strict=True):
        columns = {"kind": kind, "key": counts.n_labels, "hits": found, "totals": counts.n_videos}
        yield _record(COUNTS, len(found), columns)


def _positive_rows(ranked: RankedBatch) -> pa.RecordBatch:
    entities, n_videos = np.unique(ranked.label_values, return_counts=True)
    columns = {"kind": "positives", "key": entities, "hits": n_videos, "totals": n_videos}
    return _record(COUNTS, len(entities), columns)


def _top_rows(ranked: RankedBatch) -> pa.RecordBatch:
    rows = row_of_each(ranked.offsets)
    top = np.flatnonzero(np.arange(len(rows)) - ranked.offsets[rows] < _POOLED)
    columns = {
        "kind": "top",
        "key": pool_buckets(ranked.scores[top]),
        "video_id": pa.array(ranked.video_ids, pa.string()).take(pa.array(rows[top])),
        "entity": ranked.entities[top],
        "score": ranked.scores[top],
        "hits": hits(ranked)[top].astype(np.int64),
        "totals": np.ones(len(top), dtype=np.int64),
    }
    return _record(COUNTS, len(top), columns)


def _cell_rows(cells: Cells) -> pa.RecordBatch:
    columns = {
        "kind": "cell",
        "key": cells.thresholds,
        "entity": cells.entities,
        "hits": cells.hits,
        "totals": cells.totals,
    }
    return _record(COUNTS, len(cells.totals), columns)


def _record(schema: StructType, n_rows: int, columns: Mapping[str, object]) -> pa.RecordBatch:
    """A batch of ``schema``; a column given as text repeats it, one not given is null."""
    arrow = arrow_schema(schema)
    arrays = []
    for field in arrow:
        values = columns.get(field.name)
        if values is None or isinstance(values, str):
            arrays.append(pa.repeat(pa.scalar(values, field.type), n_rows))
        elif isinstance(values, pa.Array):
            arrays.append(values)
        else:
            arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


def _lists_of(batch: pa.RecordBatch) -> RankedBatch:
    """The lists of a batch of a predictions table, as they stand."""
    video_ids = batch.column("video_id").to_pylist()
    _require_ids(video_ids)
    label_offsets, label_values = _whole_numbers(batch, "labels")
    offsets, entities = _whole_numbers(batch, "entities")
    lists = batch.column("scores")
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    differ = np.diff(offsets) != lengths
    if differ.any():
        row = int(np.argmax(differ))
        raise InputError(
            "entities and scores differ in number",
            where=f"predictions of video {video_ids[row]!r}",
            expected=f"{np.diff(offsets)[row]} scores",
            found=int(lengths[row]),
        )
    # A null score becomes NaN, which check_scores refuses.
    scores = lists.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return RankedBatch(video_ids, label_offsets, label_values, offsets, entities, scores)


def _whole_numbers(batch: pa.RecordBatch, name: str) -> tuple[Ints, Ints]:
    """Offsets and values of an array<int> column; a null row is an empty list."""
    column = batch.column(name)
    if column.flatten().null_count:
        raise InputError("null value", where=f"column {name!r}", expected="entity ids")
    return ragged(column)


def _ints(batch: pa.RecordBatch, name: str) -> Ints:
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), dtype=np.int64)


def _require_ids(video_ids: Sequence[str | None]) -> None:
    if None in video_ids:
        raise InputError("null video_id", where=f"row {video_ids.index(None)} of a batch")
