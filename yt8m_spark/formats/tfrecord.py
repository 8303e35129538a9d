"""TFRecord files: records with a length and two checksums, plain or gzip'ed.

How a record is framed is told in `framing`. Damage costs the record that it is in, not the file:
`scan_records` tells of it and goes on, `read_records` refuses the file.
"""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, NamedTuple, NoReturn, cast

from yt8m_spark.errors import InputError
from yt8m_spark.formats.crc32c import masked_crc32c
from yt8m_spark.formats.framing import (
    FOOTER,
    HEADER,
    LONGEST_RECORD,
    frame,
    record_length,
)
from yt8m_spark.formats.resync import EXPECTED, find_fault, seek_record
from yt8m_spark.formats.streams import open_stream
from yt8m_spark.formats.window import LARGE, Head, Window

__all__ = ["Damage", "Record", "raise_damage", "read_records", "scan_records", "write_records"]

_AHEAD = 1 << 18
# The data of a longer record are checked in pieces before they take memory.
_LONGEST_UNCHECKED = 1 << 22


class Record(NamedTuple):
    """One record of a file."""

    number: int  # counted from 0
    data: bytes
    offset: int  # byte where the record starts, after unzipping


class Damage(NamedTuple):
    """A stretch of a file that holds no record."""

    number: int  # of the record that it stands for; it may have swallowed more than one
    offset: int  # byte where it starts, after unzipping
    n_bytes: int  # how long it is, after unzipping
    reason: str  # in one line, without the place


