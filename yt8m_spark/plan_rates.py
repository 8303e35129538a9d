"""How fast a core works, for `yt8m_spark.plan`: every rate of the estimates, in one place.

On cores of an AMD EPYC (Zen 4) with float32 and one BLAS thread a core, in seconds of the
processor; other machines are faster or slower by what their cores are. A rate of bytes is of bytes
as the input is stored. Those that name a page are measured there, ``STATISTICS``, ``WRITE`` and
``MAKE`` on runs of whole jobs; the others are reckoned from like work. docs/observability.md says
how far off estimates of whole jobs were.
"""

from __future__ import annotations

from yt8m_spark.plan import Stage

__all__ = [
    "DRIVER_BYTES",
    "EIGEN",
    "LAYOUT",
    "MAKE",
    "METRICS",
    "MOMENTS",
    "PARQUET",
    "PRODUCT",
    "SHUFFLE",
    "STATISTICS",
    "TASK_BYTES",
    "TFRECORD",
    "TOP_K",
    "TRAIN",
    "WRITE",
    "spark_stage",
    "start_stage",
]

MB, GFLOP = 1e6, 1e9

# Bytes a second of a core.
TFRECORD = 200 * MB  # TFRecords to a table: checked, decoded and written
STATISTICS = 230 * MB  # frames to mean, std and top 5
WRITE = 60 * MB  # float32 written as Parquet
PARQUET = 45 * MB  # Spark's rows of Parquet to Arrow in Python and back (docs/scale.md)
LAYOUT = 45 * MB  # features to training shards: shuffled, sorted and written (docs/scale.md)
SHUFFLE = 45 * MB  # rows of Spark through a shuffle, taken for that of the layout
MAKE = 25 * MB  # synthetic frames, made and written

# Flops a second of a core.
TRAIN = 40 * GFLOP  # AdaGrad on batches of 32 (docs/scale.md: 35 to 50)
MOMENTS = 55 * GFLOP  # V D² of second moments
PRODUCT = 70 * GFLOP  # of large matrices: scoring, whitening, networks (docs/deep.md: 70 to 105)
EIGEN = 3.0 * GFLOP  # D³ of eigenvalues, in the driver

# Scores a second of a core, beyond the product that makes them.
TOP_K = 300e6  # the best of each video
METRICS = 60e6  # every score into the histograms of the metrics

# What is there whatever the data.
TASK_BYTES = 250 << 20  # a Python worker with NumPy, pyarrow and its batches
DRIVER_BYTES = (4 << 30) + (450 << 20)  # the JVM may take 4 GiB on one machine; Python beside it
START_SECONDS = 11.0  # imports, the JVM, MLflow's store, the first Python workers, and the end
STAGE_SECONDS = 1.5  # Spark plans a stage, sends it and gathers


def start_stage() -> Stage:
    """What comes before all work."""
    return Stage("start Python, Spark and MLflow", driver_seconds=START_SECONDS)


def spark_stage(
    name: str,
    core_seconds: float,
    *,
    driver_seconds: float = 0.0,
    task_bytes: float = 0.0,
    driver_bytes: float = 0.0,
    at_least: bool = False,
    n_stages: int = 1,
) -> Stage:
    """Stage ``name`` of ``n_stages`` of Spark's, each of which takes its time, however little."""
    return Stage(
        name,
        core_seconds,
        driver_seconds + n_stages * STAGE_SECONDS,
        task_bytes,
        driver_bytes,
        at_least,
    )
