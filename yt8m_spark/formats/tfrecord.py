"""TFRecord files: records with a length and two checksums, plain or gzip'ed.

A record is its length (8 bytes, little endian), the masked CRC-32C of these 8 bytes, the data and
the masked CRC-32C of the data. A file without a byte holds no records.
"""

from __future__ import annotations

import gzip
import os
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple, cast

from yt8m_spark.errors import InputError
from yt8m_spark.formats.crc32c import masked_crc32c

__all__ = ["Record", "read_records", "write_records"]

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_GZIP_MAGIC = b"\x1f\x8b"
# A protocol-buffer message cannot be longer, so neither can a record of one.
_LONGEST_RECORD = 2**31 - 1
# A damaged length must not reserve memory that the file cannot fill.
_BYTES_A_READ = 1 << 24


class Record(NamedTuple):
    """One record of a file."""

    number: int  # counted from 0
    data: bytes


def read_records(path: str) -> Iterator[Record]:
    """Read the records of a TFRecord file, gzip'ed or not, one at a time.

    Both checksums of every record are verified.

    Raises
    ------
    InputError
        If the file is missing, is no TFRecord file, is damaged or is cut short. It names the
        file, the record (from 0) and the byte where the record starts (after unzipping).
    """
    with _open(path) as file:
        number = offset = 0
        while True:
            where = f"{path}, record {number}, byte {offset}"
            try:
                data = _read_record(file, where, first=number == 0)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise InputError(f"damaged gzip data ({error})", where=where) from None
            if data is None:
                return
            yield Record(number, data)
            number += 1
            offset += _HEADER.size + len(data) + _FOOTER.size


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


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    """Open for reading, unzipped; a file that is neither kind is left to `_read_record`."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; only opening may be refused here
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    with file:
        head = file.read(_HEADER.size)
        file.seek(0)
        # The magic alone does not decide: a first record of 35,615 bytes starts with it too.
        if head.startswith(_GZIP_MAGIC) and _length(head) is None:
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield cast("IO[bytes]", unzipped)
        else:
            yield file


def _read_record(file: IO[bytes], where: str, *, first: bool) -> bytes | None:
    """Data of the next record; None at the end of the file."""
    header = file.read(_HEADER.size)
    if not header:
        return None
    length = _length(header)
    if first and length is None:
        expected, found = "a length of 8 bytes and its CRC", header[: _HEADER.size].hex(" ")
        raise InputError("not a TFRecord file", where=where, expected=expected, found=found)
    if len(header) < _HEADER.size:
        raise _cut_short("header", where, _HEADER.size, len(header))
    if length is None:
        raise _corrupt("length", where, header[:8], header[8:])
    if length > _LONGEST_RECORD:
        expected = f"at most {_LONGEST_RECORD} bytes"
        raise InputError("record is too long", where=where, expected=expected, found=length)
    data = _read_up_to(file, length)
    if len(data) < length:
        raise _cut_short("data", where, length, len(data))
    footer = file.read(_FOOTER.size)
    if len(footer) < _FOOTER.size:
        raise _cut_short("checksum", where, _FOOTER.size, len(footer))
    if _FOOTER.unpack(footer)[0] != masked_crc32c(data):
        raise _corrupt("data", where, data, footer)
    return data


def _length(header: bytes) -> int | None:
    """Length that a record's header gives; None if its CRC says that it is no header."""
    if len(header) < _HEADER.size:
        return None
    length, crc = _HEADER.unpack(header)
    return int(length) if masked_crc32c(header[:8]) == crc else None


def _read_up_to(file: IO[bytes], size: int) -> bytes:
    """``size`` bytes, or those there are; memory grows with what the file gives."""
    if size <= _BYTES_A_READ:
        return file.read(size)
    chunks = []
    while size > 0 and (chunk := file.read(min(size, _BYTES_A_READ))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _corrupt(part: str, where: str, covered: bytes, stored: bytes) -> InputError:
    return InputError(
        f"{part} of a record is corrupt",
        where=where,
        expected=f"masked CRC {_FOOTER.unpack(stored)[0]:08x}",
        found=f"{masked_crc32c(covered):08x}",
    )


def _cut_short(part: str, where: str, expected: int, found: int) -> InputError:
    return InputError(
        f"file is cut short: {part} of a record",
        where=where,
        expected=f"{expected} bytes",
        found=found,
    )


def _write_all(file: IO[bytes], records: Iterable[bytes]) -> int:
    """Write every record and return how many there were."""
    count = 0
    for data in records:
        length = struct.pack("<Q", len(data))
        file.write(length + _FOOTER.pack(masked_crc32c(length)))
        file.write(data)
        file.write(_FOOTER.pack(masked_crc32c(data)))
        count += 1
    return count
