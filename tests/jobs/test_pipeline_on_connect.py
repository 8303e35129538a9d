"""The whole pipeline as a client of a Spark Connect server, in two processes that share the disk.

What it computes is tested on classic Spark; `make connect` runs the other tests in this mode.
"""

import json

import pytest
from connect_server import connect_server

from yt8m_spark.formats.tfrecord import write_records


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own")
def test_the_pipeline_runs_on_a_server_and_learns_what_is_there_to_learn(
    run_job, records, tmp_path, tmp_path_factory
):
    for split, seed in (("train", 1), ("test", 2)):
        rows = [records["frame"](i, seed=seed) for i in range(60)]
        write_records(str(tmp_path / f"{split}.tfrecord"), rows)
    with connect_server(tmp_path_factory.mktemp("server")) as address:
        finished = run_job(
            "run_pipeline",
            *("--train", "train.tfrecord", "--test", "test.tfrecord", "--output", "out"),
            *("--recipes", "logistic_mean", "--epochs", "5"),
            environment={"SPARK_REMOTE": address},
        )
    assert finished.returncode == 0, finished.stderr[-3000:]
    result = json.loads(finished.stdout.splitlines()[-1])
    assert result["metrics"]["logistic_mean.hit_at_1"] == 1.0  # one bright feature an entity
    assert (tmp_path / "out" / "models" / "logistic_mean" / "model.json").exists()
