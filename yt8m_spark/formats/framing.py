"""How TFRecord files frame a record: its length and two checksums around its data.

A record is its length (8 bytes, little endian), the masked CRC-32C of these 8 bytes, the data and
the masked CRC-32C of the data. A file without a byte holds no records.
"""

from __future__ import annotations

import struct

from yt8m_spark.formats.crc32c import masked_crc32c

__all__ = ["FOOTER", "FRAMING", "HEADER", "LONGEST_RECORD", "frame", "is_gzip", "record_length"]

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
FRAMING = HEADER.size + FOOTER.size  # bytes of a record beside its data
# A protocol-buffer message cannot be longer, so neither can a record of one.
LONGEST_RECORD = 2**31 - 1

_LENGTH = struct.Struct("<Q")
_GZIP_MAGIC = b"\x1f\x8b"


def record_length(header: bytes) -> int | None:
    """Bytes of data that a record's header announces; None if its CRC says that it is none."""
    if len(header) != HEADER.size:
        return None
    length: int
    length, crc = HEADER.unpack(header)
    return length if masked_crc32c(header[: _LENGTH.size]) == crc else None


def is_gzip(head: bytes) -> bool:
    """Whether a file that starts with the 12 bytes ``head`` is gzip'ed.

    The magic alone does not decide: a first record of 35,615 bytes starts with it too.
    """
    return head.startswith(_GZIP_MAGIC) and record_length(head) is None


def frame(data: bytes) -> tuple[bytes, bytes]:
    """Header and footer of a record."""
    length = _LENGTH.pack(len(data))
    return length + FOOTER.pack(masked_crc32c(length)), FOOTER.pack(masked_crc32c(data))
