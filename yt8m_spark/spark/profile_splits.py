"""Each split from the facts of its videos: sizes, lengths, labels, odd features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.spark.splits import OTHER_SPLIT, SPLITS

__all__ = ["Distribution", "SplitProfile", "labels_once", "profile_splits", "splits_of"]

# Bins of a histogram; the last takes the rest above the largest value but one in a thousand.
_MOST_BINS = 60
_QUANTILES = (0.25, 0.5, 0.75, 0.999)


@dataclass(frozen=True)
class Distribution:
    """A whole number for each video: quantiles are exact, between two values by proportion."""

    minimum: int
    quartile_1: float
    median: float
    quartile_3: float
    maximum: int
    mean: float
    bin_width: int  # of the histogram: bin i is [i * width, (i + 1) * width), the last is open
    bins: list[int]  # videos


@dataclass(frozen=True)
class SplitProfile:
    """One split. A video may have several flags, and several of the same kind."""

    n_videos: int
    n_unlabelled: int
    n_bytes: int  # of features: a code is 1 byte, a float 4
    n_frames: int | None  # None where the records do not tell
    lengths: Distribution | None  # seconds, a frame being one
    labels: Distribution  # different entities of a video
    flags: dict[str, int]  # videos with each flag of `spark.video_facts` that occurs

    @property
    def unlabelled_share(self) -> float:
        """Fraction of videos without a label."""
        return self.n_unlabelled / self.n_videos


class Bins(NamedTuple):
    """Histograms of all splits."""

    width: int
    videos: dict[str, dict[int, int]]  # by split and bin


def labels_once() -> Column:
    """Entities of a video, each once; none where ``labels`` is null."""
    none = F.array().cast("array<int>")
    return F.array_distinct(F.coalesce(F.col("labels"), none))


def splits_of(found: Sequence[str]) -> list[str]:
    """``found`` in the order train, validate, test, others."""
    order = [*SPLITS, OTHER_SPLIT]
    return sorted(set(found), key=lambda name: (order.index(name) if name in order else 9, name))


def profile_splits(facts: DataFrame) -> dict[str, SplitProfile]:
    """Profile of each split of ``facts`` (`spark.video_facts.FACTS`), in three passes over them.

    A few numbers a split come to the driver.

    Raises
    ------
    InputError
        If there is no video.
    """
    counted = facts.select("split", "n_frames", "n_bytes", F.size(labels_once()).alias("n_labels"))
    sums = {row["split"]: row for row in _sums(counted).collect()}
    if not sums:
        raise InputError("no videos to profile")
    flags = _flags(facts)
    bins = {name: _bins(counted, name, list(sums.values())) for name in ("n_frames", "n_labels")}
    profiles = {}
    for split in splits_of(list(sums)):
        row = sums[split]
        profiles[split] = SplitProfile(
            n_videos=row["n_videos"],
            n_unlabelled=row["n_unlabelled"],
            n_bytes=row["n_bytes"],
            n_frames=row["n_frames_sum"],
            lengths=None if row["n_frames_max"] is None else _distribution(row, "n_frames", bins),
            labels=_distribution(row, "n_labels", bins),
            flags=flags.get(split, {}),
        )
    return profiles


def _sums(counted: DataFrame) -> DataFrame:
    """Figures of each split, one row each."""
    figures = [
        F.count("*").alias("n_videos"),
        F.count_if(F.col("n_labels") == 0).alias("n_unlabelled"),
        F.sum("n_bytes").alias("n_bytes"),
    ]
    for name in ("n_frames", "n_labels"):
        figures += [
            F.min(name).alias(f"{name}_min"),
            F.max(name).alias(f"{name}_max"),
            F.avg(name).alias(f"{name}_mean"),
            F.sum(name).alias(f"{name}_sum"),
            F.percentile(name, list(_QUANTILES)).alias(f"{name}_quantiles"),
        ]
    return counted.groupBy("split").agg(*figures)


def _flags(facts: DataFrame) -> dict[str, dict[str, int]]:
    """Videos with each flag, by split."""
    flags = facts.select("split", F.explode("flags").alias("flag"))
    found: dict[str, dict[str, int]] = {}
    for row in flags.groupBy("split", "flag").count().orderBy("flag").collect():
        found.setdefault(row["split"], {})[row["flag"]] = row["count"]
    return found


def _bins(counted: DataFrame, name: str, sums: Sequence[Row]) -> Bins:
    """Histogram of each split, in bins of one width."""
    tops = [row[f"{name}_quantiles"][-1] for row in sums if row[f"{name}_quantiles"] is not None]
    width = max(1, math.ceil((max(tops, default=0) + 1) / _MOST_BINS))
    bin_of_each = F.least(F.floor(F.col(name) / width), F.lit(_MOST_BINS - 1)).cast("int")
    rows = counted.where(F.col(name).isNotNull()).groupBy("split", bin_of_each.alias("bin"))
    found: dict[str, dict[int, int]] = {}
    for row in rows.count().collect():
        found.setdefault(row["split"], {})[row["bin"]] = row["count"]
    return Bins(width, found)


def _distribution(row: Row, name: str, bins: Mapping[str, Bins]) -> Distribution:
    """Distribution of ``name``, which some video tells, in the split of ``row``."""
    width, found = bins[name].width, bins[name].videos[row["split"]]
    first, median, third, _ = row[f"{name}_quantiles"]
    return Distribution(
        minimum=row[f"{name}_min"],
        quartile_1=first,
        median=median,
        quartile_3=third,
        maximum=row[f"{name}_max"],
        mean=row[f"{name}_mean"],
        bin_width=width,
        bins=[found.get(i, 0) for i in range(max(found) + 1)],
    )
