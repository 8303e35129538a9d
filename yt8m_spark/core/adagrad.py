"""AdaGrad (Duchi et al. 2011), the optimiser of paper §4.3."""

from __future__ import annotations

from typing import Any

from yt8m_spark.core.arrays import add_scaled, namespace

__all__ = ["adagrad_update"]


def adagrad_update(
    weights: Any, accumulator: Any, gradient: Any, learning_rate: float, scratch: Any = None
) -> None:
    """Move ``weights`` against ``gradient``; contiguous float32 of one shape, changed in place.

        accumulator += gradient²
        weights     -= learning_rate · gradient / sqrt(accumulator)

    The accumulator must start above 0. ``gradient`` is used up, and ``scratch``, of its shape,
    spares making an array at each step. Arrays are NumPy's or torch's (`core.arrays`).
    """
    xp = namespace(weights)
    scratch = xp.empty_like(gradient) if scratch is None else scratch
    xp.square(gradient, out=scratch)
    accumulator += scratch
    xp.sqrt(accumulator, out=scratch)
    xp.divide(gradient, scratch, out=gradient)
    add_scaled(weights, gradient, -learning_rate)
