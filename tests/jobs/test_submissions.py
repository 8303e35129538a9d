"""Submission jobs by the command line. Their figures are tested in tests/spark."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.formats.examples import FrameRecord, Segments, encode_frames
from yt8m_spark.formats.tfrecord import write_records

LISTS = {
    "labels": pa.list_(pa.int32()),
    "entities": pa.list_(pa.int32()),
    "scores": pa.list_(pa.float32()),
}


@pytest.fixture
def predictions(tmp_path):
    """Tables ``a`` and ``b`` of three videos."""
    for name, best in (("a", [1, 2, 3]), ("b", [1, 3, 3])):
        columns = {
            "video_id": pa.array(["x", "y", "z"]),
            "labels": pa.array([[1], [2], [3]], LISTS["labels"]),
            "entities": pa.array([[e, 9] for e in best], LISTS["entities"]),
            "scores": pa.array([[0.75, 0.5]] * 3, LISTS["scores"]),
        }
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns), tmp_path / name / "part-0.parquet")
    return tmp_path


@pytest.fixture
def segments(tmp_path):
    """A shard of two videos with rated segments, and a table of predictions of segments."""
    records = []
    for name, scores in (("x", [1, 0, 1]), ("y", [1, 0, 0])):
        times = np.array([0, 5, 10])
        rated = Segments(times, times + 5, np.array([3, 3, 4]), np.float32(scores))
        frames = {"rgb": np.zeros((20, 4), np.uint8)}
        records.append(encode_frames(FrameRecord(name, np.array([3]), frames, rated)))
    write_records(str(tmp_path / "validate0.tfrecord"), records)
    columns = {
        "video_id": pa.array(["x", "x", "x", "y"]),
        "segment_start_time": pa.array([0, 5, 10, 0], pa.int32()),
        "entities": pa.array([[3], [3], [4], [3]], LISTS["entities"]),
        "scores": pa.array([[0.5], [0.75], [0.5], [0.25]], LISTS["scores"]),
    }
    (tmp_path / "s").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "s" / "part-0.parquet")
    return tmp_path


def done(finished):
    assert finished.status == 0, finished.stderr
    return finished.result


def refused(finished, folder, *words):
    assert finished.status == 2, finished.stderr
    assert all(word in finished.error for word in words), finished.error
    assert not list(folder.glob("out*"))
    assert [path.name for path in folder.glob(".*")] == []


def test_predictions_go_out_and_come_back(job, predictions):
    made = done(job("write_submission", "--predictions", "a", "--output", "a.csv.gz"))
    assert made["metrics"] == {"n_videos": 3}
    assert made["outputs"] == {"submission": "a.csv.gz"}
    done(job("write_submission", "--predictions", "b", "--output", "b.csv", "--top-k", "1"))
    assert (predictions / "b.csv").read_text().splitlines()[1:] == [
        "x,1 0.75",
        "y,3 0.75",
        "z,3 0.75",
    ]

    arguments = ("--submissions", "a.csv.gz,b.csv", "--weights", "3,1", "--output", "mean")
    averaged = done(job("average_submissions", *arguments, "--labels", "b"))
    assert averaged["metrics"] == {"n_videos": 3, "weight_1": 0.75, "weight_2": 0.25}
    rows = {row["video_id"]: row for row in pq.read_table(predictions / "mean").to_pylist()}
    assert rows["y"] == {
        "video_id": "y", "labels": [2], "entities": [2, 9, 3],
        "scores": [0.75 * 0.75, 0.75 * 0.5, 0.25 * 0.75],
    }  # fmt: skip
    evaluated = done(job("evaluate", "--predictions", "mean", "--output", "evaluation"))
    assert evaluated["metrics"]["hit_at_1"] == 1


def test_a_table_and_a_csv_are_averaged_with_the_tables_labels(job, predictions):
    done(job("write_submission", "--predictions", "b", "--output", "b.csv"))
    done(job("average_submissions", "--submissions", "a,b.csv", "--output", "mean", "--top-k=1"))
    rows = pq.read_table(predictions / "mean").sort_by("video_id").to_pylist()
    assert [(row["labels"], len(row["entities"])) for row in rows] == [([i], 1) for i in (1, 2, 3)]


def test_a_segment_submission_is_written_and_evaluated(job, segments):
    # 3: x:5 (no), x:0 (yes), y:0 (yes); 4: x:10 (yes); y:10 is rated no, and not listed.
    made = done(
        job("write_submission", "--predictions", "s", "--kind", "segment", "--output", "s.csv")
    )
    assert made["metrics"] == {"n_entities": 2}
    assert (segments / "s.csv").read_text() == "Class,Segments\n3,x:5 x:0 y:0\n4,x:10\n"
    expected = ((1 / 2 + 2 / 3) / 2 + 1) / 2
    for source in ("--submission=s.csv", "--predictions=s"):
        arguments = (source, "--input", "validate0.tfrecord", "--output", "out", "--overwrite")
        found = done(job("evaluate_segments", *arguments))
        assert found["metrics"]["segment_map_at_k"] == pytest.approx(expected, rel=1e-12)
        assert found["metrics"]["n_rated_segments"] == 6
    stored = json.loads((segments / "out/metrics.json").read_text())
    assert stored == found["metrics"]
    table = pq.read_table(segments / "out/per_entity.parquet").to_pylist()
    assert [(row["entity"], row["n_positives"], row["n_listed"]) for row in table] == [
        (3, 2, 3), (4, 1, 1),
    ]  # fmt: skip


def test_frames_tables_and_chosen_entities_are_evaluated(job, segments):
    done(job("convert_tfrecords", "--input", "validate0.tfrecord", "--output", "frames"))
    (segments / "ids.csv").write_text("Index,Name\n4,Four\n8,Eight\n")
    arguments = ("--predictions", "s", "--input", "frames", "--entities", "ids.csv")
    found = done(job("evaluate_segments", *arguments, "--at-k=1", "--output", "out"))
    assert found["metrics"]["segment_map_at_k"] == 1
    assert found["metrics"]["n_entities"] == 1
    assert pq.read_table(segments / "out/per_entity.parquet")["name"].to_pylist() == ["Four"]


def test_bad_submissions_leave_nothing(job, predictions):
    (predictions / "nan.csv").write_text("VideoId,LabelConfidencePairs\nx,1 nan\n")
    (predictions / "one.csv").write_text("VideoId,LabelConfidencePairs\nx,1 0.5\n")
    average, write = "average_submissions", "write_submission"
    for name, arguments, words in (
        (average, ("--submissions", "nan.csv"), ("nan.csv, line 2", "'nan'")),
        (average, ("--submissions", "a,one.csv"), ("no video", "one.csv", "--allow-missing")),
        (average, ("--submissions", "a,absent.csv"), ("no such", "absent.csv")),
        (average, ("--submissions", "a,b", "--weights", "1"), ("weights", "2 numbers")),
        (average, ("--submissions", "a,b", "--weights", "1,x"), ("x",)),
        (average, ("--submissions", "a,a"), ("different files",)),
        (write, ("--predictions", "a", "--top-k", "0"), ("top_k",)),
        (write, ("--predictions", "a", "--kind", "segment"), ("segment_start_time",)),
    ):
        output = "out.csv" if name == write else "out"
        refused(job(name, *arguments, "--output", output), predictions, *words)
    finished = job(write, "--predictions", "a", "--output", "out")
    refused(finished, predictions, "named .csv or .csv.gz")
    finished = job("evaluate_segments", "--input", "a", "--output", "out")
    refused(finished, predictions, "either --submission or --predictions")
    finished = job("evaluate_segments", "--submission=one.csv", "--input=a", "--output=out")
    refused(finished, predictions, "no column 'segment_start_times'")
