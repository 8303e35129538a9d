"""Fit a calibration of a model's scores: `core.calibration` spread over partitions.

Each video is scored once. A task keeps counts of scores, 47 kB an entity (226 MB at E = 4,800)
whatever its number of videos, and 8 bytes for each label of its videos; an entity's counts of all
tasks meet in one task, which fits its map. Counts are whole numbers, so the maps do not depend on
partitioning. Axes: B videos, E entities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    IntegerType,
    LongType,
    StructField,
    StructType,
)

from yt8m_spark.core.calibration import (
    METHODS,
    N_BUCKETS,
    Calibration,
    Map,
    ScoreCounts,
    bucket_scores,
    fit_isotonic,
    fit_platt,
    identity_map,
    map_scores,
    merge_counts,
    score_buckets,
)
from yt8m_spark.core.scored import ScoredBatch, check_scores, restrict, row_of_each, slices
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged, ragged_lists
from yt8m_spark.spark.schemas import INTS, arrow_schema
from yt8m_spark.spark.scoring import scorable, score_batches

__all__ = ["FittedCalibration", "fit_calibration"]

Ints = NDArray[np.int64]

_VIDEOS_AT_ONCE = 256
_ENTITIES_AT_ONCE = 64  # of a batch of counts: some MB
_POOLED_AT_ONCE = 64
_LEAST = 1e-12  # a probability that counts as 0: its loss would be infinite

_LONGS, _DOUBLES = ArrayType(LongType()), ArrayType(DoubleType())
_COUNTED = [
    StructField("entity", IntegerType()),
    StructField("buckets", INTS),
    StructField("hits", _LONGS),
    StructField("totals", _LONGS),
]
COUNTS = StructType(_COUNTED)
# A row an entity, with a map or without; and one for each task, without an entity, of the counts
# of its entities that share a map.
FITTED = StructType(
    [
        *_COUNTED,
        StructField("x", _DOUBLES),
        StructField("y", _DOUBLES),
        StructField("n_videos", LongType()),
        StructField("loss", DoubleType()),
        StructField("calibrated_loss", DoubleType()),
    ]
)


class FittedCalibration(NamedTuple):
    """A calibration, and how it does on the videos that it was fitted on."""

    calibration: Calibration
    n_videos: int
    loss: float  # mean log-loss over all pairs of a video and an entity of the model
    calibrated_loss: float


class _Fit(NamedTuple):
    """What decides the map of an entity."""

    method: str
    min_positives: int

    def __call__(self, counts: ScoreCounts) -> Map | None:
        return fit_platt(counts) if self.method == "platt" else fit_isotonic(counts)


def fit_calibration(
    table: DataFrame,
    model: str,
    *,
    method: str = "platt",
    min_positives: int = 10,
    heartbeats: str | None = None,
) -> FittedCalibration:
    """Fit a map from score to probability for each entity of ``model``, in one pass.

    Parameters
    ----------
    table : DataFrame
        Labelled videos that the model was not trained on, as `scorable` takes them: scores of the
        training videos are too good, and so would be the probabilities.
    model : str
        Folder that all tasks see.
    method : {"platt", "isotonic"}
    min_positives : int
        Entities with fewer videos share one map, fitted on all their pairs together; it changes
        nothing if they have no video at all.
    heartbeats : str, optional
        Folder in which tasks count finished videos.

    Returns
    -------
    FittedCalibration
        The driver holds what it holds, and for each task of the shuffle at most 0.3 MB of counts.

    Raises
    ------
    ValueError
        If there is no such method or ``min_positives`` is less than 1.
    InputError
        As `scorable`; and if there are no videos.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if min_positives < 1:
        raise ValueError(f"min_positives must be at least 1, got {min_positives}")
    model = str(Path(model).resolve())  # tasks may run in another directory
    tally = partial(_tally_partition, model=model, heartbeats=heartbeats)
    counts = scorable(table, model).mapInArrow(tally, COUNTS)
    fit = _Fit(method, min_positives)
    whole = counts.repartition(F.col("entity")).sortWithinPartitions("entity")
    rows = whole.mapInArrow(partial(_fit_partition, fit=fit), FITTED).toArrow()
    if not len(rows):
        raise InputError("nothing to fit a calibration on", expected="videos", found="no rows")
    return _joined(fit, rows)


