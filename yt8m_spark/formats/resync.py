"""Damage to a TFRecord file: what it is, and where the next whole record starts.

Where a length is damaged nothing tells where the next record starts. A header, though, carries
the checksum of its own length: bytes that pass it by chance are one place in 2**32, and the
checksum of the data has to hold as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.formats.crc32c import masked_crc32c, masked_crc32c_at
from yt8m_spark.formats.framing import FOOTER, FRAMING, HEADER, LONGEST_RECORD, record_length
from yt8m_spark.formats.window import Window

__all__ = ["EXPECTED", "Fault", "find_fault", "header_positions", "seek_record"]

# Between what is wrong and what was expected, as in an InputError.
EXPECTED = ", expected "

_BLOCK = 1 << 18  # bytes searched at once
# Bytes of data that may be checked for each byte searched, beside a first gigabyte. Only a file
# made for it, full of headers without records, needs more: it must not take the square of its size.
_CHECKED_A_BYTE = 64
_CHECKED_FREE = 1 << 30


class Fault(NamedTuple):
    """Why the bytes here are no record."""

    reason: str  # where records follow
    last: str  # where none does
    extent: int | None = None  # bytes of the record, if its length passes its checksum
    is_followed: bool = False  # whether a header or the end of the file is where it ends


def seek_record(window: Window, stop: int | None = None) -> bool:
    """Move from a damaged record to the next whole one.

    Parameters
    ----------
    window : Window
        Stands where the damaged record starts; is moved to where the next one does, or to
        ``stop`` or the end.
    stop : int, optional
        Offset before which the next record must start.

    Returns
    -------
    bool
        Whether one was found: header and data pass their checksums, and the data are all there.
    """
    window.skip(1)
    allowed = _CHECKED_FREE
    while block := window.peek(_BLOCK + HEADER.size - 1):
        n_searched = min(len(block), _BLOCK)
        if stop is not None:
            n_searched = min(n_searched, stop - window.offset)
        allowed += n_searched * _CHECKED_A_BYTE
        for position in header_positions(block).tolist():
            length = record_length(block[position : position + HEADER.size])
            if position >= n_searched or length is None:
                break
            if length > allowed or not _fits(window, position, length):
                continue
            allowed -= length
            if window.check(position + HEADER.size, length).holds:
                window.skip(position)
                return True
        window.skip(n_searched)
        if window.offset == stop:
            break
    return False


def header_positions(block: bytes) -> NDArray[np.int64]:
    """Where in ``block`` the headers of records may start, (n,) ascending.

    At every one of them 8 bytes are a length of at most `LONGEST_RECORD` and the 4 bytes after
    them its masked CRC.
    """
    data = np.frombuffer(block, np.uint8)
    n_positions = len(data) - HEADER.size + 1
    if n_positions < 1:
        return np.empty(0, np.int64)
    pairs = data[:-1] | data[1:]
    fours = pairs[:-2] | pairs[2:]  # 0 where four bytes from here on are 0
    low, high, crc = (fours[at : at + n_positions] for at in (0, 4, 8))
    # Few places pass this cheap test, so the CRC is not taken at every byte. Twelve zeros, as in
    # lost sectors, are no header: the masked CRC of eight zeros is not 0.
    short = (high == 0) & (data[3 : 3 + n_positions] < 0x80) & (low | crc != 0)
    starts = np.flatnonzero(short)
    stored = np.zeros(len(starts), np.uint32)
    for place in range(4):
        stored |= data[starts + 8 + place].astype(np.uint32) << np.uint32(8 * place)
    crcs = masked_crc32c_at(data, starts, 4, n_zeros=4)
    positions: NDArray[np.int64] = starts[crcs == stored]
    return positions


def _fits(window: Window, distance: int, length: int) -> bool:
    """Whether the file has room for a record ``distance`` bytes from here."""
    room = LONGEST_RECORD if window.left is None else window.left - distance - FRAMING
    return length <= room


def find_fault(window: Window) -> Fault | None:
    """Why there is no record here; None at the end of the file."""
    header = window.peek(HEADER.size)
    length = record_length(header)
    if not header:
        error = window.stream.take_error()
        return Fault(error, error, 0, is_followed=True) if error else None
    if length is None and window.offset == 0:
        expected = "a length of 8 bytes and its CRC"
        last = f"not a TFRecord file{EXPECTED}{expected}, found {header.hex(' ')}"
        return Fault(_bad_header(header), last)
    if length is None:
        return Fault(_bad_header(header), _bad_header(header))
    if length > LONGEST_RECORD:
        reason = f"record is too long{EXPECTED}at most {LONGEST_RECORD} bytes, found {length}"
        return Fault(reason, reason)
    return _fault_of_data(window, length)


def _fault_of_data(window: Window, length: int) -> Fault:
    """What is wrong with a record behind its header."""
    left = window.left
    if left is not None and length + FRAMING > left:  # not read: the length is all that is known
        n_data = min(length, left - HEADER.size)
        n_footer = left - HEADER.size - n_data
    else:
        check = window.check(HEADER.size, length)
        n_data, n_footer = check.n_data, len(check.footer)
    if n_footer < FOOTER.size:
        room = n_data + n_footer - FOOTER.size
        reason = f"length of a record runs past the end{EXPECTED}at most {room}, found {length}"
        if n_data < length:
            return Fault(reason, _cut_short("data", length, n_data))
        return Fault(reason, _cut_short("checksum", FOOTER.size, n_footer))
    following = check.next_header
    return Fault(
        _corrupt("data", check.footer, check.crc),
        "",
        length + FRAMING,
        is_followed=not following or record_length(following) is not None,
    )


def _bad_header(header: bytes) -> str:
    if len(header) < HEADER.size:
        return _cut_short("header", HEADER.size, len(header))
    return _corrupt("length", header[-FOOTER.size :], masked_crc32c(header[: -FOOTER.size]))


def _corrupt(part: str, stored: bytes, crc: int) -> str:
    expected = f"masked CRC {FOOTER.unpack(stored)[0]:08x}"
    return f"{part} of a record is corrupt{EXPECTED}{expected}, found {crc:08x}"


def _cut_short(part: str, expected: int, found: int) -> str:
    return f"file is cut short: {part} of a record{EXPECTED}{expected} bytes, found {found}"
