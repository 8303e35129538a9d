"""What is told of data: tables, shards, globs, URIs. Jobs: tests/jobs/test_train_entities.py."""

import hashlib
import json

import mlflow.data
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Dataset
from mlflow.types import Schema

from yt8m_spark.datasets import describe_dataset
from yt8m_spark.manifest import ShardEntry, save_manifest


def write_table(folder, n_rows=(2, 3)):
    folder.mkdir(parents=True)
    for number, n in enumerate(n_rows):
        columns = {
            "video_id": pa.array([f"v{i}" for i in range(n)]),
            "labels": pa.array([[1]] * n, pa.list_(pa.int32())),
            "features": pa.array([[0.5, 1.0]] * n, pa.list_(pa.float32())),
            "rgb": pa.array([b"x"] * n),
            "n_frames": pa.array([1] * n, pa.int64()),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def test_a_table_is_told_by_rows_columns_and_place(tmp_path):
    table = write_table(tmp_path / "features" / "train")
    told = describe_dataset(str(table), "input", "train_entities")
    assert told["name"] == "features/train"
    n_bytes = sum(path.stat().st_size for path in table.glob("*.parquet"))
    assert json.loads(told["profile"]) == {"num_rows": 5, "num_files": 2, "num_bytes": n_bytes}
    columns = Schema.from_json(json.dumps(json.loads(told["schema"])["mlflow_colspec"]))
    assert [f"{column.name}: {column.type}" for column in columns] == [
        "video_id: DataType.string",
        "labels: Array(integer)",
        "features: Array(float)",
        "rgb: DataType.binary",
        "n_frames: DataType.long",
    ]
    dataset = Dataset(**{key: value for key, value in told.items() if key != "context"})
    assert mlflow.data.get_source(dataset).uri == str(table)


def test_files_without_a_byte_are_told(tmp_path, capsys):
    for name, content in (("a", b"x"), ("b", b""), ("c", b"")):
        (tmp_path / f"{name}.tfrecord").write_bytes(content)
    describe_dataset(str(tmp_path / "*.tfrecord"), "input", "predict")
    told = capsys.readouterr().err
    assert told == f"warning: empty files, 2 of 3: {tmp_path / 'b.tfrecord'} and 1 more\n"
    describe_dataset(str(write_table(tmp_path / "table")), "input", "predict")
    assert capsys.readouterr().err == ""


def test_the_digest_is_of_the_data_not_of_their_place(tmp_path):
    first = describe_dataset(str(write_table(tmp_path / "a")), "input", "x")["digest"]
    assert describe_dataset(str(write_table(tmp_path / "b")), "input", "x")["digest"] == first
    other = write_table(tmp_path / "c", n_rows=(2, 4))
    assert describe_dataset(str(other), "input", "x")["digest"] != first
    assert 8 <= len(first) <= 36  # what MLflow has room for


def test_a_converted_table_has_the_digest_of_its_manifest(tmp_path):
    table = write_table(tmp_path / "frames")
    entries = [
        ShardEntry(f"/data/{i}.tfrecord", 10, f"{i}" * 64, 20, 1, f"part-{i}.parquet", 7, "f" * 64)
        for i in range(2)
    ]
    save_manifest(table, {"level": "frame"}, entries)
    told = describe_dataset(str(table), "input", "aggregate_videos")
    listed = [("0" * 64, "f" * 64), ("1" * 64, "f" * 64)]
    assert told["digest"] == hashlib.sha256(repr(listed).encode()).hexdigest()[:16]
    assert json.loads(told["profile"]) == {"num_rows": 40, "num_files": 2, "num_bytes": 14}


def test_a_glob_of_shards_is_told_by_its_files(tmp_path):
    for i in range(3):
        (tmp_path / f"train{i}.tfrecord").write_bytes(b"x" * i)
    told = describe_dataset(f"{tmp_path}/train[01]*.tfrecord", "train", "run_pipeline")
    assert json.loads(told["profile"]) == {"num_files": 2, "num_bytes": 1}
    assert json.loads(told["source"]) == {"uri": f"{tmp_path}/train[01]*.tfrecord"}
    assert told["schema"] is None


def test_remote_files_are_listed_and_not_read(tmp_path):
    from fsspec import filesystem

    memory = filesystem("memory")
    memory.pipe("/bucket/features/part-0.parquet", b"12345")
    memory.pipe("/bucket/features/_SUCCESS", b"")
    memory.pipe("/bucket/shards/a.tfrecord", b"123")
    table = describe_dataset("memory://bucket/features", "input", "evaluate")
    assert json.loads(table["profile"]) == {"num_files": 1, "num_bytes": 5}
    assert table["source_type"] == "memory"
    for path in ("memory://bucket/shards", "memory://bucket/shards/*.tfrecord"):
        shards = describe_dataset(path, "input", "convert_tfrecords")
        assert json.loads(shards["profile"]) == {"num_files": 1, "num_bytes": 3}


@pytest.mark.parametrize("path", ["/nowhere/at/all", "nowhere*.tfrecord", "ftp://x/y"])
def test_what_cannot_be_listed_is_named_all_the_same(path):
    told = describe_dataset(path, "input", "train_entities")
    assert told["profile"] is None
    assert len(told["digest"]) == 16
    assert told["digest"] != describe_dataset(path + "2", "input", "x")["digest"]


def test_a_damaged_table_is_no_failure_here(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x.parquet").write_bytes(b"no table")
    (tmp_path / "t" / "_manifest.json").write_text("{}")
    assert describe_dataset(str(tmp_path / "t"), "input", "x")["profile"] is None


@pytest.mark.parametrize(
    ("option", "job", "context"),
    [
        ("input", "train_entities", "training"),
        ("input", "fit_whitening", "training"),
        ("train", "run_pipeline", "training"),
        ("test", "run_pipeline", "evaluation"),
        ("validate", "search_entities", "evaluation"),
        ("input", "evaluate", "evaluation"),
        ("predictions", "evaluate", "evaluation"),
        ("model", "evaluate", "model"),
        ("vocabulary", "train_entities", "vocabulary"),
        ("input", "build_explorer", "evaluation"),
        ("ratings", "evaluate_ratings", "evaluation"),
        ("ratings", "build_vocabulary", "training"),
        ("candidates", "build_dataset", "training"),
    ],
)
def test_what_data_are_for_follows_from_the_option_and_the_job(option, job, context):
    assert describe_dataset("x", option, job)["context"] == context


def test_passwords_in_a_source_are_masked():
    told = describe_dataset("https://ana:hunter2@host.invalid/x.tfrecord", "input", "x")
    assert "hunter2" not in json.dumps(told)
