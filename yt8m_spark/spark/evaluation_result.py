"""What an evaluation gives, and how it is put together from the figures of all parts.

Axes: E entities, R = 1 + N: the evaluation itself, then its bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.core.bootstrap import LEVEL, centred, interval
from yt8m_spark.core.entity_figures import Curves, EntityFigures, EntityTotals
from yt8m_spark.core.entity_report import N_BINS, calibration_error
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.metrics import evaluation_metrics, tie_metrics
from yt8m_spark.core.ranking import RankingCounts
from yt8m_spark.core.tallies import Confusions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.evaluation_parts import (
    PoolCounts,
    PoolSums,
    Twice,
    reduce_parts,
    reduce_pool,
    weights_of,
)
from yt8m_spark.spark.evaluation_rows import Digest
from yt8m_spark.spark.packing import unpack

__all__ = ["Evaluation", "Figures", "Reduce", "by_kind", "conclude"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Figures = Mapping[str, Sequence[bytes]]  # packed figures of all parts, by kind
Reduce = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# Losses have no upper bound; all other metrics are fractions.
_UNBOUNDED = ("loss", "starter_loss")


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one evaluation, and what lies behind them.

    Parameters
    ----------
    metrics : dict of str to float
        ``map, hit_at_1, hit_at_5, perr, gap_at_20`` and ``starter_map, starter_hit_at_1,
        starter_perr, starter_gap_at_20``, fractions in [0, 1]; ``loss, starter_loss``; and where
        ties matter ``map_best, map_worst`` and the same of gap_at_20 and starter_map
        (`core.metrics.tie_metrics`).
    n_videos, n_labelled_videos : int
        All videos, and those with a label.
    per_entity : pyarrow.Table
        One row an entity that labels a video, ascending: ``entity int32, n_positives int64`` and,
        all double, ``average_precision, starter_average_precision, best_average_precision,
        worst_average_precision, loss, best_threshold, best_f1, precision_at_recall_20, _50, _80,
        calibration_error`` (`core.entity_report`); NaN where there is none.
    curves : pyarrow.Table
        ``entity int32`` and lists of float ``thresholds, precision, recall``, of each entity that
        labels a video, by descending threshold; at most 50 points.
    confusions : pyarrow.Table
        ``entity int32, confused_with int32, n_videos int64, share double`` (of the entity's
        videos), at most 10 an entity (`core.confusions`).
    reliability : pyarrow.Table
        15 bins of the score rounded to 1e-4, over all pairs of a video and an entity that labels
        some video: ``bin int32, n_pairs int64, n_hits int64, mean_score double``.
    replicates : pyarrow.Table, optional
        One row a bootstrap replicate, one double column a metric but for bounds, moved so that
        their mean is the metric (`core.bootstrap.centred`).
    intervals : dict, optional
        Of the bootstrap: ``level, n_replicates, n_groups, seed``; ``videos``, the sum of the
        videos' 64-bit hashes, modulo 2**64, in hexadecimal (of one seed equal for the same
        videos, in whatever order); and ``intervals``, [low, high] of each metric.
    n_unpredicted : int
        Entities that label a video but are predicted for none: their labels are misses.
    """

    metrics: dict[str, float]
    n_videos: int
    n_labelled_videos: int
    per_entity: pa.Table
    curves: pa.Table
    confusions: pa.Table
    reliability: pa.Table
    replicates: pa.Table | None = None
    intervals: dict[str, Any] | None = None
    n_unpredicted: int = 0


def conclude(
    run: Callable[[Reduce, str | None], Figures], options: EvaluationOptions
) -> Evaluation:
    """Evaluation of counts that ``run`` reduces.

    Parameters
    ----------
    run : callable
        From a task and the domain whose counts it takes (None: all) to its figures, all rows of a
        part of a domain having come to the task together. It is called twice: where predictions
        stand in the pool is not known before all are counted.
    options : EvaluationOptions

    Raises
    ------
    InputError
        If there are no videos, none has a label, or one stands twice.
    """
    found = run(partial(reduce_parts, options=options), None)
    ranking = _checked_ranking(found)
    above = _above(unpack(PoolCounts, found["pool"]) if "pool" in found else None)
    sums = run(partial(reduce_pool, options=options, above=above), "pool")
    return _assemble(found, ranking, sums.get("pool", []), options)


