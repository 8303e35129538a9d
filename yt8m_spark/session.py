"""The SparkSession of a job: the cluster's where there is one, else this machine's cores."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession

from yt8m_spark.jre import ensure_java

__all__ = [
    "LOCAL_DEFAULTS",
    "ROWS_PER_BATCH",
    "WORKER_MEMORY",
    "get_spark",
    "spark_session",
]

# Rows of one Arrow batch. A row of [mean; std; top5] of 1,152 features is 32 kB, so 1,024 rows
# are 32 MiB: large enough for matrix products, small enough for a task's memory.
ROWS_PER_BATCH = 1024

# Only for sessions started here on one machine; a cluster's own settings are left alone.
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",  # jobs show bars of their own, with time left
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.coalescePartitions.enabled": "true",
}

# What glibc's allocator keeps for itself, in bytes.
WORKER_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}

# How much Spark logs: see resources/log4j2.properties. DEBUG, INFO, WARN, ERROR bring it back.
_LOG_LEVEL = "YT8M_SPARK_LOG_LEVEL"

_EVERYWHERE = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_PER_BATCH)}


@contextmanager
def spark_session(name: str) -> Iterator[SparkSession]:
    """Start, or join, the Spark session of job ``name``; stop it afterwards if started here.

    Under spark-submit, on Databricks and with ``SPARK_REMOTE`` (Spark Connect) set, the session
    is the one that these give. Otherwise it is ``local[*]`` of this machine. Databricks stops its
    sessions itself.
    """
    joined = _session_of_this_process()
    spark = get_spark(name)
    stops = joined is None and "DATABRICKS_RUNTIME_VERSION" not in os.environ
    try:
        yield spark
    except BaseException:
        # Where a signal cut the talk with Spark short it cannot be told to stop, and what went
        # wrong is the error that counts. A session of this process ends with it.
        with suppress(Exception):
            if stops:
                spark.stop()
        raise
    if stops:
        spark.stop()


def get_spark(name: str = "yt8m_spark") -> SparkSession:
    """Session that `spark_session` would open, for a notebook, which keeps it.

    Unlike ``SparkSession.builder.getOrCreate()`` it finds the Java of the `jre` extra where the
    machine has none, and its workers use this Python.

    Raises
    ------
    InputError
        If there is no Java at all.
    """
    _prepare_workers()
    spark = _session_of_this_process() or _new_session(name)
    for key, value in _EVERYWHERE.items():
        with suppress(PySparkException):  # serverless keeps it to itself, and nothing depends on it
            spark.conf.set(key, value)
    return spark


def _new_session(name: str) -> SparkSession:
    builder = SparkSession.builder.appName(name)
    log_level, remote = os.environ.get(_LOG_LEVEL), os.environ.get("SPARK_REMOTE", "")
    if not _given_by_environment() or remote.startswith("local"):  # a server of this process
        ensure_java()
        builder = builder if remote else builder.master("local[*]")
        options = f"-Dlog4j2.configurationFile={_log_settings()} -XX:+UseParallelGC"
        builder = builder.config("spark.driver.extraJavaOptions", options)
        for key, value in LOCAL_DEFAULTS.items():
            builder = builder.config(key, value)
    elif not remote.startswith("sc:"):  # a server logs as it likes
        log_level = log_level or "FATAL"
    if log_level:
        builder = builder.config("spark.log.level", log_level)
    with warnings.catch_warnings():
        # A server that is started with settings is told them once more, and will not have them.
        warnings.filterwarnings("ignore", "Failed to set spark")
        return builder.getOrCreate()


def _session_of_this_process() -> SparkSession | None:
    """The session that is there already, if only in another thread, where it is not "active"."""
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def _given_by_environment() -> bool:
    """Whether spark-submit, Databricks or Spark Connect decides what the session is."""
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # set by spark-submit for its Python child
    # Options of spark-submit for the JVM that PySpark starts: what yt8m-spark was given.
    submitted = submitted or "--properties-file" in os.environ.get("PYSPARK_SUBMIT_ARGS", "")
    names = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "DATABRICKS_RUNTIME_VERSION")
    return submitted or any(name in os.environ for name in names)


def _prepare_workers() -> None:
    """Workers use this Python, not the `python3` of PATH, and one BLAS thread for each task.

    And they keep the memory of one batch for the next: glibc gives blocks of this size back to
    the system and gets them again page by page, which takes a tenth of the time of a reader.
    """
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        os.environ.setdefault(name, sys.executable)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name, value in WORKER_MEMORY.items():
        os.environ.setdefault(name, value)


def _log_settings() -> str:
    return (Path(__file__).parent / "resources" / "log4j2.properties").as_uri()
