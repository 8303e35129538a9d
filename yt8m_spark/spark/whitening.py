"""Fit PCA whitening on a videos table and turn videos into features: `core.whitening` on Spark.

Axes: V videos, D features, C components.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial, reduce
from operator import and_
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from yt8m_spark.artifacts import load_json
from yt8m_spark.core.tiled_whitening import check_fits, fit_tiled_whitening
from yt8m_spark.core.whitening import (
    Whitening,
    apply_whitening,
    centring_only,
    fit_whitening,
    l2_normalize,
)
from yt8m_spark.core.whitening_options import Method, WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import float_lists, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.moment_tiles import tiled_moments
from yt8m_spark.spark.moments import (
    column_means,
    column_moments,
    concatenated,
    fits_one_state,
)
from yt8m_spark.spark.schemas import FEATURES, FLOATS, INTS, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays
from yt8m_spark.whitening_files import load_whitening

__all__ = [
    "TASK_MEMORY",
    "FittedVideos",
    "column_widths",
    "fit_columns",
    "normalize_videos",
]

# What a task, or the driver, may hold of a covariance or its eigenvectors, in bytes. Up to D =
# 2,896 (an eighth of it for one state) a covariance stays in memory; wider ones are cut in tiles.
# 1,024 components of D = 7,168 (352 MB) fit, and 780 of D = 14,336.
TASK_MEMORY = 512 << 20

Stage = Callable[[str], AbstractContextManager[object]]


class FittedVideos(NamedTuple):
    """What a whitening was fitted on."""

    n: int  # videos
    widths: list[int]  # of the columns


def fit_columns(
    videos: DataFrame,
    columns: Sequence[str],
    *,
    n_components: int | None = None,
    explained_variance: float | None = None,
    ridge: float = 10.0,
    method: Method = "pca",
    l2_normalize: bool = True,
    memory: int = TASK_MEMORY,
    work: str | None = None,
    heartbeats: str | None = None,
    stage: Stage = nullcontext,
) -> tuple[Whitening, FittedVideos]:
    """Whitening of the array<float> ``columns`` of ``videos``, set side by side.

    Paper: §4.2.2. The moments come in one pass; the eigenvectors are found on the driver.
    Videos with a null (no frames of a list) are left out. Tasks count videos in the folder
    ``heartbeats`` (see `yt8m_spark.progress`).

    Parameters
    ----------
    videos : DataFrame
    columns : sequence of str
    n_components, explained_variance, ridge, method, l2_normalize
        As `core.whitening.fit_whitening` has them.
    memory : int
        Bytes that a task, or the driver, may hold of the covariance. Features too wide for it go
        by tiles on storage, and only leading components are found: by default the first 1,024.
    work : str, optional
        Folder for tiles, on storage that all tasks see; removed at the end. Only features too
        wide for ``memory`` need it.
    stage : callable
        Opens a stage of that name, as `yt8m_spark.progress.step` does; finding the components of
        wide features takes minutes in which no task counts.

    Raises
    ------
    InputError
        If a column is missing, there are no rows, or an option is out of range; if components of
        wide features are asked for that ``memory`` does not hold, or ``work`` is not given.
    """
    options = WhiteningOptions(n_components, explained_variance, ridge, method, l2_normalize)
    videos = with_float_arrays(videos, columns)
    try:
        options.check()
        require_columns(videos, dict.fromkeys(columns, FLOATS), "videos table")
        widths = column_widths(videos, columns)
        if method == "none":
            n, mean = column_means(videos, columns, heartbeats=heartbeats)
            return centring_only(mean, l2_normalize=l2_normalize), FittedVideos(n, widths)
        if fits_one_state(sum(widths), memory):
            moments = column_moments(videos, columns, heartbeats=heartbeats)
            whitening = fit_whitening(moments, **options._asdict())
            return whitening, FittedVideos(moments.n, widths)
        return _fit_wide(videos, columns, widths, options, memory, work, heartbeats, stage)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error), where=f"column {', '.join(columns)}") from error


def _fit_wide(
    videos: DataFrame,
    columns: Sequence[str],
    widths: list[int],
    options: WhiteningOptions,
    memory: int,
    work: str | None,
    heartbeats: str | None,
    stage: Stage,
) -> tuple[Whitening, FittedVideos]:
    """`fit_columns` by tiles in the folder ``work``."""
    check_fits(sum(widths), options, memory)
    if work is None:
        raise InputError(
            f"{sum(widths)} features are too wide for one covariance",
            where=f"column {', '.join(columns)}",
            expected="a work folder, on storage that all tasks see, or more memory",
        )
    try:
        moments = tiled_moments(videos, columns, work, memory=memory, heartbeats=heartbeats)
        with stage(f"find components of {sum(widths):,} features"):
            return fit_tiled_whitening(moments, options, memory), FittedVideos(moments.n, widths)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def column_widths(videos: DataFrame, columns: Sequence[str]) -> list[int]:
    """Widths of the array<float> ``columns``, from one video that has them all; else none."""
    whole = reduce(and_, (F.col(name).isNotNull() for name in columns))
    sizes = [F.size(name) for name in columns]
    row = with_float_arrays(videos, columns).where(whole).select(*sizes).first()
    return [] if row is None else list(row)


def normalize_videos(
    videos: DataFrame, whitening_folder: str, *, heartbeats: str | None = None
) -> DataFrame:
    """Features table of ``videos``: whitened, then, if the whitening says so, of length 1 (§4.2.2).

    Tasks read the whitening from ``whitening_folder``, which all of them must see, and which must
    hold then what it holds now. They count finished videos in the folder ``heartbeats``.

    A null (a video without frames of a list) counts as the mean of the training videos, so it adds
    nothing to the features.

    Raises
    ------
    InputError
        If a column that was whitened is missing or of another width.
    """
    folder = str(Path(whitening_folder).resolve())  # tasks may run in another directory
    whitening, columns = load_whitening(folder)
    videos = with_float_arrays(videos, columns)
    wanted: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
    require_columns(videos, wanted | dict.fromkeys(columns, FLOATS), "videos table")
    normalize = partial(_normalize_partition, folder=folder, digest=whitening.digest)
    return videos.select("video_id", "labels", *columns).mapInArrow(
        counted(normalize, heartbeats), FEATURES
    )


def _normalize_partition(
    batches: Iterable[pa.RecordBatch], folder: str, digest: str
) -> Iterator[pa.RecordBatch]:
    whitening, columns, widths = _cached_whitening(folder, digest)
    schema = arrow_schema(FEATURES)
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = concatenated(_with_means(batch, columns, widths, whitening), columns)
        if rows.shape[1] != whitening.width:
            raise InputError(
                "feature width is not that of the whitening",
                where=f"column {', '.join(columns)}",
                expected=whitening.width,
                found=rows.shape[1],
            )
        features = float_lists(_features(rows, whitening))
        arrays = [batch.column("video_id"), batch.column("labels"), features]
        yield typed_batch(arrays, schema)


def _features(rows: NDArray[np.float32], whitening: Whitening) -> NDArray[np.float32]:
    whitened = apply_whitening(rows, whitening)
    try:
        return l2_normalize(whitened) if whitening.l2_normalize else whitened
    except ValueError as error:
        raise InputError(str(error), where="whitened features") from None


def _with_means(
    batch: pa.RecordBatch, columns: Sequence[str], widths: Sequence[int], whitening: Whitening
) -> pa.RecordBatch:
    """``batch`` with the mean of the training videos wherever a column is null."""
    start = 0
    for name, width in zip(columns, widths, strict=False):
        column = batch.column(name)
        if column.null_count:
            mean = pa.scalar(whitening.mean[start : start + width].astype(np.float32).tolist())
            filled = pc.coalesce(column, mean.cast(column.type))
            batch = batch.set_column(batch.schema.get_field_index(name), name, filled)
        start += width
    return batch


@lru_cache(maxsize=2)
def _cached_whitening(folder: str, digest: str) -> tuple[Whitening, list[str], list[int]]:
    """A worker process serves many tasks; it reads a whitening once, and again once refitted."""
    whitening, columns = load_whitening(folder)
    if whitening.digest != digest:
        raise InputError(
            "whitening has been replaced since the features were asked for", where=folder
        )
    widths = load_json(Path(folder) / "whitening.json").get("widths", [])
    return whitening, columns, widths