def by_kind(batches: Iterable[pa.RecordBatch]) -> Figures:
    """Payloads of rows of figures."""
    found: dict[str, list[bytes]] = {}
    for batch in batches:
        kinds, payloads = (column.to_pylist() for column in batch.columns)
        for kind, payload in zip(kinds, payloads, strict=True):
            found.setdefault(kind, []).append(payload)
    return found


def _checked_ranking(found: Figures) -> RankingCounts:
    """Ranking counts of all videos; refuses what cannot be evaluated."""
    if "twice" in found:
        # One video would count as two.
        rows = unpack(Twice, found["twice"])
        video_id, count = min(zip(rows.video_ids.tolist(), rows.counts.tolist(), strict=True))
        raise InputError("duplicate video_id", where=repr(video_id), found=f"{count} rows")
    if "ranking" not in found:
        raise InputError("nothing to evaluate", expected="videos", found="no rows")
    ranking = unpack(RankingCounts, found["ranking"])
    if not ranking.n_videos[ranking.n_labels > 0].sum():
        without = f"{int(ranking.n_videos.sum())} without"
        raise InputError("nothing to evaluate", expected="videos with labels", found=without)
    return ranking


def _above(counts: PoolCounts | None) -> dict[int, tuple[Ints, Ints]]:
    """Hits and predictions, by group, in the parts of the pool above each part."""
    if counts is None:
        return {}
    order = np.argsort(-counts.part)
    columns = (column[order] for column in (counts.hits, counts.totals))
    hits, totals = (np.cumsum(column, axis=0) - column for column in columns)
    return {part: (hits[i], totals[i]) for i, part in enumerate(counts.part[order].tolist())}


def _assemble(
    found: Figures, ranking: RankingCounts, pool: Sequence[bytes], options: EvaluationOptions
) -> Evaluation:
    """Evaluation of the figures of all parts, and of the sums of the parts of the pool."""
    weights = weights_of(options)
    nothing = PoolSums(np.zeros((1, weights.shape[1])), np.zeros((1, 2)))
    parts = [nothing, *(unpack(PoolSums, [payload]) for payload in pool)]
    pool_sums, pool_bounds = (np.concatenate(c).sum(axis=0) for c in zip(*parts, strict=True))
    figures = _in_order(unpack(EntityFigures, found["entities"]))
    totals = _totals(found["totals"])
    sums = evaluation_metrics(ranking, totals, pool_sums, weights_of(options), options.hit_at)
    metrics = {name: float(values[0]) for name, values in sums.items()}
    n_labels = int(figures.n_positives.sum())
    metrics |= tie_metrics(metrics, figures, pool_bounds, n_labels)
    replicates = {name: centred(values[1:], values[0]) for name, values in sums.items()}
    n_videos = int(ranking.n_videos.sum())
    bins = _bins(figures, n_videos)
    n_positives = dict(zip(figures.entities.tolist(), figures.n_positives.tolist(), strict=True))
    return Evaluation(
        metrics,
        n_videos,
        int(ranking.n_videos[ranking.n_labels > 0].sum()),
        _entity_table(figures, bins, n_videos),
        _curve_table(unpack(Curves, found["curves"]), figures.entities),
        _confusion_table(unpack(Confusions, found["confusions"]), n_positives),
        _reliability(bins),
        pa.table(replicates) if options.n_replicates else None,
        _intervals(replicates, options, _digest(found)) if options.n_replicates else None,
        int((figures.n_listed == 0).sum()),
    )


def _in_order(figures: EntityFigures) -> EntityFigures:
    order = np.argsort(figures.entities)
    return EntityFigures._make(column[order] for column in figures)


