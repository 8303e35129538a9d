"""Records of a TFRecord shard to Arrow batches, checked against what the first record had.

Axes: B records of a batch, D features.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    FrameRecord,
    Segments,
    VideoRecord,
    decode_frames,
    decode_video,
)
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.spark.arrow import float_lists, ragged_lists
from yt8m_spark.spark.schemas import SEGMENT_FIELDS, arrow_schema

__all__ = ["RecordBatches", "Rules"]

# A batch ends at so many videos or bytes, whichever comes first.
_VIDEOS_A_BATCH = 1024
_BYTES_A_BATCH = 32 << 20
_LARGEST_INT = 2**31 - 1

_SEGMENT_COLUMNS = {field.name: field.name.removeprefix("segment_") for field in SEGMENT_FIELDS}

AnyRecord = VideoRecord | FrameRecord
Ints = NDArray[np.int64]

_NO_INTS = np.empty(0, np.int64)
_NO_SCORES = np.empty(0, np.float32)


class Rules(NamedTuple):
    """What every record must be."""

    level: str  # "frame" or "video"
    widths: dict[str, int]  # D of each feature to read; 0: as the first of the shard has it
    exact: bool  # whether a record may have no other feature (nor segments, if not read)
    entities: Ints | None  # (E,) ascending: what labels may be; None: anything


class RecordBatches:
    """Turns shards into Arrow batches of the columns of a schema.

    Parameters
    ----------
    schema : StructType
        Columns of the frames or videos table, each known to the records.
    rules : Rules
    """

    def __init__(self, schema: StructType, rules: Rules) -> None:
        self._schema = schema
        self._rules = rules
        self._has_segments = any(name in _SEGMENT_COLUMNS for name in schema.names)

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        """Batches of at most 1,024 videos or about 32 MiB (at least one video).

        ``n_frames`` is the number of frames of the longest feature list of the record, read or
        not; a video-level record does not tell it, so it is null.

        Raises
        ------
        InputError
            If a record breaks a rule; it names the file and the record.
        """
        schema = arrow_schema(self._schema)
        widths = dict(self._rules.widths)
        records: list[AnyRecord] = []
        first = n_bytes = 0
        for number, data in read_records(path):
            records.append(self._checked(data, widths, f"{path}, record {number}"))
            n_bytes += len(data)
            if len(records) == _VIDEOS_A_BATCH or n_bytes >= _BYTES_A_BATCH:
                yield self._batch(records, schema, path, first)
                records, first, n_bytes = [], number + 1, 0
        if records:
            yield self._batch(records, schema, path, first)

    def _checked(self, data: bytes, widths: dict[str, int], where: str) -> AnyRecord:
        """Decode one record; ``widths`` takes those that were not known."""
        rules = self._rules
        record: AnyRecord
        if rules.level == "frame":
            record = decode_frames(data, where=where)
            if rules.exact and record.segments is not None and not self._has_segments:
                raise InputError(
                    "segments, but none in the first record",
                    where=where,
                    expected="a schema with the segment columns",
                )
        else:
            record = decode_video(data, features=None if rules.exact else widths, where=where)
        _check_features(record, widths, where, exact=rules.exact)
        return record

    def _batch(
        self, records: list[AnyRecord], schema: pa.Schema, path: str, first: int
    ) -> pa.RecordBatch:
        """One batch; its record 0 is record ``first`` of ``path``."""
        self._check_labels(records, path, first)
        columns = [_column(field.name, records, path, first).cast(field.type) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _check_labels(self, records: list[AnyRecord], path: str, first: int) -> None:
        """Refuse labels outside the vocabulary."""
        if self._rules.entities is None:
            return
        labels = [record.labels for record in records]
        at = _first_wrong(labels, np.isin(np.concatenate(labels), self._rules.entities))
        if at is not None:
            raise InputError(
                "label is not in the vocabulary",
                where=f"{path}, record {first + at[0]}",
                expected=f"one of {len(self._rules.entities)} entities",
                found=at[1],
            )


def _check_features(record: AnyRecord, widths: dict[str, int], where: str, *, exact: bool) -> None:
    """Refuse a record whose features are not those of the first one."""
    missing = [name for name in widths if name not in record.features]
    other = [name for name in record.features if name not in widths] if exact else []
    if missing or other:
        raise InputError(
            "features differ from those of the first record",
            where=where,
            expected=", ".join(widths),
            found=", ".join(sorted(record.features)) or "none",
        )
    for name, width in widths.items():
        found = record.features[name].shape[-1]
        if found != width and found:  # a list may have no frame, and then has no width
            if width:
                raise InputError(
                    f"feature {name!r} has another width",
                    where=where,
                    expected=width,
                    found=found,
                )
            widths[name] = found


def _column(name: str, records: Sequence[AnyRecord], path: str, first: int) -> pa.Array:
    """Arrow column ``name`` of ``records``, the first of which is record ``first`` of ``path``."""
    if name == "video_id":
        return pa.array([record.video_id for record in records], pa.string())
    if name == "labels":
        return _int_lists(name, [record.labels for record in records], path, first)
    if name == "n_frames":
        return pa.array([_n_frames(record) for record in records], pa.int32())
    if name == "shard":
        return pa.array([os.path.basename(path)] * len(records), pa.string())
    if name in _SEGMENT_COLUMNS:
        return _segment_column(name, records, path, first)
    if isinstance(records[0], FrameRecord):
        return pa.array([record.features[name].tobytes() for record in records], pa.binary())
    return float_lists(np.stack([record.features[name] for record in records]))


def _n_frames(record: AnyRecord) -> int | None:
    """Frames of the longest feature list; a released video-level record does not say."""
    if isinstance(record, VideoRecord):
        return None
    return max(len(frames) for frames in record.features.values())


def _int_lists(name: str, rows: Sequence[Ints], path: str, first: int) -> pa.ListArray:
    """Column of lists of entity ids or seconds, 0 .. 2**31 - 1."""
    values = np.concatenate(rows)
    at = _first_wrong(rows, (values >= 0) & (values <= _LARGEST_INT))
    if at is not None:
        raise InputError(
            f"number out of range in {name!r}",
            where=f"{path}, record {first + at[0]}",
            expected=f"0 .. {_LARGEST_INT}",
            found=at[1],
        )
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return ragged_lists(offsets, pa.array(values, pa.int32()))


def _first_wrong(rows: Sequence[Ints], right: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Row and value where ``right`` (of all values, one row after the other) is first False."""
    if right.all():
        return None
    at = int(np.argmin(right))
    ends = np.cumsum([len(row) for row in rows])
    return int(np.searchsorted(ends, at, side="right")), int(np.concatenate(rows)[at])


def _segment_column(name: str, records: Sequence[AnyRecord], path: str, first: int) -> pa.Array:
    """One of the four segment columns; null for a video without segments."""
    segments = [record.segments if isinstance(record, FrameRecord) else None for record in records]
    if name == "segment_scores":
        scores = [_NO_SCORES if one is None else one.scores for one in segments]
        values = pa.array(np.concatenate(scores), pa.float32())
        column = ragged_lists(np.cumsum([0, *(len(row) for row in scores)]), values)
    else:
        index = Segments._fields.index(_SEGMENT_COLUMNS[name])
        rows = [_NO_INTS if one is None else cast("Ints", one[index]) for one in segments]
        column = _int_lists(name, rows, path, first)
    absent = np.array([one is None for one in segments])
    return pa.ListArray.from_arrays(column.offsets, column.values, mask=pa.array(absent))
