"""Rows of a features table as a shard stores them, refused where they cannot be.

Axes: V videos of a shard (or frames of them), D features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.core.stored_features import FLOAT16_LIMIT
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import joined_bytes, to_matrix

__all__ = ["FRAME", "row_names", "stored_features"]

FRAME = "frame"  # column that tells apart the rows of one video


def row_names(parts: list[pa.RecordBatch]) -> list[str]:
    """``video v`` or ``video v, frame f`` of each row."""
    ids = [f"video {name}" for part in parts for name in part.column("video_id").to_pylist()]
    if FRAME not in parts[0].schema.names:
        return ids
    frames = [frame for part in parts for frame in part.column(FRAME).to_pylist()]
    return [f"{name}, frame {frame}" for name, frame in zip(ids, frames, strict=True)]


def stored_features(parts: list[pa.RecordBatch], dtype: str, n_levels: int) -> NDArray[Any]:
    """Features (V, D) of ``parts`` as they are to be stored."""
    width: int | None = None
    matrices = []
    for part in parts:
        matrix = _checked(part, dtype, n_levels, width)
        width = matrix.shape[1]
        matrices.append(matrix)
    return np.concatenate(matrices)


def _checked(part: pa.RecordBatch, dtype: str, n_levels: int, width: int | None) -> NDArray[Any]:
    """Features of a batch; where they cannot be stored, the first row that cannot is named."""
    try:
        return _converted(part.column("features"), dtype, n_levels, width)
    except InputError:
        for i, name in enumerate(row_names([part])):
            row = part.column("features").slice(i, 1)
            try:
                width = _converted(row, dtype, n_levels, width).shape[1]
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        raise


def _converted(column: pa.Array, dtype: str, n_levels: int, width: int | None) -> NDArray[Any]:
    if n_levels:
        return _codes(column, n_levels, width)
    matrix = to_matrix(column, "features", width)
    if dtype != "float16":
        return matrix
    if matrix.size and np.abs(matrix).max() > FLOAT16_LIMIT:
        found = matrix.ravel()[np.abs(matrix).argmax()]
        raise InputError(
            "value is out of the range of float16",
            where="column 'features'",
            expected=f"at most {FLOAT16_LIMIT:.0f}",
            found=found,
        )
    return matrix.astype(np.float16)


def _codes(column: pa.Array, n_levels: int, width: int | None) -> NDArray[np.uint8]:
    """Codes (V, D) of a column of bytes."""
    if column.null_count:
        raise InputError("null row", where="column 'features'")
    flat, offsets = joined_bytes(column)
    lengths = np.diff(offsets)
    expected = int(lengths[0]) if width is None else width
    if (lengths != expected).any():
        found = int(lengths[np.argmax(lengths != expected)])
        raise InputError(
            "feature widths differ", where="column 'features'", expected=expected, found=found
        )
    if flat.size and flat.max() >= n_levels:
        raise InputError(
            "code is not of the codebook",
            where="column 'features'",
            expected=f"0 to {n_levels - 1}",
            found=flat.max(),
        )
    return flat.reshape(len(column), expected)
