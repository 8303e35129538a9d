"""An evaluation on storage: metrics.json and per_entity.parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from yt8m_spark.artifacts import save_json
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.spark.evaluation import Evaluation

__all__ = ["named_entities", "save_evaluation"]


def save_evaluation(
    folder: str, evaluation: Evaluation, vocabulary: Vocabulary | None = None
) -> None:
    """Write ``evaluation`` to ``folder``, entities by name where there is a vocabulary."""
    counts = {
        "n_videos": evaluation.n_videos,
        "n_labelled_videos": evaluation.n_labelled_videos,
    }
    save_json(Path(folder) / "metrics.json", {**evaluation.metrics, **counts})
    table = named_entities(evaluation.per_entity, vocabulary)
    pq.write_table(table, Path(folder) / "per_entity.parquet")


def named_entities(per_entity: pa.Table, vocabulary: Vocabulary | None) -> pa.Table:
    """``per_entity`` with a column ``name`` after the ids; as it is without a vocabulary."""
    if vocabulary is None:
        return per_entity
    names = [vocabulary.names.get(entity, "") for entity in per_entity["entity"].to_pylist()]
    return per_entity.add_column(1, "name", pa.array(names, pa.string()))
