"""Rows of a frames or videos table to the records that hold them, every one checked.

What a record could not give back when it is read again is refused, never dropped: other columns,
nulls, numbers that are no entity. Only ``n_frames`` (it follows from the frames; the release's
video-level records do not tell it), ``shard`` and ``_corrupt_record`` (which tell of the file
that was read) are left out.

Axes: B rows of a batch, F frames, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.record_types import FrameRecord, Segments, VideoRecord
from yt8m_spark.spark.arrow import ragged, to_matrix
from yt8m_spark.spark.schemas import FRAME_COLUMNS, SEGMENT_FIELDS, known_width

__all__ = ["RowLayout", "row_layout", "row_records"]

_DROPPED = {"n_frames", "shard", "_corrupt_record"}
_REQUIRED = {"video_id": "string", "labels": "array<int>"}
_SEGMENTS = {field.name: field.dataType.simpleString() for field in SEGMENT_FIELDS}
_LEVELS = {"binary": "frame", "array<float>": "video"}  # by the type of the features

Ints = NDArray[np.int64]


class RowLayout(NamedTuple):
    """What the columns of a table are to a record."""

    level: str  # "frame" or "video"
    widths: dict[str, int]  # D of each feature; 0: not known before the rows are seen
    segments: tuple[str, ...]  # those of the four segment columns that there are


def row_layout(schema: StructType, widths: Mapping[str, int]) -> RowLayout:
    """Layout of a table that can be written as records.

    Parameters
    ----------
    schema : StructType
        A frames table (features are binary columns) or a videos table (array<float>).
    widths : mapping of str to int
        D of features whose columns do not tell it; 0 for none.

    Raises
    ------
    InputError
        If a column is missing, of the wrong type or one that a record has no place for; or if
        ``widths`` names no feature, or says otherwise than the column's metadata.
    """
    types = {field.name: field.dataType.simpleString() for field in schema}
    for name, expected in _REQUIRED.items():
        if types.get(name) != expected:
            found = types.get(name, "no such column")
            raise InputError(f"column {name!r} to write", expected=expected, found=found)
    kinds = {name: _LEVELS.get(types[name]) for name in types if name not in FRAME_COLUMNS}
    levels = {level for level in kinds.values() if level}
    if len(levels) != 1:
        expected = "features that are all binary (frames) or all array<float> (videos)"
        raise InputError("not a frames or videos table", expected=expected, found=_told(types))
    level = levels.pop()
    segments = tuple(name for name in _SEGMENTS if name in types) if level == "frame" else ()
    features = [name for name, kind in kinds.items() if kind]
    _check_places(types, {*_REQUIRED, *_DROPPED, *features, *segments})
    unknown = sorted(set(widths) - set(features))
    if unknown:
        raise InputError(f"no feature {unknown[0]!r} to write", expected=", ".join(features))
    told = {name: _width(schema, name, widths) for name in features}
    unknown = [name for name, width in told.items() if level == "frame" and not width]
    if unknown and len(features) > 1:  # a list may be shorter than n_frames says
        raise InputError(
            "table does not tell how wide frames are",
            where=f"column {unknown[0]!r}",
            expected=f"option features={unknown[0]}:WIDTH",
        )
    return RowLayout(level, told, segments)


def row_records(
    batch: pa.RecordBatch, layout: RowLayout, widths: dict[str, int]
) -> Iterator[FrameRecord | VideoRecord]:
    """Records of the rows of ``batch``, in order.

    Parameters
    ----------
    batch : RecordBatch
    layout : RowLayout
    widths : dict of str to int
        D of each feature as the rows before had it, 0 if unknown; takes those found here.

    Raises
    ------
    InputError
        If a row cannot be a record that is like the others; it names the column and the video.
    """
    ids = _ids(batch)
    labels = _int_lists(batch, "labels", ids)
    features: dict[str, Any]
    if layout.level == "video":
        features = {name: _vectors(batch, name, widths) for name in layout.widths}
        for row, video_id in enumerate(ids):
            yield VideoRecord(video_id, labels[row], {n: v[row] for n, v in features.items()})
        return
    segments = _segments(batch, layout.segments, ids)
    features = {name: _frames(batch, name, layout, widths, ids) for name in layout.widths}
    for row, video_id in enumerate(ids):
        frames = {name: lists[row] for name, lists in features.items()}
        yield FrameRecord(video_id, labels[row], frames, segments[row])


def _told(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


def _check_places(types: Mapping[str, str], places: set[str]) -> None:
    """Refuse a column that has no place in the record, or the wrong type for it."""
    for name, kind in types.items():
        if name not in places or _SEGMENTS.get(name, kind) != kind:
            raise InputError(
                f"column {name!r} would be lost: a record has no place for {kind}",
                expected=f"{_SEGMENTS[name]}" if name in places else "the table without it",
            )


def _width(schema: StructType, name: str, widths: Mapping[str, int]) -> int:
    """Width of a feature, from its column's metadata or as given; 0 if neither tells it."""
    known, given = known_width(schema[name]) or 0, widths.get(name, 0)
    if known and given and known != given:
        raise InputError(f"width of feature {name!r}", expected=known, found=given)
    return known or given


