"""How many entities make a block: enough for fast products, few enough for a core's cache.

Axes: D features, R weight vectors an entity, E entities.
"""

from __future__ import annotations

from math import ceil, gcd
from pathlib import Path

__all__ = ["block_width", "cache_share", "state_bytes", "whole_columns"]

# Columns that BLAS takes at a time.
COLUMNS = 16
# A product with fewer columns than this is slow, whatever the cache.
_FEWEST_COLUMNS = 64
# Weights and AdaGrad's sums are read and written at each step: they should take no more than this
# part of the core's share of the cache, which the videos and the gradient pass through as well.
_PART_OF_CACHE = 1 / 4
_USUAL_CACHE = 16 << 20
# What a block's state may take of a task's memory, in bytes. Its videos take 100 MB more.
STATE_MEMORY = 512 << 20

_CACHE = Path("/sys/devices/system/cpu/cpu0/cache")


def block_width(
    n_entities: int, n_features: int, n_rows: int, n_slots: int, cache: int = _USUAL_CACHE
) -> int:
    """Entities of a block, so that ``n_slots`` tasks at a time are busy in as few waves as can be.

    Parameters
    ----------
    n_entities : int
        E, of all blocks.
    n_features, n_rows : int
        D and R.
    n_slots : int
        Tasks that run at a time.
    cache : int
        Bytes of cache for each of them.
    """
    column = 4 * max(n_features, 1)
    columns = max(cache * _PART_OF_CACHE // (2 * column), _FEWEST_COLUMNS)
    columns = min(columns, STATE_MEMORY // state_bytes(n_features, 1, 1))
    widest = max(int(columns) // n_rows, 1)
    waves = ceil(n_entities / (widest * n_slots))
    width = whole_columns(ceil(n_entities / (waves * n_slots)), n_rows)
    return max(min(width, widest), 1)


def whole_columns(n_entities: int, n_rows: int) -> int:
    """Entities, ``n_entities`` or a few more, whose weights are columns by the sixteen.

    BLAS has other code for what is left over and for the smallest products, whose sums are in
    another order. With whole columns an entity's weights mostly have the same bits in any block;
    where BLAS tells small products from others by their size they are still equal to rounding.
    """
    step = COLUMNS // gcd(COLUMNS, n_rows)
    return max(ceil(n_entities / step) * step, ceil(2 * COLUMNS / n_rows))


def state_bytes(n_features: int, n_rows: int, n_entities: int) -> int:
    """Bytes of a block's state, twice: its columns are copied when entities have converged."""
    return 2 * 3 * 4 * (n_features + 1) * n_rows * n_entities


def cache_share(folder: Path = _CACHE) -> int:
    """Bytes of this machine's last-level cache for each core that shares it; a guess elsewhere."""
    levels = sorted(folder.glob("index*/size"))
    try:
        size = levels[-1].read_text().strip()
        cores = _n_listed((levels[-1].parent / "shared_cpu_list").read_text())
        return int(size.removesuffix("K")) * 1024 // cores
    except (IndexError, OSError, ValueError):
        return _USUAL_CACHE


def _n_listed(cores: str) -> int:
    """How many cores a list such as ``0-3,8`` names."""
    spans = [span.split("-") for span in cores.strip().split(",")]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)
