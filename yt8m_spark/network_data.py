"""What a network learns from, as its ranks need it: shards and their counts, entities, widths.

One pass of Spark tasks over the videos counts the labels, and the videos that lack frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from yt8m_spark.artifacts import load_json, save_json, staged_file
from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.progress import watch
from yt8m_spark.spark.frame_sampling import frame_options
from yt8m_spark.spark.read_options import CORRUPT_RECORD
from yt8m_spark.spark.splits import Source
from yt8m_spark.spark.storage import absolute
from yt8m_spark.spark.tables import count_videos, read_input
from yt8m_spark.spark.video_facts import read_facts

__all__ = ["ENTITIES", "INDEX", "NetworkData", "prepare_videos"]

INDEX, ENTITIES = "index.json", "entities.parquet"
_TOLD = "videos.json"

_NO_FRAMES = -1  # no entity: what videos without frames are counted as
_NAMED = 20  # entities that an error names


class NetworkData(NamedTuple):
    """What is known of the videos before the training."""

    widths: dict[str, int]  # feature lists, in the order of a frame's vector
    n_entities: int
    n_without_frames: int  # videos that lack frames of a list, and corrupt records of a table


class _Labels(NamedTuple):
    """What one pass over the videos counts."""

    entities: NDArray[np.int64]  # (E,) ascending
    n_positives: NDArray[np.int64]  # (E,) videos of each
    n_without_frames: int
    example: str  # the first id of a video without frames


def prepare_videos(
    spark: SparkSession,
    source: str,
    root: Path,
    features: Sequence[str] = (),
    *,
    skip: bool = False,
    vocabulary: str | None = None,
) -> NetworkData:
    """Lay out ``index.json`` and ``entities.parquet`` in ``root``, unless they are there.

    Parameters
    ----------
    spark : SparkSession
    source : str
        Shards or a frames table, mounted.
    root : Path
    features : sequence of str
        Feature lists; all there are if empty.
    skip : bool
        Take videos that lack frames, too; they are passed over in training.
    vocabulary : str, optional
        CSV of the entities that labels may name.

    Raises
    ------
    InputError
        If a network cannot learn from the videos: no frames, no labels, labels that the
        vocabulary does not name.
    """
    from yt8m_spark.deep.shard_index import index_shards, save_index

    if (root / _TOLD).exists():  # it is written last
        return _known(root)
    frames = read_input(spark, source, level="frame")
    widths = frame_options(frames, features).features
    # Ranks may stand in another folder than we do.
    index = index_shards(absolute(source))
    total = count_videos(spark, source)
    with watch(str(root / "heartbeats"), total, "count labels") as heartbeats:
        labels = _count_labels(spark, source, list(widths), heartbeats)
    n_corrupt = _count_corrupt(frames, index.n_videos)
    _check_frames(labels, source, index.n_videos - n_corrupt, skip=skip)
    _check_labels(labels, source, vocabulary)
    save_index(root / INDEX, index)
    table = {"entity": pa.array(labels.entities, pa.int32()), "n_positives": labels.n_positives}
    with staged_file(root / ENTITIES) as temporary:
        pq.write_table(pa.table(table), temporary)
    # A list of pairs, as JSON may be sorted by its keys.
    n_without_frames = labels.n_without_frames + n_corrupt
    told = {"widths": list(widths.items()), "n_without_frames": n_without_frames}
    save_json(root / _TOLD, told)
    return _known(root)


def _known(root: Path) -> NetworkData:
    """What `prepare_videos` found."""
    told = load_json(root / _TOLD)
    n_entities = pq.read_metadata(root / ENTITIES).num_rows
    return NetworkData(dict(told["widths"]), n_entities, int(told["n_without_frames"]))


def _count_labels(
    spark: SparkSession, source: str, features: list[str], heartbeats: str
) -> _Labels:
    """Videos of each entity, and those that lack frames of a list; a row an entity comes back."""
    facts = read_facts(spark, [Source(source)], heartbeats=heartbeats)
    lacking = F.arrays_overlap("flags", F.array(*(F.lit(f"empty_{name}") for name in features)))
    marked = F.when(lacking, F.array(F.lit(_NO_FRAMES))).otherwise(F.array().cast("array<int>"))
    labels = F.array_distinct(F.coalesce("labels", F.array().cast("array<int>")))
    counts = (
        facts.select("video_id", F.explode(F.concat(labels, marked)).alias("entity"))
        .groupBy("entity")
        .agg(F.count("*").alias("n_videos"), F.min("video_id").alias("first"))
        .orderBy("entity")
        .toPandas()
    )
    entities = counts["entity"].to_numpy(np.int64)
    n_videos = counts["n_videos"].to_numpy(np.int64)
    lacks = entities == _NO_FRAMES
    example = str(counts["first"][lacks].iloc[0]) if lacks.any() else ""
    return _Labels(entities[~lacks], n_videos[~lacks], int(n_videos[lacks].sum()), example)


def _count_corrupt(frames: DataFrame, n_rows: int) -> int:
    """Rows of corrupt records among the ``n_rows`` of a table, which ``frames`` leaves out."""
    return n_rows - frames.count() if CORRUPT_RECORD in frames.columns else 0


def _check_frames(labels: _Labels, source: str, n_videos: int, *, skip: bool) -> None:
    n_lacking = labels.n_without_frames
    if n_lacking and (not skip or n_lacking >= n_videos):
        raise InputError(
            f"{n_lacking} of {n_videos} videos have no frames",
            where=source,
            expected="frames in each feature list, or --without-frames skip",
            found=f"none in video {labels.example}",
        )


def _check_labels(labels: _Labels, source: str, vocabulary: str | None) -> None:
    if not len(labels.entities):
        raise InputError("no video has a label", where=source)
    if vocabulary is None:
        return
    others = np.setdiff1d(labels.entities, read_vocabulary(vocabulary).entities)
    if len(others):
        raise InputError(
            f"{len(others)} entities are not in the vocabulary",
            where=source,
            expected=f"those of {vocabulary}",
            found=",".join(map(str, others[:_NAMED].tolist())),
        )
