"""What a positive video counts for each entity, as the option of a job tells it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.errors import InputError

__all__ = ["HEAVIEST", "RARE_EXTRA", "check_positive_weights", "positive_weights"]

# "balanced" stops here: one positive among a million must not outweigh the rest.
HEAVIEST = 100.0

# "rare" counts the positives of an entity as if there were so many more: 1 + 10 / n.
RARE_EXTRA = 10.0
# In float32, in which they are used.
_LEAST, _MOST = float(np.finfo(np.float32).tiny), 1e6

_EXPECTED = (
    "a number above 0 and below a million, rare, balanced, or a CSV file with the columns "
    "entity and weight"
)


def check_positive_weights(given: str) -> None:
    """Refuse an option that is none of the three kinds.

    Raises
    ------
    ValueError
    """
    if given in ("rare", "balanced") or given.endswith(".csv"):
        return
    try:
        number = float(given)
    except ValueError:
        number = np.nan
    if not _LEAST < number < _MOST:
        raise ValueError(f"positive_weight must be {_EXPECTED}, got {given!r}")


def positive_weights(
    given: str, entities: NDArray[np.int64], n_positives: NDArray[np.int64], n_videos: int
) -> NDArray[np.float32] | None:
    """Weights (E,) of ``entities`` (E,); None where all are 1.

    Parameters
    ----------
    given : str
        A number for all; "rare" for 1 + `RARE_EXTRA` / n, n being the entity's positives: seen in
        a handful of videos, it is said too rarely of others; "balanced" for as many negatives as
        it has for each positive, at most `HEAVIEST`; or the path of a CSV file with columns
        ``entity`` and ``weight``, in which entities that are not named weigh 1.
    n_positives : (E,) int64
    n_videos : int

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    if given == "rare":
        return (1 + RARE_EXTRA / np.maximum(n_positives, 1)).astype(np.float32)
    if given == "balanced":
        balanced = (n_videos - n_positives) / np.maximum(n_positives, 1)
        return balanced.clip(1, HEAVIEST).astype(np.float32)
    if given.endswith(".csv"):
        read = _read(given)
        return np.array([read.get(e, 1.0) for e in entities.tolist()], dtype=np.float32)
    if float(given) == 1:
        return None
    return np.full(len(entities), float(given), dtype=np.float32)


def _read(path: str) -> dict[int, float]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("cannot read positive weights", where=path, found=error) from None
    weights: dict[int, float] = {}
    for number, row in enumerate(rows, start=2):
        try:
            weight = float(row["weight"])
            if not _LEAST < weight < _MOST:
                raise ValueError(weight)
            weights[int(row["entity"])] = weight
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "not a positive weight",
                where=f"{path}, line {number}",
                expected="columns entity and weight, a number above 0 and below a million",
                found=dict(row),
            ) from None
    return weights
