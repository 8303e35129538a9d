"""Fit the PCA of frame features and code frames by it: `core.frame_pca` on Spark (paper §3.3).

A table of raw frames has ``video_id, labels`` and an array<array<float>> column of ReLU
activations, an inner array a frame; other feature lists may be there as binary columns.

Axes: F frames, M activations before the PCA, D components after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructType

from yt8m_spark.artifacts import staged_file
from yt8m_spark.core.eigenpairs import Eigenpairs
from yt8m_spark.core.frame_pca import FrameCoder, FramePca, fit_frame_pca
from yt8m_spark.core.moments import Moments
from yt8m_spark.errors import InputError
from yt8m_spark.formats.pca_files import read_frame_pca
from yt8m_spark.spark.arrow import to_matrix, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.moments import fits_one_state, moments_in_one_pass
from yt8m_spark.spark.schemas import (
    FLOATS,
    INTS,
    SEGMENT_FIELDS,
    arrow_schema,
    frame_features,
    frames_schema,
    known_width,
    require_columns,
)
from yt8m_spark.spark.whitening import TASK_MEMORY

__all__ = ["code_frames", "fit_frames", "save_frame_pca"]

_FRAMES = ArrayType(FLOATS)
_COMPONENTS = 1024  # §3.3


def fit_frames(
    frames: DataFrame, column: str, n_components: int | None, *, heartbeats: str | None = None
) -> tuple[Eigenpairs, Moments]:
    """PCA of all frames in ``column`` of a table of raw frames, in one pass.

    Without ``n_components`` it keeps 1,024 (§3.3), or all of frames less wide.
    The state of a partition has 8 M² bytes, 32 MiB at M = 2,048. Tasks count videos in the folder
    ``heartbeats``.

    Raises
    ------
    InputError
        If the column is missing or has no frames, M is above 2,896, or ``n_components`` above M;
        frames of unequal width and values that are not finite fail the Spark task with one.
    """
    frames = _with_floats(frames, column)
    where = f"column {column}"
    width = _first_width(frames, column)
    if not fits_one_state(width, TASK_MEMORY):
        raise InputError("frames are too wide for one covariance", where=where, found=width)
    moments = moments_in_one_pass(frames, [column], _flat_frames, heartbeats=heartbeats)
    try:
        return fit_frame_pca(moments, n_components or min(_COMPONENTS, width)), moments
    except ValueError as error:
        raise InputError(str(error), where=where) from error


def save_frame_pca(folder: str, moments: Moments, pairs: Eigenpairs) -> None:
    """Write mean.npy (M,), eigenvals.npy (M,) and eigenvecs.npy (D, M) as the release has them.

    ``formats.pca_files.read_frame_pca`` reads them, and adds the release's 1e-4 to the variances.
    """
    arrays: dict[str, NDArray[np.floating]] = {
        "mean": moments.mean.astype(np.float32),
        "eigenvals": pairs.spectrum,
        "eigenvecs": pairs.vectors.astype(np.float32),
    }
    for name, array in arrays.items():
        with staged_file(Path(folder) / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)


def code_frames(
    frames: DataFrame, column: str, pca: str, *, heartbeats: str | None = None
) -> DataFrame:
    """Frames table of raw ``frames``: ``column`` reduced by the PCA at ``pca``, a byte a number.

    Its field carries the width D; other binary columns, ``shard`` and segments pass through. A
    video whose ``column`` is null has a null there, and ``n_frames`` 0. Tasks read the PCA from
    its folder, which all of them must see.

    Raises
    ------
    InputError
        If a column is missing or the PCA cannot be read; frames of another width than the PCA's
        M, and values that are not finite, fail the Spark task with one.
    """
    path = str(Path(pca).resolve())  # tasks may run elsewhere
    width = len(read_frame_pca(path).components)
    frames = _with_floats(frames, column)
    lists = {name: known_width(frames.schema[name]) or 0 for name in frame_features(frames.schema)}
    has_segments = all(field.name in frames.columns for field in SEGMENT_FIELDS)
    schema = frames_schema({column: width, **lists}, segments=has_segments)
    if "shard" not in frames.columns:
        frames = frames.withColumn("shard", F.lit(None).cast("string"))
    code = partial(_code_partition, column=column, path=path, stamp=_stamp(path), schema=schema)
    taken = [name for name in schema.names if name != "n_frames"]
    coded = frames.select(*taken).mapInArrow(counted(code, heartbeats), schema)
    # Spark Connect forgets the metadata of a schema that it is given.
    return coded.select(*(F.col(f.name).alias(f.name, metadata=f.metadata) for f in schema))


def _code_partition(
    batches: Iterable[pa.RecordBatch], column: str, path: str, stamp: int, schema: StructType
) -> Iterator[pa.RecordBatch]:
    coder = _cached_coder(path, stamp)
    arrow = arrow_schema(schema)
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        lists = columns[column]
        rows = _flat_frames(batch, [column])
        if len(rows) == 0:
            codes = np.empty((0, coder.width), np.uint8)
        elif rows.shape[1] != coder.n_activations:
            raise InputError(
                "frame width is not that of the PCA",
                where=f"column {column}",
                expected=coder.n_activations,
                found=rows.shape[1],
            )
        else:
            codes = coder.codes(rows)
        n_frames = pc.fill_null(pc.list_value_length(lists), 0)
        columns[column] = _as_bytes(codes, n_frames, lists.is_null())
        columns["n_frames"] = n_frames
        yield typed_batch([columns[field.name] for field in arrow], arrow)


def _as_bytes(codes: NDArray[np.uint8], n_frames: pa.Array, missing: pa.Array) -> pa.Array:
    """Codes (F, D) as one binary value a video, of ``n_frames`` (B,) each."""
    ends = np.cumsum(n_frames.to_numpy(zero_copy_only=False), dtype=np.int64) * codes.shape[1]
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(codes)]
    values = pa.BinaryArray.from_buffers(pa.binary(), len(n_frames), buffers)
    return pc.if_else(missing, pa.scalar(None, pa.binary()), values)


def _flat_frames(batch: pa.RecordBatch, columns: Sequence[str]) -> NDArray[np.float32]:
    """All frames (F, M) of the one column of ``columns``; a null has none."""
    return to_matrix(batch.column(columns[0]).flatten(), columns[0])


def _with_floats(frames: DataFrame, column: str) -> DataFrame:
    """``frames`` with array<array<double>> in ``column`` as float; other types are refused."""
    kind = frames.schema[column].dataType if column in frames.columns else None
    if kind is not None and kind.simpleString() == "array<array<double>>":
        frames = frames.withColumn(column, F.col(column).cast(_FRAMES))
    wanted: dict[str, DataType] = {"video_id": StringType(), "labels": INTS, column: _FRAMES}
    require_columns(frames, wanted, "table of raw frames")
    return frames


def _first_width(frames: DataFrame, column: str) -> int:
    """Width M of the first frame there is; 0 if there is none."""
    some = frames.where(F.size(column) > 0).select(F.size(F.element_at(column, 1))).first()
    return 0 if some is None else int(some[0])


def _stamp(path: str) -> int:
    """When the files of a PCA were last written, ns: a worker must not keep an old one."""
    return max(file.stat().st_mtime_ns for file in (Path(path), *Path(path).glob("*.npy")))


@lru_cache(maxsize=1)
def _cached_coder(path: str, stamp: int) -> FrameCoder:
    """A worker process serves many tasks; it reads a PCA once, and again once rewritten."""
    return FrameCoder(FramePca(*read_frame_pca(path)))
