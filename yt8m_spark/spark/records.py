"""Records of a TFRecord shard to Arrow batches, checked against what the first record had.

Axes: B records of a batch, F frames, D features.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    context_size,
    decode_context,
    decode_frames,
    decode_video,
)
from yt8m_spark.formats.framing import FRAMING
from yt8m_spark.formats.mediapipe import decode_mediapipe
from yt8m_spark.formats.record_types import KEYS, FrameRecord, Keys, VideoRecord
from yt8m_spark.formats.tfrecord import Damage, Record, raise_damage, scan_records
from yt8m_spark.formats.window import Head
from yt8m_spark.progress import left_out
from yt8m_spark.spark.arrow import between_nulls
from yt8m_spark.spark.record_columns import SEGMENT_COLUMNS, record_column, wrong_numbers
from yt8m_spark.spark.schemas import arrow_schema
from yt8m_spark.spark.storage import open_file, told_address

__all__ = ["Piece", "RecordBatches", "Rejected", "Rules", "warn_of"]

# A batch ends at so many videos or bytes, whichever comes first.
_VIDEOS_A_BATCH = 1024
_BYTES_A_BATCH = 32 << 20

AnyRecord = VideoRecord | FrameRecord

_logger = logging.getLogger("yt8m_spark")


class Piece(NamedTuple):
    """A file, or the records of it that start at bytes ``start`` to ``stop``."""

    path: str
    start: int = 0
    stop: int | None = None  # None: to its end
    first_number: int = 0  # of the record at ``start``
    size: int | None = None  # of the whole file when it was listed, as stored; None: not known


class Rules(NamedTuple):
    """What every record must be, and what becomes of one that is not."""

    level: str  # "frame" or "video"
    widths: dict[str, int]  # D of each feature to read; 0: as the first of the piece has it
    exact: bool = False  # whether a record may have no segments if they are not read
    entities: NDArray[np.int64] | None = None  # (E,) ascending: what labels may be; None: anything
    keys: Keys = KEYS
    mediapipe: bool = False  # whether the records are MediaPipe's
    mode: str = "failfast"
    check_data: bool = True  # even if only the context of a record is wanted
    corrupt_record: str = "_corrupt_record"


class Rejected(NamedTuple):
    """A record that could not be used."""

    path: str
    number: int
    offset: int  # byte of the (unzipped) file where it starts
    n_bytes: int
    reason: str

    def __str__(self) -> str:
        """Return its place and the reason."""
        return f"{self.path}, record {self.number}, byte {self.offset}: {self.reason}"


class _Row(NamedTuple):
    """A record of a batch, or why there is none."""

    item: Record | Damage
    record: AnyRecord | None
    reason: str = ""


def warn_of(rejected: list[Rejected]) -> None:
    """Tell in the task's log how many records of a piece were bad."""
    if rejected:
        _logger.warning("%d bad records; the first: %s", len(rejected), rejected[0])


