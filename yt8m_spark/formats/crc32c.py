"""CRC-32C (Castagnoli), plain and as TFRecord files store it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

__all__ = ["crc32c", "masked_crc32c", "table_crc32c"]

# Castagnoli's polynomial with its bits reversed (RFC 3720, appendix B.4).
_POLYNOMIAL = 0x82F63B78
# TFRecord stores the CRC rotated by 15 bits and moved by this constant, so that the CRC of data
# that hold CRCs is not degenerate.
_MASK_DELTA = 0xA282EAD8


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_crc_of_byte(value) for value in range(256)]


def table_crc32c(data: bytes) -> int:
    """CRC-32C of ``data`` by table, in Python (10 MB/s): used where google_crc32c is not."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _fastest() -> Callable[[bytes], int]:
    """The compiled CRC if it is here; its own Python fallback is no faster than ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "no compiled extension"
            import google_crc32c
    except ImportError:
        return table_crc32c
    if google_crc32c.implementation != "c":
        return table_crc32c
    value: Callable[[bytes], int] = google_crc32c.value
    return value


_crc32c = _fastest()


def crc32c(data: bytes) -> int:
    """CRC-32C of ``data``, 0 .. 2**32 - 1."""
    return _crc32c(data)


def masked_crc32c(data: bytes) -> int:
    """CRC-32C of ``data`` masked as in TFRecord files, 0 .. 2**32 - 1."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
