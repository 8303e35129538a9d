"""AdaGrad (Duchi et al. 2011), the optimiser of paper §4.3."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["adagrad_update"]


def adagrad_update(
    weights: NDArray[np.float32],
    accumulator: NDArray[np.float32],
    gradient: NDArray[np.float32],
    learning_rate: float,
) -> None:
    """Move ``weights`` against ``gradient``; all of one shape, all changed in place.

        accumulator += gradient²
        weights     -= learning_rate · gradient / sqrt(accumulator)

    The accumulator must start above 0. ``gradient`` is used up as scratch: a block's arrays fill
    the cache, and another of the same size would push one of them out.
    """
    # The step is g / sqrt(a); squaring into the accumulator needs one scratch array in all.
    scratch = np.square(gradient)
    accumulator += scratch
    np.sqrt(accumulator, out=scratch)
    np.divide(gradient, scratch, out=gradient)
    gradient *= np.float32(learning_rate)
    weights -= gradient
