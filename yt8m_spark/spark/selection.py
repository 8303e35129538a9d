"""The sample of sifted candidates, and the table of those that were excluded (paper §3.2)."""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from yt8m_spark.core.split_hash import Shares
from yt8m_spark.spark.collection import LEFT, NUMBER, stage_of
from yt8m_spark.spark.fixed_point import FixedPoint, settled
from yt8m_spark.spark.hashed_ids import Last, at_most, nth_least, split_column

__all__ = ["Sample", "chosen", "count_reasons", "draw_sample", "excluded", "kept_videos"]


class Sample(NamedTuple):
    """What is drawn."""

    n_videos: int
    last: Last | None  # None: all are drawn

    @property
    def contains(self) -> Column:
        """Whether a candidate that passed the stages before is in the sample."""
        return F.lit(True) if self.last is None else at_most(self.last, NUMBER)


def count_reasons(rows: DataFrame, reason: str) -> dict[str | None, int]:
    """Rows of each reason; of None, those that have none."""
    return {row[reason]: row["count"] for row in rows.groupBy(reason).count().collect()}


def draw_sample(sifted: DataFrame, n_eligible: int, n: int) -> Sample:
    """Draw ``n`` of the ``n_eligible`` candidates of ``sifted`` that have no reason; all if fewer.

    The sample is drawn before topics are looked at, so it is the same for every vocabulary.
    """
    if n_eligible <= n:
        return Sample(n_eligible, None)
    return Sample(n, nth_least(sifted.where("reason IS NULL"), n, NUMBER))


def chosen(sifted: DataFrame, sample: Sample) -> DataFrame:
    """Sampled videos of ``sifted`` that have an entity of the vocabulary."""
    return sifted.where("reason IS NULL AND annotation IS NULL").where(sample.contains)


def kept_videos(
    videos: DataFrame, found: FixedPoint, shares: Shares, *, min_labels: int = 1, seed: int = 0
) -> DataFrame:
    """Videos of the data set: ``video_id, views, duration, labels, split``."""
    columns = ("video_id", "views", "duration", "labels")
    stay = settled(videos.select(*columns), found, min_labels=min_labels).where("round = 0")
    return stay.select(*columns, split_column(shares, seed))


def excluded(
    sifted: DataFrame, sample: Sample, found: FixedPoint, *, min_labels: int = 1
) -> DataFrame:
    """Candidates that are not in the data set: ``video_id, stage, reason, round``, one row each.

    ``round`` is that of the fixed point, null for other stages.
    """
    drawn = F.when(~sample.contains, "not_sampled").otherwise(F.col("annotation"))
    before = sifted.withColumn("reason", F.coalesce("reason", drawn)).where("reason IS NOT NULL")
    before = before.select("video_id", "reason", F.lit(None).cast("int").alias("round"))
    left = settled(
        chosen(sifted, sample).select("video_id", "labels"), found, min_labels=min_labels
    )
    left = left.where("round > 0").select("video_id", F.lit(LEFT).alias("reason"), "round")
    both = before.unionByName(left)
    return both.select("video_id", stage_of(F.col("reason")).alias("stage"), "reason", "round")
