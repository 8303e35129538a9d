"""The other side of `spark.evaluation`: all counts of a part to figures.

Axes: E entities, G groups of videos, R = 1 + bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from yt8m_spark.core.bootstrap import replicate_weights
from yt8m_spark.core.confusions import most_confused
from yt8m_spark.core.entity_figures import EntityRows, entity_figures, single_steps, tied
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.ranking import RankingCounts, merge_ranking
from yt8m_spark.core.tallies import Cells, Confusions, Hits, TopRows
from yt8m_spark.core.tie_bounds import tie_bounds
from yt8m_spark.core.weighted_precision import ranked_precision
from yt8m_spark.spark.evaluation_merge import SUMMED, Merger
from yt8m_spark.spark.evaluation_rows import Digest
from yt8m_spark.spark.packing import pack, to_array, unpack, unpack_tables
from yt8m_spark.spark.schemas import arrow_schema

__all__ = [
    "FIGURES",
    "PoolCounts",
    "PoolSums",
    "Twice",
    "reduce_parts",
    "reduce_pool",
    "weights_of",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = TypeVar("Columns")

FIGURES = StructType([StructField("kind", StringType()), StructField("payload", BinaryType())])

_NOTHING: dict[Any, tuple[type, ...]] = {
    Cells: (np.int64, np.int64, np.int64),
    Hits: (np.int64, np.int64),
    TopRows: (np.int64, np.float32, np.bool_, np.int64, np.int64),
    Confusions: (np.int64, np.int64, np.int64),
}


class Twice(NamedTuple):
    """The first by id of the videos of a part that stand more than once."""

    video_ids: pa.Array
    counts: Ints


class PoolCounts(NamedTuple):
    """Hits and predictions of a part of the pool, by group."""

    part: Ints  # (1,)
    hits: Ints  # (1, G)
    totals: Ints  # (1, G)


class PoolSums(NamedTuple):
    """Sums of h_i H_i / T_i over a part of the pool."""

    sums: Floats  # (1, R)
    bounds: Floats  # (1, 2), best and worst of the evaluation itself


def weights_of(options: EvaluationOptions) -> Floats:
    """`core.bootstrap.replicate_weights` of an evaluation, (G, R)."""
    return replicate_weights(options.n_replicates, options.n_groups, options.seed)


def reduce_parts(
    batches: Iterator[pa.RecordBatch], *, options: EvaluationOptions
) -> Iterator[pa.RecordBatch]:
    """Rows of `FIGURES` of each part of each domain, from rows of `COUNTS`.

    All rows of a part stand together. What is held of them is bounded by what is distinct, however
    many videos there are: of 64 entities 640,000 cells (threshold), of 16 by group 16 million
    (threshold and group), each held about twice while they are added up, at 24 bytes; in practice
    far fewer, as scores crowd. Of a part of 64 what grows with videos are a label's hit (16 bytes)
    and the best 20 predictions of each video.
    """
    weights = weights_of(options)
    for domain, part, payloads, summed in _by_part(batches):
        if domain == "entities":
            found = _entities(payloads, summed, weights)
        elif domain == "videos":
            found = _videos(payloads)
        elif domain == "pool":
            found = _pool_counts(part, payloads, options.n_groups)
        else:
            found = _ranking(payloads)
        yield from _rows(found)


def reduce_pool(
    batches: Iterator[pa.RecordBatch],
    *,
    options: EvaluationOptions,
    above: Mapping[int, tuple[Ints, Ints]],
) -> Iterator[pa.RecordBatch]:
    """Rows of `FIGURES` of each part of the pool; all its predictions are held.

    ``above`` gives the hits and the predictions, by group, in the parts above each part.
    """
    weights = weights_of(options)
    for _, part, payloads, _ in _by_part(batches):
        sums = _pool_sums(_with_order(payloads["top"]), np.stack(above[part]), weights)
        yield from _rows([("pool", sums)])


def _pool_sums(top: TopRows, before: Ints, weights: Floats) -> PoolSums:
    """Sums over the predictions ``top``, which ``before`` (2, G) precede."""
    order = np.lexsort((top.videos, top.entities, -top.scores))
    is_hit = top.is_hit[order].astype(np.int64)
    sums = ranked_precision(single_steps(is_hit, top.groups[order]), weights, before @ weights)
    hits, totals = before.sum(axis=1).tolist()
    ties = tied(top.scores[order], is_hit, np.zeros_like(is_hit))[:2]
    bounds = tie_bounds(*ties, np.zeros(1, dtype=np.int64), before=(hits, totals))
    return PoolSums(sums[None], bounds)


def _entities(
    payloads: Mapping[str, Sequence[bytes]],
    summed: Mapping[str, Merger[Any]],
    weights: Floats,
) -> Iterator[tuple[str, NamedTuple]]:
    top = _with_order(payloads["top"]) if "top" in payloads else _nothing(TopRows)
    rows = EntityRows(
        _summed(Cells, summed, "cells"),
        _unpacked(Hits, payloads, "hits"),
        summed["sums"].counts(),
        top,
        _summed(Confusions, summed, "confusions"),
    )
    figures, curves, totals = entity_figures(rows, weights)
    yield "entities", figures
    yield "curves", curves
    yield "totals", totals
    yield "confusions", most_confused(rows.confusions)


def _videos(payloads: Mapping[str, Sequence[bytes]]) -> Iterator[tuple[str, NamedTuple]]:
    counts = unpack_tables(payloads["ids"]).column("video_ids").value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        # One of each part: a table read twice would send all its ids to the driver.
        least = twice.take(pc.array_sort_indices(twice.field("values"))[:1])
        yield "twice", Twice(least.field("values"), least.field("counts").to_numpy())


def _pool_counts(
    part: int, payloads: Mapping[str, Sequence[bytes]], n_groups: int
) -> Iterator[tuple[str, NamedTuple]]:
    table = unpack_tables(payloads["top"])
    groups, is_hit = (to_array(table.column(name)) for name in ("groups", "is_hit"))
    counts = (np.bincount(g, minlength=n_groups)[None] for g in (groups[is_hit], groups))
    yield "pool", PoolCounts(np.array([part]), *counts)


def _ranking(payloads: Mapping[str, Sequence[bytes]]) -> Iterator[tuple[str, NamedTuple]]:
    yield "ranking", merge_ranking([unpack(RankingCounts, payloads["ranking"])])
    yield "digest", unpack(Digest, payloads["digest"])


def _by_part(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[str, int, dict[str, list[bytes]], dict[str, Merger[Any]]]]:
    """Domain, part, and payloads by kind, those in `SUMMED` added up one by one.

    The rows of a part stand together.
    """
    # A payload at a time: a batch of Spark's may hold those of many parts.
    rows = (
        tuple(column[row].as_py() for column in batch.columns)
        for batch in batches
        for row in range(batch.num_rows)
    )
    for (domain, part), group in groupby(rows, key=itemgetter(0, 1)):
        payloads: dict[str, list[bytes]] = {}
        summed: dict[str, Merger[Any]] = {}
        for _, _, kind, payload in group:
            if kind in SUMMED:
                summed.setdefault(kind, Merger(SUMMED[kind])).add(payload)
            else:
                payloads.setdefault(kind, []).append(payload)
        yield domain, part, payloads, summed


def _summed(kind: type[Columns], summed: Mapping[str, Merger[Any]], name: str) -> Columns:
    return cast(Columns, summed[name].counts()) if name in summed else _nothing(kind)


def _unpacked(kind: type[Columns], payloads: Mapping[str, Sequence[bytes]], name: str) -> Columns:
    return unpack(kind, payloads[name]) if name in payloads else _nothing(kind)


def _nothing(kind: type[Columns]) -> Columns:
    """``kind`` without rows."""
    return kind(*(np.empty(0, dtype=dtype) for dtype in _NOTHING[kind]))


def _with_order(payloads: Sequence[bytes]) -> TopRows:
    """Best predictions, with ids of videos replaced by their places in the order of ids."""
    table = unpack_tables(payloads)
    ids = table.column("videos").combine_chunks().dictionary_encode()
    place = np.empty(len(ids.dictionary), dtype=np.int64)
    place[pc.array_sort_indices(ids.dictionary).to_numpy()] = np.arange(len(place))
    columns = (to_array(table.column(name)) for name in TopRows._fields[:-1])
    return TopRows._make([*columns, place[ids.indices.to_numpy()]])


def _rows(found: Iterable[tuple[str, NamedTuple]]) -> Iterator[pa.RecordBatch]:
    rows = [(kind, pack(columns)) for kind, columns in found]
    if rows:
        kinds, payloads = zip(*rows, strict=True)
        arrays = [pa.array(kinds, pa.string()), pa.array(payloads, pa.binary())]
        yield pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(FIGURES))
