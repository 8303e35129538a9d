"""Read the folder of an evaluation for the explorer: whatever of it is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from yt8m_spark.artifacts import load_json, load_table
from yt8m_spark.errors import InputError

__all__ = ["EvaluationFolder", "no_evaluation", "read_evaluation", "tidy"]

_COLUMNS = {
    "per_entity": ("entity",),
    "curves": ("entity", "thresholds", "precision", "recall"),
    "confusions": ("entity", "confused_with", "n_videos", "share"),
    "groups": ("kind", "name", "n_entities", "n_positives", "map"),
    "reliability": ("bin", "n_pairs", "n_hits", "mean_score"),
}
_DIGITS = 4  # significant ones of a figure that people read
_CURVE_DIGITS = 3


class EvaluationFolder(NamedTuple):
    """Parts of an evaluation; empty where the folder lacks them."""

    metrics: dict[str, float | None]
    intervals: dict[str, Any]  # level, n_replicates, intervals: {metric: [low, high]}
    per_entity: dict[int, dict[str, Any]]  # columns of per_entity.parquet that are not null
    curves: dict[int, dict[str, list[float]]]  # thresholds, precision, recall
    confusions: dict[int, list[tuple[int, int, float]]]  # confused_with, n_videos, share
    groups: list[dict[str, Any]]
    reliability: list[dict[str, Any]]


def no_evaluation() -> EvaluationFolder:
    """Return what there is without an evaluation."""
    return EvaluationFolder({}, {}, {}, {}, {}, [], [])


def read_evaluation(folder: str) -> EvaluationFolder:
    """Read metrics.json, intervals.json and the Parquet tables of ``folder``; any may be missing.

    Raises
    ------
    InputError
        If all are missing, or one cannot be read or lacks a column.
    """
    path = Path(folder)
    files = {name: path / f"{name}.parquet" for name in _COLUMNS}
    metrics, intervals = path / "metrics.json", path / "intervals.json"
    if not any(file.exists() for file in (metrics, *files.values())):
        expected = "metrics.json or per_entity.parquet, as evaluate writes"
        raise InputError("no evaluation here", where=folder, expected=expected)
    rows = {name: _read_rows(file, _COLUMNS[name]) for name, file in files.items()}
    return EvaluationFolder(
        metrics={k: tidy(v, 6) for k, v in _numbers(metrics).items()},
        intervals=_read_intervals(intervals),
        per_entity={row.pop("entity"): _figures(row) for row in rows["per_entity"]},
        curves={row["entity"]: _curve(row) for row in rows["curves"]},
        confusions=_confusions(rows["confusions"]),
        groups=[{k: tidy(v) for k, v in row.items()} for row in rows["groups"]],
        reliability=[{k: tidy(v) for k, v in row.items()} for row in rows["reliability"]],
    )


def tidy(value: Any, digits: int = _DIGITS) -> Any:
    """``value`` for JSON: floats to ``digits`` significant ones, None where they are not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _numbers(path: Path) -> dict[str, float]:
    """Figures of metrics.json."""
    found = load_json(path) if path.exists() else {}
    numbers = {k: v for k, v in found.items() if v is not None}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name} is no number", where=str(path), found=repr(value)[:40])
    return numbers


def _read_intervals(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    found = load_json(path)
    try:
        intervals = {name: [tidy(float(x), 6) for x in (low, high)]
                     for name, (low, high) in found["intervals"].items()}  # fmt: skip
        return {
            "level": float(found["level"]),
            "n_replicates": int(found["n_replicates"]),
            "intervals": intervals,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("no intervals", where=str(path), found=repr(error)) from None


def _read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of a Parquet file; none if it is not there."""
    if not path.exists():
        return []
    table = load_table(path)
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        found = ", ".join(table.column_names)
        raise InputError(f"no column {missing[0]!r}", where=str(path), found=found)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """Figures of an entity that are there; what it is called, the vocabulary tells."""
    told = {k: tidy(v) for k, v in row.items() if k not in ("name", "verticals")}
    return {k: v for k, v in told.items() if v is not None}


def _curve(row: dict[str, Any]) -> dict[str, list[float]]:
    return {
        name: [
            tidy(float(x), _DIGITS if name == "thresholds" else _CURVE_DIGITS) for x in row[name]
        ]
        for name in ("thresholds", "precision", "recall")
    }


def _confusions(rows: list[dict[str, Any]]) -> dict[int, list[tuple[int, int, float]]]:
    found: dict[int, list[tuple[int, int, float]]] = {}
    for row in rows:
        one = (row["confused_with"], row["n_videos"], tidy(row["share"]))
        found.setdefault(row["entity"], []).append(one)
    return found
