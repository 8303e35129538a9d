"""How many distinct labels there are, told from some of the videos."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["estimate_distinct"]


def estimate_distinct(counts: Iterable[int]) -> int:
    """Distinct labels of all videos, from how often each was met in some of them.

    Chao's estimate of the number of species (1984; the form without bias): with S labels seen, f1
    of them once and f2 twice, S + f1 (f1 - 1) / (2 (f2 + 1)). A lower bound in expectation, so
    still short where rare labels are many, but not by the factors that S alone is.

    Parameters
    ----------
    counts : iterable of int
        Of each label seen, 1 or more.
    """
    held = list(counts)
    once, twice = held.count(1), held.count(2)
    return len(held) + once * (once - 1) // (2 * (twice + 1))