def read_records(path: str) -> Iterator[Record]:
    """Read the records of a TFRecord file, gzip'ed or not, one at a time.

    Both checksums of every record are verified.

    Raises
    ------
    InputError
        If the file is missing, is no TFRecord file, is damaged or is cut short. It names the
        file, the record (from 0) and the byte where the record starts (after unzipping).
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; only opening may be refused here
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    with file:
        for found in scan_records(file, path):
            if isinstance(found, Damage):
                raise_damage(path, found)
            yield found


def scan_records(
    file: IO[bytes],
    path: str,
    *,
    start: int = 0,
    stop: int | None = None,
    first_number: int = 0,
    head: Head | None = None,
) -> Iterator[Record | Damage]:
    """Read the records of a TFRecord file that may be damaged; never raises for damage.

    A record whose data fail their checksum costs that record alone. Where a length is wrong the
    search goes on byte by byte to the next whole record (see `resync`), so that a record is
    lost only if it is damaged itself. Of a damaged gzip file everything is used that unzips.

    Parameters
    ----------
    file : file open for reading bytes
        Needs ``read``, ``seek`` and ``tell``. It is not closed.
    path : str
        Its name, for errors.
    start, stop : int
        Byte where the first record starts, and byte at or after which no further one may, as
        `ranges.record_ranges` gives them; in a gzip'ed file 0 and None.
    first_number : int
        Number of the record at ``start``.
    head : Head, optional
        How many of the first bytes of a large record are wanted: it then has these only, though
        all are checked unless ``head`` says not to. Records below 64 KiB are always whole, and
        those that were read ahead with them.

    Yields
    ------
    Record or Damage
        In the order of the file; they cover every byte from ``start`` to ``stop``. Memory is a
        few MiB and the largest record.

    Raises
    ------
    InputError
        If the file system fails to read.
    """
    number = first_number
    try:
        window = Window(open_stream(file, start), start)
        while True:
            for record in _records_at_hand(window, number, stop):
                yield record
                number += 1
            if stop is not None and window.offset >= stop:
                return
            found = _next_record(window, number, head) or _next_damage(window, number, stop)
            if found is None:
                return
            yield found
            number += 1
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=path) from None


def raise_damage(path: str, damage: Damage) -> NoReturn:
    """Refuse the file ``path`` for ``damage``.

    Raises
    ------
    InputError
        Always; it names the file, the record and the byte.
    """
    what, _, expected = damage.reason.partition(EXPECTED)
    where = f"{path}, record {damage.number}, byte {damage.offset}"
    raise InputError(what, where=where, expected=expected or None)


def write_records(path: str, records: Iterable[bytes], *, compress: bool = False) -> int:
    """Write ``records`` to a TFRecord file, whole or not at all.

    Parameters
    ----------
    path : str
        Replaced if it is there. The folder must exist.
    records : iterable of bytes
    compress : bool
        Whether to gzip the file. The same records give the same bytes either way.

    Returns
    -------
    int
        Number of records written.
    """
    folder, name = os.path.split(path)
    # Unique: Spark may run a task twice at once. Hidden: no glob may take it for a shard.
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            if compress:
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
                    count = _write_all(cast("IO[bytes]", zipped), records)
            else:
                count = _write_all(file, records)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return count


def _records_at_hand(window: Window, number: int, stop: int | None) -> Iterator[Record]:
    """Undamaged records that have been read ahead: many small ones, so without a call for each."""
    buffer, at, base = window.at_hand()
    last = len(buffer) if stop is None else min(len(buffer), stop - base)
    while at < last and (data_at := at + HEADER.size) <= len(buffer):
        length, crc = HEADER.unpack_from(buffer, at)
        end = data_at + length + FOOTER.size
        if end > len(buffer) or masked_crc32c(buffer[at : data_at - FOOTER.size]) != crc:
            return
        data = buffer[data_at : end - FOOTER.size]
        if FOOTER.unpack_from(buffer, end - FOOTER.size)[0] != masked_crc32c(data):
            return
        window.move_to(end)
        yield Record(number, data, base + at)
        number, at = number + 1, end


def _next_record(window: Window, number: int, head: Head | None) -> Record | None:
    """The record here; None, and nothing read, if there is no whole one."""
    offset = window.offset
    header = window.read(HEADER.size)
    length = record_length(header)
    if head and length is not None and length >= LARGE:
        first = window.take_head(length, head)
        if first is not None:
            return Record(number, first, offset)
    if length is None or not _may_be_read(window, length):
        window.unread(header)
        return None
    # Small records are read ahead many at a time; a large one alone, to be copied only once.
    is_large = length >= LARGE
    window.ahead = 0 if is_large else _AHEAD
    data = window.read(length)
    window.ahead = HEADER.size if is_large else _AHEAD
    footer = window.read(FOOTER.size)
    if len(footer) < FOOTER.size or FOOTER.unpack(footer)[0] != masked_crc32c(data):
        window.unread(header + data + footer)
        return None
    return Record(number, data, offset)


def _may_be_read(window: Window, length: int) -> bool:
    """Whether the data after a header may be taken into memory."""
    left = window.left
    if length > LONGEST_RECORD or (left is not None and length + FOOTER.size > left):
        return False
    return length <= _LONGEST_UNCHECKED or window.check(0, length).holds


def _next_damage(window: Window, number: int, stop: int | None) -> Damage | None:
    """Move to the next record and tell of what is between; None at the end of the file."""
    offset = window.offset
    fault = find_fault(window)
    if fault is None:
        return None
    if fault.is_followed:
        window.skip(fault.extent or 0)
    elif fault.extent is not None:  # it may have lost bytes and hold those of the next ones
        seek_record(window, offset + fault.extent)
    elif not seek_record(window, stop) and window.offset != stop:
        reason = window.stream.take_error() or fault.last
        return Damage(number, offset, window.offset - offset, reason)
    n_bytes = window.offset - offset
    resumed = f", resynchronised after {n_bytes} bytes" if n_bytes != fault.extent else ""
    return Damage(number, offset, n_bytes, fault.reason + resumed)


def _write_all(file: IO[bytes], records: Iterable[bytes]) -> int:
    """Write every record and return how many there were."""
    count = 0
    for data in records:
        header, footer = frame(data)
        file.write(header)
        file.write(data)
        file.write(footer)
        count += 1
    return count
