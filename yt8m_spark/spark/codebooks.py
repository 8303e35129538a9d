"""Code array columns as bytes and back with codebooks kept in a folder: `core.codebooks` on Spark.

Paper: §3.3. A coded column is binary, one byte a feature. Its field carries the digest of the
codebook as metadata, through Parquet as well, so that no other one reads it; of a column that has
lost it, the codebook beside it is taken.

Axes: B rows of a batch, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, StructField, StructType

from yt8m_spark.artifacts import load_arrays, load_json, save_arrays, save_json
from yt8m_spark.core.codebooks import Codebook, code_name, decode, encode
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import between_nulls, float_lists, joined_bytes, to_matrix, typed_batch
from yt8m_spark.spark.counted import counted
from yt8m_spark.spark.schemas import CODED, FLOATS, arrow_schema, require_columns
from yt8m_spark.spark.vectors import with_float_arrays

__all__ = [
    "CODEBOOK",
    "cached_codebooks",
    "codebooks_digest",
    "dequantize_columns",
    "load_codebooks",
    "load_fitted",
    "quantize_columns",
    "save_codebooks",
]

# Folder of a table's codebooks inside it; the underscore hides it from readers of Parquet.
CODEBOOK = "_codebook"

_ARRAYS = ("levels", "thresholds", "bounds")


def quantize_columns(df: DataFrame, folder: str, *, heartbeats: str | None = None) -> DataFrame:
    """``df`` with the columns that ``folder`` has codebooks of as binary, one byte a feature.

    Other columns stay, and so do nulls and the order of all. Tasks read the codebooks from
    ``folder``, which all of them must see, and which must hold then what it holds now. They count
    finished videos in the folder ``heartbeats``.

    Raises
    ------
    InputError
        If a column is missing; a row of another width, or with a null or NaN in it, fails the
        Spark task with one.
    """
    folder = str(Path(folder).resolve())  # tasks may run in another directory
    codebooks = load_codebooks(folder)
    df = with_float_arrays(df, list(codebooks))
    require_columns(df, dict.fromkeys(codebooks, FLOATS), "table")
    digests = {name: {CODED: codebook.digest} for name, codebook in codebooks.items()}
    schema = StructType(
        [
            StructField(f.name, BinaryType(), metadata=digests[f.name]) if f.name in digests else f
            for f in df.schema
        ]
    )
    task = partial(
        _quantize_partition, folder=folder, digest=codebooks_digest(codebooks), schema=schema
    )
    return df.mapInArrow(counted(task, heartbeats), schema)


def dequantize_columns(df: DataFrame, folder: str, *, heartbeats: str | None = None) -> DataFrame:
    """``df`` with the columns that ``folder`` has codebooks of as array<float> again.

    The inverse of `quantize_columns`, but for the error of the code.

    Raises
    ------
    InputError
        If a column is missing or was written with another codebook; bytes of another width fail
        the Spark task with one.
    """
    folder = str(Path(folder).resolve())
    codebooks = load_codebooks(folder)
    require_columns(df, dict.fromkeys(codebooks, BinaryType()), "table")
    for name, codebook in codebooks.items():
        written = (df.schema[name].metadata or {}).get(CODED, codebook.digest)
        if written != codebook.digest:
            raise InputError(
                "column was written with another codebook",
                where=f"column {name!r}",
                expected=f"digest {codebook.digest[:12]}",
                found=written[:12],
            )
    schema = StructType(
        [StructField(f.name, FLOATS) if f.name in codebooks else f for f in df.schema]
    )
    task = partial(
        _dequantize_partition, folder=folder, digest=codebooks_digest(codebooks), schema=schema
    )
    return df.mapInArrow(counted(task, heartbeats), schema)


def save_codebooks(folder: str, codebooks: Mapping[str, Codebook]) -> None:
    """Write the codebooks of columns to ``folder``: codebook.npz and codebook.json."""
    arrays = {
        f"{column}.{name}": getattr(codebook, name)
        for column, codebook in codebooks.items()
        for name in _ARRAYS
    }
    save_arrays(Path(folder) / "codebook.npz", arrays)
    described = {
        column: {
            "code": code_name(codebook),
            "n_levels": codebook.n_levels,
            "scope": "shared" if codebook.width is None else "dimension",
            "width": codebook.width,
            "digest": codebook.digest,
        }
        for column, codebook in codebooks.items()
    }
    saved = {"columns": described, "digest": codebooks_digest(codebooks)}
    save_json(Path(folder) / "codebook.json", saved)


def load_codebooks(folder: str) -> dict[str, Codebook]:
    """Read what `save_codebooks` wrote.

    Raises
    ------
    InputError
        If ``folder`` holds no codebooks, or its two files are not of one fit.
    """
    described = load_json(Path(folder) / "codebook.json")
    columns = described.get("columns")
    if not isinstance(columns, dict) or not columns:
        raise InputError("no columns", where=f"{folder}/codebook.json")
    names = [f"{column}.{name}" for column in columns for name in _ARRAYS]
    arrays = load_arrays(Path(folder) / "codebook.npz", names)
    codebooks = {
        column: Codebook(*(arrays[f"{column}.{name}"] for name in _ARRAYS)) for column in columns
    }
    digest = codebooks_digest(codebooks)
    if described.get("digest") != digest:
        raise InputError(
            "codebook.json and codebook.npz are not of one fit",
            where=folder,
            expected=digest[:12],
            found=str(described.get("digest"))[:12],
        )
    return codebooks


def load_fitted(folder: str, columns: Sequence[str] = ()) -> dict[str, Codebook]:
    """Lloyd-Max codebooks in ``folder``: of ``columns``, or all.

    Raises
    ------
    InputError
        If one of ``columns`` has none, or it is a linear code, which nothing was fitted for.
    """
    codebooks = load_codebooks(folder)
    for name in columns or codebooks:
        if name not in codebooks:
            found = ", ".join(codebooks)
            raise InputError("no codebook of the column", where=folder, expected=name, found=found)
        code = code_name(codebooks[name])
        if code != "lloyd_max":
            raise InputError("no fitted codebook", where=folder, expected="lloyd_max", found=code)
    return {name: codebooks[name] for name in columns or codebooks}


def codebooks_digest(codebooks: Mapping[str, Codebook]) -> str:
    """SHA-256 of the codebooks and the columns they are of, in whatever order."""
    listed = sorted((column, codebook.digest) for column, codebook in codebooks.items())
    return hashlib.sha256(repr(listed).encode()).hexdigest()


@lru_cache(maxsize=2)
def cached_codebooks(folder: str, digest: str) -> dict[str, Codebook]:
    """Codebooks in ``folder``, which a worker process reads once for all its tasks.

    Raises
    ------
    InputError
        If they are not those of ``digest`` any more.
    """
    codebooks = load_codebooks(folder)
    if codebooks_digest(codebooks) != digest:
        raise InputError("codebooks have been replaced since they were asked for", where=folder)
    return codebooks


def _quantize_partition(
    batches: Iterable[pa.RecordBatch], folder: str, digest: str, schema: StructType
) -> Iterator[pa.RecordBatch]:
    codebooks = cached_codebooks(folder, digest)
    for batch in batches:
        coded = {name: _coded(batch.column(name), name, book) for name, book in codebooks.items()}
        yield _replaced(batch, coded, schema)


def _dequantize_partition(
    batches: Iterable[pa.RecordBatch], folder: str, digest: str, schema: StructType
) -> Iterator[pa.RecordBatch]:
    codebooks = cached_codebooks(folder, digest)
    for batch in batches:
        read = {name: _read(batch.column(name), name, book) for name, book in codebooks.items()}
        yield _replaced(batch, read, schema)


def _coded(column: pa.Array, name: str, codebook: Codebook) -> pa.Array:
    """Column of floats as bytes; a null (a video without frames of a list) stays one."""
    values = to_matrix(column.drop_null(), name, codebook.width)
    return between_nulls(_byte_rows(encode(values, codebook)), _missing(column))


def _read(column: pa.Array, name: str, codebook: Codebook) -> pa.Array:
    """Column of bytes as floats; a null stays one."""
    values = _decoded(column.drop_null(), name, codebook)
    return between_nulls(float_lists(values), _missing(column))


def _missing(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def _replaced(
    batch: pa.RecordBatch, columns: Mapping[str, pa.Array], schema: StructType
) -> pa.RecordBatch:
    """``batch`` with ``columns`` in place of those of their names, as ``schema`` wants it."""
    arrow = arrow_schema(schema)
    return typed_batch([columns.get(f.name, batch.column(f.name)) for f in arrow], arrow)


def _byte_rows(codes: NDArray[np.uint8]) -> pa.Array:
    """(B, D) ``codes`` as a column of B times D bytes, a view."""
    n_rows, width = codes.shape
    offsets = np.arange(n_rows + 1, dtype=np.int32) * np.int32(width)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(codes))]
    return pa.Array.from_buffers(pa.binary(), n_rows, buffers)


def _decoded(column: pa.Array, name: str, codebook: Codebook) -> NDArray[np.float32]:
    """Values (B, D) of a column of bytes."""
    flat, offsets = joined_bytes(column)
    lengths = np.diff(offsets)
    width = codebook.width or (int(lengths[0]) if len(lengths) else 0)
    if (lengths != width).any():
        found = int(lengths[np.argmax(lengths != width)])
        raise InputError(
            "bytes of wrong width", where=f"column {name!r}", expected=width, found=found
        )
    try:
        return decode(flat.reshape(len(column), width), codebook)
    except ValueError as error:
        raise InputError(str(error), where=f"column {name!r}") from error
