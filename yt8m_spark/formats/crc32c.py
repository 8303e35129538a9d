# NOTE FROM THE LEAD TO HELPER A: this file overwrote yours by mistake at 02:21. Your own version is the one that counts: write it here again from your context (take anything useful from this one).
"""CRC-32C (Castagnoli) and the mask that TFRecord puts on it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["crc32c", "masked_crc32c", "table_crc32c"]

_POLYNOMIAL = 0x82F63B78  # reflected
_MASK_DELTA = 0xA282EAD8


def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _byte_table()


def table_crc32c(data: bytes) -> int:
    """CRC-32C of ``data`` a byte at a time, where the C library is missing; a few MB/s."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _fastest() -> Callable[[bytes], int]:
    try:
        import google_crc32c  # wheels for the common machines; elsewhere the table serves
    except ImportError:
        return table_crc32c
    return google_crc32c.value  # type: ignore[no-any-return]


crc32c = _fastest()


def masked_crc32c(data: bytes) -> int:
    """CRC-32C of ``data`` as TFRecord stores it: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF
