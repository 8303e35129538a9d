"""Videos tables from whatever a user has: frame- or video-level, shards or tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.aggregation import write_scan
from yt8m_spark.spark.counted import counted_rows
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import Scan, plan_scan
from yt8m_spark.spark.schemas import frame_features, video_features
from yt8m_spark.spark.statistics import aggregate_videos, frame_widths
from yt8m_spark.spark.tables import is_frames_table, is_table, read_table

__all__ = ["PlannedVideos", "check_same_lists", "plan_videos"]


class PlannedVideos(NamedTuple):
    """A videos table that can be made: its feature lists, and what writes it.

    ``write(folder, heartbeats)`` counts finished videos in the folder ``heartbeats``.
    """

    lists: list[str]
    write: Callable[[str, str], None]


def plan_videos(
    spark: SparkSession,
    source: str,
    statistics: Sequence[str],
    features: Sequence[str] = (),
    *,
    vocabulary: str | None = None,
    codebook: str | None = None,
) -> PlannedVideos:
    """Plan the videos table of ``source`` with ``statistics`` of the lists ``features`` (or all).

    ``codebook`` is the folder of codebooks for encodings among ``statistics``.

    Raises
    ------
    InputError
        If ``source`` cannot be read, or has no frames and ``statistics`` need them.
    """
    if is_table(source):
        return _of_table(read_table(spark, source), source, statistics, features, codebook)
    options = ReadOptions(source, vocabulary=vocabulary)
    scan = plan_scan(options)
    if scan.layout.level == "frame":
        lists = list(features) or list(scan.layout.widths)
        wanted = options._replace(
            features=dict.fromkeys(lists, 0), statistics=tuple(statistics), codebook=codebook
        )
        scan = plan_scan(wanted)
    else:
        lists = _mean_lists(list(scan.layout.widths), source, statistics, features)
        columns = ["video_id", "labels", *(f"mean_{name}" for name in lists)]
        scan = plan_scan(options, StructType([scan.schema[name] for name in columns]))
    return PlannedVideos(lists, partial(_write_scan, spark, scan))


def check_same_lists(planned: Mapping[str, PlannedVideos], sources: Mapping[str, str]) -> None:
    """Refuse splits with other feature lists than "train" has: a classifier would misread them.

    ``planned`` and ``sources``, for messages, are by split.

    Raises
    ------
    InputError
        If the lists of a split differ; it names its source.
    """
    lists = planned["train"].lists
    for split, videos in planned.items():
        if videos.lists != lists:
            raise InputError(
                "feature lists differ from those of the training videos",
                where=sources[split],
                expected=", ".join(lists),
                found=", ".join(videos.lists),
            )


def _of_table(
    table: DataFrame,
    source: str,
    statistics: Sequence[str],
    features: Sequence[str],
    codebook: str | None,
) -> PlannedVideos:
    if is_frames_table(table):
        lists = list(features) or frame_features(table.schema)
        aggregate = partial(
            aggregate_videos, table, frame_widths(table, lists), statistics, codebook=codebook
        )
        return PlannedVideos(lists, partial(_write_frames, aggregate))
    lists = _mean_lists(video_features(table.schema), source, statistics, features)
    columns = ["video_id", "labels", *(f"mean_{name}" for name in lists)]
    return PlannedVideos(lists, partial(_write_rows, table.select(*columns)))


def _mean_lists(
    columns: Sequence[str], source: str, statistics: Sequence[str], features: Sequence[str]
) -> list[str]:
    """Feature lists of video-level records, which hold nothing but means."""
    if list(statistics) != ["mean"]:
        raise InputError(
            "only recipes on the mean can use video-level features",
            where=source,
            expected="frame-level records",
            found=f"a recipe on {', '.join(statistics)}",
        )
    known = [name.removeprefix("mean_") for name in columns if name.startswith("mean_")]
    if not known:
        raise InputError("no mean features", where=source, found=", ".join(columns))
    missing = [name for name in features if name not in known]
    if missing:
        expected = f"one of {', '.join(known)}"
        raise InputError(f"no feature list {missing[0]!r}", where=source, expected=expected)
    return list(features) or known


def _write_scan(spark: SparkSession, scan: Scan, folder: str, heartbeats: str) -> None:
    write_scan(spark, scan, folder, heartbeats=heartbeats)


def _write_frames(aggregate: Callable[..., DataFrame], folder: str, heartbeats: str) -> None:
    aggregate(heartbeats=heartbeats).write.parquet(folder)


def _write_rows(table: DataFrame, folder: str, heartbeats: str) -> None:
    counted_rows(table, heartbeats).write.parquet(folder)
