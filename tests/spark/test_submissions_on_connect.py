"""Submissions, segments, ensembles and ratings on Spark Connect; by classic Spark beside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from pyspark.sql import SparkSession
from yt8m_spark.spark import ensemble, ratings, segments, submissions

spark = SparkSession.builder.remote("local[1]").config("spark.ui.enabled", "false").getOrCreate()
lists = "entities array<int>, scores array<float>"
rows = [("b", [1], [0.5]), ("a", [2, 1], [0.5, 0.25])]
table = spark.createDataFrame(rows, "video_id string, " + lists)
submissions.write_video_submission(table, "a.csv.gz")
read = submissions.read_submission(spark, "a.csv.gz")
mean = ensemble.average_predictions({"csv": read, "table": table}, [1, 1])
print(sorted((row.video_id, row.entities, row.scores) for row in mean.collect()))

schema = "video_id string, segment_start_time int, " + lists
rows = [("a", 0, [1], [0.5]), ("a", 5, [1], [0.75])]
submissions.write_segment_submission(spark.createDataFrame(rows, schema), "s.csv")
schema = "entity int, video_id string, segment_start_time int, is_positive boolean"
rated = spark.createDataFrame([(1, "a", 0, True), (1, "a", 5, False)], schema)
print(segments.evaluate_segments(submissions.read_segments(spark, "s.csv"), rated).map_at_k)

majority = ratings.majority_ratings(ratings.read_ratings(spark, "r.csv"))
truth = spark.createDataFrame([("a", [1])], "video_id string, labels array<int>")
print(ratings.rater_agreement(majority).percent, ratings.human_labels(majority).collect())
print(ratings.label_quality(majority, ratings.machine_labels(majority, truth, "t")).recall.value)
spark.stop()
"""


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_all_of_it_runs_on_spark_connect(tmp_path):
    (tmp_path / "r.csv").write_text("video_id,entity,rater,rating\na,1,x,yes\na,1,y,yes\na,2,x,1\n")
    # A process of its own: a classic and a Connect session cannot live in one.
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **python, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        "[('a', [2, 1], [0.5, 0.25]), ('b', [1], [0.5])]",
        "0.5",  # the listed: no, then yes
        "1.0 [Row(video_id='a', labels=[1, 2])]",
        "0.5",
    ]
