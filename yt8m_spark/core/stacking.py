"""A second stage that sees the scores of all entities: stacked classifiers (ours, after §6).

The paper trains its entities one by one and leaves their structure to future work. Here a second
classifier of each entity sees what the first stage says of all of them, so that an entity that
goes along with others, or never with them, is scored with that in mind. Features of the second
stage are the square roots of the E first scores, whitened, reduced and made of length 1 (§4.2.2);
then the log-odds of both stages are averaged.

Scores to learn from must be of videos that the first stage has not seen, or the second learns from
scores that are too good: the first stage is trained once more for each of K folds of the videos,
on the others, and scores the fold (Wolpert 1992). The first stage that is kept knows all of them.

Axes: B videos, D features, E entities, C components of the scores, K folds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from yt8m_spark.core.scoring import Scorer, score_videos
from yt8m_spark.core.split_hash import id_hash
from yt8m_spark.core.whitening import Whitening, apply_whitening, l2_normalize

__all__ = [
    "FOLD",
    "WEIGHT",
    "Stack",
    "check_stack",
    "check_weight",
    "fold_of",
    "score_roots",
    "score_stack",
    "second_features",
]

Floats = NDArray[np.float32]

FOLD = "fold"  # what the hash of a video's id is for: see `core.split_hash`

# Chosen on 1,764 real videos (docs/stacking.md). A half does as well on frequent entities and
# costs what is gained on those of a handful of videos.
WEIGHT = 1 / 3

# A score of 0 or 1 has no log-odds; that of the largest float32 below 1 is 16.6.
_MOST_LOG_ODDS = 16.0


class Stack(NamedTuple):
    """Both stages in memory: 4 (R1 E (D + 1) + R2 E (C + 1)) bytes, and 8 E C of the map."""

    first: Scorer  # of features (D), for entities (E,)
    whitening: Whitening  # of the roots of its scores, E wide
    second: Scorer  # of what that gives, C wide, for some of the entities
    weight: float  # share of the second stage in the log-odds of both, in [0, 1]

    @property
    def entities(self) -> NDArray[np.int64]:
        """Entities of the first stage, (E,), ascending; those without a second keep its scores."""
        return self.first.entities

    @property
    def n_features(self) -> int:
        """D."""
        return self.first.n_features


def check_stack(stack: Stack) -> None:
    """Refuse parts that do not fit together, of which scores would be nonsense.

    Raises
    ------
    ValueError
        If the widths differ, the second stage has an entity that the first has not, or the weight
        is out of range.
    """
    first, second, between = stack.first, stack.second, stack.whitening
    if (between.width, between.output_width) != (len(first.entities), second.n_features):
        expected = f"{len(first.entities)} scores to {second.n_features} features"
        found = f"{between.width} to {between.output_width}"
        raise ValueError(f"map between the stages must be of {expected}, got {found}")
    if not np.isin(second.entities, first.entities).all():
        raise ValueError("second stage has entities that the first has not")
    check_weight(stack.weight)


def check_weight(weight: float) -> None:
    """Refuse a share of the second stage that is none (ValueError)."""
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be 0 to 1, got {weight}")


def fold_of(video_id: str, n_folds: int, seed: int = 0) -> int:
    """Fold of a video, 0 .. ``n_folds`` - 1: a function of its id and the seed alone."""
    return id_hash(video_id, FOLD, seed) % n_folds


def score_roots(scores: Floats) -> Floats:
    """Square roots of ``scores`` (B, E) in [0, 1].

    Nearly all scores are near 0, and how near says little; log-odds would make much of it, while
    the scores themselves leave an entity at one tenth as good as unseen. Differences of roots
    weigh a probability by its own spread (the distance of Hellinger).
    """
    return np.sqrt(scores)


def second_features(scores: Floats, whitening: Whitening) -> Floats:
    """Features (B, C) of the second stage from the first one's ``scores`` (B, E)."""
    whitened = apply_whitening(score_roots(scores), whitening)
    return l2_normalize(whitened) if whitening.l2_normalize else whitened


def score_stack(stack: Stack, features: Floats) -> Floats:
    """Score of every video and entity, (B, E) in [0, 1], for ``features`` (B, D).

    The log-odds of both stages are averaged with weights 1 - w and w. An entity without a second
    stage (it labels no video that this one learned from) keeps the score of the first.

    Raises
    ------
    ValueError
        If the width is not the model's.
    """
    scores = score_videos(stack.first, features)
    second = score_videos(stack.second, second_features(scores, stack.whitening))
    known = np.searchsorted(stack.entities, stack.second.entities)
    mine, theirs = _log_odds(scores[:, known]), _log_odds(second)
    scores[:, known] = expit((1 - stack.weight) * mine + stack.weight * theirs)
    return scores


def _log_odds(scores: Floats) -> NDArray[np.float64]:
    """Log-odds of ``scores``, within -16 and 16."""
    # In float64: between 0.9999999 and 1 float32 has no number that is far enough from 1.
    s = np.clip(scores.astype(np.float64), expit(-_MOST_LOG_ODDS), expit(_MOST_LOG_ODDS))
    return np.log(s) - np.log1p(-s)
