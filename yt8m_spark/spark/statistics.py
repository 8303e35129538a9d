"""Frames table to videos table: `core.statistics` spread over partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType

from yt8m_spark.core.statistics import (
    STATISTICS,
    FramePca,
    frame_statistics,
    quantized_statistics,
    reconstruct_frames,
    statistic_width,
)
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged_lists
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.schemas import (
    INTS,
    arrow_schema,
    known_width,
    require_columns,
    videos_schema,
)

__all__ = ["aggregate_videos", "frame_widths", "load_frame_pca"]

# Videos whose statistics go out in one Arrow batch.
_VIDEOS_AT_ONCE = 256


def aggregate_videos(
    frames: DataFrame,
    features: Mapping[str, int],
    statistics: Sequence[str] = STATISTICS,
    *,
    pca_folder: str | None = None,
    heartbeats: str | None = None,
) -> DataFrame:
    """Videos table with a column ``<statistic>_<feature list>`` for each of both.

    Paper: §4.2.2, Eq. 2.

    Parameters
    ----------
    frames : DataFrame
        A frames table (binary columns of n_frames x D uint8).
    features : mapping of str to int
        Feature lists to take and their widths D (see `frame_widths`).
    statistics : sequence of str
        Of "mean", "std", "top5".
    pca_folder : str, optional
        Take the statistics of reconstructed ReLU activations (§5.2) with the frame PCA in this
        folder, for the one feature list whose width is the PCA's; else of dequantized frames.
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Raises
    ------
    InputError
        If a column is missing, or no feature list has the width of the PCA; a video without
        frames, or whose bytes are no whole number of frames, fails the Spark task with one that
        names the video.
    ValueError
        If a statistic is unknown.
    """
    for statistic in statistics:
        statistic_width(statistic, 1)
    pca_stamp = _check_pca(pca_folder, features) if pca_folder else 0
    columns = [f"{statistic}_{name}" for name in features for statistic in statistics]
    schema = videos_schema(columns)
    wanted: dict[str, DataType] = dict.fromkeys(features, BinaryType())
    known: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
    require_columns(frames, known | {"n_frames": IntegerType()} | wanted, "frames table")
    task = partial(
        _aggregate_partition,
        features=dict(features),
        statistics=tuple(statistics),
        pca_folder=pca_folder and str(Path(pca_folder).resolve()),  # tasks may run elsewhere
        pca_stamp=pca_stamp,
    )
    return frames.select("video_id", "labels", "n_frames", *features).mapInArrow(
        counted(task, heartbeats), schema
    )


def frame_widths(frames: DataFrame, features: Sequence[str]) -> dict[str, int]:
    """Width D of each feature list: as the table's schema says, else told from a few videos.

    Tables that `read_shards` reads say it, and Parquet keeps it. For one that does not: a list may
    be shorter than ``n_frames`` of its video (audio often is, by a frame or two), but never
    longer; so D is the largest of the least widths that any of a handful of videos allows.

    Raises
    ------
    InputError
        If a feature list is no column, or no video has frames of it.
    """
    require_columns(frames, dict.fromkeys(features, BinaryType()), "frames table")
    widths = {name: known_width(frames.schema[name]) for name in features}
    unknown = [name for name, width in widths.items() if width is None]
    told = _told(frames, unknown)
    return {name: widths[name] or told[name] for name in features}


def _told(frames: DataFrame, features: Sequence[str]) -> dict[str, int]:
    """Widths of the lists that the schema does not tell, from 32 videos."""
    if not features:
        return {}
    lengths = [F.length(F.col(name)).alias(name) for name in features]
    rows = frames.where(F.col("n_frames") > 0).select("n_frames", *lengths).limit(32).collect()
    widths = {}
    for name in features:
        found = [_least_width(row[name], row["n_frames"]) for row in rows if row[name]]
        if not found:
            raise InputError(f"no video has frames of {name!r}", where="frames table")
        widths[name] = max(found)
    return widths


def _least_width(n_bytes: int, n_frames: int) -> int:
    """Bytes a frame when the list may lack some frames: the fewest that divide evenly."""
    return next(w for w in range(-(-n_bytes // n_frames), n_bytes + 1) if n_bytes % w == 0)


def load_frame_pca(folder: str) -> FramePca:
    """Read a frame PCA: mean.npy (M,), eigenvals.npy (D,) or longer, eigenvecs.npy (D, M).

    These are the names of the release's own files (yt8m_pca).

    Raises
    ------
    InputError
        If a file is missing or the shapes do not fit together.
    """
    path = Path(folder)
    mean, values, vectors = (_load_npy(path / n) for n in ("mean", "eigenvals", "eigenvecs"))
    mean, values = mean.ravel(), values.ravel()
    if vectors.ndim != 2 or vectors.shape[1] != len(mean):
        raise InputError(
            "eigenvecs.npy does not fit mean.npy",
            where=folder,
            expected=f"(D, {len(mean)})",
            found=vectors.shape,
        )
    if len(values) < len(vectors):
        raise InputError(
            "too few eigenvalues", where=folder, expected=len(vectors), found=len(values)
        )
    # The release divides by sqrt(eigenvalue + 1e-4).
    scale = np.sqrt(values[: len(vectors)] + 1e-4).astype(np.float32)
    return FramePca(mean.astype(np.float32), vectors.astype(np.float32), scale)


def _check_pca(folder: str, features: Mapping[str, int]) -> int:
    """When the PCA in ``folder`` was written, ns; refuses one that fits none of ``features``."""
    width = len(load_frame_pca(folder).components)
    if width not in features.values():
        raise InputError(
            "no feature list has the width of the frame PCA",
            where=folder,
            expected=width,
            found=", ".join(f"{name} {d}" for name, d in features.items()),
        )
    return max(path.stat().st_mtime_ns for path in Path(folder).glob("*.npy"))


def _load_npy(path: Path) -> NDArray[np.float64]:
    name = path.with_suffix(".npy")
    try:
        return np.asarray(np.load(name, allow_pickle=False), dtype=np.float64)
    except FileNotFoundError:
        raise InputError("no such file", where=str(name)) from None
    except ValueError as error:
        raise InputError("not an array file", where=str(name), found=error) from None


def _aggregate_partition(
    batches: Iterable[pa.RecordBatch],
    features: dict[str, int],
    statistics: tuple[str, ...],
    pca_folder: str | None,
    pca_stamp: int,
) -> Iterator[pa.RecordBatch]:
    pca = _cached_pca(pca_folder, pca_stamp) if pca_folder else None
    columns = [f"{statistic}_{name}" for name in features for statistic in statistics]
    schema = arrow_schema(videos_schema(columns))
    for whole in batches:
        for start in range(0, whole.num_rows, _VIDEOS_AT_ONCE):
            batch = whole.slice(start, _VIDEOS_AT_ONCE)
            arrays = [batch.column(name) for name in ("video_id", "labels", "n_frames")]
            for name, width in features.items():
                rows = _video_rows(batch, name, width, statistics, pca)
                arrays += [_float_column([row[s] for row in rows]) for s in statistics]
            cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(cast, schema=schema)


def _video_rows(
    batch: pa.RecordBatch,
    name: str,
    width: int,
    statistics: tuple[str, ...],
    pca: FramePca | None,
) -> list[dict[str, NDArray[np.float32]]]:
    """Statistics of feature list ``name`` of each video of ``batch``."""
    rows = []
    for video_id, cell in zip(batch.column("video_id"), batch.column(name), strict=True):
        codes = np.frombuffer(cell.as_buffer() or b"", dtype=np.uint8)
        if len(codes) == 0 or len(codes) % width:
            raise InputError(
                f"feature list {name!r} holds no whole number of frames",
                where=f"video {video_id}",
                expected=f"a multiple of {width} bytes, at least one",
                found=f"{len(codes)} bytes",
            )
        frames = codes.reshape(-1, width)
        if pca is not None and width == len(pca.components):
            rows.append(frame_statistics(reconstruct_frames(frames, pca), statistics))
        else:
            rows.append(quantized_statistics(frames, statistics))
    return rows


def _float_column(rows: list[NDArray[np.float32]]) -> pa.Array:
    """One list a row; all rows of one width."""
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * (len(rows[0]) if rows else 0)
    flat = np.concatenate(rows) if rows else np.empty(0, np.float32)
    return ragged_lists(offsets, pa.array(flat, pa.float32()))


@lru_cache(maxsize=1)
def _cached_pca(folder: str, _stamp: int) -> FramePca:
    return load_frame_pca(folder)
