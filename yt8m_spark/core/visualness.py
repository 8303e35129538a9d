"""How visual raters find an entity (paper §3.1, Fig. 4): the kept scores in three equal ranges.

A rating is a whole number from 1, any layperson could tell it from the pictures alone, to 5, it
cannot be seen. An entity's score is the mean of its ratings.
"""

from __future__ import annotations

from fractions import Fraction

__all__ = ["HIGHEST", "LOWEST", "N_RANGES", "specificity_bounds"]

LOWEST, HIGHEST = 1, 5  # the scale of the raters
N_RANGES = 3  # Fig. 4b


def specificity_bounds(max_mean: float, n_ranges: int = N_RANGES) -> tuple[float, ...]:
    """Upper bounds of ``n_ranges`` ranges of equal width from 1 to ``max_mean``.

    The paper's 2.5 gives 1.5, 2.0 and 2.5. A bound belongs to the range below it, as 2.5 belongs
    to what is kept: [1, 1.5], (1.5, 2.0], (2.0, 2.5]. Each is the double nearest to the exact
    bound, as a mean of whole numbers is; so a mean that is exactly a bound compares as equal.

    Raises
    ------
    ValueError
        If ``max_mean`` is not above 1, up to 5.
    """
    if not LOWEST < max_mean <= HIGHEST:
        raise ValueError(f"max_mean must be above {LOWEST}, up to {HIGHEST}, got {max_mean}")
    width = (Fraction(repr(float(max_mean))) - LOWEST) / n_ranges
    return tuple(float(LOWEST + width * i) for i in range(1, n_ranges + 1))
