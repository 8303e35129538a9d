"""What the explorer shows of predictions: a bounded choice of videos and pairs, made by Spark.

A table of predictions has any number of videos; the page has ``max_videos`` of them and a few
examples of each entity. Only these reach the driver. Axes: V videos, E entities, K top-k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.spark.schemas import INTS, PREDICTIONS, require_columns

__all__ = ["KINDS", "ShownVideos", "choose_videos", "shown_predictions", "similar_labels"]

# Kinds of examples: labelled and scored high; scored high, but no label; a label outside the first
# |G_v| ranks; scored high in a video without labels, of which nobody knows.
KINDS = ("best", "wrong", "missed", "unlabelled")

_TOLD = 5  # ids that an error names


class ShownVideos(NamedTuple):
    """What the page shows of a table of predictions."""

    n_videos: int  # V, of the whole table
    counts: dict[int, int]  # videos that an entity labels, of the whole table
    videos: pa.Table  # video_id, labels, entities, scores: those on the page
    examples: pa.Table  # kind, entity, video_id, score, place (from 1): a few of each entity


def shown_predictions(
    predictions: DataFrame, top_k: int, entities: NDArray[np.int64], where: str
) -> tuple[DataFrame, int]:
    """Predictions as the page shows them, and how many videos they are.

    Parameters
    ----------
    predictions : DataFrame
        Predictions table: video_id, labels, entities, scores, best first.
    top_k : int
        Predictions kept of each video, from the best.
    entities : (E,) int64
        The vocabulary.
    where : str
        What an error calls the table.

    Returns
    -------
    DataFrame
        video_id, labels (different ones, ascending; empty where there is none), entities, scores.
    int
        V.

    Raises
    ------
    InputError
        If a column is missing or of the wrong type, there are no videos, an id is null or comes
        twice, a list holds a null, the lists of a video differ in length, scores are not in [0, 1]
        or not best first, or a label or prediction is not in the vocabulary: a page would say
        nonsense of it without a word.
    """
    require_columns(predictions, PREDICTIONS, where)
    n_videos = _check_videos(predictions, where)
    labels = F.coalesce("labels", F.array().cast(INTS))
    shown = predictions.select(
        "video_id",
        F.array_sort(F.array_distinct(labels)).alias("labels"),
        F.slice("entities", 1, top_k).alias("entities"),
        F.slice("scores", 1, top_k).alias("scores"),
    )
    _check_vocabulary(shown, entities, where)
    return shown, n_videos


def choose_videos(
    shown: DataFrame, n_videos: int, *, max_videos: int, n_examples: int = 6, seed: int = 0
) -> ShownVideos:
    """Choose the videos of the page and the examples of each entity.

    Half of the page is a sample: the videos whose ids have the smallest hashes with ``seed``. The
    other half are examples, first those that stand first in a list of their entity; if they are
    fewer, the sample is larger. The same table gives the same choice, however it is partitioned.

    Parameters
    ----------
    shown : DataFrame
        Of `shown_predictions`.
    n_videos : int
        V.
    max_videos : int
        Videos of the page, at least 1. The driver holds no more of them.
    n_examples : int
        Videos of each entity and kind of `KINDS`; the driver holds 3 E times as many rows.
    seed : int
        Another seed, another sample.
    """
    hashed = shown.withColumn("hash", F.xxhash64(F.lit(seed), "video_id"))
    examples = _examples(hashed, n_examples)
    sample = hashed.select("video_id", "hash").orderBy("hash", "video_id").limit(max_videos)
    ids = _choose_ids(sample.toArrow()["video_id"].to_pylist(), examples, max_videos)
    return ShownVideos(
        n_videos,
        _label_counts(shown),
        _videos(shown, ids),
        examples.select(["kind", "entity", "video_id", "score", "place"]),
    )


def similar_labels(shown: DataFrame, n_similar: int) -> pa.Table:
    """Entities that label the same videos: ``entity, other, similarity``, the most similar first.

    The similarity of two entities is the cosine of their columns of labels,
    n_ab / sqrt(n_a n_b) for n_ab videos that both label. ``n_similar`` E rows reach the driver.
    """
    labels = shown.select("labels", F.explode("labels").alias("entity"))
    counts = labels.groupBy("entity").agg(F.count("*").alias("n"))
    pairs = labels.select("entity", F.explode("labels").alias("other")).where("entity != other")
    both = pairs.groupBy("entity", "other").agg(F.count("*").alias("n_both"))
    others = counts.select(F.col("entity").alias("other"), F.col("n").alias("n_other"))
    joined = both.join(counts, "entity", "inner").join(others, "other", "inner")
    cosine = F.col("n_both") / F.sqrt(F.col("n") * F.col("n_other"))
    order = Window.partitionBy("entity").orderBy(F.desc("similarity"), "other")
    ranked = joined.select("entity", "other", cosine.alias("similarity")).withColumn(
        "place", F.row_number().over(order)
    )
    nearest = ranked.where(F.col("place") <= n_similar).toArrow()
    by_place = nearest.sort_by([("entity", "ascending"), ("place", "ascending")])
    return by_place.select(["entity", "other", "similarity"])


def _check_videos(predictions: DataFrame, where: str) -> int:
    """Number of videos; refuse what is no whole prediction. One pass."""
    faults = _faults()
    found = predictions.agg(
        F.count("*").alias("n_videos"),
        F.count_distinct("video_id").alias("n_ids"),
        *(
            F.min(F.when(fault, F.coalesce("video_id", F.lit("")))).alias(what)
            for what, fault in faults.items()
        ),
    ).first()
    if found is None or not found["n_videos"]:
        raise InputError("no videos", where=where, expected="predictions", found="no rows")
    for what in faults:
        if found[what] is not None:
            raise InputError(what, where=f"{where}, video {found[what]!r}")
    if found["n_ids"] != found["n_videos"]:
        twice = predictions.groupBy("video_id").count().where("count > 1")
        first = twice.select(F.min("video_id")).first()
        raise InputError(f"video {first and first[0]!r} comes more than once", where=where)
    return int(found["n_videos"])


def _faults() -> dict[str, Column]:
    """Conditions of a row that cannot be shown, by what is wrong."""
    entities, scores = F.col("entities"), F.col("scores")
    any_null = [
        F.coalesce(F.exists(lists, lambda x: x.isNull()), F.lit(False))
        for lists in (entities, scores, F.col("labels"))
    ]
    return {
        "no video id": F.col("video_id").isNull(),
        "null among labels, entities or scores": any_null[0] | any_null[1] | any_null[2],
        "entities and scores are not of one length": entities.isNull()
        | scores.isNull()
        | (F.size(entities) != F.size(scores)),
        "score is not in [0, 1]": F.exists(scores, lambda s: F.isnan(s) | (s < 0) | (s > 1)),
        "scores are not best first": scores != F.reverse(F.array_sort(scores)),
        "entity is predicted twice": F.size(F.array_distinct(entities)) != F.size(entities),
    }


def _check_vocabulary(shown: DataFrame, entities: NDArray[np.int64], where: str) -> None:
    """Refuse labels and predictions that the vocabulary lacks."""
    named = shown.select(F.explode(F.array_union("labels", "entities")).alias("entity"))
    unknown = named.where(~F.col("entity").isin(entities.tolist())).distinct()
    found = [row["entity"] for row in unknown.orderBy("entity").limit(_TOLD + 1).collect()]
    if found:
        more = " and more" if len(found) > _TOLD else ""
        raise InputError(
            "entities are not in the vocabulary",
            where=where,
            expected=f"{len(entities)} entities from {entities.min()} to {entities.max()}",
            found=", ".join(map(str, found[:_TOLD])) + more,
        )


def _label_counts(shown: DataFrame) -> dict[int, int]:
    """Videos that each entity labels; a row an entity reaches the driver."""
    labels = shown.select(F.explode("labels").alias("entity"))
    table = labels.groupBy("entity").agg(F.count("*").alias("n")).toArrow()
    return dict(zip(table["entity"].to_pylist(), table["n"].to_pylist(), strict=True))


def _examples(hashed: DataFrame, n_examples: int) -> pa.Table:
    """The first ``n_examples`` videos of each kind and entity, and the hashes of their ids."""
    listed = _predicted(hashed).unionByName(_missed(hashed))
    order = Window.partitionBy("kind", "entity").orderBy("before", "hash", "video_id")
    # Spark cuts each group off before the shuffle: row_number <= n is a limit to it.
    ranked = listed.withColumn("place", F.row_number().over(order))
    columns = ["kind", "entity", "video_id", "score", "place", "hash"]
    kept = ranked.where(F.col("place") <= n_examples).select(*columns).toArrow()
    return kept.sort_by([(name, "ascending") for name in ("entity", "kind", "place")])


def _predicted(hashed: DataFrame) -> DataFrame:
    """Rows of examples of what was predicted: "best", "wrong" and "unlabelled"."""
    pairs = hashed.select(
        "video_id", "hash", "labels", F.inline(F.arrays_zip("entities", "scores"))
    ).withColumnsRenamed({"entities": "entity", "scores": "score"})
    kind = (
        F.when(F.size("labels") == 0, "unlabelled")
        .when(F.array_contains("labels", F.col("entity")), "best")
        .otherwise("wrong")
    )
    before = (-F.col("score")).alias("before")
    return pairs.select(kind.alias("kind"), "entity", "video_id", "score", "hash", before)


def _missed(hashed: DataFrame) -> DataFrame:
    """Rows of examples of labels outside the first |G_v| ranks, the lowest score first."""
    labels = hashed.select(
        "video_id", "hash", "labels", "entities", "scores", F.explode("labels").alias("entity")
    )
    rank = F.array_position("entities", F.col("entity"))  # from 1; 0 if it is not predicted
    score = F.get("scores", (rank - 1).cast("int"))
    missed = labels.where((rank == 0) | (rank > F.size("labels")))
    return missed.select(
        F.lit("missed").alias("kind"),
        "entity",
        "video_id",
        score.alias("score"),
        "hash",
        F.coalesce(score, F.lit(-1.0).cast("float")).alias("before"),
    )


def _choose_ids(sample: Sequence[str], examples: pa.Table, max_videos: int) -> list[str]:
    """Ids of the page's videos: half a sample, then examples, then the rest of the sample."""
    keys = [("place", "ascending"), ("hash", "ascending"), ("video_id", "ascending")]
    by_place = examples.sort_by(keys)["video_id"].to_pylist()
    half = (max_videos + 1) // 2
    return list(dict.fromkeys([*sample[:half], *by_place, *sample[half:]]))[:max_videos]


def _videos(shown: DataFrame, ids: Sequence[str]) -> pa.Table:
    """Rows of ``shown`` with these ids, in their order."""
    session: SparkSession = shown.sparkSession
    places = {"video_id": pa.array(ids, pa.string()), "place": np.arange(len(ids))}
    wanted = session.createDataFrame(pa.table(places))
    found = shown.join(wanted, "video_id", "inner").toArrow().sort_by("place")
    return found.select(["video_id", "labels", "entities", "scores"])
