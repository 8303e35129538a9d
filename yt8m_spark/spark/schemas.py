"""Every table's columns and types, in one place (design: "Tables")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    FloatType,
    IntegerType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.errors import InputError

__all__ = [
    "CODED",
    "FEATURES",
    "FLOATS",
    "FRAME_COLUMNS",
    "INTS",
    "PREDICTIONS",
    "SEGMENT_FIELDS",
    "arrow_schema",
    "frame_features",
    "frames_schema",
    "known_width",
    "require_columns",
    "video_features",
    "videos_schema",
]

# Arrow's types by the names of Spark's.
_ARROW = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
}

FLOATS = ArrayType(FloatType())
INTS = ArrayType(IntegerType())

_WIDTH = "width"  # keys of a field's metadata: D of a feature list,
CODED = "codebook"  # and the digest of the codebook of a coded column
_VIDEO = [StructField("video_id", StringType()), StructField("labels", INTS)]
_N_FRAMES = StructField("n_frames", IntegerType())
SEGMENT_FIELDS = [
    StructField("segment_start_times", INTS),
    StructField("segment_end_times", INTS),
    StructField("segment_labels", INTS),
    StructField("segment_scores", FLOATS),
]
FRAME_COLUMNS = {"video_id", "labels", "n_frames", "shard", *(f.name for f in SEGMENT_FIELDS)}

FEATURES = StructType([*_VIDEO, StructField("features", FLOATS)])
PREDICTIONS = StructType([*_VIDEO, StructField("entities", INTS), StructField("scores", FLOATS)])


def frames_schema(
    features: Sequence[str] | Mapping[str, int], *, segments: bool = False
) -> StructType:
    """Frames table: one row a video, one binary column (n_frames x D uint8) a feature list.

    A mapping gives the width D of each list too, which its field then carries as metadata
    ``width``, through Parquet as well: bytes alone do not tell how many frames they are.
    """
    widths = features if isinstance(features, Mapping) else dict.fromkeys(features, 0)
    lists = [
        StructField(name, BinaryType(), metadata={_WIDTH: width} if width else None)
        for name, width in widths.items()
    ]
    last = [_N_FRAMES, StructField("shard", StringType())]
    return StructType([*_VIDEO, *lists, *last, *(SEGMENT_FIELDS if segments else [])])


def videos_schema(columns: Sequence[str]) -> StructType:
    """Videos table: one row a video, one array<float> column a statistic of a feature list."""
    return StructType([*_VIDEO, _N_FRAMES, *(StructField(name, FLOATS) for name in columns)])


def known_width(field: StructField) -> int | None:
    """Width D of a feature list, if `frames_schema` was told it."""
    return (field.metadata or {}).get(_WIDTH)


def frame_features(schema: StructType) -> list[str]:
    """Names of the feature lists of a frames table, in table order."""
    return [
        f.name
        for f in schema
        if isinstance(f.dataType, BinaryType) and CODED not in (f.metadata or {})
    ]


def video_features(schema: StructType) -> list[str]:
    """Names of the array<float> columns of a videos table, in table order."""
    return [f.name for f in schema if f.dataType == FLOATS and f.name not in FRAME_COLUMNS]


def arrow_schema(schema: StructType) -> pa.Schema:
    """Arrow schema of ``schema``, exactly as Spark checks it (all fields nullable).

    Spark's own conversion is no part of its public interface.

    Raises
    ------
    TypeError
        If a column is of a type that no table of ours has, as a time.
    """
    return pa.schema([_arrow_field(field) for field in schema])


def _arrow_field(field: StructField) -> pa.Field:
    return pa.field(field.name, _arrow_type(field.dataType), nullable=field.nullable)


def _arrow_type(kind: DataType) -> pa.DataType:
    if isinstance(kind, ArrayType):
        items = StructField("element", kind.elementType, kind.containsNull)
        return pa.list_(_arrow_field(items))
    if isinstance(kind, StructType):
        return pa.struct([_arrow_field(field) for field in kind])
    if isinstance(kind, MapType):
        keys = pa.field("key", _arrow_type(kind.keyType), nullable=False)
        values = StructField("value", kind.valueType, kind.valueContainsNull)
        return pa.map_(keys, _arrow_field(values))
    if kind.typeName() not in _ARROW:
        raise TypeError(f"no column of ours is of the type {kind.simpleString()}")
    return _ARROW[kind.typeName()]


def require_columns(df: DataFrame, expected: StructType | dict[str, DataType], what: str) -> None:
    """Refuse a table that lacks a column of ``expected`` or has it in another type.

    Raises
    ------
    InputError
        Names ``what`` (the table, as the user knows it) and the column.
    """
    types = expected if isinstance(expected, dict) else {f.name: f.dataType for f in expected}
    found = {f.name: f.dataType for f in df.schema}
    for name, wanted in types.items():
        if name not in found:
            columns = ", ".join(df.columns)
            raise InputError(
                f"no column {name!r}", where=what, expected=wanted.simpleString(), found=columns
            )
        if found[name].simpleString() != wanted.simpleString():
            raise InputError(
                f"column {name!r} has the wrong type",
                where=what,
                expected=wanted.simpleString(),
                found=found[name].simpleString(),
            )