def _totals(payloads: Sequence[bytes]) -> EntityTotals:
    parts = [unpack(EntityTotals, [payload]) for payload in payloads]
    return EntityTotals(*(np.sum(columns, axis=0) for columns in zip(*parts, strict=True)))


def _bins(figures: EntityFigures, n_videos: int) -> Floats:
    """Hits, pairs and sum of scores of each entity and bin, (3, E, 15), of all pairs."""
    bins = np.stack([figures.bin_hits, figures.bin_totals, figures.bin_score_sums])
    # Pairs that round to zero, or are not listed, are of the lowest bin.
    bins[0, :, 0] += figures.n_positives - bins[0].sum(axis=1)
    bins[1, :, 0] += n_videos - bins[1].sum(axis=1)
    return bins


def _entity_table(figures: EntityFigures, bins: Floats, n_videos: int) -> pa.Table:
    errors = [calibration_error(*bins[:, e]) for e in range(len(figures.entities))]
    columns = {
        "average_precision": figures.average_precision,
        "starter_average_precision": figures.starter_average_precision,
        "best_average_precision": figures.bounds[:, 0],
        "worst_average_precision": figures.bounds[:, 1],
        "loss": figures.loss / n_videos,
        "best_threshold": figures.best_threshold,
        "best_f1": figures.best_f1,
        "precision_at_recall_20": figures.precision_at_recall[:, 0],
        "precision_at_recall_50": figures.precision_at_recall[:, 1],
        "precision_at_recall_80": figures.precision_at_recall[:, 2],
        "calibration_error": np.array(errors),
    }
    ids = {
        "entity": pa.array(figures.entities, pa.int32()),
        "n_positives": pa.array(figures.n_positives, pa.int64()),
    }
    return pa.table(
        {**ids, **{name: pa.array(values, pa.float64()) for name, values in columns.items()}}
    )


def _curve_table(curves: Curves, entities: NDArray[np.int64]) -> pa.Table:
    order = np.argsort(curves.entities, kind="stable")
    ends = np.searchsorted(curves.entities[order], entities, side="right")
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    lists = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values[order], pa.float32()))
        for name, values in zip(Curves._fields[1:], curves[1:], strict=True)
    }
    return pa.table({"entity": pa.array(entities, pa.int32()), **lists})


def _confusion_table(rows: Confusions, n_positives: Mapping[int, int]) -> pa.Table:
    order = np.argsort(rows.entities, kind="stable")
    entities, others, n_videos = (column[order] for column in rows)
    of = np.array([n_positives[e] for e in entities.tolist()], dtype=np.float64)
    return pa.table(
        {
            "entity": pa.array(entities, pa.int32()),
            "confused_with": pa.array(others, pa.int32()),
            "n_videos": pa.array(n_videos, pa.int64()),
            "share": pa.array(n_videos / of, pa.float64()),
        }
    )


def _reliability(bins: Floats) -> pa.Table:
    hits, pairs, score_sums = bins.sum(axis=1)
    means = np.divide(score_sums, pairs, out=np.full(N_BINS, np.nan), where=pairs > 0)
    return pa.table(
        {
            "bin": pa.array(np.arange(N_BINS), pa.int32()),
            "n_pairs": pa.array(pairs.astype(np.int64), pa.int64()),
            "n_hits": pa.array(hits.astype(np.int64), pa.int64()),
            "mean_score": pa.array(means, pa.float64(), from_pandas=True),
        }
    )


def _digest(found: Figures) -> str:
    sums = unpack(Digest, found["digest"]).sums
    return f"{int(sums.sum(dtype=np.uint64)):016x}"


def _intervals(
    replicates: Mapping[str, Floats], options: EvaluationOptions, videos: str
) -> dict[str, Any]:
    found = {}
    for name, values in replicates.items():
        bound = np.inf if name in _UNBOUNDED else 1.0
        found[name] = np.clip(interval(values), 0.0, bound).tolist()
    return {
        "level": LEVEL,
        "n_replicates": options.n_replicates,
        "n_groups": options.n_groups,
        "seed": options.seed,
        "videos": videos,
        "intervals": found,
    }
