"""The job of databricks.yml, run: every task, in the order of its graph, on a few videos.

What Databricks itself makes of the bundle (clusters, the wheel, permissions) is not tested here;
schema and parameters are, in tests/notebooks/test_bundle.py.
"""

import pytest
from databricks_bundle import in_order, job_of, read_bundle

from yt8m_spark.formats.tfrecord import write_records


@pytest.fixture
def volume(tmp_path, records):
    """What the volume must hold: shards of Train and Test, and a vocabulary."""
    (tmp_path / "frame").mkdir()
    for split, first in (("train", 0), ("test", 100)):
        shard = [records["frame"](first + i, width=4) for i in range(30)]
        write_records(str(tmp_path / "frame" / f"{split}0000.tfrecord"), shard)
    lines = ["Index,TrainVideoCount,Name", "0,12,a", "1,10,b", "2,8,c"]
    (tmp_path / "vocabulary.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_bundles_job_ends_with_a_comparison(job, volume):
    values = {"catalog": "c", "schema": "s", "volume": "v", "epochs": "2", "statistics": "mean"}
    outputs = {}
    for task in in_order(job_of(read_bundle(), "dev", **values)["tasks"]):
        name, *flags = task["python_wheel_task"]["parameters"]
        done = job(name, *(flag.replace("/Volumes/c/s/v", str(volume)) for flag in flags))
        assert done.status == 0, (task["task_key"], done.stderr)
        outputs[task["task_key"]] = done.result
    # The entity of a video is the feature that is bright in all its frames.
    metrics = outputs["compare"]["metrics"]
    assert metrics["n_runs"] == 3
    for family in ("logistic", "hinge", "moe"):
        assert metrics[f"{family}.hit_at_1"] == 1
        assert metrics[f"{family}.map"] == outputs[f"evaluate_{family}"]["metrics"]["map"]
    assert (volume / "work" / "comparison" / "comparison.html").exists()
    table = (volume / "work" / "comparison" / "comparison.csv").read_text()
    assert all(family in table for family in ("logistic", "hinge", "moe"))
