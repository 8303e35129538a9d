"""Frames to fit a codebook on, sampled over a frames table (paper §4.1.2).

Axes: N frames, D features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    DoubleType,
    IntegerType,
    StructField,
    StructType,
)

from yt8m_spark.core.frame_sampling import video_number
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import frame_rows, typed_batch
from yt8m_spark.spark.counted import counting
from yt8m_spark.spark.frame_sampling import frame_columns
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["count_frames", "sample_codes"]

# One row a frame of a list; ``draw``, in [0, 1), decides whether it is taken.
_SAMPLE = StructType(
    [
        StructField("list", IntegerType()),
        StructField("draw", DoubleType()),
        StructField("codes", BinaryType()),
    ]
)
# Frames are asked for so many standard deviations above the number wanted, then cut to it.
_MARGIN = 6


def count_frames(frames: DataFrame, features: Mapping[str, int]) -> dict[str, int]:
    """Frames of each feature list of all videos; ``features`` are names and widths D.

    Raises
    ------
    InputError
        If a list is no column or known to have another width, or no video has frames of it.
    """
    sums = [F.sum(F.length(name)).alias(name) for name in features]
    row = frame_columns(frames, features).agg(*sums).collect()[0]
    counts = {name: int(row[name] or 0) // width for name, width in features.items()}
    for name in (name for name, count in counts.items() if not count):
        raise InputError(f"no video has frames of {name!r}", where="frames table")
    return counts


def sample_codes(
    frames: DataFrame,
    features: Mapping[str, int],
    counts: Mapping[str, int],
    *,
    n_sampled: int = 200_000,
    seed: int = 0,
    heartbeats: str | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """At most ``n_sampled`` random frames (N, D) of each feature list, as 8-bit codes.

    Which frames these are depends on the seed, the video's id and the second of the frame alone:
    not on partitions, nor on the order of rows.

    Parameters
    ----------
    frames : DataFrame
        A frames table.
    features : mapping of str to int
        Feature lists and their widths D.
    counts : mapping of str to int
        Frames there are of each (see `count_frames`).
    n_sampled, seed : int
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Raises
    ------
    InputError
        If a list is no column or known to have another width; a video whose bytes are no whole
        number of frames, or that has no id, fails the Spark task with one.

    Notes
    -----
    The driver gets little more than ``n_sampled`` rows of D bytes of each list, 205 MB of 200,000
    frames at D = 1,024, however many frames there are.
    """
    rows = frame_columns(frames, features)
    shares = {name: _share(n_sampled, counts[name]) for name in features}
    task = partial(
        _sample_partition, features=dict(features), shares=shares, seed=seed, heartbeats=heartbeats
    )
    found = rows.select("video_id", *features).mapInArrow(task, _SAMPLE).toArrow()
    return {
        name: _lowest(found.filter(pc.equal(found["list"], number)), width, n_sampled)
        for number, (name, width) in enumerate(features.items())
    }


def _share(n_sampled: int, n_frames: int) -> float:
    """Share of all frames to ask for, so that a sample of ``n_sampled`` is in it all but surely."""
    return min(1.0, (n_sampled + _MARGIN * math.sqrt(n_sampled) + _MARGIN**2) / n_frames)


def _sample_partition(
    batches: Iterable[pa.RecordBatch],
    features: Mapping[str, int],
    shares: Mapping[str, float],
    seed: int,
    heartbeats: str | None,
) -> Iterator[pa.RecordBatch]:
    schema = arrow_schema(_SAMPLE)
    for batch in counting(batches, heartbeats, lambda batch: batch.num_rows):
        ids = batch.column("video_id")
        if ids.null_count:
            raise InputError("null video_id", where="frames table")
        for number, (name, width) in enumerate(features.items()):
            codes, offsets = frame_rows(batch.column(name), name, width, ids)
            draws = _draws(ids, offsets, seed)
            chosen = np.flatnonzero(draws < shares[name])
            columns = [
                np.full(len(chosen), number, np.int32),
                draws[chosen],
                pa.array([row.tobytes() for row in codes[chosen]], pa.binary()),
            ]
            yield typed_batch(columns, schema)


def _draws(ids: pa.Array, offsets: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each frame, by the seed, its video and its second."""
    lengths = np.diff(offsets).tolist()
    drawn = [
        np.random.default_rng([seed, video_number(video_id)]).random(length)
        for video_id, length in zip(ids.to_pylist(), lengths, strict=True)
    ]
    return np.concatenate([np.empty(0), *drawn])


def _lowest(found: pa.Table, width: int, n_sampled: int) -> NDArray[np.uint8]:
    """Codes (N, D) of the ``n_sampled`` frames of the lowest draws."""
    # Rows of one video that is there twice have the same draws: their codes decide.
    order = pc.sort_indices(found, [("draw", "ascending"), ("codes", "ascending")])
    taken = found["codes"].take(order[:n_sampled]).to_pylist()
    return np.frombuffer(b"".join(taken), np.uint8).reshape(-1, width)
