"""Equal keys of counts added up, so that counts grow with what is distinct, not with videos.

Axes: C rows of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa

from yt8m_spark.core.average_precision import run_starts
from yt8m_spark.core.scored import pair_keys
from yt8m_spark.core.tallies import Cells, Confusions, SumRows
from yt8m_spark.spark.packing import unpack

__all__ = ["SUMMED", "Merger", "joined", "merged"]

Columns = TypeVar("Columns")

# Kinds whose first two columns are a key and whose others are sums over all rows of it.
SUMMED: dict[str, Any] = {"cells": Cells, "sums": SumRows, "confusions": Confusions}
# Rows, 24 to 56 bytes each, that wait to be merged, however few are distinct.
_MOST_WAITING = 500_000


def joined(rows: Sequence[Columns]) -> Columns:
    """Rows of all of ``rows``, at least one, in order; arrays are NumPy's or Arrow's."""
    first: Any = rows[0]
    columns: Any = rows
    if len(rows) == 1:
        return rows[0]
    return cast(Columns, type(first)(*map(_joined, zip(*columns, strict=True))))


def merged(rows: Sequence[Columns]) -> Columns:
    """``rows``, of a kind in `SUMMED`, as one row a key, keys ascending."""
    whole: Any = joined(rows)
    keys = pair_keys(whole[0], whole[1])
    if (keys[1:] > keys[:-1]).all():
        return cast(Columns, whole)
    # Each of ``rows`` is sorted as a rule: a stable sort only merges its runs.
    order = np.argsort(keys, kind="stable")
    first = run_starts(keys[order])
    ids = (column[order[first]] for column in whole[:2])
    sums = (np.add.reduceat(column[order], first) for column in whole[2:])
    return cast(Columns, type(whole)(*ids, *sums))


class Merger(Generic[Columns]):
    """Adds up packed counts of one kind, holding about twice what is distinct of them.

    Rows are merged once as many wait as are held: a row is sorted a logarithm of times at most.
    """

    def __init__(self, kind: type[Columns]) -> None:
        self._kind = kind
        self._rows: list[Columns] = []
        self._n_waiting = self._n_merged = 0

    def add(self, payload: bytes) -> None:
        """Take the rows of ``payload`` in."""
        rows: Any = unpack(self._kind, [payload])
        self._rows.append(rows)
        self._n_waiting += len(rows[0])
        if self._n_waiting > max(_MOST_WAITING, self._n_merged):
            self.counts()

    def counts(self) -> Columns:
        """One row a key of all that was added, at least one payload."""
        rows: Any = merged(self._rows)
        self._rows, self._n_waiting, self._n_merged = [rows], 0, len(rows[0])
        return self._rows[0]


def _joined(arrays: Sequence[Any]) -> Any:
    is_arrow = isinstance(arrays[0], pa.Array)
    return pa.concat_arrays(arrays) if is_arrow else np.concatenate(arrays)
