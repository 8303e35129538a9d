"""How fast do entities train beside Spark MLlib, to the same log-loss on the same data?

One session on local[2]. MLlib's LogisticRegression is fitted as OneVsRest does it, an entity after
the other on a DataFrame of vectors that is cached beforehand (two partitions), without
regularisation, for some numbers of iterations; a few entities, from whose mean the time for all is
reckoned. Ours is `prepare_shards` and `train_entities` for all entities from the
same table in Parquet, for some numbers of passes; its time has everything in it, and the log-loss
is that of the same few entities. For each of MLlib's log-losses the benchmark prints the quickest
of ours that is at most as large, and how many times as fast it was. The features are like whitened
ones, on which few iterations of L-BFGS go far, and no entity can be told without error. Wall time.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.special import expit, log_expit

from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.scorer import load_scorer
from yt8m_spark.session import get_spark
from yt8m_spark.spark.training import prepare_shards, train_entities

N_VIDEOS, N_FEATURES, N_ENTITIES, N_CORES = 20_000, 256, 1024, 2
FEW = tuple(range(0, N_ENTITIES, N_ENTITIES // 4))  # entities of MLlib
ITERATIONS = (1, 2, 3, 5, 100)  # by its default tolerance it stops long before 100
PASSES = (1, 2, 5, 10, 20, 50)


class Point(NamedTuple):
    """A training."""

    how_long: int  # iterations or passes
    seconds: float  # for all entities
    log_loss: float  # mean over the training videos and the few entities


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    x, all_labels = make_videos()
    y = all_labels[:, FEW]
    with tempfile.TemporaryDirectory() as folder:
        write_table(f"{folder}/features.parquet", x, all_labels)
        spark = get_spark("benchmark")
        table = spark.read.parquet(f"{folder}/features.parquet")
        train_ours(table, Path(folder) / "first", 1, x, y)  # starts the workers: once for nothing
        ours = [train_ours(table, Path(folder) / str(n), n, x, y) for n in PASSES]
        vectors = cached_vectors(table)
        train_mllib(vectors, ITERATIONS[0], x, y)  # Java compiles as it goes: once for nothing
        theirs = [train_mllib(vectors, n, x, y) for n in ITERATIONS]
        spark.stop()
    print(f"{N_VIDEOS} videos, D = {N_FEATURES}, {N_ENTITIES} entities; MLlib's {len(FEW)} of them")
    for point in ours:
        tell("yt8m_spark", "passes", point)
    for point in theirs:
        tell("MLlib", "iterations", point)
    for point in theirs:
        compare(point, ours)


def make_videos() -> tuple[np.ndarray, np.ndarray]:
    """Features (V, D) of length 1, and labels (V, E) drawn by the odds of a linear model."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    odds = x @ rng.normal(size=(N_FEATURES, N_ENTITIES)).astype(np.float32) - 3.5
    return x, rng.random(odds.shape, dtype=np.float32) < expit(odds)


def write_table(path: str, x: np.ndarray, y: np.ndarray) -> None:
    """A features table."""
    columns = {
        "video_id": [f"v{i:06d}" for i in range(N_VIDEOS)],
        "labels": pa.array([np.flatnonzero(row).astype(np.int32) for row in y]),
        "features": pa.array(list(x)),
    }
    pq.write_table(pa.table(columns), path)


def cached_vectors(table: DataFrame) -> DataFrame:
    """What MLlib trains on, in memory."""
    columns = "labels", array_to_vector(F.col("features")).alias("features")
    vectors = table.select(*columns).repartition(N_CORES).cache()
    vectors.count()
    return vectors


def train_mllib(vectors: DataFrame, n_iterations: int, x: np.ndarray, y: np.ndarray) -> Point:
    """Fit the few entities, one after the other."""
    start = time.perf_counter()
    fitted, n_done = [], 0
    for entity in FEW:
        label = F.array_contains("labels", entity).cast("double").alias("label")
        logistic = LogisticRegression(maxIter=n_iterations)
        fitted.append(logistic.fit(vectors.select("features", label)))
        n_done = max(n_done, fitted[-1].summary.totalIterations)
    seconds = (time.perf_counter() - start) * N_ENTITIES / len(FEW)
    weights = np.array([model.coefficients.toArray() for model in fitted])
    bias = np.array([model.intercept for model in fitted])
    return Point(n_done, seconds, mean_log_loss(x @ weights.T + bias, y))


def train_ours(table: DataFrame, work: Path, n_passes: int, x: np.ndarray, y: np.ndarray) -> Point:
    """Train all entities, from the table to the model."""
    spark: SparkSession = table.sparkSession
    start = time.perf_counter()
    data = prepare_shards(table, str(work / "data"))
    options = TrainingOptions(n_epochs=n_passes, l2=0.0)
    train_entities(spark, data, str(work), str(work / "model"), loss="logistic", options=options)
    seconds = time.perf_counter() - start
    scorer = load_scorer(str(work / "model"))
    rows = np.searchsorted(scorer.entities, FEW)
    z = x @ scorer.weights[0, rows].T + scorer.bias[0, rows]
    return Point(n_passes, seconds, mean_log_loss(z, y))


def mean_log_loss(z: np.ndarray, y: np.ndarray) -> float:
    """Of logits (V, E), without any regularisation."""
    return float(-log_expit(np.where(y, z, -z).astype(np.float64)).mean())


def compare(theirs: Point, ours: list[Point]) -> None:
    """Print how many times as fast ours got as far; if none did, beside the nearest."""
    as_good = [p for p in ours if p.log_loss <= theirs.log_loss]
    mine = min(as_good, key=lambda p: p.seconds, default=min(ours, key=lambda p: p.log_loss))
    what = f"log-loss {theirs.log_loss:.6f} of {theirs.how_long} iterations"
    how = "reached in" if as_good else f"not reached, {mine.log_loss:.6f} in"
    print(f"{what}: {how} {mine.how_long} passes, {theirs.seconds / mine.seconds:.0f}x as fast")


def tell(whose: str, what: str, point: Point) -> None:
    """Print one line."""
    told = f"{point.how_long:3} {what:10} {point.seconds:8.1f} s for {N_ENTITIES} entities"
    print(f"{whose:10} {told}, log-loss {point.log_loss:.6f}")


if __name__ == "__main__":
    main()
