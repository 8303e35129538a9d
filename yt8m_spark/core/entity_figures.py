"""From the counts of some entities to their figures, and to the sums that all metrics need.

Axes: E entities, G groups of videos, R = 1 + N: the evaluation itself, then its bootstrap
replicates; of the rows of all E entities: C cells, T thresholds, K hits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.average_precision import precision_sums, run_starts
from yt8m_spark.core.entity_report import N_BINS, RECALLS, EntityReport, report_entity
from yt8m_spark.core.tallies import N_SUMS, Cells, Confusions, Hits, SumRows, TopRows
from yt8m_spark.core.tie_bounds import tie_bounds
from yt8m_spark.core.weighted_precision import Ranking, ranked_precision, threshold_precision

__all__ = ["Curves", "EntityFigures", "EntityRows", "EntityTotals", "entity_figures"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class EntityRows(NamedTuple):
    """Everything that was counted of some entities, by all tasks."""

    cells: Cells
    hits: Hits
    sums: SumRows
    top: TopRows  # videos in the order of their ids
    confusions: Confusions


class EntityFigures(NamedTuple):
    """Figures of each entity that labels a video; average precisions are in [0, 1]."""

    entities: Ints  # (E,), ascending
    n_positives: Ints  # (E,), videos labelled with it
    n_listed: Ints  # (E,), videos it is predicted for
    average_precision: Floats  # (E,), Eq. 8-10
    bounds: Floats  # (E, 2), best and worst of it over tie orders
    starter_average_precision: Floats  # (E,), over the top 20 of each video
    starter_bounds: Floats  # (E, 2)
    loss: Floats  # (E,), sum over videos
    best_threshold: Floats  # (E,)
    best_f1: Floats  # (E,)
    precision_at_recall: Floats  # (E, 3)
    bin_hits: Ints  # (E, 15)
    bin_totals: Ints  # (E, 15), pairs whose score does not round to 0
    bin_score_sums: Floats  # (E, 15)


class Curves(NamedTuple):
    """Points of precision and recall of all entities, one entity's after the other's."""

    entities: Ints  # (P,)
    thresholds: NDArray[np.float32]  # (P,), descending within an entity
    precision: NDArray[np.float32]  # (P,)
    recall: NDArray[np.float32]  # (P,)


class EntityTotals(NamedTuple):
    """Sums over entities, for the evaluation and each replicate, (R,) each."""

    n_entities: Floats  # that label a video
    average_precision: Floats
    starter_average_precision: Floats
    loss: Floats  # of entities that label a video
    starter_loss: Floats  # of pairs that are listed or labels
    n_scored: Floats  # such pairs
    n_present: Floats  # entities that are predicted for, or label, a video


class _Thresholds(NamedTuple):
    """Rows of the histogram, entities ascending and thresholds descending."""

    entities: Ints  # (T,)
    nearest: Ints  # (T,), j of tau_j
    hits: Ints  # (T,)
    totals: Ints  # (T,)
    steps: Ints  # (T,), hits' thresholds that precede, over all entities
    of_cells: Ints  # (C,), row of each cell
    of_hits: Ints  # (K,), row of each hit, ascending


def entity_figures(rows: EntityRows, weights: Floats) -> tuple[EntityFigures, Curves, EntityTotals]:
    """Figures of the entities of ``rows`` that label a video, and sums over all of them.

    An entity that is never predicted has an average precision of 0: the paper's mean is over all
    entities. Positives whose score rounds to zero, or that miss the top 20, count in the
    denominator: they are recall that is never reached. In a replicate an entity without positives
    is not in the means.

    Parameters
    ----------
    rows : EntityRows
    weights : (G, R) float64
        `core.bootstrap.replicate_weights`.
    """
    n_groups = len(weights)
    entities, sums = _sums(rows.sums, n_groups)
    positives = sums[:, :, 0] @ weights  # (E, R)
    labelled = np.flatnonzero(positives[:, 0] > 0)
    kept = entities[labelled]
    precision, bounds, reports = _by_threshold(rows, kept, positives[labelled, 0], weights)
    starter, starter_bounds = _by_prediction(rows.top, kept, weights)
    counts = positives[labelled]
    drawn = counts > 0
    quotients = [
        np.divide(s, counts, out=np.zeros_like(s), where=drawn) for s in (precision, starter)
    ]
    losses = sums[labelled][:, :, 3] @ weights
    totals = EntityTotals(
        drawn.sum(axis=0).astype(np.float64),
        quotients[0].sum(axis=0),
        quotients[1].sum(axis=0),
        np.where(drawn, losses, 0.0).sum(axis=0),
        sums[:, :, 4].sum(axis=0) @ weights,
        sums[:, :, 2].sum(axis=0) @ weights,
        (sums[:, :, 2] @ weights > 0).sum(axis=0).astype(np.float64),
    )
    figures = EntityFigures(
        kept,
        counts[:, 0].astype(np.int64),
        sums[labelled][:, :, 1].sum(axis=1).astype(np.int64),
        quotients[0][:, 0],
        bounds / counts[:, :1],
        quotients[1][:, 0],
        starter_bounds / counts[:, :1],
        losses[:, 0],
        *_report_columns(reports),
    )
    return figures, _curves(kept, reports), totals


def _sums(rows: SumRows, n_groups: int) -> tuple[Ints, Floats]:
    """Entities (E,) and their sums by group (E, G, 5)."""
    entities, place = np.unique(rows.entities, return_inverse=True)
    sums = np.zeros((len(entities), n_groups, N_SUMS))
    np.add.at(sums, (place, rows.groups), np.stack(rows[2:], axis=1).astype(np.float64))
    return entities, sums


def _by_threshold(
    rows: EntityRows, entities: Ints, n_positives: Floats, weights: Floats
) -> tuple[Floats, Floats, list[EntityReport]]:
    """Sums of h H / T (E, R), their bounds (E, 2) and the reports of ``entities``."""
    cells, hits = _best_first(rows.cells), _best_first(Cells(*rows.hits, rows.hits.keys))
    found = _thresholds(cells, hits, len(weights))
    spans = _spans(found.entities, entities)
    reports = [
        report_entity(found.nearest[a:b], found.hits[a:b], found.totals[a:b], int(n))
        for (a, b), n in zip(spans, n_positives.tolist(), strict=True)
    ]
    sums, bounds = _once(found.entities, found.hits, found.totals, entities)
    if weights.shape[1] > 1:
        sums = _weighted_thresholds(found, cells, hits, entities, weights)
    return sums, bounds, reports


def _weighted_thresholds(
    found: _Thresholds, cells: Cells, hits: Cells, entities: Ints, weights: Floats
) -> Floats:
    """Sums over thresholds of the evaluation and its replicates, (E, R)."""
    sums = np.zeros((len(entities), weights.shape[1]))
    spans = (_spans(column, entities) for column in (found.entities, cells.entities, hits.entities))
    for e, ((a, b), of_cells, of_hits) in enumerate(zip(*spans, strict=True)):
        at, hit_at = slice(*of_cells), slice(*of_hits)
        first = found.steps[a] if a < b else 0
        ranking = Ranking(
            found.steps[found.of_cells[at]] - first,
            cells.keys[at] % len(weights),
            cells.totals[at],
            found.steps[found.of_hits[hit_at]] - first,
            hits.keys[hit_at] % len(weights),
        )
        sums[e] = threshold_precision(ranking, weights)
    return sums


def _by_prediction(top: TopRows, entities: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """Sums of h H / T over single predictions (E, R), and their bounds (E, 2)."""
    order = np.lexsort((top.videos, -top.scores, top.entities))
    top = TopRows._make(column[order] for column in top)
    is_hit = top.is_hit.astype(np.int64)
    ties = tied(top.scores, is_hit, top.entities)
    _, bounds = _once(ties[2], ties[0], ties[1], entities)
    if weights.shape[1] == 1:
        return _once(top.entities, is_hit, np.ones_like(is_hit), entities)[0], bounds
    sums = np.zeros((len(entities), weights.shape[1]))
    for e, (a, b) in enumerate(_spans(top.entities, entities)):
        sums[e] = ranked_precision(single_steps(is_hit[a:b], top.groups[a:b]), weights)
    return sums, bounds


def _once(of: Ints, hits: Ints, totals: Ints, entities: Ints) -> tuple[Floats, Floats]:
    """Sums of h H / T of the rows of each entity, (E, 1), and bounds of them if rows are ties."""
    sums, bounds = np.zeros((len(entities), 1)), np.zeros((len(entities), 2))
    first = run_starts(of)
    if not (len(first) and len(entities)):
        return sums, bounds
    places = np.searchsorted(entities, of[first]).clip(max=len(entities) - 1)
    wanted = entities[places] == of[first]
    before = np.zeros((len(first), 2), dtype=np.int64)
    sums[places[wanted], 0] = precision_sums(first, hits, totals, before)[0][wanted]
    bounds[places[wanted]] = tie_bounds(hits, totals, first)[wanted]
    return sums, bounds


def single_steps(is_hit: Ints, groups: Ints) -> Ranking:
    """Ranking of predictions one by one, best first."""
    steps = np.cumsum(is_hit) - is_hit
    hits = np.flatnonzero(is_hit)
    return Ranking(steps, groups, np.ones_like(steps), np.arange(len(hits)), groups[hits])


def tied(scores: NDArray[np.float32], is_hit: Ints, groups: Ints) -> tuple[Ints, Ints, Ints]:
    """Hits, predictions and group of each run of equal ``scores`` in a run of equal ``groups``."""
    changed = np.union1d(run_starts(scores), run_starts(groups))
    if not len(changed):
        return is_hit, is_hit, groups
    totals = np.diff(changed, append=len(scores))
    return np.add.reduceat(is_hit, changed), totals, groups[changed]


def _best_first(cells: Cells) -> Cells:
    order = np.argsort((cells.entities << 32) - cells.keys, kind="stable")
    return Cells(*(column[order] for column in cells))


def _thresholds(cells: Cells, hits: Cells, n_groups: int) -> _Thresholds:
    """Rows of the histogram of ``cells`` and ``hits``, both best first."""
    nearest = cells.keys // n_groups
    rank = (cells.entities << 32) - nearest  # ascending
    first = run_starts(rank)
    totals = np.add.reduceat(cells.totals, first) if len(first) else first
    of_hits = np.searchsorted(rank[first], (hits.entities << 32) - hits.keys // n_groups)
    counts = np.bincount(of_hits, minlength=len(first))
    is_step = (counts > 0).astype(np.int64)
    of_cells = np.repeat(np.arange(len(first)), np.diff(first, append=len(rank)))
    steps = np.cumsum(is_step) - is_step
    return _Thresholds(
        cells.entities[first], nearest[first], counts, totals, steps, of_cells, of_hits
    )


def _spans(column: Ints, entities: Ints) -> list[tuple[int, int]]:
    """First place and end of the rows of each entity in an ascending ``column``."""
    starts = np.searchsorted(column, entities).tolist()
    return list(zip(starts, np.searchsorted(column, entities, side="right").tolist(), strict=True))


def _report_columns(reports: list[EntityReport]) -> tuple[NDArray, ...]:  # type: ignore[type-arg]
    shapes = ((), (), (len(RECALLS),), (N_BINS,), (N_BINS,), (N_BINS,))
    kinds = (float, float, float, np.int64, np.int64, float)
    return tuple(
        np.array([report[i] for report in reports], dtype=kind).reshape(len(reports), *shape)
        for i, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))
    )


def _curves(entities: Ints, reports: list[EntityReport]) -> Curves:
    lengths = [len(report.curve_thresholds) for report in reports]
    columns = (
        np.concatenate([np.empty(0), *(report[i] for report in reports)]).astype(np.float32)
        for i in (6, 7, 8)
    )
    return Curves(np.repeat(entities, lengths), *columns)
