"""The logistic function, as fast as the processor's exponential.

Training takes it of every logit of every mini-batch. `scipy.special.expit` and `numpy.logaddexp`
work number by number; `exp` and `log` of NumPy work on sixteen at once, ten times as fast.
"""

from __future__ import annotations

from typing import Any

from yt8m_spark.core.arrays import namespace

__all__ = ["sigmoid", "softplus"]

# exp(80) is within float32, and sigmoid(-80) = 1.8e-35 as well.
_LARGEST = 80.0


def sigmoid(z: Any, out: Any = None) -> Any:
    """1 / (1 + exp(-z)), in ``out`` or a new array; logits count as within -80 to 80."""
    xp = namespace(z)
    out = xp.clip(z, -_LARGEST, _LARGEST, out=out)
    out *= -1
    xp.exp(out, out=out)
    out += 1
    xp.reciprocal(out, out=out)
    return out


def softplus(z: Any) -> Any:
    """log(1 + exp(z)), a new array of z's shape: the log-loss of a logit without the label.

    As max(z, 0) + log(1 + exp(-|z|)), which does not overflow. Its absolute error is that of the
    type's 1, 6e-8 in float32.
    """
    xp = namespace(z)
    out = abs(z)
    out *= -1
    xp.exp(out, out=out)
    out += 1
    xp.log(out, out=out)
    out += xp.clip(z, 0, None)
    return out
