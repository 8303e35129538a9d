"""Sets of entity ids as people write them: ``0-199,305``."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

__all__ = ["parse_entities"]

_PART = re.compile(r"(\d+)(?:-(\d+))?")
_MAX_ID = 2**31 - 1
# Guards against a slip such as 0-99999999; YouTube-8M has 4,800 entities.
_LONGEST_RANGE = 10_000_000


def parse_entities(text: str) -> NDArray[np.int64]:
    """Ids of ``text``, ids and inclusive ranges separated by commas, ascending, each once.

    Raises
    ------
    ValueError
        If a part is neither an id nor a range, or a range runs backwards.
    """
    ids: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"entities must be ids and ranges such as 0-199,305, got {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= min(_MAX_ID, first + _LONGEST_RANGE):
            raise ValueError(
                f"entity range {part.strip()!r} runs backwards, too far or past {_MAX_ID}"
            )
        ids.update(range(first, last + 1))
    return np.array(sorted(ids), dtype=np.int64)
