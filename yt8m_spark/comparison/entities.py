"""Average precision entity by entity: where a run is better than the baseline, and where worse.

Axes: E entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from yt8m_spark.comparison.runs import EvaluatedRun
from yt8m_spark.core.bands import BANDS, frequency_bands, group_by_name
from yt8m_spark.core.paired_comparison import TIE_TOLERANCE, WinsAndLosses, wins_and_losses

__all__ = [
    "Entities",
    "EntityComparison",
    "EntityDifference",
    "GroupDifference",
    "compare_entities",
    "entity_table",
    "join_entities",
]

Floats = NDArray[np.float64]


class Entities(NamedTuple):
    """The entities of all runs side by side."""

    ids: NDArray[np.int64]  # (E,) ascending
    names: list[str]  # empty where not known
    n_positives: NDArray[np.int64]  # (E,), of the first run that has the entity
    bands: list[str]  # head, torso or tail
    verticals: list[list[str]]
    figures: dict[str, Floats]  # run: (E,) average precision, NaN where it has none


class EntityDifference(NamedTuple):
    """One entity in a run and in the baseline."""

    entity: int
    name: str
    n_positives: int
    baseline: float
    figure: float

    @property
    def difference(self) -> float:
        """What the run has more."""
        return self.figure - self.baseline


class GroupDifference(NamedTuple):
    """The entities of a band or of a vertical."""

    kind: str
    name: str
    baseline: float  # mean average precision of the entities that both runs have
    figure: float
    counts: WinsAndLosses

    @property
    def n_entities(self) -> int:
        """Entities that both runs have."""
        return self.counts.wins + self.counts.ties + self.counts.losses


class EntityComparison(NamedTuple):
    """A run against the baseline, by entity."""

    counts: WinsAndLosses
    gains: list[EntityDifference]  # most first
    losses: list[EntityDifference]  # most first
    groups: list[GroupDifference]  # bands, then verticals with the most entities first


def join_entities(runs: Sequence[EvaluatedRun]) -> Entities | None:
    """Put the entities of ``runs`` side by side; None if fewer than two runs know theirs."""
    tables = {run.name: run.per_entity for run in runs if run.per_entity is not None}
    if len(tables) < 2:
        return None
    ids = np.unique(np.concatenate([table["entity"].to_numpy() for table in tables.values()]))
    n_positives = np.zeros(len(ids), dtype=np.int64)
    names, bands = [""] * len(ids), [""] * len(ids)
    verticals: list[list[str]] = [[] for _ in ids]
    figures = {}
    for run, table in tables.items():
        rows = np.searchsorted(ids, table["entity"].to_numpy())
        figures[run] = np.full(len(ids), np.nan)
        figures[run][rows] = table["average_precision"].to_numpy()
        counts = table["n_positives"].to_numpy()
        n_positives[rows] = np.where(n_positives[rows] == 0, counts, n_positives[rows])
        _fill(names, table, "name", rows)
        _fill(bands, table, "band", rows)
        _fill(verticals, table, "verticals", rows)
    if not all(bands):  # evaluations without them
        places = frequency_bands(n_positives).tolist()
        bands = [band or BANDS[place] for band, place in zip(bands, places, strict=True)]
    return Entities(ids, names, n_positives, bands, verticals, figures)


def compare_entities(
    entities: Entities, run: str, baseline: str, *, n_shown: int = 10, min_positives: int = 10
) -> EntityComparison:
    """Compare the average precisions of ``run`` with those of ``baseline``.

    Parameters
    ----------
    entities : Entities
    run, baseline : str
    n_shown : int
        How many gains and how many losses to name.
    min_positives : int
        Entities with fewer videos are not named among them, as one video moves their average
        precision from one end to the other. They count as wins and losses like all others.
    """
    figure, base = entities.figures[run], entities.figures[baseline]
    difference = figure - base
    named = np.flatnonzero((entities.n_positives >= min_positives) & np.isfinite(difference))
    # Of equal differences the entity with more videos says more.
    order = np.lexsort((-entities.n_positives[named], -difference[named]))
    best = named[order]
    worst = named[np.lexsort((-entities.n_positives[named], difference[named]))]
    gains = best[difference[best] > TIE_TOLERANCE][:n_shown]
    losses = worst[difference[worst] < -TIE_TOLERANCE][:n_shown]
    return EntityComparison(
        wins_and_losses(figure, base),
        [_one(entities, int(at), base, figure) for at in gains],
        [_one(entities, int(at), base, figure) for at in losses],
        _groups(entities, base, figure),
    )


def entity_table(entities: Entities, baseline: str) -> pa.Table:
    """One row an entity: id, name, positives, average precision of each run, differences.

    Columns ``entity, name, n_positives, band``, ``average_precision_<run>`` for each run and
    ``difference_<run>`` to the baseline for each other, null where it is not known.
    """
    columns = {
        "entity": pa.array(entities.ids, pa.int32()),
        "name": pa.array([name or None for name in entities.names], pa.string()),
        "n_positives": pa.array(entities.n_positives),
        "band": pa.array([band or None for band in entities.bands], pa.string()),
    }
    for run, figures in entities.figures.items():
        columns[f"average_precision_{run}"] = pa.array(figures, from_pandas=True)
    for run, figures in entities.figures.items():
        if run != baseline and baseline in entities.figures:
            difference = figures - entities.figures[baseline]
            columns[f"difference_{run}"] = pa.array(difference, from_pandas=True)
    return pa.table(columns)


def _fill(known: list[Any], table: pa.Table, column: str, rows: NDArray[np.intp]) -> None:
    """Put what ``table`` tells where nothing is known yet."""
    if column in table.column_names:
        for row, value in zip(rows.tolist(), table[column].to_pylist(), strict=True):
            known[row] = known[row] or value or known[row]


def _one(entities: Entities, at: int, base: Floats, figure: Floats) -> EntityDifference:
    return EntityDifference(
        int(entities.ids[at]),
        entities.names[at],
        int(entities.n_positives[at]),
        float(base[at]),
        float(figure[at]),
    )


def _groups(entities: Entities, base: Floats, figure: Floats) -> list[GroupDifference]:
    bands = group_by_name([[band] for band in entities.bands])
    in_order = {band: bands[band] for band in BANDS if band in bands}
    verticals = group_by_name(entities.verticals)
    by_size = dict(sorted(verticals.items(), key=lambda item: (-len(item[1]), item[0])))
    groups = _means("band", in_order, base, figure) + _means("vertical", by_size, base, figure)
    return [group for group in groups if group.n_entities]


def _means(
    kind: str, places: Mapping[str, NDArray[np.int64]], base: Floats, figure: Floats
) -> list[GroupDifference]:
    found = []
    for name, members in places.items():
        both = members[np.isfinite(base[members]) & np.isfinite(figure[members])]
        mine, theirs = figure[both], base[both]
        means = (float(theirs.mean()), float(mine.mean())) if len(both) else (np.nan, np.nan)
        found.append(GroupDifference(kind, name, *means, wins_and_losses(mine, theirs)))
    return found
