"""What a comparison knows of a run: its figures, settings, entities and bootstrap replicates.

Read from an evaluation's folder; `comparison.store` finds the same in MLflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.artifacts import load_json, load_table
from yt8m_spark.core.paired_comparison import Interval
from yt8m_spark.errors import InputError

__all__ = [
    "EVALUATION_FILES",
    "METRICS",
    "Bootstrap",
    "EvaluatedRun",
    "entity_columns",
    "figures_of",
    "read_evaluation",
]

METRICS = "metrics.json"
PER_ENTITY = "per_entity.parquet"
INTERVALS, REPLICATES = "intervals.json", "replicates.parquet"
EVALUATION_FILES = (METRICS, PER_ENTITY, INTERVALS, REPLICATES)

# Columns of per_entity.parquet that are used here; the last three may be missing.
_COLUMNS = {
    "entity": pa.int64(),
    "n_positives": pa.int64(),
    "average_precision": pa.float64(),
    "name": pa.string(),
    "band": pa.string(),
    "verticals": pa.list_(pa.string()),
}
_NEEDED = ("entity", "n_positives", "average_precision")


@dataclass(frozen=True)
class Bootstrap:
    """Intervals of the metrics, and the replicates that they come from."""

    level: float
    plan: tuple[int, int, int]  # seed, groups of videos and replicates: equal plans pair
    intervals: Mapping[str, Interval]
    replicates: Mapping[str, NDArray[np.float64]]  # (N,) each; empty where they were not kept
    videos: str | None = None  # digest of the videos under the plan's seed; older files have none


@dataclass(frozen=True)
class EvaluatedRun:
    """An evaluation to be compared; all but its name and metrics may be unknown."""

    name: str
    metrics: Mapping[str, float]
    source: str = ""  # run id or folder
    settings: Mapping[str, str] = field(default_factory=dict)
    per_entity: pa.Table | None = None  # see `entity_columns`
    bootstrap: Bootstrap | None = None

    def figure(self, metric: str) -> float:
        """``metric``, NaN if the run has none of this name."""
        return self.metrics.get(metric, math.nan)

    def interval(self, metric: str) -> Interval | None:
        """Interval of ``metric``, if the run has one."""
        return None if self.bootstrap is None else self.bootstrap.intervals.get(metric)


def read_evaluation(folder: Path, name: str, source: str) -> EvaluatedRun:
    """Read the folder that an evaluation wrote; only its ``metrics.json`` must be there.

    Raises
    ------
    InputError
        If it is no such folder, or a file of it is damaged or lacks a column.
    """
    if not (folder / METRICS).is_file():
        raise InputError("no evaluation", where=source, expected=f"a file {METRICS}")
    table = folder / PER_ENTITY
    return EvaluatedRun(
        name,
        figures_of(load_json(folder / METRICS), str(folder / METRICS)),
        source,
        per_entity=entity_columns(load_table(table), str(table)) if table.exists() else None,
        bootstrap=_bootstrap(folder) if (folder / INTERVALS).exists() else None,
    )


def figures_of(values: Mapping[str, Any], where: str) -> dict[str, float]:
    """Metrics as floats, NaN where a figure could not be taken (null in JSON).

    Raises
    ------
    InputError
        If one is no number.
    """
    figures = {}
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"metric {name!r} is no number", where=where, found=repr(value)[:40])
        figures[name] = math.nan if value is None else float(value)
    return figures


def entity_columns(table: pa.Table, where: str) -> pa.Table:
    """Columns ``entity, n_positives, average_precision`` [``name, band, verticals``] by entity.

    Raises
    ------
    InputError
        If one of the first three is missing, a column has another type, an entity comes twice,
        or an id or a number of positives is null.
    """
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        found = ", ".join(table.column_names)[:80]
        raise InputError("a column is missing", where=where, expected=missing[0], found=found)
    kept = [name for name in _COLUMNS if name in table.column_names]
    try:
        schema = pa.schema([(name, _COLUMNS[name]) for name in kept])
        ordered = table.select(kept).cast(schema).sort_by("entity")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError("not a table of entities", where=where, found=error) from None
    if ordered["entity"].null_count or ordered["n_positives"].null_count:
        raise InputError("an entity has no id or no number of positives", where=where)
    ids = ordered["entity"].to_numpy()
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        raise InputError(f"entity {twice[0]} comes twice", where=where)
    return ordered


def _bootstrap(folder: Path) -> Bootstrap:
    where = str(folder / INTERVALS)
    value = load_json(folder / INTERVALS)
    table = load_table(folder / REPLICATES) if (folder / REPLICATES).exists() else pa.table({})
    try:
        return Bootstrap(
            float(value["level"]),
            (int(value["seed"]), int(value["n_groups"]), int(value["n_replicates"])),
            _intervals(value["intervals"]),
            _columns_of(table),
            None if value.get("videos") is None else str(value["videos"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("not the intervals of a bootstrap", where=where, found=error) from None


def _intervals(ends: Mapping[str, Any]) -> dict[str, Interval]:
    """Those that could be taken; the others are null or NaN."""
    known = {name: both for name, both in ends.items() if None not in both}
    found = {name: Interval(*map(float, both)) for name, both in known.items()}
    return {name: one for name, one in found.items() if np.isfinite(one).all()}


def _columns_of(table: pa.Table) -> dict[str, NDArray[np.float64]]:
    return {
        name: column.cast(pa.float64()).to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
