"""How entities and verticals are filled, from the facts of the videos, against the vocabulary.

Axes: S splits, E entities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from yt8m_spark.core.profile import compare_counts, rank_correlation, row_groups
from yt8m_spark.formats.vocabulary_details import VocabularyDetails
from yt8m_spark.spark.arrow import ragged
from yt8m_spark.spark.profile_splits import labels_once
from yt8m_spark.spark.schemas import arrow_schema

__all__ = [
    "Comparison",
    "Deviation",
    "EntityCounts",
    "VerticalCounts",
    "compare_with_vocabulary",
    "count_entities",
    "count_verticals",
    "entity_table",
]

Ints = NDArray[np.int64]

_LISTED = 10  # entities of a list for people
_SUMS = StructType(
    [
        StructField("split", StringType()),
        StructField("vertical", LongType()),
        StructField("n_videos", LongType()),
    ]
)


class EntityCounts(NamedTuple):
    """Videos of each entity in each split: entities of the vocabulary, and all that occur."""

    splits: list[str]  # (S,)
    entities: Ints  # (E,) ascending
    counts: Ints  # (E, S) videos

    def of(self, split: str) -> Ints:
        """Videos (E,) in ``split``."""
        return self.counts[:, self.splits.index(split)]


@dataclass(frozen=True)
class Deviation:
    """An entity whose count is far from what the vocabulary leads to expect."""

    entity: int
    name: str
    n_videos: int
    expected: float  # videos, TrainVideoCount scaled to the labels of the split
    deviation: float  # standard deviations of a Poisson count


@dataclass(frozen=True)
class Comparison:
    """One split against the vocabulary."""

    n_unseen: int  # entities of the vocabulary without a video
    unseen: list[int]  # the first, by videos in the vocabulary, then by id
    n_outside: int  # entities that are labels but not in the vocabulary
    n_outside_labels: int  # labels that name one
    outside: list[int]  # the first, by videos, then by id
    ratio: float | None  # labels of the split to the sum of the vocabulary's counts
    rank_correlation: float | None  # Spearman's, of its counts with the vocabulary's
    worst: list[Deviation]  # farthest from expectation first


@dataclass(frozen=True)
class VerticalCounts:
    """One vertical; an entity is counted in each of its verticals, a video in each of its own."""

    vertical: str
    n_entities: int
    n_videos: dict[str, int]  # by split


def count_entities(
    facts: DataFrame, splits: Sequence[str], details: VocabularyDetails | None = None
) -> EntityCounts:
    """Videos of each entity and split; a row an entity and split comes to the driver."""
    labels = facts.select("split", F.explode(labels_once()).alias("entity"))
    found = labels.groupBy("entity", "split").count().toPandas()
    known = np.empty(0, np.int64) if details is None else details.entities
    entities = np.union1d(known, found["entity"].to_numpy(np.int64))
    counts = np.zeros((len(entities), len(splits)), dtype=np.int64)
    columns = found["split"].map(list(splits).index).to_numpy(np.int64)
    counts[np.searchsorted(entities, found["entity"]), columns] = found["count"]
    return EntityCounts(list(splits), entities, counts)


def count_verticals(
    facts: DataFrame, splits: Sequence[str], details: VocabularyDetails
) -> list[VerticalCounts]:
    """Entities and videos of each vertical of the vocabulary, most entities first."""
    names = sorted({name for found in details.verticals.values() for name in found})
    if not names:
        return []
    entities = np.array(sorted(details.verticals), dtype=np.int64)
    table = np.full((len(entities), 3), -1, dtype=np.int64)
    for row, entity in enumerate(entities.tolist()):
        for column, name in enumerate(details.verticals[entity]):
            table[row, column] = names.index(name)
    task = partial(_vertical_rows, entities=entities, verticals=table)
    rows = facts.select("split", "labels").mapInArrow(task, _SUMS).groupBy("split", "vertical")
    sums = rows.agg(F.sum("n_videos").alias("n")).collect()
    found = {(row["split"], row["vertical"]): row["n"] for row in sums}
    verticals = [
        VerticalCounts(name, int((table == i).sum()), {s: found.get((s, i), 0) for s in splits})
        for i, name in enumerate(names)
    ]
    return sorted(verticals, key=lambda vertical: (-vertical.n_entities, vertical.vertical))


def compare_with_vocabulary(
    counts: EntityCounts, split: str, details: VocabularyDetails
) -> Comparison:
    """Counts of ``split`` against the vocabulary; without its counts only by which occur."""
    found = counts.of(split)
    inside = np.isin(counts.entities, details.entities)
    reference = np.array([details.video_counts.get(e, 0) for e in counts.entities.tolist()])
    unseen = np.flatnonzero(inside & (found == 0))
    outside = np.flatnonzero(~inside & (found > 0))
    ids, told = counts.entities, np.flatnonzero(inside) if reference.any() else np.empty(0, int)
    correlation = rank_correlation(found[told], reference[told])
    return Comparison(
        n_unseen=len(unseen),
        unseen=ids[unseen[np.lexsort([unseen, -reference[unseen]])]][:_LISTED].tolist(),
        n_outside=len(outside),
        n_outside_labels=int(found[outside].sum()),
        outside=ids[outside[np.lexsort([outside, -found[outside]])]][:_LISTED].tolist(),
        ratio=float(found[told].sum() / reference.sum()) if len(told) else None,
        rank_correlation=None if math.isnan(correlation) else correlation,
        worst=_worst(ids[told], found[told], reference[told], details),
    )


def entity_table(
    counts: EntityCounts, reference_split: str, details: VocabularyDetails | None = None
) -> pa.Table:
    """One row an entity: ``entity, name, vertical, verticals, in_vocabulary, n_<split>...,
    vocabulary_count, ratio``.

    ``ratio`` is videos of ``reference_split`` to the vocabulary's count. What the vocabulary does
    not tell is null.
    """  # noqa: D205 - the columns are one list
    entities = counts.entities.tolist()
    names = {} if details is None else details.names
    verticals = {} if details is None else details.verticals
    video_counts = {} if details is None else details.video_counts
    inside = None if details is None else np.isin(counts.entities, details.entities).tolist()
    of_vocabulary = [video_counts.get(e) for e in entities]
    ratios = [
        int(n) / reference if reference else None
        for n, reference in zip(counts.of(reference_split), of_vocabulary, strict=True)
    ]
    columns = {
        "entity": pa.array(entities, pa.int32()),
        "name": pa.array([names.get(e) for e in entities], pa.string()),
        "vertical": pa.array([verticals.get(e, (None,))[0] for e in entities], pa.string()),
        "verticals": pa.array([verticals.get(e) for e in entities], pa.list_(pa.string())),
        "in_vocabulary": pa.array(inside or [None] * len(entities), pa.bool_()),
        **{f"n_{split}": pa.array(counts.of(split), pa.int64()) for split in counts.splits},
        "vocabulary_count": pa.array(of_vocabulary, pa.int64()),
        "ratio": pa.array(ratios, pa.float64()),
    }
    return pa.table(columns)


def _worst(
    entities: Ints, counts: Ints, reference: Ints, details: VocabularyDetails
) -> list[Deviation]:
    """Entities farthest from expectation."""
    if not counts.any():
        return []
    expected, deviations = compare_counts(counts, reference)
    order = np.lexsort([entities, -np.abs(deviations)])[:_LISTED]
    return [
        Deviation(
            entity=int(entities[i]),
            name=details.names.get(int(entities[i]), ""),
            n_videos=int(counts[i]),
            expected=float(expected[i]),
            deviation=float(deviations[i]),
        )
        for i in order
        if deviations[i]
    ]


def _vertical_rows(
    batches: Iterable[pa.RecordBatch], entities: Ints, verticals: Ints
) -> Iterator[pa.RecordBatch]:
    """Rows of `_SUMS`: videos of each split and vertical of a batch."""
    n_verticals = int(verticals.max()) + 1
    for batch in batches:
        rows, found = row_groups(*ragged(batch.column("labels")), entities, verticals)
        splits, codes = np.unique(batch.column("split").to_pylist(), return_inverse=True)
        keys, n_videos = np.unique(codes[rows] * n_verticals + found, return_counts=True)
        columns = [splits[keys // n_verticals].tolist(), keys % n_verticals, n_videos]
        schema = arrow_schema(_SUMS)
        arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
