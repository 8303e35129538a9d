"""Memory that loops use again and again.

Fresh memory of a few hundred kilobytes comes from the operating system page by page, which costs
as much as the sums that are then made in it.
"""

from __future__ import annotations

import threading
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["scratch_array"]

Number = TypeVar("Number", bound=np.generic)

# Larger ones are not kept: there the work outweighs the pages.
_LARGEST_KEPT = 1 << 23
# A vector register of 64 bytes that straddles two cache lines takes two loads.
_CACHE_LINE = 64


class _Kept(threading.local):
    """The arrays of one thread, by name, as bytes."""

    def __init__(self) -> None:
        self.flat: dict[str, NDArray[np.uint8]] = {}


_kept = _Kept()


def scratch_array(name: str, shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """An array with anything in it, valid until this thread asks for ``name`` again.

    At most 8 MiB a name are kept. Names open with that of the module that uses them.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    flat = _kept.flat.get(name)
    if flat is None or flat.size < size:
        flat = _aligned(size)
        if size <= _LARGEST_KEPT:
            _kept.flat[name] = flat
    return flat[:size].view(dtype).reshape(shape)


def _aligned(size: int) -> NDArray[np.uint8]:
    """``size`` bytes from the start of a cache line on."""
    flat = np.empty(size + _CACHE_LINE, np.uint8)
    start = -flat.ctypes.data % _CACHE_LINE
    return flat[start : start + size]
