"""Options of the job that collects videos into a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yt8m_spark.config import check_counts, option
from yt8m_spark.core.split_hash import Shares, split_bounds
from yt8m_spark.run import JobConfig
from yt8m_spark.spark.collection import Bounds

__all__ = ["DatasetConfig"]

_BOUNDS, _SHARES = Bounds(), Shares()


@dataclass(frozen=True, kw_only=True)
class DatasetConfig(JobConfig):
    """Collect videos into a data set with splits."""

    candidates: str = option(
        "table (Parquet, CSV or JSON lines) of video_id, views, duration (s) and topics"
    )
    vocabulary: str = option("CSV of the entities; topics are their KnowledgeGraphId or Index")
    min_views: int = option("views a video needs (§3.2)", _BOUNDS.min_views)
    min_duration: float = option("shortest video, s (§3.2)", _BOUNDS.min_duration)
    max_duration: float = option("longest video, s (§3.2)", _BOUNDS.max_duration)
    sample: int = option("videos to draw; all, if there are no more (§3.2)", 10_000_000)
    min_videos: int = option("videos an entity needs (§3.2)", 200)
    min_labels: int = option("entities a video needs (§3.2)", 1)
    train_share: float = option("share of Train (§3.2)", _SHARES.train)
    validate_share: float = option("share of Validate (§3.2)", _SHARES.validate)
    test_share: float = option("share of Test (§3.2)", _SHARES.test)
    seed: int = option("of the sample and of the splits", 0)
    duplicates: Literal["exclude", "error"] = option(
        "what to do with an id that comes with different topics", "exclude"
    )

    def __post_init__(self) -> None:
        """Refuse thresholds out of range, and shares that are none."""
        check_counts(self, {"sample": 1, "min_labels": 1, "min_views": 0, "min_videos": 1})
        if not 0 <= self.min_duration <= self.max_duration:
            found = f"{self.min_duration:g} to {self.max_duration:g}"
            raise ValueError(f"durations must run from at least 0 upwards, got {found}")
        split_bounds(self.shares)

    @property
    def bounds(self) -> Bounds:
        """What a candidate must have."""
        return Bounds(self.min_views, self.min_duration, self.max_duration)

    @property
    def shares(self) -> Shares:
        """Fractions of the splits."""
        return Shares(self.train_share, self.validate_share, self.test_share)
