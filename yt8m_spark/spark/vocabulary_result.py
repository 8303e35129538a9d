"""A finished vocabulary: its tables, its file and its statistics (paper §3.1, Fig. 4, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from yt8m_spark.core.visualness import N_RANGES, specificity_bounds
from yt8m_spark.errors import InputError
from yt8m_spark.spark.vocabulary_stages import AUDIT_COLUMNS, ENTITY_COLUMNS, KEPT, REASONS

__all__ = [
    "UNKNOWN_VERTICAL",
    "StageCounts",
    "TopEntity",
    "Topics",
    "VocabularyStatistics",
    "kept_entities",
    "require_entities",
    "stage_counts",
    "unknown_topics",
    "vocabulary_rows",
    "vocabulary_statistics",
    "write_audit",
]

StageCounts = dict[str, dict[str, int]]  # entities by stage and reason

UNKNOWN_VERTICAL = "(Unknown)"  # the release's word for an entity without a vertical
SCORE_BINS = 10  # bins of a mean score of 1, in the histogram

_EXAMPLES = 3


@dataclass(frozen=True)
class TopEntity:
    """One cell of Table 1."""

    entity: str
    name: str
    n_videos: int


@dataclass(frozen=True)
class VocabularyStatistics:
    """Figures of a vocabulary; lists are as long as there are verticals, ranges or bins."""

    excluded: StageCounts  # entities by stage and reason, in the order of stages
    n_entities: int
    n_unnamed: int
    verticals: dict[str, int]  # entities of each, most first; one counts in each of its verticals
    specificity: list[int]  # entities of each range (Fig. 4b)
    specificity_bounds: list[float]  # upper bounds of the ranges
    scores: dict[int, int]  # entities of the stages up to visualness by mean score, in bins
    top_entities: dict[str, list[TopEntity]]  # of each vertical by name (Table 1)

    @property
    def n_candidates(self) -> int:
        """Entities before the first stage."""
        return self.n_entities + sum(sum(of.values()) for of in self.excluded.values())


def stage_counts(judged: DataFrame) -> StageCounts:
    """Entities by stage and reason, the kept ones too; the driver gets a row a reason."""
    rows = judged.groupBy("stage", "reason").agg(F.count("*").alias("n")).collect()
    found = {(row.stage, row.reason): row.n for row in rows}
    counts = {
        stage: {reason: found[stage, reason] for reason in reasons if (stage, reason) in found}
        for stage, reasons in REASONS.items()
    }
    return {stage: of for stage, of in counts.items() if of}


def require_entities(counts: StageCounts, where: str) -> None:
    """Refuse a vocabulary of nothing.

    Raises
    ------
    InputError
        With how many entities fell for which reason.
    """
    if KEPT not in counts:
        reasons = [f"{n:,} {reason}" for of in counts.values() for reason, n in of.items()]
        expected = "at least one entity that meets all limits"
        raise InputError(
            "no entity is left", where=where, expected=expected, found=", ".join(reasons)
        )


def write_audit(judged: DataFrame, path: str) -> None:
    """Write a row an entity, in the order of stages, then of ids."""
    order = F.array_position(F.array(*map(F.lit, REASONS)), F.col("stage"))
    judged.orderBy(order, "entity").select(*AUDIT_COLUMNS).write.mode("overwrite").parquet(path)


def kept_entities(judged: DataFrame) -> DataFrame:
    """The vocabulary, numbered by falling number of videos, ties by id.

    One task numbers them: a vocabulary of a few hundred thousand entities is fine.
    """
    order = Window.orderBy(F.desc("n_videos"), "entity")
    numbered = judged.where(F.col("stage") == KEPT).withColumn("index", F.row_number().over(order))
    return numbered.withColumn("index", F.col("index") - 1).select(*ENTITY_COLUMNS)


def vocabulary_rows(kept: DataFrame) -> Iterator[dict[str, object]]:
    """Rows of the release's vocabulary.csv, by index; the driver holds one partition at a time."""
    columns = ("index", "n_videos", "entity", "name", "wiki_url", "verticals", "description")
    for row in kept.select(*columns).orderBy("index").toLocalIterator():
        verticals = row.verticals or [UNKNOWN_VERTICAL]
        yield {
            "Index": row["index"],  # Row has a method of this name
            "TrainVideoCount": row.n_videos,
            "KnowledgeGraphId": row.entity,
            "Name": row.name,
            "WikiUrl": row.wiki_url,
            **{f"Vertical{i}": vertical for i, vertical in enumerate(verticals, start=1)},
            "WikiDescription": row.description,
        }


