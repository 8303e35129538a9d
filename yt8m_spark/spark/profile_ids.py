"""Video ids that come more than once: within a split, or in several splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

__all__ = ["Duplicates", "Overlap", "profile_ids"]

_EXAMPLES = 10


@dataclass(frozen=True)
class Duplicates:
    """Ids that come more than once in one split."""

    n_ids: int
    n_extra_videos: int  # videos less different ids
    examples: list[str]  # the first by id


@dataclass(frozen=True)
class Overlap:
    """Ids that two splits share: what a model has learnt by heart, it is then tested on."""

    splits: tuple[str, str]
    n_ids: int
    examples: list[str]  # the first by id


def profile_ids(
    facts: DataFrame, splits: Sequence[str]
) -> tuple[dict[str, Duplicates], list[Overlap]]:
    """Duplicate ids of each of ``splits``, and the overlap of each pair of them.

    One shuffle of the ids; one more for the examples of each kind that occurs. Ten ids of each
    come to the driver.
    """
    names = {split: f"n_{i}" for i, split in enumerate(splits)}  # splits may have any name
    counts = [F.count_if(F.col("split") == split).alias(names[split]) for split in splits]
    per_id = facts.groupBy("video_id").agg(*counts)
    pairs = list(combinations(splits, 2))
    figures = []
    for i, split in enumerate(splits):
        n = F.col(names[split])
        figures.append(F.count_if(n > 1).alias(f"ids_{i}"))
        figures.append(F.sum(F.greatest(n - 1, F.lit(0))).alias(f"extra_{i}"))
    for i, (first, second) in enumerate(pairs):
        both = (F.col(names[first]) > 0) & (F.col(names[second]) > 0)
        figures.append(F.count_if(both).alias(f"both_{i}"))
    found = per_id.agg(*figures).collect()[0]
    duplicates = {}
    for i, split in enumerate(splits):
        n_ids = found[f"ids_{i}"]
        examples = _examples(per_id, F.col(names[split]) > 1) if n_ids else []
        duplicates[split] = Duplicates(n_ids, found[f"extra_{i}"] or 0, examples)
    overlaps = []
    for i, (first, second) in enumerate(pairs):
        both = (F.col(names[first]) > 0) & (F.col(names[second]) > 0)
        n_ids = found[f"both_{i}"]
        overlaps.append(Overlap((first, second), n_ids, _examples(per_id, both) if n_ids else []))
    return duplicates, overlaps


def _examples(per_id: DataFrame, which: Column) -> list[str]:
    """First few ids, in their order, that ``which`` holds for."""
    rows = per_id.where(which).select("video_id").orderBy("video_id").limit(_EXAMPLES).collect()
    return [row["video_id"] for row in rows]
