"""An evaluation on storage: its folder, and its figures as people read them.

``metrics.json, per_entity.parquet, groups.parquet, curves.parquet, confusions.parquet,
reliability.parquet, plots/*.png``, and of a bootstrap ``intervals.json, replicates.parquet``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.bands import BANDS, EntityFrequencies, Group, group_by_name, group_figures
from yt8m_spark.evaluation_plots import save_plots
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.scorer import check_model, entity_columns

if TYPE_CHECKING:  # so that an evaluation is reported without Spark
    from yt8m_spark.spark.evaluation import Evaluation

__all__ = [
    "EvaluationReport",
    "model_frequencies",
    "named_entities",
    "report_evaluation",
    "save_evaluation",
]

Names = Vocabulary | VocabularyDetails

# Means over the entities of a group, and the columns of per_entity that they are of.
_GROUP_FIGURES = {
    "map": "average_precision",
    "starter_map": "starter_average_precision",
    "loss": "loss",
    "calibration_error": "calibration_error",
}
_TABLES = ("curves", "confusions", "reliability", "replicates")


class EvaluationReport(NamedTuple):
    """Tables of an evaluation, entities named and grouped."""

    metrics: dict[str, float]
    per_entity: pa.Table
    groups: pa.Table
    frequencies: EntityFrequencies  # what made the bands


def save_evaluation(
    folder: str,
    evaluation: Evaluation,
    vocabulary: Names | None = None,
    *,
    frequencies: Mapping[int, int] | None = None,
) -> EvaluationReport:
    """Write ``evaluation`` to ``folder``, whole, as the module tells.

    Parameters
    ----------
    folder : str
    evaluation : Evaluation
    vocabulary : Vocabulary or VocabularyDetails, optional
        Names of entities; the second has their verticals and training frequencies too.
    frequencies : mapping of int to int, optional
        Training videos of each entity as the model knows them, `model_frequencies`, for the bands
        where the vocabulary has no counts.

    Returns
    -------
    EvaluationReport
        What was written, and which frequencies made the bands.
    """
    report = report_evaluation(evaluation, vocabulary, frequencies=frequencies)
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    save_json(root / "metrics.json", report.metrics)
    if evaluation.intervals is not None:
        save_json(root / "intervals.json", evaluation.intervals)
    tables = {name: getattr(evaluation, name) for name in _TABLES}
    tables |= {"per_entity": report.per_entity, "groups": report.groups}
    for name, table in tables.items():
        if table is not None:
            pq.write_table(table, root / f"{name}.parquet")
    save_plots(
        str(root / "plots"),
        report.per_entity,
        evaluation.curves,
        evaluation.reliability,
        report.frequencies,
    )
    return report


def report_evaluation(
    evaluation: Evaluation,
    vocabulary: Names | None = None,
    *,
    frequencies: Mapping[int, int] | None = None,
) -> EvaluationReport:
    """Tables of ``evaluation`` with names, verticals, bands and groups; see `save_evaluation`.

    Bands are those of all entities of the first of these that counts any that is evaluated: the
    vocabulary, the model, the evaluated videos themselves. So the same entity has the same band in
    two evaluations; one that is not known there is of the tail.
    """
    table = evaluation.per_entity
    known = _frequencies(table, vocabulary, frequencies)
    places = known.places(table["entity"].to_numpy())
    bands = [BANDS[b] for b in known.bands[places].tolist()]
    per_entity = _put_before(_without_nan(table), "best_threshold", "band", pa.array(bands))
    per_entity = named_entities(per_entity, vocabulary)
    sizes = {
        "n_videos": evaluation.n_videos,
        "n_labelled_videos": evaluation.n_labelled_videos,
        "n_entities": len(table),
    }
    metrics = {**evaluation.metrics, **sizes}
    return EvaluationReport(metrics, per_entity, _groups(per_entity), known)


def model_frequencies(model: str) -> dict[int, int]:
    """Training videos of each entity of the model in the folder ``model``.

    Raises
    ------
    InputError
        If there is no whole model.
    """
    check_model(model)
    known = entity_columns(model, ["entity", "n_positives"])
    return dict(zip(*(known[name].to_pylist() for name in known.column_names), strict=True))


def named_entities(per_entity: pa.Table, vocabulary: Names | None) -> pa.Table:
    """``per_entity`` with what the vocabulary knows after the ids: ``name`` and ``verticals``.

    As it is without a vocabulary; without verticals if the vocabulary has none.
    """
    if vocabulary is None:
        return per_entity
    ids = per_entity["entity"].to_pylist()
    names = pa.array([vocabulary.names.get(entity, "") for entity in ids], pa.string())
    named = per_entity.add_column(1, "name", names)
    if not isinstance(vocabulary, VocabularyDetails) or not vocabulary.verticals:
        return named
    verticals = [list(vocabulary.verticals.get(entity, ())) for entity in ids]
    return named.add_column(2, "verticals", pa.array(verticals, pa.list_(pa.string())))


def _frequencies(
    table: pa.Table, vocabulary: Names | None, of_model: Mapping[int, int] | None
) -> EntityFrequencies:
    """Frequencies of all entities that are evaluated or that their source counts."""
    details = vocabulary if isinstance(vocabulary, VocabularyDetails) else None
    columns = (table[name].to_pylist() for name in ("entity", "n_positives"))
    evaluated = dict(zip(*columns, strict=True))
    sources = {
        "training videos, by the vocabulary": details.video_counts if details else {},
        "training videos, by the model": of_model or {},
        "evaluated videos": evaluated,
    }
    source = next(s for s, of in sources.items() if any(map(of.get, evaluated)) or of is evaluated)
    counts = dict.fromkeys(evaluated, 0) | dict(sources[source])
    entities = np.array(sorted(counts), dtype=np.int64)
    frequencies = np.array([counts[entity] for entity in entities.tolist()], dtype=np.int64)
    return EntityFrequencies(entities, frequencies, source)


def _groups(per_entity: pa.Table) -> pa.Table:
    """Figures of each band, most frequent first, and of each vertical, by name."""
    n_positives = per_entity["n_positives"].to_numpy()
    figures = {
        name: per_entity[column].to_numpy().astype(np.float64)  # a null becomes NaN
        for name, column in _GROUP_FIGURES.items()
    }
    found = group_by_name([[band] for band in per_entity["band"].to_pylist()])
    kinds = {"band": {band: found[band] for band in BANDS if band in found}}
    if "verticals" in per_entity.column_names:
        kinds["vertical"] = group_by_name(per_entity["verticals"].to_pylist())
    rows = [
        (kind, group)
        for kind, groups in kinds.items()
        for group in group_figures(groups, n_positives, figures)
    ]
    return _group_table(rows)


def _group_table(rows: Sequence[tuple[str, Group]]) -> pa.Table:
    columns = {
        "kind": pa.array([kind for kind, _ in rows], pa.string()),
        "name": pa.array([group.name for _, group in rows], pa.string()),
        "n_entities": pa.array([group.n_entities for _, group in rows], pa.int64()),
        "n_positives": pa.array([group.n_positives for _, group in rows], pa.int64()),
    }
    for figure in _GROUP_FIGURES:
        values = [group.means[figure] for _, group in rows]
        columns[figure] = pa.array([None if math.isnan(v) else v for v in values], pa.float64())
    return pa.table(columns)


def _without_nan(table: pa.Table) -> pa.Table:
    """``table`` with nulls for figures that there are not."""
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table[field.name]
            known = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            table = table.set_column(place, field, known)
    return table


def _put_before(table: pa.Table, before: str, name: str, values: pa.Array) -> pa.Table:
    return table.add_column(table.column_names.index(before), name, values)
