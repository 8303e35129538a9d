"""Average predictions of several models into one: the ensemble that won each challenge.

Axes: B rows of a batch, N listed pairs of all of them, K top-k.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, IntegerType, StringType, StructField, StructType

from yt8m_spark.core.scored import RankedBatch, pair_keys, rank_lists, row_of_each
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged_lists, typed_batch
from yt8m_spark.spark.prediction_lists import (
    SEGMENT_START,
    best,
    prediction_keys,
    ranked_lists,
    require_distinct,
)
from yt8m_spark.spark.schemas import FLOATS, INTS, arrow_schema, require_columns

__all__ = ["average_predictions", "with_labels"]

_LABELLED: dict[str, DataType] = {"video_id": StringType(), "labels": INTS}
_ROWS_AT_ONCE = 4096


def average_predictions(
    tables: Mapping[str, DataFrame],
    weights: Sequence[float],
    *,
    k: int = 20,
    allow_missing: bool = False,
) -> DataFrame:
    """Weighted mean of scores, the ``k`` best entities of each video.

    An entity that a table does not list for a video counts 0 there: a list cut to its best holds
    nothing of the others but that they score less than its last. So does every entity of a video
    that a table lacks, where ``allow_missing`` admits that.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Predictions tables (or submissions) by the name that errors call them; all of videos or all
        of segments. Each is read twice. The first that has labels gives them to the result.
    weights : sequence of float
        One a table, at least 0 and not all of them; they are divided by their sum.
    k : int
        Entities kept.
    allow_missing : bool
        Whether tables may have different videos.

    Returns
    -------
    DataFrame
        Predictions table: ``video_id, [segment_start_time,] labels, entities, scores``; labels are
        null where no table has them.

    Raises
    ------
    ValueError
        If weights or ``k`` are out of range or not one weight a table.
    InputError
        If a table is of segments and another is not, or a video comes twice. The Spark task fails
        with one for a video that a table lacks, and as `ranked_lists`.
    """
    if len(weights) != len(tables) or k < 1:
        raise ValueError(f"want k >= 1 and a weight a table, got {k}, {len(weights)} weights")
    shares = np.asarray(weights, dtype=np.float64)
    if not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise ValueError(f"weights must be at least 0 and have a finite sum, got {list(weights)}")
    keys = _common_keys(tables)
    joined, labels = _joined(tables, keys)
    task = partial(
        _average, names=list(tables), shares=shares / shares.sum(), k=k, allow_missing=allow_missing
    )
    lists = [c for i in range(len(tables)) for c in (f"entities_{i}", f"scores_{i}", f"in_{i}")]
    rows = joined.select(*keys, F.coalesce(*labels, F.lit(None).cast(INTS)).alias("labels"), *lists)
    return rows.mapInArrow(task, _averaged(keys))


def with_labels(
    predictions: DataFrame, labelled: DataFrame, *, allow_missing: bool = False
) -> DataFrame:
    """``predictions`` of videos with the labels of ``labelled`` (any table of videos).

    With ``allow_missing``, ``labelled`` decides which videos there are: predictions of others are
    dropped, and a video without predictions gets empty lists, which every metric counts as misses.

    Raises
    ------
    InputError
        If ``predictions`` are of segments, ``labelled`` has no labels or has a video twice. The
        Spark task fails with one for a video that only one of them has, without ``allow_missing``.
    """
    if prediction_keys(predictions) != ["video_id"]:
        raise InputError("labels are of videos", where="predictions of segments")
    require_columns(labelled, _LABELLED, "table of labels")
    require_distinct(labelled, ["video_id"], "table of labels")
    truth = labelled.select("video_id", "labels", F.lit(True).alias("in_labels"))
    lists = predictions.select("video_id", "entities", "scores", F.lit(True).alias("in_0"))
    joined = lists.join(truth, "video_id", "right" if allow_missing else "outer")
    columns = ("video_id", "labels", "entities", "scores", "in_0", "in_labels")
    task = partial(_labelled, allow_missing=allow_missing)
    return joined.select(*columns).mapInArrow(task, _averaged(["video_id"]))


def _common_keys(tables: Mapping[str, DataFrame]) -> list[str]:
    keys = {name: prediction_keys(table, name) for name, table in tables.items()}
    first = next(iter(keys.values()))
    for name, found in keys.items():
        if found != first:
            raise InputError(
                "videos and segments do not mix",
                where=name,
                expected=f"columns {', '.join(first)}",
                found=", ".join(found),
            )
        require_distinct(tables[name], found, name)
    return first


def _joined(tables: Mapping[str, DataFrame], keys: list[str]) -> tuple[DataFrame, list[Column]]:
    """One row a video with the lists of all tables, and the columns that have labels."""
    joined: DataFrame | None = None
    labels = []
    for i, table in enumerate(tables.values()):
        columns = [F.col("entities").alias(f"entities_{i}"), F.col("scores").alias(f"scores_{i}")]
        if "labels" in table.columns:
            columns.append(F.col("labels").alias(f"labels_{i}"))
            labels.append(F.col(f"labels_{i}"))
        part = table.select(*keys, *columns, F.lit(True).alias(f"in_{i}"))
        joined = part if joined is None else joined.join(part, keys, "outer")
    if joined is None:
        raise ValueError("there is nothing to average")
    return joined, labels


def _averaged(keys: list[str]) -> StructType:
    """Schema of a predictions table with ``keys``."""
    types: dict[str, DataType] = {"video_id": StringType(), SEGMENT_START: IntegerType()}
    lists = [("labels", INTS), ("entities", INTS), ("scores", FLOATS)]
    return StructType(
        [StructField(key, types[key]) for key in keys] + [StructField(n, t) for n, t in lists]
    )


def _average(
    batches: Iterable[pa.RecordBatch],
    names: Sequence[str],
    shares: NDArray[np.float64],
    k: int,
    allow_missing: bool,
) -> Iterator[pa.RecordBatch]:
    for whole in batches:
        for start in range(0, whole.num_rows, _ROWS_AT_ONCE):
            batch = whole.slice(start, _ROWS_AT_ONCE)
            if not allow_missing:
                for i, name in enumerate(names):
                    _require_all(batch, f"in_{i}", name)
            lists = [ranked_lists(batch, f"entities_{i}", f"scores_{i}") for i in range(len(names))]
            yield _rows(batch, best(_mean(lists, shares), k))


def _labelled(batches: Iterable[pa.RecordBatch], allow_missing: bool) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if not allow_missing:
            _require_all(batch, "in_0", "the predictions")
            _require_all(batch, "in_labels", "the table of labels")
        yield _rows(batch, ranked_lists(batch))


def _require_all(batch: pa.RecordBatch, flag: str, name: str) -> None:
    missing = batch.column(flag).is_null().to_numpy(zero_copy_only=False)
    if missing.any():
        video_id = batch.column("video_id")[int(np.argmax(missing))].as_py()
        expected = "the videos of the others, or --allow-missing"
        raise InputError(f"no video {video_id!r}", where=name, expected=expected)


def _mean(lists: Sequence[RankedBatch], shares: NDArray[np.float64]) -> RankedBatch:
    """Weighted mean of lists of the same rows, best first, in float64 until the end."""
    keys = np.concatenate([pair_keys(row_of_each(r.offsets), r.entities) for r in lists])
    weighted = [share * r.scores for share, r in zip(shares, lists, strict=True)]
    pairs, inverse = np.unique(keys, return_inverse=True)
    sums = np.bincount(inverse, weights=np.concatenate(weighted), minlength=len(pairs))
    rows = pairs >> 32
    n_listed = np.bincount(rows, minlength=len(lists[0].video_ids))
    # A sum of shares may exceed 1 by its last bit, but not as float32.
    scores = sums.astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(n_listed)])
    entities = pairs & 0xFFFFFFFF
    return rank_lists(lists[0]._replace(offsets=offsets, entities=entities, scores=scores))


def _rows(batch: pa.RecordBatch, ranked: RankedBatch) -> pa.RecordBatch:
    keys = [name for name in ("video_id", SEGMENT_START) if name in batch.schema.names]
    schema = arrow_schema(_averaged(keys))
    arrays = [
        *(batch.column(name) for name in (*keys, "labels")),
        ragged_lists(ranked.offsets, pa.array(ranked.entities, pa.int32())),
        ragged_lists(ranked.offsets, pa.array(ranked.scores, pa.float32())),
    ]
    return typed_batch(arrays, schema)
