"""How do time and memory of an evaluation grow with videos, and what do intervals cost?

Made-up features of 1,152 numbers and a logistic model of 3,862 entities, whose labels are drawn
from its own probabilities, so that there are hits and misses at all scores as in real ones. Each
size in a process of its own, on local[2]: seconds of the second of two evaluations, and peak memory
of the driver's Python, of its JVM (which takes what it is allowed, 2 GiB) and of the largest Python
worker. The last row has a bootstrap of 1,000 replicates.

    python benchmarks/how_does_evaluation_grow.py [--quick]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from yt8m_spark.session import LOCAL_DEFAULTS, get_spark
from yt8m_spark.spark.schemas import FEATURES, arrow_schema

N_FEATURES, N_ENTITIES = 1152, 3862
SIZES = (12_500, 25_000, 50_000)
N_REPLICATES = 1000
CHUNK = 2500  # videos made at once, and of a row group


def main() -> None:
    """Make the data, measure each size in its own process and print."""
    sizes = SIZES[:1] if "--quick" in sys.argv else SIZES
    with tempfile.TemporaryDirectory() as folder:
        weights = make_model(Path(folder) / "model")
        for n_videos in sizes:
            make_features(Path(folder) / str(n_videos), n_videos, weights)
        for n_videos, n_replicates in [*((n, 0) for n in sizes), (sizes[-1], N_REPLICATES)]:
            print(f"{n_videos:6} videos, {n_replicates:4} replicates:", end=" ", flush=True)
            print(measured(folder, n_videos, n_replicates), f"load {os.getloadavg()[0]:.1f}")


def measured(folder: str, n_videos: int, n_replicates: int) -> str:
    """What `evaluate` prints in a process of its own."""
    command = [sys.executable, __file__, folder, str(n_videos), str(n_replicates)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().rpartition("\n")[2]


def make_model(folder: Path) -> np.ndarray:
    """Write a model whose logits have mean -9 and deviation 1.8; weights and biases (E, D + 1)."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1.8, (N_ENTITIES, N_FEATURES + 1)).astype(np.float32)
    weights[:, -1] = -9
    (folder / "entities").mkdir(parents=True)
    table = pa.table(
        {
            "entity": pa.array(np.arange(N_ENTITIES), pa.int32()),
            "loss": ["logistic"] * N_ENTITIES,
            "weights": [row[:-1].tobytes() for row in weights],
            "bias": pa.array(weights[:, -1:].tolist(), pa.list_(pa.float32())),
            "n_positives": pa.array([1] * N_ENTITIES, pa.int64()),
        }
    )
    pq.write_table(table, folder / "entities" / "block-00000.parquet")
    described = {"loss": "logistic", "n_experts": 1, "n_features": N_FEATURES}
    (folder / "model.json").write_text(json.dumps(described | {"n_entities": N_ENTITIES}))
    return weights


def make_features(folder: Path, n_videos: int, weights: np.ndarray) -> None:
    """Write random directions as features, labelled by chance with the model's probability."""
    rng = np.random.default_rng(n_videos)
    folder.mkdir()
    schema = arrow_schema(FEATURES)
    with pq.ParquetWriter(folder / "part.parquet", schema) as writer:
        for start in range(0, n_videos, CHUNK):
            x = rng.normal(size=(CHUNK, N_FEATURES)).astype(np.float32)
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            is_label = rng.random((CHUNK, N_ENTITIES)) < expit(x @ weights[:, :-1].T - 9)
            columns = [
                [f"v{start + i}" for i in range(CHUNK)],
                [np.flatnonzero(row) for row in is_label],
                list(x),
            ]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def evaluate(folder: str, n_videos: str, n_replicates: str) -> None:
    """Evaluate twice; print seconds of the second time, and peaks of memory."""
    from evaluation_memory import peaks

    from yt8m_spark.core.evaluation_options import EvaluationOptions
    from yt8m_spark.spark.scoring import evaluate_model

    LOCAL_DEFAULTS["spark.driver.memory"] = "2g"
    LOCAL_DEFAULTS["spark.sql.files.maxPartitionBytes"] = "32m"
    spark, model = get_spark("benchmark"), f"{folder}/model"
    options = EvaluationOptions(n_replicates=int(n_replicates))
    before = peaks()["driver"]
    for _ in range(2):
        start = time.perf_counter()
        rows = spark.read.parquet(f"{folder}/{n_videos}")
        found = evaluate_model(rows, model, options=options)
        seconds = time.perf_counter() - start
    peak = peaks()
    told = ", ".join(f"{name} {mib} MiB" for name, mib in peak.items())
    print(f"{seconds:6.1f} s, {told} (driver {before} before), mAP {found.metrics['map']:.3f}")
    spark.stop()


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] != "--quick":
        evaluate(*sys.argv[1:])
    else:
        main()
