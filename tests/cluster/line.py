"""The whole line, job after job, in one application: under spark-submit, or in a test's session."""

import json
import runpy
import sys
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

JOBS = Path(__file__).parents[2] / "jobs"

# All paths are relative: executors stand in another folder than the driver.
_LINE = (
    "convert_tfrecords --input frames/train*.tfrecord --output frames_train",
    "aggregate_videos --input frames_train --output videos --statistics mean,std",
    "aggregate_videos --input frames/test*.tfrecord --output videos_test --statistics mean,std",
    "fit_whitening --input videos --output whitening",
    "normalize_videos --input videos --whitening whitening --output features",
    "normalize_videos --input videos_test --whitening whitening --output features_test",
    "train_entities --input features --output logistic --epochs 3 --block-size 2",
    "train_entities --input features --output moe --loss moe --epochs 3 --block-size 2",
    "predict --model moe --input features_test --output predictions",
    "evaluate --model logistic --input features_test --output evaluation_logistic",
    "evaluate --predictions predictions --output evaluation_moe",
)
TABLES = ("frames_train", "videos", "videos_test", "features", "features_test", "predictions")
MODELS = ("logistic", "moe")
EVALUATIONS = ("evaluation_logistic", "evaluation_moe")


def run_line():
    """Run all jobs in this process, where the paths are relative to; the first failure ends it."""
    for command in _LINE:
        run_job(*command.split())


def run_job(name, *options):
    """Run jobs/``name``.py in this process and its session."""
    before = sys.argv
    sys.argv = [f"{name}.py", *options]
    try:
        runpy.run_path(str(JOBS / f"{name}.py"), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        sys.argv = before


def packages_of_executors(spark):
    """Where executors find this package, their Python, and the folder they stand in."""
    found = spark.range(0, 8, 1, 8).mapInArrow(_tell, "package string, python string, cwd string")
    return sorted({tuple(row) for row in found.collect()})


def _tell(batches):
    import os
    import sys

    import yt8m_spark

    for batch in batches:
        row = [[yt8m_spark.__file__], [sys.executable], [os.getcwd()]]
        if batch.num_rows:
            yield pa.RecordBatch.from_arrays(list(map(pa.array, row)), ["package", "python", "cwd"])


if __name__ == "__main__":
    from yt8m_spark.session import spark_session

    with spark_session("line") as session:
        assert isinstance(session, SparkSession)
        Path("executors.json").write_text(json.dumps(packages_of_executors(session)))
        run_line()
