"""A collected data set for people and for other programs: Table 2, the stages, the entities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from yt8m_spark.dataset_build import Built
from yt8m_spark.dataset_config import DatasetConfig
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.formats.vocabulary_topics import VocabularyTopics
from yt8m_spark.markdown import escaped, markdown_table
from yt8m_spark.profile_report import text_table
from yt8m_spark.spark.dataset_facts import SplitSize
from yt8m_spark.spark.profile import Profile

__all__ = [
    "dataset_figures",
    "dataset_json",
    "dataset_page",
    "dataset_text",
    "entity_audit",
    "kept_details",
    "vocabulary_rows",
]

Cells = list[list[str]]

_HOUR = 3600  # seconds


def entity_audit(built: Built, vocabulary: VocabularyTopics, profile: Profile) -> pa.Table:
    """One row an entity of the vocabulary, kept or not.

    ``entity, knowledge_graph_id, name, is_kept, round, n_videos, n_train, n_validate, n_test``:
    ``round`` of the fixed point that removed it, null if it stays; ``n_videos`` at the end, or when
    it was removed; the others are of the data set.
    """
    found = built.found
    kept = found.removed_in == 0
    rows = [vocabulary.rows[entity] for entity in found.entities.tolist()]
    columns = {
        "entity": pa.array(found.entities, pa.int32()),
        "knowledge_graph_id": pa.array([r.get("KnowledgeGraphId") or None for r in rows]),
        "name": pa.array([r.get("Name") or None for r in rows], pa.string()),
        "is_kept": pa.array(kept),
        "round": pa.array(found.removed_in, pa.int32(), mask=kept),
        "n_videos": pa.array(found.n_videos),
        **{
            f"n_{split}": pa.array([counts.get(e, 0) for e in found.entities.tolist()], pa.int64())
            for split, counts in _counts(profile).items()
        },
    }
    return pa.table(columns)


def vocabulary_rows(
    built: Built, vocabulary: VocabularyTopics, profile: Profile
) -> list[dict[str, Any]]:
    """Rows of the data set's vocabulary: kept entities as they were, with their videos of Train."""
    counts = _counts(profile)["train"]
    kept = built.found.entities[built.found.removed_in == 0].tolist()
    return [vocabulary.rows[e] | {"TrainVideoCount": str(counts.get(e, 0))} for e in kept]


def kept_details(built: Built, details: VocabularyDetails) -> VocabularyDetails:
    """Names and verticals of the kept entities; the counts are of other videos, and left out."""
    kept = built.found.entities[built.found.removed_in == 0]
    stay = set(kept.tolist())
    names = {e: name for e, name in details.names.items() if e in stay}
    verticals = {e: found for e, found in details.verticals.items() if e in stay}
    return VocabularyDetails(kept, names, {}, verticals)


def dataset_figures(
    built: Built, sizes: Mapping[str, SplitSize], profile: Profile
) -> dict[str, float]:
    """Main figures by name, flat; those of a split are ``<split>.<figure>``."""
    total = _total(sizes)
    figures: dict[str, float] = {
        "n_candidates": built.funnel[0].n_in,
        "n_videos": total.n_videos,
        "n_entities": _n_kept(built),
        "n_rounds": len(built.found.rounds),
        "hours": total.seconds / _HOUR,
        "mean_duration": total.seconds / total.n_videos,
        "mean_labels": total.n_labels / total.n_videos,
    }
    for split, size in sizes.items():
        figures[f"{split}.n_videos"] = size.n_videos
        figures[f"{split}.hours"] = size.seconds / _HOUR
        if size.n_videos:
            figures[f"{split}.mean_labels"] = size.n_labels / size.n_videos
        n_entities = profile.n_entities.get(split, 0)
        figures[f"{split}.n_entities"] = n_entities
        figures[f"{split}.n_entities_without"] = _n_kept(built) - n_entities
    return figures


