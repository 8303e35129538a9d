"""The explorer's data: what is known of entities, videos and figures, as four JSON values.

site      title, sources, counts, metrics, intervals, groups, reliability, verticals
entities  one object an entity of the vocabulary: id, name, counts, figures of per_entity.parquet
details   by entity id: description, curve, nearest, confused, examples
videos    one object a video: id, labels, entities, scores

What is not known is left out. Axes: V videos of the page, E entities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from yt8m_spark.errors import InputError
from yt8m_spark.explorer.evaluation import EvaluationFolder, no_evaluation, tidy
from yt8m_spark.explorer.vocabulary import EntityTexts
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.explorer import KINDS, ShownVideos

__all__ = ["Explored", "Nearest", "explorer_data", "nearest_of_table"]

FORMAT = 1  # of the data; another one, another number

Nearest = Mapping[int, list[tuple[int, float]]]

_BUCKETS = 4  # digits of a score; the paper rounds to 1e-4 (§5.1)


@dataclass(frozen=True, kw_only=True)
class Explored:
    """All that the page tells of."""

    title: str
    sources: Mapping[str, str]  # what was read, by option
    vocabulary: VocabularyDetails
    texts: Mapping[int, EntityTexts]
    shown: ShownVideos
    nearest: Nearest
    nearest_by: Literal["weights", "labels"]
    top_k: int
    evaluation: EvaluationFolder = field(default_factory=no_evaluation)
    video_url: str | None = None  # template with {id}; None for the page's own


def explorer_data(explored: Explored) -> dict[str, Any]:
    """``site``, ``entities``, ``details`` and ``videos``, of JSON's types alone.

    Raises
    ------
    InputError
        If the evaluation names an entity that is not in the vocabulary.
    """
    _check_entities(explored)
    return {
        "site": _site(explored),
        "entities": [_entity(explored, entity) for entity in explored.vocabulary.entities.tolist()],
        "details": _details(explored),
        "videos": _videos(explored.shown.videos),
    }


def nearest_of_table(rows: pa.Table) -> Nearest:
    """`Nearest` of the rows ``entity, other, similarity`` of `similar_labels`."""
    nearest: dict[int, list[tuple[int, float]]] = {}
    for row in rows.to_pylist():
        nearest.setdefault(row["entity"], []).append((row["other"], row["similarity"]))
    return nearest


def _check_entities(explored: Explored) -> None:
    evaluation, known = explored.evaluation, set(explored.vocabulary.entities.tolist())
    named: set[int] = set().union(evaluation.per_entity, evaluation.curves, evaluation.confusions)
    named |= {other for pairs in evaluation.confusions.values() for other, _, _ in pairs}
    unknown = sorted(named - known)
    if unknown:
        raise InputError(
            "entities are not in the vocabulary",
            where=explored.sources.get("evaluation", "evaluation"),
            expected=f"{len(known)} entities from {min(known)} to {max(known)}",
            found=", ".join(map(str, unknown[:5])),
        )


def _site(explored: Explored) -> dict[str, Any]:
    evaluation, shown = explored.evaluation, explored.shown
    return {
        "format": FORMAT,
        "title": explored.title,
        "sources": dict(explored.sources),
        "n_videos": shown.n_videos,
        "n_shown_videos": shown.videos.num_rows,
        "top_k": explored.top_k,
        "nearest_by": explored.nearest_by,
        "video_url": explored.video_url,
        "metrics": evaluation.metrics,
        "intervals": evaluation.intervals,
        "groups": evaluation.groups or _vertical_means(explored),
        "reliability": evaluation.reliability,
        "verticals": _verticals(explored.vocabulary),
    }


def _verticals(vocabulary: VocabularyDetails) -> list[dict[str, Any]]:
    """Verticals and their entities, most first; an entity counts in each of its own."""
    counts: dict[str, int] = {}
    for names in vocabulary.verticals.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return [{"name": name, "n_entities": counts[name]} for name in ordered]


def _vertical_means(explored: Explored) -> list[dict[str, Any]]:
    """Mean average precision of each vertical, for an evaluation without groups.parquet."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entity, figures in explored.evaluation.per_entity.items():
        if figures.get("average_precision") is not None:
            for name in explored.vocabulary.verticals.get(entity, ()):
                found.setdefault(name, []).append(figures)
    return [
        {
            "kind": "vertical",
            "name": name,
            "n_entities": len(rows),
            "n_positives": sum(row.get("n_positives", 0) for row in rows),
            "map": tidy(sum(row["average_precision"] for row in rows) / len(rows)),
        }
        for name, rows in sorted(found.items())
    ]


def _entity(explored: Explored, entity: int) -> dict[str, Any]:
    vocabulary, texts = explored.vocabulary, explored.texts.get(entity)
    told = {
        "id": entity,
        "name": vocabulary.names.get(entity),
        "mid": texts and texts.mid,
        "verticals": list(vocabulary.verticals.get(entity, ())),
        "n_train": vocabulary.video_counts.get(entity),
        "n_videos": explored.shown.counts.get(entity, 0),
        **explored.evaluation.per_entity.get(entity, {}),
    }
    return {name: value for name, value in told.items() if value is not None}


def _details(explored: Explored) -> dict[str, dict[str, Any]]:
    """Details by entity id, as text: a JSON object has no other keys."""
    examples = _examples(explored.shown.examples)
    details = {}
    for entity in explored.vocabulary.entities.tolist():
        texts = explored.texts.get(entity)
        told = {
            "description": texts and texts.description,
            "wiki_url": texts and texts.wiki_url,
            "curve": explored.evaluation.curves.get(entity),
            "nearest": _pairs(explored.nearest.get(entity, [])),
            "confused": [list(one) for one in explored.evaluation.confusions.get(entity, [])],
            **examples.get(entity, {}),
        }
        details[str(entity)] = {name: value for name, value in told.items() if value}
    return details


def _pairs(pairs: Iterable[tuple[int, float]]) -> list[list[float]]:
    return [[entity, round(value, _BUCKETS)] for entity, value in pairs]


def _examples(rows: pa.Table) -> dict[int, dict[str, list[list[Any]]]]:
    """[video id, score or None] of each entity by kind, in order of their places."""
    found: dict[int, dict[str, list[list[Any]]]] = {}
    for row in rows.sort_by("place").to_pylist():
        kinds = found.setdefault(row["entity"], {kind: [] for kind in KINDS})
        score = None if row["score"] is None else round(row["score"], _BUCKETS)
        kinds[row["kind"]].append([row["video_id"], score])
    return {
        entity: {kind: listed for kind, listed in kinds.items() if listed}
        for entity, kinds in found.items()
    }


def _videos(rows: pa.Table) -> list[dict[str, Any]]:
    return [
        {
            "id": row["video_id"],
            "labels": row["labels"],
            "entities": row["entities"],
            "scores": [round(score, _BUCKETS) for score in row["scores"]],
        }
        for row in rows.to_pylist()
    ]
