"""Log-losses of scores that are taken for probabilities.

Two of them. The paper's classifiers minimise the log-loss of Eq. 5; as a figure of an evaluation::

    loss = mean over entities of the mean over videos of -log max(q, 2^-23)

with q the probability that the score gives to what is true: s for a label, 1 - s for none. The
entities are those of mAP: all that label a video, whether or not anything predicts them. No
score is 0 or 1 in truth, but float32 rounds to them, so q is taken as at least 2^-23 (the distance
from 1 to the next float32; scikit-learn clips float32 probabilities there too, at both ends, where
we leave a score near 0 of no label as it is: its loss is 0).

The starter code's (google/youtube-8m, losses.py, CrossEntropyLoss)::

    starter_loss = mean over videos of the sum over entities of -log(q + 1e-5)

Its entities are all that are predicted for, or label, some video: for a model those it knows and
the labels that it does not. A pair that is not listed in a predictions table has score 0; if it is
no label either it adds -log(1 + 1e-5) to starter_loss, and nothing to loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["STARTER_ABSENT", "loss_of_labels", "loss_of_others"]

Floats = NDArray[np.float64]

_LEAST = 2.0**-23
_STARTER_EPSILON = 1e-5

# Starter loss of a pair of score 0 that is no label.
STARTER_ABSENT = -float(np.log1p(_STARTER_EPSILON))


def loss_of_labels(scores: Floats) -> tuple[Floats, Floats]:
    """Loss, and starter loss, of each label of the ``scores`` (any shape), of one shape with it."""
    return -np.log(np.maximum(scores, _LEAST)), -np.log(scores + _STARTER_EPSILON)


def loss_of_others(scores: Floats) -> tuple[Floats, Floats]:
    """Loss, and starter loss, of ``scores`` (any shape) of entities that are no labels."""
    loss = np.minimum(scores, 1 - _LEAST)
    np.log1p(np.negative(loss, out=loss), out=loss)
    starter = np.subtract(_STARTER_EPSILON, scores)
    np.log1p(starter, out=starter)
    return np.negative(loss, out=loss), np.negative(starter, out=starter)
