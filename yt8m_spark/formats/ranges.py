"""Big shards in ranges, so that several tasks read one of them.

Where the records of a file start is told only by their lengths, one after the other.
"""

from __future__ import annotations

from typing import IO, NamedTuple

from yt8m_spark.formats.framing import FRAMING, HEADER, LONGEST_RECORD, is_gzip, record_length

__all__ = ["RecordRange", "record_ranges"]


class RecordRange(NamedTuple):
    """Part of a file for `tfrecord.scan_records`."""

    start: int  # byte where its first record starts
    stop: int | None  # byte where the next range starts; None: the end of the file
    first_number: int  # number of its first record


_WHOLE = RecordRange(0, None, 0)


def record_ranges(file: IO[bytes], size: int, target_bytes: int) -> list[RecordRange]:
    """Ranges of about ``target_bytes`` that together hold every record of a file once.

    Parameters
    ----------
    file : file open for reading bytes
        Needs ``read`` and ``seek``. Of each record only the 12 bytes of its header are read;
        where a read fetches more than that, as from remote storage, that costs as much as
        reading the file.
    size : int
        Bytes of the file.
    target_bytes : int
        Bytes of a range, at least 1; a record is never divided.

    Returns
    -------
    list of RecordRange
        In the order of the file. One, of all of it, if the file is gzip'ed, smaller than one and
        a half ranges, or damaged: after damage, where a record starts takes reading the file.

    Raises
    ------
    ValueError
        If ``target_bytes`` is less than 1.
    """
    if target_bytes < 1:
        raise ValueError(f"target_bytes must be at least 1, got {target_bytes}")
    n_ranges = (size + target_bytes // 2) // target_bytes
    if n_ranges < 2:
        return [_WHOLE]
    file.seek(0)
    if is_gzip(file.read(HEADER.size)):
        return [_WHOLE]
    starts = _starts(file, size, n_ranges)
    if starts is None:
        return [_WHOLE]
    stops = [start for start, _ in starts[1:]]
    return [
        RecordRange(start, stop, number)
        for (start, number), stop in zip(starts, [*stops, None], strict=True)
    ]


def _starts(file: IO[bytes], size: int, n_ranges: int) -> list[tuple[int, int]] | None:
    """Offset and number of the first record of each range; None if the file is damaged.

    A range starts with the first record at or after its share of the bytes, so a record larger
    than that leaves fewer ranges.
    """
    starts: list[tuple[int, int]] = []
    offset = number = share = 0
    while offset < size:
        if offset * n_ranges >= share * size:
            starts.append((offset, number))
            share = offset * n_ranges // size + 1
        file.seek(offset)
        length = record_length(file.read(HEADER.size))
        if length is None or length > LONGEST_RECORD or offset + length + FRAMING > size:
            return None
        offset, number = offset + length + FRAMING, number + 1
    return starts