def _ids(batch: pa.RecordBatch) -> list[str]:
    ids: list[str] = batch.column("video_id").to_pylist()
    for row, video_id in enumerate(ids):
        if not video_id:
            raise InputError("no video id", where=f"column 'video_id', row {row} of a batch")
    return ids


def _int_lists(batch: pa.RecordBatch, name: str, ids: list[str]) -> list[Ints]:
    """Lists of entity ids or seconds; a null list is an empty one."""
    offsets, values = ragged(batch.column(name))
    if (values < 0).any():
        at = int(np.argmax(values < 0))
        row = int(np.searchsorted(offsets, at, side="right")) - 1
        where = f"column {name!r}, video {ids[row]!r}"
        raise InputError("number out of range", where=where, expected="0 or more", found=values[at])
    return [values[start:stop] for start, stop in pairwise(offsets.tolist())]


def _vectors(
    batch: pa.RecordBatch, name: str, widths: dict[str, int]
) -> NDArray[np.float32] | list[NDArray[np.float32]]:
    """Vectors (B, D) of a feature of a videos table."""
    if not batch.num_rows:
        return []
    matrix = to_matrix(batch.column(name), name, widths[name] or None)
    if not matrix.shape[1]:
        raise InputError("vector without a value", where=f"column {name!r}")
    widths[name] = matrix.shape[1]
    return matrix


def _frames(
    batch: pa.RecordBatch, name: str, layout: RowLayout, widths: dict[str, int], ids: list[str]
) -> list[NDArray[np.uint8]]:
    """Frames (F, D) of a feature list of every row, views of the batch."""
    column = batch.column(name)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise InputError("null frames", where=f"column {name!r}, video {ids[row]!r}")
    sizes = pc.binary_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    # A width that was not told is told anew by every row, as one row alone may mislead.
    width = layout.widths[name] or _width_of_rows(batch, name, sizes, widths[name])
    wrong = sizes % width != 0 if width else np.zeros(len(sizes), bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            "not whole frames",
            where=f"column {name!r}, video {ids[row]!r}",
            expected=f"a multiple of {width} bytes",
            found=sizes[row],
        )
    widths[name] = width
    frames = [np.frombuffer(value.as_buffer(), np.uint8) for value in column]
    return [codes.reshape(len(codes) // width if width else 0, width) for codes in frames]


def _width_of_rows(batch: pa.RecordBatch, name: str, sizes: Ints, before: int) -> int:
    """Width that the bytes and ``n_frames`` of all rows agree on; ``before`` if none has frames."""
    if not sizes.any():
        return before
    counts = np.zeros(len(sizes), np.int64)
    if "n_frames" in batch.schema.names:
        counts = pc.fill_null(batch.column("n_frames"), 0).to_numpy(zero_copy_only=False)
    sizes, counts = sizes[sizes > 0], counts[sizes > 0]
    whole = (counts > 0).all() and not (sizes % counts).any()
    found = sorted({before, *(sizes // counts).tolist()} - {0}) if whole else []
    if len(found) != 1:
        raise InputError(
            "rows do not tell how wide frames are",
            where=f"column {name!r}",
            expected=f"option features={name}:WIDTH, or n_frames frames in every row",
            found=f"widths {found[:5]}" if found else "bytes that n_frames does not divide",
        )
    return int(found[0])


def _segments(
    batch: pa.RecordBatch, names: tuple[str, ...], ids: list[str]
) -> list[Segments | None]:
    """Segments of every row; None where all columns are null."""
    if not names:
        return [None] * len(ids)
    absent = np.all(
        [batch.column(name).is_null().to_numpy(zero_copy_only=False) for name in names], axis=0
    )
    nothing: list[Any] = [np.empty(0)] * len(ids)
    columns: list[list[Any]] = [
        _list(batch, name, ids) if name in names else nothing for name in _SEGMENTS
    ]
    found: list[Segments | None] = []
    for row, video_id in enumerate(ids):
        one = [column[row] for column in columns]
        lengths = {len(values) for values in one} - {0}
        if len(lengths) > 1:
            where = f"video {video_id!r}"
            raise InputError("segments differ in length", where=where, found=sorted(lengths))
        found.append(None if absent[row] else Segments(*one))
    return found


def _list(batch: pa.RecordBatch, name: str, ids: list[str]) -> list[NDArray[Any]]:
    """Lists of one segment column; a null list is an empty one."""
    if name != "segment_scores":
        return list(_int_lists(batch, name, ids))
    column = batch.column(name)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    values = column.drop_null().flatten()
    scores = values.to_numpy(zero_copy_only=False)
    if values.null_count or not np.isfinite(scores).all():
        raise InputError("null or no finite number", where=f"column {name!r}")
    return np.split(scores, np.cumsum(lengths)[:-1]) if len(lengths) else []
