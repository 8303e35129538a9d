"""Recall and precision of the labels of each entity, as the options of a job tell them (§3.5)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.label_rates import PRECISION, RECALL
from yt8m_spark.errors import InputError

__all__ = ["check_label_rate", "rates_of_entities"]

_USUAL = {"recall": RECALL, "precision": PRECISION}
# A label that is there, or right, less often than this tells nothing.
_LEAST = 1e-4
_EXPECTED = f"a number from {_LEAST:g} to 1"


def check_label_rate(name: str, given: str) -> None:
    """Refuse an option ``name`` that is neither a rate nor a CSV file.

    Raises
    ------
    ValueError
    """
    if not given.endswith(".csv") and _rate(given) is None:
        raise ValueError(f"{name} must be {_EXPECTED}, or a CSV file, got {given!r}")


def rates_of_entities(
    name: Literal["recall", "precision"], given: str, entities: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Rates (E,) of ``entities`` (E,), in (0, 1].

    Parameters
    ----------
    name : {"recall", "precision"}
    given : str
        A number for all, or the path of a CSV file with the columns ``entity`` and ``name``, in
        which entities that are not named have the paper's rate.

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    if not given.endswith(".csv"):
        return np.full(len(entities), float(given))
    read = _read(given, name)
    return np.array([read.get(e, _USUAL[name]) for e in entities.tolist()])


def _read(path: str, name: str) -> dict[int, float]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the {name} of labels", where=path, found=error) from None
    rates: dict[int, float] = {}
    for number, row in enumerate(rows, start=2):
        rate, entity = _rate(row.get(name)), str(row.get("entity")).strip()
        if rate is None or not (entity.isascii() and entity.isdigit() and len(entity) < 11):
            raise InputError(
                f"not a {name} of labels",
                where=f"{path}, line {number}",
                expected=f"columns entity and {name}, {_EXPECTED}",
                found=dict(row),
            )
        if int(entity) in rates:
            raise InputError(f"entity {int(entity)} stands twice", where=f"{path}, line {number}")
        rates[int(entity)] = rate
    if not rates:
        raise InputError(f"no {name} of labels", where=path, expected="at least one entity")
    return rates


def _rate(text: str | None) -> float | None:
    """Number that ``text`` is, if it is a rate."""
    try:
        rate = float(text or "")
    except ValueError:
        return None
    return rate if _LEAST <= rate <= 1 else None
