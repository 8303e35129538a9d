"""How fast is a PCA of 1,024 features beside Spark MLlib's?

20,000 rows, 256 components, one session of local[2] with 4 GB, both inputs cached before the clock
starts: array<float> for `spark.whitening.fit_columns` (moments, merge, eigenvectors, whitening;
everything that the job does), vectors for `pyspark.ml.feature.PCA.fit`. Checks that both explain
the same variance. Prints wall-clock seconds of each run and the ratio; the aim is 20.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.feature import PCA
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession

from yt8m_spark.jre import ensure_java
from yt8m_spark.session import LOCAL_DEFAULTS, ROWS_PER_BATCH
from yt8m_spark.spark.whitening import fit_columns

N_ROWS, N_FEATURES, N_COMPONENTS = 20_000, 1024, 256
OUR_RUNS, THEIR_RUNS = 5, 2


def main() -> None:
    """Measure and print."""
    spark = session()
    with tempfile.TemporaryDirectory() as folder:
        rows = table(spark, Path(folder))
        vectors = rows.select(array_to_vector("x").alias("x")).cache()
        print(f"{rows.count()}, {vectors.count()} rows cached, load {os.getloadavg()[0]:.1f}")
        pca = PCA(k=N_COMPONENTS, inputCol="x", outputCol="y")
        ours, found = timed(lambda: fit(rows), OUR_RUNS)
        theirs, model = timed(lambda: pca.fit(vectors), THEIR_RUNS)
        expected = float(model.explainedVariance.toArray().sum())
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    print("ours  ", " ".join(f"{seconds:6.2f}" for seconds in ours), "s")
    print("MLlib ", " ".join(f"{seconds:6.2f}" for seconds in theirs), "s")
    best, first = min(theirs) / min(ours), theirs[0] / ours[0]
    print(f"ratio of the best runs {best:.1f}, of the first ones {first:.1f}")
    spark.stop()


def fit(rows: DataFrame) -> float:
    """Share of the variance that our components hold."""
    whitening, _ = fit_columns(rows, ["x"], n_components=N_COMPONENTS)
    return whitening.explained_variance_ratio


def timed(run: Callable[[], Any], times: int) -> tuple[list[float], Any]:
    """Wall-clock seconds of each of a few runs, and what the last one gave."""
    seconds, result = [], None
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return seconds, result


def table(spark: SparkSession, folder: Path) -> DataFrame:
    """Correlated rows, cached, in two partitions."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(N_FEATURES, N_FEATURES)) / np.arange(1, N_FEATURES + 1)
    for part in range(2):
        x = (rng.normal(size=(N_ROWS // 2, N_FEATURES)) @ mixing.T + 1).astype(np.float32)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), N_FEATURES)
        column = lists.cast(pa.list_(pa.float32()))
        pq.write_table(pa.table({"x": column}), folder / f"{part}.parquet")
    rows = spark.read.parquet(str(folder)).coalesce(2).cache()
    rows.count()
    return rows


def session() -> SparkSession:
    """A session of two cores, with the settings of our jobs."""
    ensure_java()
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.log.level", "ERROR")
    for key, value in LOCAL_DEFAULTS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
    return spark


if __name__ == "__main__":
    main()
