"""Which hyper-parameters to try, and which of them to keep, for all entities or for each (§4.3).

Axes: S settings, E entities, H experts, R = 2H weight vectors of an entity. The paper gives one
setting (learning rate 1.0, mini-batch 32) and the H it tried; how to choose is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError

__all__ = [
    "CHOICES",
    "FEWEST_POSITIVES",
    "METRICS",
    "NO_GATE",
    "Choice",
    "Ranges",
    "Setting",
    "choose",
    "grid_settings",
    "pad_experts",
    "random_settings",
    "setting_names",
]

Floats = NDArray[np.float64]

METRICS = ("map", "loss")
CHOICES = ("entity", "overall")

# An entity with fewer positives in the validation split takes the overall setting: of so few the
# average precision says more about those videos than about the setting. Ours.
FEWEST_POSITIVES = 5

# Bias of a gate that pads a mixture: its expert's share is at most exp(-80) = 1.8e-35.
NO_GATE = -80.0

# Draws in a row that give nothing new after which there is nothing new.
_TRIES = 1000
_WORDS = {"learning_rate": "rate", "l2": "l2", "batch_size": "batch", "n_experts": "H"}
_DIGITS = 4  # of a number drawn: enough, and it can be typed again


class Setting(NamedTuple):
    """Hyper-parameters that a search varies."""

    learning_rate: float
    l2: float
    batch_size: int
    n_experts: int

    def options(self, base: TrainingOptions) -> TrainingOptions:
        """Options of a training with this setting, all else as in ``base``.

        Raises
        ------
        ValueError
            If a value is out of range.
        """
        return replace(
            base, learning_rate=self.learning_rate, l2=self.l2, batch_size=self.batch_size
        )


class Ranges(NamedTuple):
    """Values of each hyper-parameter, at least one of each."""

    learning_rates: tuple[float, ...]  # above 0
    l2s: tuple[float, ...]  # 0 or more
    batch_sizes: tuple[int, ...]
    n_experts: tuple[int, ...]  # H


class Choice(NamedTuple):
    """The setting that each entity gets, and the one that is best on the whole."""

    overall: int
    of_entity: NDArray[np.int64]  # (E,), 0 to S - 1


def grid_settings(ranges: Ranges) -> list[Setting]:
    """Every combination, the last named hyper-parameter varying fastest."""
    return [Setting(*values) for values in product(*ranges)]


def random_settings(ranges: Ranges, n: int, seed: int) -> list[Setting]:
    """``n`` different settings at random; a longer list begins with the shorter one.

    Learning rate and L2 are log-uniform between the least and the greatest value given; an L2 of
    0, where it is among N values, is drawn once in N times. Batch size and H are any of those
    given.

    Raises
    ------
    ValueError
        If there are not so many different ones.
    """
    rng = np.random.default_rng(seed)
    found: dict[Setting, None] = {}
    tries = 0
    while len(found) < n:
        before = len(found)
        found[_draw(ranges, rng)] = None
        tries = tries + 1 if len(found) == before else 0
        if tries == _TRIES:
            raise ValueError(f"only {before} different settings were found, expected {n}")
    return list(found)


def setting_names(settings: Sequence[Setting], *, without: str = "") -> list[str]:
    """Tell each of ``settings`` apart from the others; by the learning rate if it is the only one.

    A hyper-parameter that does not vary is left out, and the one called ``without``.
    """
    varied = [name for name in Setting._fields if len({getattr(s, name) for s in settings}) > 1]
    told = [name for name in varied or ["learning_rate"] if name != without]
    return [", ".join(f"{_WORDS[n]} {getattr(s, n):g}" for n in told) for s in settings]


def choose(
    average_precision: Floats,
    loss: Floats,
    n_positives: NDArray[np.int64],
    *,
    by: Literal["entity", "overall"],
    metric: Literal["map", "loss"],
) -> Choice:
    """Choose the setting with the greatest average precision, or the least loss, on validation.

    The earlier setting wins a tie. Overall it is the mean over entities that counts: for "map"
    those with positives, for "loss" all.

    Parameters
    ----------
    average_precision : (S, E) float64
        In [0, 1]; NaN for an entity without positives, or whose training diverged.
    loss : (S, E) float64
        Mean over the validation videos; NaN for an entity whose training diverged.
    n_positives : (E,) int64
        Validation videos with the label.
    by : {"entity", "overall"}
        Each entity's best, or the best on the whole for all. An entity with fewer than
        `FEWEST_POSITIVES` takes the latter.
    metric : {"map", "loss"}

    Raises
    ------
    InputError
        If no entity has positives and ``metric`` is "map", or each setting diverged somewhere.
    """
    goodness = average_precision if metric == "map" else -loss
    # A setting is out of the question where its training diverged, and so on the whole.
    goodness = np.where(np.isnan(loss), -np.inf, goodness)
    counted = n_positives > 0 if metric == "map" else np.ones(len(n_positives), dtype=bool)
    if not counted.any():
        raise InputError("no entity has positives to choose by")
    overall = goodness[:, counted].mean(axis=1)
    overall[np.isnan(loss).any(axis=1)] = -np.inf
    best = int(np.argmax(overall))
    if overall[best] == -np.inf:
        raise InputError("training diverged with every setting", expected="lower learning rates")
    of_entity = np.full(len(n_positives), best)
    if by == "entity":
        enough = n_positives >= FEWEST_POSITIVES
        of_entity[enough] = np.argmax(goodness[:, enough], axis=0)
    return Choice(best, of_entity)


def pad_experts(
    rows: NDArray[np.float32], n_experts: int, *, gate: float, expert: float
) -> NDArray[np.float32]:
    """Rows of mixtures of H experts as those of ``n_experts``.

    Parameters
    ----------
    rows : (E, 2H) or (E, 2H, X) float32
        The gates', then the experts'.
    n_experts : int
        H or more.
    gate, expert : float
        What fills the new rows. With a gate of weights 0 and bias `NO_GATE` they do not change
        the score: it moves by less than the rounding of float32.

    Returns
    -------
    (E, 2 n_experts) or (E, 2 n_experts, X) float32
    """
    n_entities, n_rows, *rest = rows.shape
    h = n_rows // 2
    padded = np.empty((n_entities, 2 * n_experts, *rest), dtype=np.float32)
    padded[:, :h], padded[:, h:n_experts] = rows[:, :h], gate
    padded[:, n_experts : n_experts + h], padded[:, n_experts + h :] = rows[:, h:], expert
    return padded


def _draw(ranges: Ranges, rng: np.random.Generator) -> Setting:
    learning_rate = _log_uniform(ranges.learning_rates, rng)
    positive = [value for value in ranges.l2s if value > 0]
    is_zero = rng.random() * len(ranges.l2s) >= len(positive)
    l2 = 0.0 if is_zero else _log_uniform(positive, rng)
    batch_size = ranges.batch_sizes[rng.integers(len(ranges.batch_sizes))]
    return Setting(
        learning_rate, l2, batch_size, ranges.n_experts[rng.integers(len(ranges.n_experts))]
    )


def _log_uniform(values: Sequence[float], rng: np.random.Generator) -> float:
    low, high = min(values), max(values)
    drawn = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return min(max(float(f"{drawn:.{_DIGITS}g}"), low), high)
