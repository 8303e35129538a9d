"""Arrays packed as bytes, so that counts travel in few rows: a row of Spark's a number is slow.

A NamedTuple of arrays of one length becomes one Arrow stream; a column of it may be (C, K). Whole
numbers are int64 before and after, and take one, two or four bytes on the way where that is enough.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["pack", "packed_table", "to_array", "unpack", "unpack_tables"]

Columns = TypeVar("Columns")


def pack(columns: NamedTuple) -> bytes:
    """Bytes of ``columns``; arrays are NumPy's, (C,) or (C, K), or Arrow's."""
    arrays = [_column(values) for values in columns]
    return packed_table(pa.Table.from_arrays(arrays, names=list(columns._fields)))


def packed_table(table: pa.Table) -> bytes:
    """Bytes of ``table``."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack_tables(payloads: Iterable[bytes]) -> pa.Table:
    """One table of all that `pack` packed, in order; at least one."""
    tables = (pa.ipc.open_stream(payload).read_all() for payload in payloads)
    return pa.concat_tables(tables, promote_options="permissive")  # of one to eight bytes


def unpack(kind: type[Columns], payloads: Iterable[bytes]) -> Columns:
    """``kind`` with the rows of all ``payloads``, in order; at least one."""
    table, named = unpack_tables(payloads), cast(Any, kind)
    return cast(Columns, named._make(to_array(table.column(name)) for name in named._fields))


def to_array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A packed column as it was."""
    whole = column.combine_chunks()
    is_list = pa.types.is_fixed_size_list(whole.type)
    flat = whole.flatten() if is_list else whole
    values = np.asarray(flat.to_numpy(zero_copy_only=False))
    if np.issubdtype(values.dtype, np.signedinteger):
        values = values.astype(np.int64, copy=False)
    return values.reshape(len(whole), whole.type.list_size) if is_list else values


def _column(values: NDArray[np.generic] | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if values.ndim == 1:
        return pa.array(_narrow(values))
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _narrow(values: NDArray[np.generic]) -> NDArray[np.generic]:
    if values.dtype != np.int64:
        return values
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values
