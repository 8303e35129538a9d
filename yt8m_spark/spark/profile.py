"""The profile of a data set (paper §3): what `spark.profile_*` find in the facts of its videos."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from yt8m_spark.core.profile import zipf_slope
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.profile_entities import (
    Comparison,
    EntityCounts,
    VerticalCounts,
    compare_with_vocabulary,
    count_entities,
    count_verticals,
    entity_table,
)
from yt8m_spark.spark.profile_ids import Duplicates, Overlap, profile_ids
from yt8m_spark.spark.profile_splits import SplitProfile, profile_splits

__all__ = ["Profile", "profile_videos"]


@dataclass(frozen=True)
class Profile:
    """What is to be known of a data set before anything is trained on it."""

    splits: dict[str, SplitProfile]
    duplicates: dict[str, Duplicates]  # by split
    overlaps: list[Overlap]  # of each pair of splits
    entities: pa.Table  # one row an entity, see `entity_table`
    n_entities: dict[str, int]  # entities with a video, by split
    zipf_slopes: dict[str, float | None]  # by split with labels
    vocabulary_slope: float | None  # the same of TrainVideoCount
    vocabulary: dict[str, Comparison]  # by split with labels; empty without a vocabulary
    verticals: list[VerticalCounts]

    @property
    def reference_split(self) -> str:
        """Split that the vocabulary's counts, of Train, are compared with: train or the first."""
        return next(iter(self.splits))

    @property
    def labelled_splits(self) -> list[str]:
        """Splits that have labels; the released Test has none."""
        return [split for split, n in self.n_entities.items() if n]


def profile_videos(facts: DataFrame, details: VocabularyDetails | None = None) -> Profile:
    """Profile of ``facts`` (`spark.video_facts.FACTS`), which should be a table, not a long plan.

    Some eight passes over the facts; what comes to the driver grows with entities and splits, never
    with videos.

    Raises
    ------
    InputError
        If there is no video.
    """
    splits = profile_splits(facts)
    duplicates, overlaps = profile_ids(facts, list(splits))
    counts = count_entities(facts, list(splits), details)
    labelled = [split for split in splits if counts.of(split).any()]
    of_vocabulary = [] if details is None else list(details.video_counts.values())
    return Profile(
        splits=splits,
        duplicates=duplicates,
        overlaps=overlaps,
        entities=entity_table(counts, next(iter(splits)), details),
        n_entities={split: int((counts.of(split) > 0).sum()) for split in splits},
        zipf_slopes={split: _slope(counts, split) for split in labelled},
        vocabulary_slope=_finite(zipf_slope(np.array(of_vocabulary, dtype=np.int64))),
        vocabulary={}
        if details is None
        else {split: compare_with_vocabulary(counts, split, details) for split in labelled},
        verticals=[] if details is None else count_verticals(facts, list(splits), details),
    )


def _slope(counts: EntityCounts, split: str) -> float | None:
    return _finite(zipf_slope(counts.of(split)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
