"""Frames to video statistics, batch by batch: `core.statistics` where the frames are.

The same task runs on a frames table (`aggregate_videos`) and straight on shards (the data source's
option ``statistics``), so both give the same figures.

Axes: V videos of a batch, F frames, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType, StructField, StructType

from yt8m_spark.core.frame_pca import FramePca, ReluSpace
from yt8m_spark.core.quantization import LEVELS, UNBIASED_LEVELS
from yt8m_spark.core.statistic_names import check_names, is_encoding
from yt8m_spark.core.statistics import STATISTICS, quantized_statistics, relu_statistics
from yt8m_spark.errors import InputError
from yt8m_spark.formats.pca_files import read_frame_pca
from yt8m_spark.spark.arrow import float_lists, frame_rows, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.encodings import EncodingPlan, encode_frames, plan_encodings, slices
from yt8m_spark.spark.schemas import (
    INTS,
    arrow_schema,
    known_width,
    require_columns,
    videos_schema,
)

__all__ = [
    "Aggregation",
    "aggregate_batches",
    "aggregate_videos",
    "frame_widths",
    "plan_aggregation",
]

# Components that the release kept of its frame PCA (§3.3); eigenvecs.npy may hold them all.
_RELEASED = 1024


class Aggregation(NamedTuple):
    """Which statistics to take of which feature lists."""

    features: dict[str, int]  # feature lists and their widths D; 0: no frame of it is known
    statistics: dict[str, tuple[str, ...]]  # of each feature list
    schema: StructType  # of the videos table that comes out
    pca_path: str | None = None  # of the frame PCA, to take statistics in ReLU space
    pca_list: str = ""  # the feature list that the PCA made
    pca_stamp: int = 0  # when its files were written, ns
    unbiased: bool = False  # decode without the 1/128 that the release's decoder adds
    encodings: EncodingPlan | None = None  # codebooks of "vlad" and "fisher"

    def restricted_to(self, schema: StructType) -> Aggregation:
        """What gives the columns of ``schema`` only."""
        wanted = {
            name: tuple(s for s in statistics if f"{s}_{name}" in schema.names)
            for name, statistics in self.statistics.items()
        }
        wanted = {name: statistics for name, statistics in wanted.items() if statistics}
        features = {name: width for name, width in self.features.items() if name in wanted}
        return self._replace(features=features, statistics=wanted, schema=schema)


def plan_aggregation(
    features: Mapping[str, int],
    statistics: Sequence[str],
    *,
    pca: str | None = None,
    unbiased: bool = False,
    codebook: str | None = None,
    extra: Sequence[StructField] = (),
) -> Aggregation:
    """Aggregation of ``features`` (names and widths) with columns ``<statistic>_<feature list>``.

    Parameters
    ----------
    features : mapping of str to int
    statistics : sequence of str
        See `core.statistics`, or "vlad", "fisher".
    pca : str, optional
        Path of the frame PCA (see `read_frame_pca`): statistics of the one feature list that it
        made are those of reconstructed ReLU activations (§5.2). That is the list of as many
        features as it has components, or of 1,024, which the release kept of 2,048.
    unbiased : bool
        Decode without the bias of 1/128 of the release's own decoder (see `core.quantization`).
        Encodings do not change by it.
    codebook : str, optional
        Folder of the codebooks for "vlad" and "fisher" (§4.1.2). They are fitted on frames as they
        are coded; so encodings are of these, even if a PCA is given.
    extra : sequence of StructField
        Columns passed on, after the statistics.

    Raises
    ------
    InputError
        If the PCA cannot be read or no feature list can be of it; if the codebooks cannot be read
        or fit no list.
    ValueError
        If a statistic is unknown, or one is given that needs a codebook, or a codebook that none
        needs.
    """
    check_names(statistics)
    columns = [f"{statistic}_{name}" for name in features for statistic in statistics]
    plan = Aggregation(
        dict(features),
        dict.fromkeys(features, tuple(statistics)),
        StructType([*videos_schema(columns), *extra]),
        unbiased=unbiased,
        encodings=plan_encodings(statistics, features, codebook),
    )
    if pca is None:
        return plan
    path = str(Path(pca).resolve())  # tasks may run elsewhere
    pca_list = _list_of_pca(path, features)
    return plan._replace(pca_path=path, pca_list=pca_list, pca_stamp=_stamp(path))


def aggregate_videos(
    frames: DataFrame,
    features: Mapping[str, int],
    statistics: Sequence[str] = STATISTICS,
    *,
    pca_folder: str | None = None,
    unbiased: bool = False,
    codebook: str | None = None,
    heartbeats: str | None = None,
) -> DataFrame:
    """Videos table with a column ``<statistic>_<feature list>`` for each of both.

    Paper: §4.2.2, Eq. 2. A video without frames of a list has nulls in the list's columns.

    Parameters
    ----------
    frames : DataFrame
        A frames table (binary columns of n_frames x D uint8).
    features : mapping of str to int
        Feature lists to take and their widths D (see `frame_widths`).
    statistics : sequence of str
        "mean", "std", "top5", ... (see `core.statistics`).
    pca_folder : str, optional
        Take the statistics of reconstructed ReLU activations (§5.2), for the one feature list
        that this frame PCA made; else of dequantized frames.
    unbiased, codebook
        See `plan_aggregation`.
    heartbeats : str, optional
        Folder to count finished videos in (see `yt8m_spark.progress`).

    Raises
    ------
    InputError
        If a column is missing, or no feature list can be of the PCA or the codebooks; a video whose
        bytes are no whole number of frames fails the Spark task with one that names the video.
    ValueError
        As `plan_aggregation`.
    """
    aggregation = plan_aggregation(
        features, statistics, pca=pca_folder, unbiased=unbiased, codebook=codebook
    )
    wanted: dict[str, DataType] = dict.fromkeys(features, BinaryType())
    known: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
    require_columns(frames, known | {"n_frames": IntegerType()} | wanted, "frames table")
    task = partial(aggregate_batches, aggregation=aggregation)
    return frames.select("video_id", "labels", "n_frames", *features).mapInArrow(
        counted(task, heartbeats), aggregation.schema
    )


def aggregate_batches(
    batches: Iterable[pa.RecordBatch], aggregation: Aggregation
) -> Iterator[pa.RecordBatch]:
    """Batches of the videos table of ``batches`` of a frames table.

    Raises
    ------
    InputError
        If the bytes of a video are no whole number of frames.
    """
    schema = arrow_schema(aggregation.schema)
    parts = (part for batch in batches for part in slices(batch, aggregation.encodings))
    for batch in parts:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in aggregation.features:
            columns |= _statistics_columns(batch, name, aggregation)
        yield typed_batch([columns[field.name] for field in schema], schema)


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


def _list_of_pca(path: str, features: Mapping[str, int]) -> str:
    """Feature list that the PCA at ``path`` made."""
    n_components = len(read_frame_pca(path).components)
    widths = [n_components, _RELEASED] if n_components > _RELEASED else [n_components]
    groups = ([name for name, d in features.items() if d == width] for width in widths)
    fitting = next((group for group in groups if group), [])
    if len(fitting) > 1:
        raise InputError(
            "more than one feature list has the width of the frame PCA",
            where=path,
            expected="features that leave one",
            found=", ".join(fitting),
        )
    if not fitting:
        raise InputError(
            "no feature list has the width of the frame PCA",
            where=path,
            expected=" or ".join(map(str, widths)),
            found=", ".join(f"{name} {d}" for name, d in features.items()),
        )
    return fitting[0]


def _stamp(path: str) -> int:
    """When the files of a PCA were last written, ns: a worker must not keep an old one."""
    return max(file.stat().st_mtime_ns for file in (Path(path), *Path(path).glob("*.npy")))


def _statistics_columns(
    batch: pa.RecordBatch, name: str, aggregation: Aggregation
) -> dict[str, pa.Array]:
    """Columns of the statistics of feature list ``name``, by their names."""
    codes, offsets = frame_rows(
        batch.column(name), name, aggregation.features[name], batch.column("video_id")
    )
    wanted = aggregation.statistics[name]
    figures = _statistics(codes, offsets, name, aggregation)
    figures |= encode_frames(wanted, name, codes, offsets, aggregation.encodings)
    empty = np.diff(offsets) == 0
    return {f"{s}_{name}": float_lists(rows, empty) for s, rows in figures.items()}


def _statistics(
    codes: NDArray[np.uint8], offsets: NDArray[np.int64], name: str, aggregation: Aggregation
) -> dict[str, NDArray[np.float32]]:
    """Statistics of feature list ``name`` that need no codebook."""
    statistics = [s for s in aggregation.statistics[name] if not is_encoding(s)]
    if not statistics:
        return {}
    if aggregation.pca_path and name == aggregation.pca_list:
        key = aggregation.pca_path, codes.shape[1], aggregation.pca_stamp
        space = _relu_space(*key, unbiased=aggregation.unbiased)
        return relu_statistics(codes, offsets, statistics, space)
    levels = UNBIASED_LEVELS if aggregation.unbiased else LEVELS
    return quantized_statistics(codes, offsets, statistics, levels)


@lru_cache(maxsize=1)
def _relu_space(path: str, width: int, _stamp: int, *, unbiased: bool) -> ReluSpace:
    """A worker process serves many tasks; it reads a PCA once, and again once rewritten."""
    levels = UNBIASED_LEVELS if unbiased else LEVELS
    return ReluSpace(FramePca(*read_frame_pca(path, width)), levels)
