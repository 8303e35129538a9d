"""Arrow columns of decoded records, and the checks of the numbers in them.

Axes: B records of a batch, F frames, D features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.formats.record_types import FrameRecord, Segments, VideoRecord
from yt8m_spark.formats.shards import shard_name
from yt8m_spark.spark.arrow import float_lists, ragged_lists
from yt8m_spark.spark.schemas import SEGMENT_FIELDS

__all__ = ["SEGMENT_COLUMNS", "Fault", "record_column", "wrong_numbers"]

_LARGEST_INT = 2**31 - 1

# Columns of the segments and the fields of `Segments`.
SEGMENT_COLUMNS = {field.name: field.name.removeprefix("segment_") for field in SEGMENT_FIELDS}

AnyRecord = VideoRecord | FrameRecord
Ints = NDArray[np.int64]

_NO_INTS = np.empty(0, np.int64)
_NO_SCORES = np.empty(0, np.float32)


class Fault(NamedTuple):
    """What is wrong with a number of a record."""

    what: str
    expected: str
    found: int


def record_column(name: str, records: Sequence[AnyRecord], path: str, n_rows: int) -> pa.Array:
    """Column ``name`` of ``records`` of the file ``path``; ``shard`` of ``n_rows``."""
    if name == "shard":
        return pa.array([shard_name(path)] * n_rows, pa.string())
    if name == "video_id":
        return pa.array([record.video_id for record in records], pa.string())
    if name == "labels":
        return _int_lists([record.labels for record in records])
    if name == "n_frames":
        return pa.array([_n_frames(record) for record in records], pa.int32())
    if name in SEGMENT_COLUMNS:
        return _segment_column(name, records)
    if isinstance(records[0], FrameRecord):
        return _frames_column([cast("FrameRecord", one).features[name] for one in records])
    return float_lists(np.stack([record.features[name] for record in records]))


def wrong_numbers(
    records: Sequence[AnyRecord], columns: Collection[str], entities: Ints | None
) -> dict[int, Fault]:
    """Faults of ``records`` by their position; of several, the first.

    Labels and seconds must be 0 .. 2**31 - 1 where they are among ``columns``; labels must be
    ``entities`` if these are given, wanted or not.
    """
    faults: dict[int, Fault] = {}
    if not records:
        return faults
    in_range = f"0 .. {_LARGEST_INT}"
    for name in columns:
        if name == "labels" or name in SEGMENT_COLUMNS:
            rows = _int_rows(name, records)
            values = np.concatenate(rows)
            right = (values >= 0) & (values <= _LARGEST_INT)
            what = f"number out of range in {name!r}"
            for at, found in _rows_with_wrong(rows, values, right):
                faults.setdefault(at, Fault(what, in_range, found))
    if entities is not None:
        rows = _int_rows("labels", records)
        values = np.concatenate(rows)
        expected = f"one of {len(entities)} entities"
        for at, found in _rows_with_wrong(rows, values, np.isin(values, entities)):
            faults.setdefault(at, Fault("label is not in the vocabulary", expected, found))
    return faults


def _int_rows(name: str, records: Sequence[AnyRecord]) -> list[Ints]:
    """Integers of column ``name``, a row a record; scores are no integers and give none."""
    if name == "labels":
        return [record.labels for record in records]
    if name == "segment_scores":
        return [_NO_INTS] * len(records)
    index = Segments._fields.index(SEGMENT_COLUMNS[name])
    segments = [record.segments if isinstance(record, FrameRecord) else None for record in records]
    return [_NO_INTS if one is None else cast("Ints", one[index]) for one in segments]


def _rows_with_wrong(
    rows: Sequence[Ints], values: Ints, right: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Each row that has a value which is not ``right``, and the first of these."""
    if right.all():
        return []
    wrong = np.flatnonzero(~right)
    ends = np.cumsum([len(row) for row in rows])
    at, first = np.unique(np.searchsorted(ends, wrong, side="right"), return_index=True)
    return list(zip(at.tolist(), values[wrong[first]].tolist(), strict=True))


def _n_frames(record: AnyRecord) -> int | None:
    """Frames of the longest feature list; a released video-level record does not say."""
    return record.n_frames if isinstance(record, FrameRecord) else None


def _frames_column(lists: Sequence[NDArray[np.uint8]]) -> pa.Array:
    """Binary column of frames (F, D) each: one copy into one buffer."""
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum([frames.size for frames in lists], out=offsets[1:])
    flat = np.empty(offsets[-1], np.uint8)
    for frames, start, end in zip(lists, offsets[:-1], offsets[1:], strict=True):
        flat[start:end].reshape(frames.shape)[...] = frames
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(flat)]
    return pa.Array.from_buffers(pa.binary(), len(lists), buffers)


def _int_lists(rows: Sequence[Ints]) -> pa.ListArray:
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return ragged_lists(offsets, pa.array(np.concatenate(rows), pa.int32()))


def _segment_column(name: str, records: Sequence[AnyRecord]) -> pa.Array:
    """One of the four segment columns; null for a video without segments."""
    segments = [record.segments if isinstance(record, FrameRecord) else None for record in records]
    if name == "segment_scores":
        scores = [_NO_SCORES if one is None else one.scores for one in segments]
        values = pa.array(np.concatenate(scores), pa.float32())
        column = ragged_lists(np.cumsum([0, *(len(row) for row in scores)]), values)
    else:
        column = _int_lists(_int_rows(name, records))
    absent = np.array([one is None for one in segments])
    return pa.ListArray.from_arrays(column.offsets, column.values, mask=pa.array(absent))
