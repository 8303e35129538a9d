"""Frames tables as examples for classifiers of frames: `core.frame_sampling` on Spark.

The folder of a sampled table holds ``_frames.json``, which readers of Parquet pass over: how its
frames were made. A model repeats it in model.json under "frames", and scores frames alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType, StructField, StructType

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.core.frame_sampling import FrameLists, FrameOptions, sample_videos
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import float_lists, frame_rows, typed_batch
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.read_options import parse_features
from yt8m_spark.spark.schemas import (
    FEATURES,
    INTS,
    arrow_schema,
    frame_features,
    known_width,
    require_columns,
)
from yt8m_spark.spark.statistics import frame_widths

__all__ = [
    "FRAME_EXAMPLES",
    "frame_columns",
    "frame_lists",
    "frame_options",
    "frames_of",
    "mark_frames",
    "sample_frames",
]

# One row a frame; ``frame`` is its second in the video.
FRAME_EXAMPLES = StructType([*FEATURES, StructField("frame", IntegerType())])

_MARK = "_frames.json"
# Rows made at once: 9 MB at 1,152 features.
_ROWS_AT_ONCE = 2048


def frame_options(
    frames: DataFrame,
    features: Sequence[str] = (),
    *,
    normalize: bool = True,
    n_frames: int = 20,
    seed: int = 0,
) -> FrameOptions:
    """Options for sampling a frames table, with the widths of its lists.

    Parameters
    ----------
    frames : DataFrame
    features : sequence of str
        Feature lists, with their widths where known, as in ``rgb:1024``; all there are if empty.
    normalize, n_frames, seed
        Of `FrameOptions`.
    """
    given = parse_features(",".join(features or frame_features(frames.schema)))
    told = frame_widths(frames, [name for name, width in given.items() if not width])
    widths = {name: width or told[name] for name, width in given.items()}
    return FrameOptions(widths, normalize, n_frames, seed)


def sample_frames(
    frames: DataFrame, options: FrameOptions, *, heartbeats: str | None = None
) -> DataFrame:
    """Features table of random frames, a row each, with the labels of their videos.

    Paper: §4.1.1. A video of fewer frames than asked for gives all it has; one without frames gives
    no row. Which frames these are depends on the seed and the video's id alone. Tasks count
    finished videos in the folder ``heartbeats``.

    Raises
    ------
    InputError
        If ``frames`` is no frames table with the feature lists of ``options``.
    """
    task = partial(_sample_partition, options=options, heartbeats=heartbeats)
    return frame_columns(frames, options.features).mapInArrow(task, FRAME_EXAMPLES)


def frame_columns(frames: DataFrame, features: Mapping[str, int]) -> DataFrame:
    """Columns of a frames table that hold the lists ``features``, names and widths.

    Raises
    ------
    InputError
        If it is no frames table, lacks a list, or is known to have one of another width.
    """
    if not frame_features(frames.schema):
        raise InputError(
            "no frames",
            where="input",
            expected="frame-level records or a frames table",
            found=f"columns {', '.join(frames.columns)}",
        )
    wanted: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
    require_columns(frames, wanted | dict.fromkeys(features, BinaryType()), "frames table")
    for name, width in features.items():
        found = known_width(frames.schema[name])
        if found is not None and found != width:
            where = f"frames table, feature list {name!r}"
            raise InputError("feature widths differ", where=where, expected=width, found=found)
    return frames.select("video_id", "labels", *features)


def frame_lists(batch: pa.RecordBatch, features: Mapping[str, int]) -> FrameLists:
    """Frames of the videos of ``batch``, views of its bytes.

    Raises
    ------
    InputError
        If the bytes of a video are no whole number of frames.
    """
    ids = batch.column("video_id")
    rows = [frame_rows(batch.column(name), name, width, ids) for name, width in features.items()]
    return FrameLists([codes for codes, _ in rows], [offsets for _, offsets in rows])


def mark_frames(folder: str, options: FrameOptions) -> None:
    """Note in the table's ``folder`` how its frames were made."""
    save_json(Path(folder) / _MARK, options.describe())


def frames_of(folder: str) -> dict[str, Any] | None:
    """How the frames of the features table in ``folder`` were made; None if not noted.

    It is what model.json holds under "frames".

    Raises
    ------
    InputError
        If the note is none.
    """
    mark = Path(folder) / _MARK
    if not mark.exists():
        return None
    return FrameOptions.from_description(load_json(mark), str(mark)).describe()


def _sample_partition(
    batches: Iterable[pa.RecordBatch], options: FrameOptions, heartbeats: str | None
) -> Iterator[pa.RecordBatch]:
    n_videos = max(1, _ROWS_AT_ONCE // options.n_frames)
    slices = (
        batch.slice(start, n_videos)
        for batch in batches
        for start in range(0, batch.num_rows, n_videos)
    )
    for part in counting(slices, heartbeats, lambda part: part.num_rows):
        yield _sample_batch(part, options)


def _sample_batch(batch: pa.RecordBatch, options: FrameOptions) -> pa.RecordBatch:
    """Examples of the videos of ``batch``."""
    ids = batch.column("video_id")
    if ids.null_count:
        raise InputError("null video_id", where="frames table")
    lists = frame_lists(batch, options.features)
    videos, frames = sample_videos(lists, ids.to_pylist(), options)
    vectors = lists.vectors(videos, frames, normalize=options.normalize)
    rows = pa.array(videos)
    arrays = [
        ids.take(rows),
        batch.column("labels").take(rows),
        float_lists(vectors),
        pa.array(frames, pa.int32()),
    ]
    schema = arrow_schema(FRAME_EXAMPLES)
    return typed_batch(arrays, schema)