class RecordBatches:
    """Turns shards into Arrow batches of the columns of a schema.

    Parameters
    ----------
    schema : StructType
        Columns of the frames or videos table, each known to the records, and perhaps the column
        of corrupt records.
    rules : Rules
    """

    def __init__(self, schema: StructType, rules: Rules) -> None:
        self.schema = schema
        self._rules = rules
        self._has_segments = any(name in SEGMENT_COLUMNS for name in schema.names)
        # Of records whose frames nobody asks for, not even how many there are.
        context_only = (
            rules.level == "frame"
            and not (rules.widths or rules.exact or rules.mediapipe)
            and "n_frames" not in schema.names
        )
        self._head = Head(context_size, rules.check_data) if context_only else None

    @property
    def keeps_bad_rows(self) -> bool:
        """Whether a bad record gives a row."""
        return self._rules.mode == "permissive"

    def read(
        self, piece: Piece, tell: Callable[[list[Rejected]], None] = warn_of
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most 1,024 videos or about 32 MiB (at least one video).

        ``n_frames`` is the number of frames of the longest feature list of the record, read or
        not; a video-level record does not tell it, so it is null.

        Mode "permissive" gives a row of nulls for a bad record, the place and the reason in the
        column of corrupt records (if the schema has it); "dropmalformed" gives none. At the end
        ``tell`` is called with the bad records.

        Raises
        ------
        InputError
            If the file has not the size with which it was listed: cut between two records it would
            give fewer of them without a word. In mode "failfast" also if a record is damaged or
            breaks a rule; it names the file and the record.
        """
        widths = dict(self._rules.widths)
        rejected: list[Rejected] = []
        rows: list[_Row] = []
        n_bytes = 0
        with open_file(piece.path) as file:
            _check_size(file, piece)
            for item in scan_records(
                file,
                piece.path,
                start=piece.start,
                stop=piece.stop,
                first_number=piece.first_number,
                head=self._head,
            ):
                rows.append(self._row(item, widths, piece.path))
                n_bytes += len(item.data) if isinstance(item, Record) else 0
                if len(rows) == _VIDEOS_A_BATCH or n_bytes >= _BYTES_A_BATCH:
                    yield from self._batch(rows, piece.path, rejected)
                    rows, n_bytes = [], 0
            _check_size(file, piece)  # it may have been cut while it was read
        if rows:
            yield from self._batch(rows, piece.path, rejected)
        tell(rejected)

    def _row(self, item: Record | Damage, widths: dict[str, int], path: str) -> _Row:
        """Decode and check one record; ``widths`` takes those that were not known."""
        strict = self._rules.mode == "failfast"
        if isinstance(item, Damage):
            if strict:
                raise_damage(path, item)
            return _Row(item, None, item.reason)
        where = f"{path}, record {item.number}"
        try:
            record = self._decode(item.data, widths, where)
            _check_features(record, widths, where)
        except InputError as error:
            if strict:
                raise
            reason = str(error).removeprefix(f"{where}: ").replace(f" in {where}", "", 1)
            return _Row(item, None, reason)
        return _Row(item, record)

    def _decode(self, data: bytes, widths: dict[str, int], where: str) -> AnyRecord:
        rules = self._rules
        if rules.level == "video":
            return decode_video(data, features=widths, keys=rules.keys, where=where)
        if rules.mediapipe:
            return decode_mediapipe(data, where=where)
        if self._head:
            return decode_context(data, keys=rules.keys, where=where)
        record = decode_frames(data, features=widths, keys=rules.keys, where=where)
        if rules.exact and record.segments is not None and not self._has_segments:
            raise InputError(
                "segments, but none in the first record",
                where=where,
                expected="a schema with the segment columns",
            )
        return record

    def _batch(
        self, rows: list[_Row], path: str, rejected: list[Rejected]
    ) -> Iterator[pa.RecordBatch]:
        """One batch of ``rows``, none if every row is dropped."""
        rows = self._without_wrong_numbers(rows, path)
        bad = [_rejected(row, path) for row in rows if row.record is None]
        rejected.extend(bad)
        if self._rules.mode == "dropmalformed":
            rows = [row for row in rows if row.record is not None]
            left_out(len(bad))
        if rows:
            schema = arrow_schema(self.schema)
            columns = [
                self._column(field.name, rows, field.type, path).cast(field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _column(self, name: str, rows: list[_Row], kind: pa.DataType, path: str) -> pa.Array:
        if name == self._rules.corrupt_record:
            where = told_address(path)
            told = [str(_rejected(row, where)) if row.record is None else None for row in rows]
            return pa.array(told, pa.string())
        records = [row.record for row in rows if row.record is not None]
        if not records and name != "shard":
            return pa.nulls(len(rows), kind)
        if name == "shard":
            return record_column(name, records, path, len(rows))
        missing = np.array([row.record is None for row in rows])
        return between_nulls(record_column(name, records, path, len(records)), missing)

    def _without_wrong_numbers(self, rows: list[_Row], path: str) -> list[_Row]:
        """``rows``, with a reason in place of each record whose labels or segments are wrong.

        All labels of a batch are checked at once: one by one they would take as long as decoding.
        """
        good = [(at, row.record) for at, row in enumerate(rows) if row.record is not None]
        records = [record for _, record in good]
        faults = wrong_numbers(records, self.schema.names, self._rules.entities)
        for number, fault in sorted(faults.items()):
            at = good[number][0]
            if self._rules.mode == "failfast":
                where = f"{path}, record {rows[at].item.number}"
                raise InputError(
                    fault.what, where=where, expected=fault.expected, found=fault.found
                )
            reason = str(InputError(fault.what, expected=fault.expected, found=fault.found))
            rows[at] = _Row(rows[at].item, None, reason)
        return rows


def _check_size(file: IO[bytes], piece: Piece) -> None:
    if piece.size is None or not file.seekable():
        return
    found = file.seek(0, os.SEEK_END)
    if found != piece.size:
        raise InputError(
            "file has changed since it was listed",
            where=piece.path,
            expected=f"{piece.size:,} bytes",
            found=f"{found:,}",
        )
    file.seek(0)  # where reading begins


def _rejected(row: _Row, path: str) -> Rejected:
    item = row.item
    n_bytes = len(item.data) + FRAMING if isinstance(item, Record) else item.n_bytes
    return Rejected(path, item.number, item.offset, n_bytes, row.reason)


def _check_features(record: AnyRecord, widths: dict[str, int], where: str) -> None:
    """Refuse a record whose features are not those of the first one; others are left out."""
    if any(name not in record.features for name in widths):
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
