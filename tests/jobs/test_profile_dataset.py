"""The profile job on shards with planted faults. Figures are tested in tests/spark."""

import json

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.formats.vocabulary import write_vocabulary


@pytest.fixture
def faulty(records, tmp_path):
    """Frame-level shards train0, validate0 and test0 with one fault of each kind."""
    make = records["frame"]
    train = [make(i) for i in range(12)]
    train += [make(3), make(20, labels=[]), make(21, labels=[7]), make(22, n_frames=0)]
    validate = [make(i) for i in range(11, 18)]
    test = [make(i, labels=[]) for i in range(30, 33)]
    (tmp_path / "data").mkdir()
    for name, found in (("train0", train), ("validate0", validate), ("test0", test)):
        write_records(str(tmp_path / "data" / f"{name}.tfrecord"), found)
    write_vocabulary(str(tmp_path / "v.csv"), {i: f"name {i}" for i in range(4)}, {0: 9, 1: 5})
    return tmp_path


def test_planted_faults_are_told(job, faulty, tracking_uri):
    made = job("profile_dataset", "--input", "data", "--vocabulary", "v.csv", "--output", "out")
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {
        "profile": "out/profile.json", "entities": "out/entities.parquet", "page": "out/index.html",
    }  # fmt: skip
    for line in (
        "1 ids are in both train and validate",
        "1 ids of train come more than once, 1 videos too many (v003)",
        "1 (6.25 %) videos of train have no frames",
        "1 (6.25 %) videos of train have no label",
        "1 labels of train name 1 entities outside the vocabulary (7)",
        "1 entities of the vocabulary have no video of train",
    ):
        assert f"warning: {line}" in made.stderr
    assert "of test" not in made.stderr  # that it has no label is as released

    metrics = made.result["metrics"]
    assert metrics["n_videos"] == 16 + 7 + 3
    assert metrics["n_shared_ids"] == metrics["train.n_duplicate_ids"] == 1
    assert metrics["train.n_frames"] == 15 * 6
    assert metrics["test.unlabelled_share"] == 1
    written = json.loads((faulty / "out/profile.json").read_text())
    assert list(written["splits"]) == ["test", "train", "validate"]  # keys are sorted
    assert written["overlaps"][0]["examples"] == ["v011"]
    facts = pq.read_table(faulty / "out/facts")
    assert facts.num_rows == 26
    table = pq.read_table(faulty / "out/entities.parquet")
    assert table["entity"].to_pylist() == [0, 1, 2, 3, 7]
    assert sum(table["n_train"].to_pylist()) == 15

    run = MlflowClient(tracking_uri).get_run(made.result["mlflow_run_id"])
    assert run.data.metrics["train.n_frames"] == 90
    logged = MlflowClient(tracking_uri).list_artifacts(run.info.run_id)
    pictures = {path.name for path in (faulty / "out").glob("*.png")}
    assert pictures == {"frequency.png", "lengths.png", "labels.png"}
    assert pictures | {"index.html"} <= {artifact.path for artifact in logged}


def test_named_splits_may_be_of_either_level_and_kind(job, video_shards, frame_shards, tmp_path):
    table = job("convert_tfrecords", "--input", video_shards, "--output", "videos")
    assert table.status == 0, table.stderr
    arguments = ("--input", frame_shards, "--validate", "videos", "--test", video_shards)
    made = job("profile_dataset", *arguments, "--output", "out")
    assert made.status == 0, made.stderr
    metrics = made.result["metrics"]
    assert [metrics[f"{s}.n_videos"] for s in ("train", "validate", "test")] == [60, 60, 60]
    assert metrics["n_shared_ids"] == 3 * 60
    assert metrics["train.n_frames"] == 360
    assert "validate.n_frames" not in metrics


def test_bad_input_leaves_nothing(job, video_shards, tmp_path):
    (tmp_path / "v.csv").write_text("Index,TrainVideoCount\n0,many\n")
    for arguments, words in (
        (("--input", "absent"), ("no such", "absent")),
        (("--input", video_shards, "--test", "absent"), ("no such", "absent")),
        (("--input", video_shards, "--vocabulary", "v.csv"), ("v.csv, row 1", "many")),
    ):
        made = job("profile_dataset", *arguments, "--output", "out")
        assert made.status == 2
        assert all(word in made.error for word in words)
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))
