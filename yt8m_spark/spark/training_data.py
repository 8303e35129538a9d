"""A features table made ready for training: shards, and how often each entity is a label."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from yt8m_spark.artifacts import load_json, save_json
from yt8m_spark.errors import InputError
from yt8m_spark.spark.shards import ShardSet, label_counts, open_shards, write_shards

__all__ = ["TrainingData", "entity_counts", "prepare_shards"]


class TrainingData(NamedTuple):
    """Shards of a features table, and how often each entity is a label in it."""

    shards: ShardSet
    entities: NDArray[np.int64]  # (E,), ascending
    counts: NDArray[np.int64]  # (E,)

    def n_positives(self, entities: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of how many videos each of ``entities`` (N,) is a label, 0 for those of none."""
        counts = dict(zip(self.entities.tolist(), self.counts.tolist(), strict=True))
        return np.array([counts.get(e, 0) for e in entities.tolist()], dtype=np.int64)


def prepare_shards(
    features: DataFrame,
    work: str,
    *,
    seed: int = 0,
    dtype: str = "float32",
    codebook: str | None = None,
    vocabulary: NDArray[np.int64] | None = None,
) -> TrainingData:
    """Lay ``features`` out in ``work`` for any number of trainings; left alone if there already.

    Parameters
    ----------
    features : DataFrame
        Features table, its features floats or codes.
    work : str
        Folder that all tasks see.
    seed, dtype, codebook
        Of `write_shards`.
    vocabulary : (N,) int64, optional
        The entities that may be labels.

    Raises
    ------
    InputError
        If the table has the wrong schema, no video has a label, or one is not of ``vocabulary``.
    """
    work = str(Path(work).resolve())
    described = Path(work) / "labels.json"
    if not described.exists():
        entities, counts = entity_counts(features)  # first: it tells sooner if there are none
        if vocabulary is not None:
            _check_known(entities, vocabulary)
        shards = str(Path(work) / "shards")
        write_shards(features, shards, seed=seed, dtype=dtype, codebook=codebook)
        save_json(described, {"entities": entities.tolist(), "counts": counts.tolist()})
    labels = load_json(described)
    return TrainingData(
        open_shards(str(Path(work) / "shards")),
        np.array(labels["entities"], dtype=np.int64),
        np.array(labels["counts"], dtype=np.int64),
    )


def entity_counts(features: DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entities (E,) that label some video of ``features``, ascending, and how many each.

    Raises
    ------
    InputError
        If there are none, or an id is below 0.
    """
    entities, counts = label_counts(features)
    if len(entities) == 0:
        what = "no video has a label" if features.limit(1).count() else "no videos to train on"
        raise InputError(what, where="features table")
    if entities[0] < 0:
        where = "features table, column 'labels'"
        raise InputError("label out of range", where=where, expected="0 or more", found=entities[0])
    return entities, counts


def _check_known(entities: NDArray[np.int64], known: NDArray[np.int64]) -> None:
    unknown = entities[~np.isin(entities, known)]
    if len(unknown):
        raise InputError(
            "label is not in the vocabulary",
            where="features table, column 'labels'",
            expected=f"one of {len(known)} entities, {known.min()} to {known.max()}",
            found=", ".join(map(str, unknown[:3])) + (" ..." if len(unknown) > 3 else ""),
        )
