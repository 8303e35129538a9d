"""What the statistics of a collected data set are taken from (paper §3.2, Table 2)."""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from yt8m_spark.spark.splits import SPLITS
from yt8m_spark.spark.video_facts import FACTS

__all__ = ["SplitSize", "dataset_facts", "split_sizes"]


class SplitSize(NamedTuple):
    """One split."""

    n_videos: int
    seconds: float
    n_labels: int  # of all its videos


def split_sizes(videos: DataFrame) -> dict[str, SplitSize]:
    """Sizes of Train, Validate and Test, empty ones too; three rows come to the driver."""
    sums = videos.groupBy("split").agg(
        F.count("*").alias("n"),
        F.sum("duration").alias("seconds"),
        F.sum(F.size("labels")).alias("n_labels"),
    )
    rows = {row["split"]: row for row in sums.collect()}
    found = {s: SplitSize(r["n"], r["seconds"], r["n_labels"]) for s, r in rows.items()}
    return {split: found.get(split, SplitSize(0, 0.0, 0)) for split in SPLITS}


def dataset_facts(videos: DataFrame) -> DataFrame:
    """Facts (`spark.video_facts.FACTS`) of videos without features; a frame is a whole second."""
    return videos.select(
        "video_id",
        "split",
        "labels",
        F.floor("duration").cast("int").alias("n_frames"),
        F.lit(0).cast("long").alias("n_bytes"),
        F.array().cast(FACTS["flags"].dataType).alias("flags"),
    )
