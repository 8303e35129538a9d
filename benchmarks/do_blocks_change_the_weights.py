"""Do the weights of an entity depend on how many blocks there are?

Trains the same entities by `spark.training.train_entities` as 1, 7 and 64 blocks, for each loss,
and prints the largest difference of any weight or bias from those of one block. The order of a
sum of floats is what a block may change; 1e-5 is what is allowed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from yt8m_spark.core.losses import LOSSES
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.scorer import load_scorer
from yt8m_spark.session import spark_session
from yt8m_spark.spark.training import prepare_shards, train_entities
from yt8m_spark.spark.training_data import TrainingData

N_VIDEOS, N_FEATURES, N_ENTITIES, LABELS_A_VIDEO = 20_000, 256, 128, 3
N_BLOCKS = (1, 7, 64)


def main() -> None:
    """Train and print."""
    with tempfile.TemporaryDirectory() as folder, spark_session("blocks") as spark:
        pq.write_table(make_videos(), f"{folder}/features.parquet")
        data = prepare_shards(spark.read.parquet(f"{folder}/features.parquet"), f"{folder}/work")
        print(f"{N_VIDEOS} videos, D = {N_FEATURES}, {N_ENTITIES} entities, five passes")
        for loss in LOSSES:
            first, *others = (train(spark, data, f"{folder}/{loss}-{n}", loss, n) for n in N_BLOCKS)
            for n, other in zip(N_BLOCKS[1:], others, strict=True):
                print(
                    f"{loss:9} {n:3} blocks: weights up to {abs(first).max():6.1f} "
                    f"differ by up to {abs(other - first).max():.1e}, one in a thousand by "
                    f"{np.quantile(abs(other - first), 0.999):.1e} or more"
                )


def make_videos() -> pa.Table:
    """Features of length 1 and labels that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = x @ rng.normal(size=(N_FEATURES, N_ENTITIES)).astype(np.float32)
    labels = np.argsort(-z, axis=1)[:, :LABELS_A_VIDEO].astype(np.int32)
    columns = {
        "video_id": [f"v{i:06d}" for i in range(N_VIDEOS)],
        "labels": pa.array(list(labels)),
        "features": pa.array(list(x)),
    }
    return pa.table(columns)


def train(spark: SparkSession, data: TrainingData, work: str, loss: str, n: int) -> np.ndarray:
    """Weights (R, E, D + 1) of a training in ``n`` blocks, biases last."""
    model, size = str(Path(work) / "model"), -(-N_ENTITIES // n)
    options = TrainingOptions()
    trained = train_entities(spark, data, work, model, loss=loss, options=options, block_size=size)
    scorer = load_scorer(model)
    if trained.n_blocks != n:
        raise ValueError(f"expected {n} blocks, got {trained.n_blocks}")
    return np.concatenate([scorer.weights, scorer.bias[..., None]], axis=2)


if __name__ == "__main__":
    main()