def _tally_partition(
    batches: Iterable[pa.RecordBatch], *, model: str, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS`, one an entity, for the videos of a partition."""
    totals: NDArray[np.int32] | None = None
    true: list[Ints] = []
    entities: Ints = np.empty(0, dtype=np.int64)
    for batch in score_batches(batches, model, heartbeats):
        check_scores(batch)
        if totals is None:
            entities = batch.entities
            totals = np.zeros(len(entities) * N_BUCKETS, dtype=np.int32)
        for part in slices(restrict(batch, None), _VIDEOS_AT_ONCE):
            cells = score_buckets(part.scores) + np.arange(len(entities)) * N_BUCKETS
            np.add.at(totals, cells.ravel(), 1)
            true.append(_labelled(part, cells))
    if totals is not None:
        yield from _count_rows(entities, totals, np.sort(np.concatenate(true)))


def _labelled(batch: ScoredBatch, cells: Ints) -> Ints:
    """Cells of the true labels that the model scores, among ``cells`` (B, E)."""
    columns = np.searchsorted(batch.entities, batch.label_values).clip(max=cells.shape[1] - 1)
    known = batch.entities[columns] == batch.label_values
    true: Ints = cells[row_of_each(batch.label_offsets)[known], columns[known]]
    return true


def _count_rows(entities: Ints, totals: NDArray[np.int32], true: Ints) -> Iterator[pa.RecordBatch]:
    """Rows of `COUNTS`; ``true`` are the cells of true labels, ascending."""
    for start in range(0, len(entities), _ENTITIES_AT_ONCE):
        part = entities[start : start + _ENTITIES_AT_ONCE]
        first, last = start * N_BUCKETS, (start + len(part)) * N_BUCKETS
        cells = np.flatnonzero(totals[first:last])
        own = true[slice(*np.searchsorted(true, (first, last)))] - first
        hits = np.bincount(np.searchsorted(cells, own), minlength=len(cells))
        offsets = np.searchsorted(cells, np.arange(len(part) + 1) * N_BUCKETS)
        columns = [cells % N_BUCKETS, hits, totals[first + cells]]
        lists = [ragged_lists(offsets, pa.array(c, pa.int64())) for c in columns]
        arrow = arrow_schema(COUNTS)
        arrays = [a.cast(f.type) for a, f in zip([pa.array(part), *lists], arrow, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=arrow)


def _fit_partition(batches: Iterable[pa.RecordBatch], *, fit: _Fit) -> Iterator[pa.RecordBatch]:
    """Rows of `FITTED` for a partition of `COUNTS` sorted by entity."""
    rare: list[ScoreCounts] = []
    for entity, counts in _whole_entities(batches):
        fitted = fit(counts) if counts.hits.sum() >= fit.min_positives else None
        row: dict[str, object] = {"entity": entity, "n_videos": int(counts.totals.sum())}
        if fitted is None:
            rare.append(counts)
            if len(rare) > _POOLED_AT_ONCE:
                rare = [merge_counts(rare)]
        else:
            row |= {"x": fitted[0], "y": fitted[1], **_losses(fit.method, fitted, counts)}
        yield _fitted_row(row)
    if rare:
        yield _fitted_row(merge_counts(rare)._asdict())


def _whole_entities(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, ScoreCounts]]:
    """Entities and their counts of all tasks, from rows that are sorted by entity."""
    current, parts = -1, list[ScoreCounts]()
    for batch in batches:
        columns = [ragged(batch.column(name)) for name in ScoreCounts._fields]
        for row, entity in enumerate(batch.column("entity").to_pylist()):
            if entity != current and parts:
                yield current, merge_counts(parts)
                parts = []
            current = entity
            own = (values[offsets[row] : offsets[row + 1]] for offsets, values in columns)
            parts.append(ScoreCounts(*own))
    if parts:
        yield current, merge_counts(parts)


def _losses(method: str, fitted: Map, counts: ScoreCounts) -> dict[str, float]:
    """Sum of the log-loss of all pairs, of scores as they are and of calibrated ones."""
    scores = bucket_scores(counts.buckets)
    mapped = map_scores(method, fitted, scores)
    return {"loss": _log_loss(scores, counts), "calibrated_loss": _log_loss(mapped, counts)}


def _log_loss(scores: NDArray[np.float64], counts: ScoreCounts) -> float:
    within = np.clip(scores, _LEAST, 1 - _LEAST)
    others = counts.totals - counts.hits
    return float(-(counts.hits @ np.log(within) + others @ np.log1p(-within)))


def _fitted_row(values: Mapping[str, object]) -> pa.RecordBatch:
    """One row of `FITTED`; what is not given is null."""
    schema = arrow_schema(FITTED)
    arrays = [pa.array([values.get(field.name)], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _joined(fit: _Fit, rows: pa.Table) -> FittedCalibration:
    """The calibration of all entities; those without a map of their own get the pooled one."""
    pools = rows.filter(pc.is_null(rows["entity"]))
    entities = rows.filter(pc.is_valid(rows["entity"])).sort_by("entity")
    shared, losses = identity_map(fit.method), _sums(entities)
    if len(pools):
        pool = _pool(pools)
        shared = fit(pool) or shared
        losses += list(_losses(fit.method, shared, pool).values())
    own = entities.filter(pc.is_valid(entities["x"]))
    pairs = zip(own["x"].to_pylist(), own["y"].to_pylist(), strict=True)
    maps = [shared, *((np.array(x), np.array(y)) for x, y in pairs)]
    ids = entities["entity"].to_numpy().astype(np.int64)
    has_own = np.asarray(pc.is_valid(entities["x"]))
    calibration = Calibration(
        fit.method,
        ids,
        np.where(has_own, np.cumsum(has_own), 0),
        np.concatenate([[0], np.cumsum([len(x) for x, _ in maps])]).astype(np.int64),
        *(np.concatenate(values) for values in zip(*maps, strict=True)),
    )
    n_videos = int(entities["n_videos"][0].as_py())
    return FittedCalibration(calibration, n_videos, *(losses / (n_videos * len(ids))).tolist())


def _sums(entities: pa.Table) -> NDArray[np.float64]:
    names = ("loss", "calibrated_loss")
    return np.array([pc.sum(entities[name], min_count=0).as_py() for name in names])


def _pool(rows: pa.Table) -> ScoreCounts:
    columns = (rows[name].combine_chunks().flatten().to_numpy() for name in ScoreCounts._fields)
    return merge_counts([ScoreCounts(*(values.astype(np.int64) for values in columns))])
