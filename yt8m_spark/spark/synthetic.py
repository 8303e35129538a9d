"""Write a synthetic YouTube-8M as the release is laid out: `core.synthetic`, one task a shard."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from yt8m_spark.artifacts import staged_file
from yt8m_spark.core.synthetic import (
    SPLITS,
    Shard,
    SyntheticConfig,
    SyntheticVideo,
    World,
    entity_names,
    make_video,
    make_world,
    mean_features,
    shards,
)
from yt8m_spark.formats.examples import FrameRecord, VideoRecord, encode_frames, encode_video
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.formats.vocabulary import write_vocabulary
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["TRUTH_COLUMNS", "write_synthetic"]

TRUTH_COLUMNS = ("video_id", "labels", "clean_labels")

_COUNTS = ("given", "true", "both")  # labels given, labels that are true, and those that are both
_COUNT_SCHEMA = StructType(
    [
        StructField("split", StringType()),
        StructField("entity", IntegerType()),
        *(StructField(name, LongType()) for name in _COUNTS),
    ]
)


def write_synthetic(
    spark: SparkSession,
    config: SyntheticConfig,
    folder: str,
    *,
    n_partitions: int | None = None,
    heartbeats: str | None = None,
) -> dict[str, float]:
    """Write the data set of ``config`` to ``folder``, which all tasks must see.

    The files are ``{frame,video}/{train,validate,test}NNNN.tfrecord``, ``vocabulary.csv`` and, one
    beside each shard, ``truth/{split}NNNN.csv`` with the labels as given and the clean ones. Their
    bytes do not depend on ``n_partitions`` or the cores. Shards of test keep their labels.

    Parameters
    ----------
    spark : SparkSession
    config : SyntheticConfig
    folder : str
        Made if it is not there; files in it are replaced.
    n_partitions : int, optional
        Tasks; default one a shard.
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Returns
    -------
    dict of str to float
        ``n_videos`` in all and ``n_videos_{split}``; ``n_labels`` given and ``mean_labels`` a
        video; ``mean_clean_labels``; and ``label_recall`` and ``label_precision`` as they came out
        (1 where there is nothing to be wrong). The driver receives 3 rows an entity.
    """
    for name in ("frame", "video", "truth"):
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
    n_shards = len(shards(config))
    numbers = spark.range(0, n_shards, 1, n_partitions or n_shards)
    task = partial(_write_shards, config=config, folder=folder, heartbeats=heartbeats)
    counts = _sum_counts(numbers.mapInArrow(task, _COUNT_SCHEMA), config)
    given_in_train = counts[0, :, 0]
    names = entity_names(make_world(config))
    write_vocabulary(
        os.path.join(folder, "vocabulary.csv"), names, dict(enumerate(given_in_train.tolist()))
    )
    return _measures(config, counts)


def _sum_counts(rows: DataFrame, config: SyntheticConfig) -> np.ndarray:
    """Counts over all shards, (split, entity, given / true / both) int64."""
    sums = rows.groupBy("split", "entity").agg(*(F.sum(name).alias(name) for name in _COUNTS))
    counts = np.zeros((len(SPLITS), config.n_entities, len(_COUNTS)), dtype=np.int64)
    for row in sums.select("split", "entity", *_COUNTS).collect():
        counts[SPLITS.index(row[0]), row[1]] = row[2:]
    return counts


def _measures(config: SyntheticConfig, counts: np.ndarray) -> dict[str, float]:
    """What came out, from ``counts`` (split, entity, given / true / both)."""
    given, true, both = (int(total) for total in counts.sum(axis=(0, 1)))
    per_split = dict.fromkeys(SPLITS, 0)
    for shard in shards(config):
        per_split[shard.split] += shard.last - shard.first
    return {
        "n_videos": config.n_videos,
        **{f"n_videos_{split}": n for split, n in per_split.items()},
        "n_labels": given,
        "mean_labels": given / config.n_videos,
        "mean_clean_labels": true / config.n_videos,
        "label_recall": both / true,
        "label_precision": both / given if given else 1.0,
    }


def _write_shards(
    batches: Iterable[pa.RecordBatch], config: SyntheticConfig, folder: str, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    """Write the shards whose numbers come, and give the label counts of each."""
    world, all_shards = _world(config), shards(config)
    chosen = (all_shards[i] for batch in batches for i in batch.column(0).to_pylist())
    for shard in counting(chosen, heartbeats, lambda shard: shard.last - shard.first):
        yield _write_shard(world, shard, Path(folder))


@lru_cache(maxsize=1)
def _world(config: SyntheticConfig) -> World:
    """One world a worker process, however many shards it writes."""
    return make_world(config)


def _write_shard(world: World, shard: Shard, folder: Path) -> pa.RecordBatch:
    """Write one shard at both levels and its truth; frames are never all in memory."""
    means: list[bytes] = []
    truth: list[tuple[str, str, str]] = []
    counts = np.zeros((len(_COUNTS), world.config.n_entities), dtype=np.int64)

    def frame_records() -> Iterator[bytes]:
        for index in range(shard.first, shard.last):
            video = make_video(world, index)
            means.append(_video_bytes(video))
            truth.append((video.video_id, _spaced(video.labels), _spaced(video.clean_labels)))
            both = np.intersect1d(video.labels, video.clean_labels)
            for row, entities in zip(counts, (video.labels, video.clean_labels, both), strict=True):
                row[entities] += 1
            yield _frame_bytes(video)

    write_records(str(folder / "frame" / f"{shard.name}.tfrecord"), frame_records())
    write_records(str(folder / "video" / f"{shard.name}.tfrecord"), means)
    _write_truth(folder / "truth" / f"{shard.name}.csv", truth)
    return _count_rows(shard.split, counts)


def _frame_bytes(video: SyntheticVideo) -> bytes:
    """Frame-level record of ``video``."""
    features = {"rgb": video.rgb, "audio": video.audio}
    return encode_frames(FrameRecord(video.video_id, video.labels, features, None))


def _video_bytes(video: SyntheticVideo) -> bytes:
    """Video-level record of ``video``."""
    return encode_video(VideoRecord(video.video_id, video.labels, mean_features(video)))


def _count_rows(split: str, counts: np.ndarray) -> pa.RecordBatch:
    """Rows of `_COUNT_SCHEMA` for the entities that occur in ``counts`` (3, E)."""
    entities = np.flatnonzero(counts.any(axis=0))
    columns = [
        pa.array([split] * len(entities), pa.string()),
        pa.array(entities, pa.int32()),
        *(pa.array(row[entities], pa.int64()) for row in counts),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(_COUNT_SCHEMA))


def _spaced(labels: np.ndarray) -> str:
    """Entity ids with spaces between them."""
    return " ".join(map(str, labels.tolist()))


def _write_truth(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write one CSV file, whole or not at all."""
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TRUTH_COLUMNS)
        writer.writerows(rows)
