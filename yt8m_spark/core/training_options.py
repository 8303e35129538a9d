"""Hyper-parameters of the one-vs-all classifiers (paper §4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BOOTSTRAPS", "LABEL_NOISES", "TrainingOptions"]

BOOTSTRAPS = ("bootstrap_soft", "bootstrap_hard")
LABEL_NOISES = ("none", *BOOTSTRAPS, "missing")

# Reed et al. 2015, where nothing is known of the labels.
_TRUST = {"bootstrap_soft": 0.95, "bootstrap_hard": 0.8}


@dataclass(frozen=True)
class TrainingOptions:
    """How the classifiers of a block are trained.

    Attributes
    ----------
    learning_rate : float
        AdaGrad's. The paper has 1.0; half of it does better on the few videos that we measured.
    batch_size : int
        B, 32 in the paper.
    n_epochs : int
        Passes over the training videos; ours.
    l2 : float
        Weight of ½|w|² (bias apart) added to the mean loss of a mini-batch; ours.
    initial_accumulator : float
        Where AdaGrad's sum of squares starts at least; ours. On real shards 1e-8 does far better
        than TensorFlow's 0.1, which swallows the small gradients of rare entities.
    accumulator_videos : float
        As if so many videos had been seen before the first, though no more than a third of a
        pass: AdaGrad's sums start at what their mini-batches are expected to leave there for an
        entity of that frequency (`core.block_state.expected_square`). Ours: without it the first
        steps are as long as the learning rate, whatever the gradient, and the classifiers of
        frequent entities fit what they see first too well. 0 for plain AdaGrad.
    seed : int
        Of the order of videos and of a mixture's first weights.
    average : float
        Last share of the passes over which the weights of steps are averaged, in [0, 1]; 0 keeps
        those of the last step. Ours: the averaged classifier is less at the mercy of the last
        mini-batches.
    prior_bias : bool
        Whether a classifier starts by saying how frequent its entity is, not one half; ours.
    moe_initial_std : float
        Standard deviation of a mixture's first weights, whose experts must not start alike; ours.
    tolerance : float
        A classifier whose mean loss falls by less than this share from one pass to the next has
        converged and is trained no further; 0 trains all of them through all passes. Ours.
    negative_rate : float
        Share, in (0, 1], of the videos without any label of the block that are looked at, each
        weighted by the inverse, which leaves the gradient's mean as it is; ours.
    label_noise : str
        How wrong and missing labels are reckoned with, one of `LABEL_NOISES`
        (`core.label_noise`); "none" takes them as the truth.
    label_trust : float, optional
        Of bootstrapping: the share β, in [0, 1], by which a label is trusted; default 0.95 for
        "bootstrap_soft" and 0.8 for "bootstrap_hard", as Reed et al. have it.
    """

    learning_rate: float = 0.5
    batch_size: int = 32
    n_epochs: int = 5
    l2: float = 0.0
    initial_accumulator: float = 1e-8
    accumulator_videos: float = 4000.0
    seed: int = 0
    average: float = 0.5
    prior_bias: bool = True
    moe_initial_std: float = 0.1
    tolerance: float = 0.0
    negative_rate: float = 1.0
    label_noise: str = "none"
    label_trust: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that would train to nonsense."""
        for name in ("batch_size", "n_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "initial_accumulator"):
            # In float32, which they are used in: 1e-50 is 0 there, and 1e39 infinite.
            if not np.finfo(np.float32).tiny <= getattr(self, name) <= np.finfo(np.float32).max:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("l2", "accumulator_videos", "moe_initial_std", "tolerance", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.average <= 1:
            raise ValueError(f"average must be 0 to 1, got {self.average}")
        if not 0 < self.negative_rate <= 1:
            raise ValueError(f"negative_rate must be above 0, at most 1, got {self.negative_rate}")
        if self.label_noise not in LABEL_NOISES:
            known = ", ".join(LABEL_NOISES)
            raise ValueError(f"label_noise must be one of {known}, got {self.label_noise!r}")
        if self.label_trust is not None and not 0 <= self.label_trust <= 1:
            raise ValueError(f"label_trust must be 0 to 1, got {self.label_trust}")

    @property
    def trust(self) -> float:
        """Share by which bootstrapping trusts a label; 1 for what is no bootstrapping."""
        if self.label_noise not in _TRUST:
            return 1.0
        return _TRUST[self.label_noise] if self.label_trust is None else self.label_trust

    @property
    def averaged_from(self) -> float:
        """Passes done when averaging begins."""
        return self.n_epochs * (1 - self.average)
