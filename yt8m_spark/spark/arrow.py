"""Arrow columns to NumPy arrays and back, without a Python loop over rows.

Axes: B rows of a batch, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = [
    "between_nulls",
    "float_lists",
    "frame_rows",
    "joined_bytes",
    "ragged",
    "ragged_lists",
    "to_matrix",
    "typed_batch",
]


def to_matrix(column: pa.Array, name: str, width: int | None = None) -> NDArray[np.float32]:
    """Array<float> ``column`` as (B, D) float32; a view where memory allows.

    Raises
    ------
    InputError
        If a row is null, rows differ in length (from each other or from ``width``), or a value is
        null, NaN or infinite: each would spread silently into means and weights.
    """
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError("null row", where=f"column {name!r}, row {row} of a batch")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    expected = width if width is not None else (int(lengths[0]) if len(lengths) else 0)
    if (lengths != expected).any():
        found = int(lengths[np.argmax(lengths != expected)])
        raise InputError(
            "feature widths differ", where=f"column {name!r}", expected=expected, found=found
        )
    flat = column.flatten()
    if flat.null_count:
        raise InputError("null value", where=f"column {name!r}", expected="finite numbers")
    values = flat.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    matrix: NDArray[np.float32] = values.reshape(len(column), expected)
    if not np.isfinite(matrix).all():
        row, feature = np.argwhere(~np.isfinite(matrix))[0]
        raise InputError(
            "value is not finite",
            where=f"column {name!r}, feature {feature}",
            expected="finite numbers",
            found=matrix[row, feature],
        )
    return matrix


def ragged(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets (B + 1,) and values of an array<int> ``column``; a null row is an empty one.

    Raises
    ------
    InputError
        If an id is null: as a number it would be an entity that nobody named.
    """
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    values = column.drop_null().flatten()
    if values.null_count:
        raise InputError("null entity id", where="an array<int> column", expected="numbers")
    return offsets, values.to_numpy(zero_copy_only=False).astype(np.int64)


def ragged_lists(offsets: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """List array of ``values`` cut at ``offsets`` (B + 1,)."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def float_lists(matrix: NDArray[np.floating], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """(B, D) ``matrix`` as a column of B lists of D float32, null where ``missing`` (B,)."""
    n_rows, width = matrix.shape
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel(), pa.float32())
    lists = ragged_lists(np.arange(n_rows + 1, dtype=np.int64) * width, flat)
    if missing is None or not missing.any():
        return lists
    return pa.ListArray.from_arrays(lists.offsets, lists.values, mask=pa.array(missing))


def typed_batch(
    columns: Sequence[pa.Array | NDArray[np.generic]], schema: pa.Schema
) -> pa.RecordBatch:
    """Batch of ``columns`` in the order of ``schema``, each cast to its type."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    cast = [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def joined_bytes(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All bytes of a binary ``column``, a view, and offsets (B + 1,); a null is empty."""
    column = column.cast(pa.binary())  # Spark may have made it large_binary
    if column.null_count:
        column = column.fill_null(b"")
    _, ends, data = column.buffers()
    offsets = np.zeros(1, np.int32)
    if len(column):
        offsets = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    flat = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    return flat, (offsets - offsets[0]).astype(np.int64)


def frame_rows(
    column: pa.Array, name: str, width: int, video_ids: pa.Array
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames (N, D) of all videos of a feature list, a view, and offsets (B + 1,) of each.

    Raises
    ------
    InputError
        If the bytes of a video are no whole number of frames of ``width``; or if ``width`` is 0,
        for not known, and there are frames.
    """
    flat, offsets = joined_bytes(column)
    lengths = np.diff(offsets)
    wrong = lengths % width != 0 if width else lengths > 0
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"video {video_ids[row]}"
        if not width:
            raise InputError(
                f"width of feature list {name!r} is not known: no video before has frames of it",
                where=where,
                expected=f"it among the features, as in {name}:128",
                found=f"{lengths[row]} bytes",
            )
        raise InputError(
            f"feature list {name!r} holds no whole number of frames",
            where=where,
            expected=f"a multiple of {width} bytes",
            found=f"{lengths[row]} bytes",
        )
    return flat.reshape(-1, width or 1), offsets // (width or 1)


def between_nulls(values: pa.Array, missing: NDArray[np.bool_]) -> pa.Array:
    """``values`` put where not ``missing`` (B,), in order, and nulls where it is."""
    if not missing.any():
        return values
    positions = np.cumsum(~missing) - 1
    return values.take(pa.array(positions, mask=missing))  # taking at null gives null
