"""A vocabulary as people read it: who fell at which stage, Table 1, warnings, figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yt8m_spark.artifacts import save_json, staged_file
from yt8m_spark.core.type_tree import TypeTree, types_below
from yt8m_spark.markdown import escaped, markdown_table, plain
from yt8m_spark.profile_report import text_table
from yt8m_spark.spark.vocabulary_result import (
    UNKNOWN_VERTICAL,
    TopEntity,
    VocabularyStatistics,
)
from yt8m_spark.spark.vocabulary_stages import KEPT, REASONS

__all__ = [
    "InputCounts",
    "list_warnings",
    "stage_table",
    "table_1",
    "vocabulary_figures",
    "vocabulary_warnings",
    "write_statistics",
]

_TOLD = {
    "conflicting_rows": "rows of one id that differ",
    "blacklisted_type": "a type that is blacklisted",
    "unknown_type": "a type that the table of types lacks",
    "no_whitelisted_type": "no type that is whitelisted",
    "too_few_raters": "too few raters",
    "not_visual": "mean rating above the limit",
    "too_few_videos": "too few videos",
}


@dataclass(frozen=True)
class InputCounts:
    """What was read, and what of it says nothing."""

    n_types: int
    n_videos: int  # rows
    n_videos_without_id: int
    n_videos_without_topics: int
    n_repeated_entities: int  # rows that say again what another row of the id says
    n_ratings: int
    n_repeated_ratings: int
    n_ratings_unknown: int  # of ids that are no entity
    n_topics: int
    n_topics_unknown: int  # that are no entity
    topics_unknown: list[str]  # the most frequent of them


def stage_table(statistics: VocabularyStatistics) -> str:
    """Text: how many entities each stage takes out, for which reason, and how many it leaves."""
    left = statistics.n_candidates
    rows = [["stage", "reason", "entities", "left"], ["candidates", "", "", f"{left:,}"]]
    for stage, reasons in statistics.excluded.items():
        for reason, n in reasons.items():
            left -= n
            rows.append([stage, _TOLD[reason], f"-{n:,}", f"{left:,}"])
    width = max(len(row[1]) for row in rows)
    return text_table([[f"{row[0]:<10}  {row[1]:<{width}}", *row[2:]] for row in rows])


def table_1(statistics: VocabularyStatistics) -> str:
    """Text: how many entities each vertical has, and those of most videos (Table 1)."""
    width = max([len("vertical"), *map(len, statistics.top_entities)])
    lines = [
        f"{'vertical':<{width}}  entities  most videos",
        f"{'-' * width}  --------  -----------",
    ]
    for vertical, top in sorted(statistics.top_entities.items()):
        names = ", ".join(map(_name, top))
        lines.append(f"{vertical:<{width}}  {statistics.verticals[vertical]:>8,}  {names}")
    return "\n".join(lines) + "\n"


def vocabulary_figures(statistics: VocabularyStatistics, counts: InputCounts) -> dict[str, float]:
    """Figures by name, flat: entities left after each stage, and taken out for each reason."""
    left = statistics.n_candidates
    figures: dict[str, float] = {"n_candidates": left}
    for stage in [stage for stage in REASONS if stage != KEPT]:
        reasons = statistics.excluded.get(stage, {})
        left -= sum(reasons.values())
        figures[f"n_entities.{stage}"] = left
        figures |= {f"n_excluded.{reason}": n for reason, n in reasons.items()}
    figures["n_entities"] = statistics.n_entities
    figures["n_verticals"] = len(statistics.verticals.keys() - {UNKNOWN_VERTICAL})
    for i, n in enumerate(statistics.specificity, start=1):
        figures[f"n_specificity.{i}"] = n
    return figures | {k: v for k, v in asdict(counts).items() if isinstance(v, int)}


def vocabulary_warnings(statistics: VocabularyStatistics, counts: InputCounts) -> list[str]:
    """What of the input says nothing, and what the vocabulary lacks; one line each."""
    examples = ", ".join(counts.topics_unknown)
    told = {
        f"{counts.n_repeated_entities:,} rows say again what another row of their entity says": (
            counts.n_repeated_entities
        ),
        f"{counts.n_repeated_ratings:,} ratings come again, and count once": (
            counts.n_repeated_ratings
        ),
        f"{counts.n_ratings_unknown:,} ratings are of ids that are no entity": (
            counts.n_ratings_unknown
        ),
        f"{counts.n_videos_without_id:,} rows of videos have no id, and count for nothing": (
            counts.n_videos_without_id
        ),
        f"{counts.n_videos_without_topics:,} rows of videos have no topic": (
            counts.n_videos_without_topics
        ),
        f"{counts.n_topics_unknown:,} of {counts.n_topics:,} topics are no entity ({examples})": (
            counts.n_topics_unknown
        ),
        f"{statistics.n_unnamed:,} entities of the vocabulary have no name": statistics.n_unnamed,
        f"{statistics.verticals.get(UNKNOWN_VERTICAL, 0):,} entities have no vertical": (
            statistics.verticals.get(UNKNOWN_VERTICAL, 0)
        ),
    }
    return [line for line, n in told.items() if n]


def list_warnings(tree: TypeTree, whitelist: Iterable[str], blacklist: Iterable[str]) -> list[str]:
    """Whitelisted types that can let nothing in, because the blacklist has them or one above."""
    black = types_below(tree, blacklist)
    return [
        f"whitelisted type {name!r} is blacklisted too: the blacklist wins"
        if black[name] == name
        else f"whitelisted type {name!r} lies below the blacklisted {black[name]!r}, which wins"
        for name in whitelist
        if name in black
    ]


def write_statistics(
    folder: Path, statistics: VocabularyStatistics, counts: InputCounts, warnings: list[str]
) -> None:
    """Write ``statistics.json``, ``table1.csv`` and ``table1.md`` to ``folder``."""
    stages: dict[str, Any] = asdict(statistics) | {"n_candidates": statistics.n_candidates}
    stages["scores"] = {str(bin_): n for bin_, n in statistics.scores.items()}
    save_json(folder / "statistics.json", {**stages, "input": asdict(counts), "warnings": warnings})
    with staged_file(folder / "table1.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["vertical", "place", "entity", "name", "n_videos"])
        for vertical, top in sorted(statistics.top_entities.items()):
            for place, one in enumerate(top, start=1):
                writer.writerow([vertical, place, one.entity, one.name, one.n_videos])
    (folder / "table1.md").write_text(_markdown(statistics), encoding="utf-8")


def _markdown(statistics: VocabularyStatistics) -> str:
    n_top = max(map(len, statistics.top_entities.values()), default=0)
    rows = [["vertical", *(str(place) for place in range(1, n_top + 1))]]
    for vertical, top in sorted(statistics.top_entities.items()):
        names = [escaped(_name(one)) for one in top]
        rows.append([escaped(vertical), *names, *[""] * (n_top - len(top))])
    return markdown_table(rows, n_texts=n_top + 1) + "\n"


def _name(one: TopEntity) -> str:
    return " ".join(plain(one.name).split()) or one.entity
