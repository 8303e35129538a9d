"""Names of the statistics over frames, and how wide they are (paper §4.2.2).

Encodings by a codebook of frames (§4.1.2) are asked for like statistics.

Axes: D features, K ordinal statistics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "ENCODINGS",
    "STATISTICS",
    "check_names",
    "check_statistics",
    "is_encoding",
    "is_statistic",
    "n_ranks",
    "statistic_width",
    "top_k",
]

STATISTICS = ("mean", "std", "top5")  # Eq. 2
# What needs a codebook, and of which method (`core.frame_codebook`).
ENCODINGS = {"vlad": "kmeans", "fisher": "gmm"}
# The third central moment, the least and the largest value are ours.
_OTHERS = ("min", "max", "moment3")
_LARGEST_K = 100
_TOP_K = re.compile(r"top([1-9][0-9]{0,2})")


def is_statistic(name: str) -> bool:
    """Whether ``name`` is a statistic; see `check_statistics`."""
    return name in STATISTICS or name in _OTHERS or 1 <= top_k(name) <= _LARGEST_K


def is_encoding(name: str) -> bool:
    """Whether ``name`` is an encoding by a codebook of frames: "vlad", "fisher"."""
    return name in ENCODINGS


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are neither statistics nor encodings.

    Raises
    ------
    ValueError
        If one is neither; or if there is none, or one twice.
    """
    unknown = [name for name in names if not (is_statistic(name) or is_encoding(name))]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(_expected((*STATISTICS, *_OTHERS, *ENCODINGS), unknown or names))


def check_statistics(statistics: Sequence[str]) -> None:
    """Refuse names that are no statistics; encodings are none.

    Raises
    ------
    ValueError
        If one is neither "mean", "std", "min", "max" nor "moment3" (third central moment), nor
        "top<K>" with K from 1 to 100; or if there is none, or one twice.
    """
    unknown = [name for name in statistics if not is_statistic(name)]
    if unknown or not statistics or len(set(statistics)) < len(statistics):
        raise ValueError(_expected((*STATISTICS, *_OTHERS), unknown or statistics))


def statistic_width(statistic: str, n_features: int) -> int:
    """Length of ``statistic`` of D features: D, or K·D for "top<K>"."""
    check_statistics([statistic])
    return n_features * n_ranks(statistic)


def top_k(name: str) -> int:
    """K of "top<K>"; 0 of any other name."""
    match = _TOP_K.fullmatch(name)
    return int(match[1]) if match else 0


def n_ranks(name: str) -> int:
    """Values of every feature that a statistic has: K of "top<K>", else 1."""
    return top_k(name) or 1


def _expected(names: Sequence[str], found: Sequence[str]) -> str:
    return (
        f"statistics must be of {', '.join(names)}, top1 to top{_LARGEST_K}, each once, "
        f"got {', '.join(found) or 'none'}"
    )