def vocabulary_statistics(
    judged: DataFrame,
    kept: DataFrame,
    counts: StageCounts,
    *,
    max_visualness: float,
    n_top: int,
) -> VocabularyStatistics:
    """Figures of ``judged`` entities and the ``kept`` ones, whose ``counts`` are known.

    The driver gets a row a reason, vertical, range and bin, and ``n_top`` entities a vertical.
    """
    is_unnamed = (F.col("name") == "").cast("long")
    ranges = kept.groupBy("specificity").agg(F.count("*").alias("n"), F.sum(is_unnamed).alias("u"))
    of_range = {row.specificity: (row.n, row.u) for row in ranges.collect()}
    each = _by_vertical(kept)
    verticals = sorted(_counted(each, F.col("vertical")), key=lambda pair: (-pair[1], pair[0]))
    bins = F.ceil(F.round(F.col("visualness") * SCORE_BINS, 6)).cast("int")
    rated = judged.where(~F.col("stage").isin("input", "types") & F.col("visualness").isNotNull())
    return VocabularyStatistics(
        excluded={stage: of for stage, of in counts.items() if stage != KEPT},
        n_entities=counts[KEPT][KEPT],
        n_unnamed=sum(unnamed for _, unnamed in of_range.values()),
        verticals=dict(verticals),
        specificity=[of_range.get(i, (0,))[0] for i in range(1, N_RANGES + 1)],
        specificity_bounds=list(specificity_bounds(max_visualness)),
        scores=dict(sorted(_counted(rated, bins))),
        top_entities=_top_entities(each, n_top),
    )


class Topics(NamedTuple):
    """Topics of the videos, and those that are no entity."""

    n_topics: int
    n_unknown: int
    unknown: list[str]  # the most frequent of them


def unknown_topics(topics: DataFrame, entities: DataFrame) -> Topics:
    """Topics, ``topic, n_videos``, that are none of ``entities``."""
    ids = entities.select(F.col("entity").alias("topic"))
    unknown = topics.join(ids, "topic", "left_anti")
    most = unknown.orderBy(F.desc("n_videos"), "topic").limit(_EXAMPLES).collect()
    return Topics(topics.count(), unknown.count(), [row.topic for row in most])


def _counted(table: DataFrame, key: Column) -> list[tuple[Any, int]]:
    rows = table.groupBy(key.alias("key")).agg(F.count("*").alias("n")).collect()
    return [(row.key, row.n) for row in rows]


def _by_vertical(kept: DataFrame) -> DataFrame:
    """A row an entity and vertical."""
    unknown = F.array(F.lit(UNKNOWN_VERTICAL))
    verticals = F.when(F.size("verticals") > 0, F.col("verticals")).otherwise(unknown)
    return kept.select(
        "index", "entity", "name", "n_videos", F.explode(verticals).alias("vertical")
    )


def _top_entities(each: DataFrame, n_top: int) -> dict[str, list[TopEntity]]:
    order = Window.partitionBy("vertical").orderBy("index")
    best = each.withColumn("place", F.row_number().over(order)).where(F.col("place") <= n_top)
    found: dict[str, list[TopEntity]] = {}
    for row in best.orderBy("vertical", "place").collect():
        found.setdefault(row.vertical, []).append(TopEntity(row.entity, row.name, row.n_videos))
    return found
