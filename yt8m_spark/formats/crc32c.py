"""CRC-32C (Castagnoli), plain and as TFRecord files store it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32c", "mask_crc32c", "masked_crc32c", "masked_crc32c_at", "table_crc32c"]

# Castagnoli's polynomial with its bits reversed (RFC 3720, appendix B.4).
_POLYNOMIAL = 0x82F63B78
# TFRecord stores the CRC rotated by 15 bits and moved by this constant, so that the CRC of data
# that hold CRCs is not degenerate.
_MASK_DELTA = 0xA282EAD8
_MASK32 = 0xFFFFFFFF


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_crc_of_byte(value) for value in range(256)]


def table_crc32c(data: bytes, crc: int = 0) -> int:
    """CRC-32C of ``data`` by table, in Python (10 MB/s): used where google_crc32c is not."""
    crc ^= _MASK32
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _MASK32


def _fastest() -> tuple[Callable[[bytes], int], Callable[[int, bytes], int]]:
    """The compiled CRC if it is here; its own Python fallback is no faster than ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "no compiled extension"
            import google_crc32c
    except ImportError:
        return table_crc32c, lambda crc, data: table_crc32c(data, crc)
    if google_crc32c.implementation != "c":
        return table_crc32c, lambda crc, data: table_crc32c(data, crc)
    return google_crc32c.value, google_crc32c.extend


_crc32c, _extend = _fastest()


def crc32c(data: bytes, crc: int = 0) -> int:
    """CRC-32C of ``data``, 0 .. 2**32 - 1; ``crc`` is that of the bytes before them."""
    return _extend(crc, data)


def mask_crc32c(crc: int) -> int:
    """CRC-32C as TFRecord files store it, 0 .. 2**32 - 1."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _MASK32


def masked_crc32c(data: bytes) -> int:
    """CRC-32C of ``data`` masked as in TFRecord files, 0 .. 2**32 - 1."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _MASK32


def masked_crc32c_at(
    data: NDArray[np.uint8], starts: NDArray[np.int64], size: int, *, n_zeros: int = 0
) -> NDArray[np.uint32]:
    """Masked CRC-32C of the ``size`` bytes of ``data`` from each of ``starts`` on, (n,) uint32.

    After them come ``n_zeros`` bytes 0 that are not looked up. The CRC is linear: that of a few
    bytes is the exclusive or of one table entry a byte.
    """
    crcs = np.full(len(starts), table_crc32c(bytes(size + n_zeros)), np.uint32)
    for place, table in enumerate(_tables(size + n_zeros)[:size]):
        crcs ^= table[data[starts + place]]
    return (crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(_MASK_DELTA)


@lru_cache(maxsize=8)
def _tables(size: int) -> tuple[NDArray[np.uint32], ...]:
    """What each byte value does to the CRC of ``size`` bytes, by the place of the byte."""
    first = np.array(_TABLE, np.uint32)
    tables = [first]
    for _ in range(size - 1):  # one more byte of zeros after it
        tables.append(first[tables[-1] & 0xFF] ^ tables[-1] >> np.uint32(8))
    return tuple(tables[::-1])