def dataset_json(
    config: DatasetConfig, built: Built, figures: Mapping[str, float]
) -> dict[str, Any]:
    """All figures, the stages, the rounds and the options that decide about them, for JSON."""
    last = built.sample.last
    options = ("candidates", "vocabulary", "sample", "min_videos", "min_labels", "seed")
    return {
        "figures": dict(figures),
        "stages": [stage._asdict() for stage in built.funnel],
        "rounds": [done._asdict() for done in built.found.rounds],
        "repeated": built.repeated._asdict(),
        "sample_ends_at": None if last is None else last._asdict(),
        "options": {
            **{name: getattr(config, name) for name in options},
            **config.bounds._asdict(),
            "shares": config.shares._asdict(),
            "duplicates": config.duplicates,
        },
    }


def dataset_text(built: Built, sizes: Mapping[str, SplitSize], profile: Profile) -> str:
    """Tables for a terminal."""
    tables = (_stage_rows(built), _split_rows(built, sizes, profile))
    return "\n".join(text_table(rows) for rows in tables)


def dataset_page(built: Built, sizes: Mapping[str, SplitSize], profile: Profile) -> str:
    """The same tables in Markdown, and what took each candidate out."""
    reasons = [["stage", "reason", "rows"]]
    reasons += [[s.name, r, f"{n:,}"] for s in built.funnel for r, n in s.reasons.items()]
    rounds = [["round", "videos", "entities", "with too few videos"]]
    rounds += [[str(i), *(f"{n:,}" for n in r)] for i, r in enumerate(built.found.rounds, start=1)]
    titled = {
        "Splits (Table 2)": _markdown(_split_rows(built, sizes, profile)),
        "Stages": _markdown(_stage_rows(built)),
        "Exclusions": _markdown(reasons, n_texts=2),
        "Fixed point": _markdown(rounds),
    }
    return "\n".join(f"## {title}\n\n{table}\n" for title, table in titled.items())


def _split_rows(built: Built, sizes: Mapping[str, SplitSize], profile: Profile) -> Cells:
    total = _total(sizes)
    heads = ["videos", "%", "hours", "s a video", "labels a video", "entities", "without a video"]
    rows = [["split", *heads]]
    for name, size in {**sizes, "total": total}.items():
        n_entities = _n_kept(built) if name == "total" else profile.n_entities.get(name, 0)
        n = size.n_videos
        rows.append(
            [
                name,
                f"{n:,}",
                f"{100 * n / total.n_videos:.1f}",
                f"{size.seconds / _HOUR:,.1f}",
                f"{size.seconds / n:.1f}" if n else "–",
                f"{size.n_labels / n:.2f}" if n else "–",
                f"{n_entities:,}",
                f"{_n_kept(built) - n_entities:,}",
            ]
        )
    return rows


def _stage_rows(built: Built) -> Cells:
    rows = [["stage", "in", "out", "kept %"]]
    for stage in built.funnel:
        share = f"{100 * stage.n_out / stage.n_in:.1f}"
        rows.append([stage.name, f"{stage.n_in:,}", f"{stage.n_out:,}", share])
    return rows


def _markdown(rows: Cells, n_texts: int = 1) -> str:
    return markdown_table([list(map(escaped, row)) for row in rows], n_texts)


def _counts(profile: Profile) -> dict[str, dict[int, int]]:
    """Videos of each entity that has some, by split."""
    entities = profile.entities["entity"].to_pylist()
    columns = {split: f"n_{split}" for split in ("train", "validate", "test")}
    return {
        split: dict(zip(entities, profile.entities[name].to_pylist(), strict=True))
        if name in profile.entities.column_names
        else {}
        for split, name in columns.items()
    }


def _total(sizes: Mapping[str, SplitSize]) -> SplitSize:
    columns = zip(*sizes.values(), strict=True)
    n_videos, seconds, n_labels = map(sum, columns)
    return SplitSize(n_videos, seconds, n_labels)


def _n_kept(built: Built) -> int:
    return int(np.count_nonzero(built.found.removed_in == 0))
