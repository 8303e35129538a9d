"""Bad input: one line, status 2, no output, the old output kept. Good input is in test_line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.formats.tfrecord import write_records

FEATURES = pa.schema(
    [
        ("video_id", pa.string()),
        ("labels", pa.list_(pa.int32())),
        ("features", pa.list_(pa.float32())),
    ]
)


def refused(finished, folder, *words):
    """Check how a job refused, and that it left nothing."""
    assert finished.status == 2, finished.stderr
    assert finished.stdout == ""
    for word in words:
        assert word in finished.error
    for trace in ("Traceback", "\tat ", "org.apache", "Exception"):
        assert trace not in finished.stderr
    assert not (folder / "out").exists()
    assert [path.name for path in folder.glob(".*")] == []


def features_table(folder, rows, name="features"):
    columns = [pa.array(column, field.type) for column, field in zip(rows, FEATURES, strict=True)]
    (folder / name).mkdir()
    table = pa.Table.from_arrays(columns, schema=FEATURES)
    pq.write_table(table, folder / name / "part-0.parquet")
    return name


def test_a_path_that_is_not_there(job, tmp_path):
    for name in ("convert_tfrecords", "aggregate_videos", "fit_whitening"):
        finished = job(name, "--input", "nowhere.tfrecord", "--output", "out")
        refused(finished, tmp_path, "no such", "nowhere.tfrecord")


def test_tables_models_and_whitenings_that_are_not_there(job, tmp_path):
    finished = job("train_entities", "--input", "nowhere", "--output", "out")
    refused(finished, tmp_path, "no such", "nowhere")
    table = features_table(tmp_path, [["a"], [[1]], [[1.0, 2.0]]])
    finished = job("predict", "--input", table, "--model", "nowhere", "--output", "out")
    refused(finished, tmp_path, "nowhere")
    finished = job("evaluate", "--input", table, "--model", "nowhere", "--output", "out")
    refused(finished, tmp_path, "nowhere")
    finished = job("normalize_videos", "--input", table, "--whitening", "nowhere", "--output=out")
    refused(finished, tmp_path, "nowhere")


def test_a_glob_that_matches_nothing(job, tmp_path):
    finished = job("aggregate_videos", "--input", "train*.tfrecord", "--output", "out")
    refused(finished, tmp_path, "train*.tfrecord")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", ("frame1.tfrecord, record 29", "cut short")),
        ("flip", ("frame1.tfrecord, record 0",)),
        ("text", ("frame1.tfrecord", "TFRecord")),
    ],
)
def test_a_damaged_shard_is_named_with_its_record(job, frame_shards, tmp_path, damage, words):
    path = tmp_path / "frame1.tfrecord"  # the second: its task finds the damage, not the driver
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "flip":
        data[40] ^= 0xFF
        path.write_bytes(data)
    else:
        path.write_text("Index,Name\n" * 100)
    finished = job("aggregate_videos", "--input", frame_shards, "--output", "out")
    refused(finished, tmp_path, *words)
    if damage != "text":
        assert "expected" in finished.error


def test_a_damaged_shard_of_the_test_split_leaves_no_pipeline_output(job, frame_shards, tmp_path):
    (tmp_path / "bad.tfrecord").write_bytes((tmp_path / "frame1.tfrecord").read_bytes()[:-3])
    arguments = ("--train", frame_shards, "--test", "bad.tfrecord", "--output", "out")
    finished = job("run_pipeline", *arguments, "--recipes", "logistic_mean")
    refused(finished, tmp_path, "bad.tfrecord, record 29", "cut short")


def test_the_old_output_stays_when_a_job_fails(job, frame_shards, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/old").write_text("old")
    path = tmp_path / "frame1.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    finished = job("aggregate_videos", "--input", frame_shards, "--output=kept", "--overwrite")
    assert finished.status == 2
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["old"]


def test_labels_outside_the_vocabulary(job, frame_shards, tmp_path):
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,Cat\n1,Dog\n")
    arguments = ("--input", frame_shards, "--output", "out", "--vocabulary", "vocabulary.csv")
    refused(job("aggregate_videos", *arguments), tmp_path, ".tfrecord, record 2", "found 2")


@pytest.mark.parametrize("level", ["frame", "video"])
def test_feature_widths_that_differ(job, tmp_path, level, records):
    make = records[level]
    data = [make(i, width=8 if i < 5 else 7) for i in range(9)]
    write_records(str(tmp_path / "x.tfrecord"), data)
    finished = job("convert_tfrecords", "--input", "x.tfrecord", "--output", "out")
    refused(finished, tmp_path, "x.tfrecord, record 5", "expected 8", "found 7")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(job, tmp_path, value, records):
    data = [records["video"](i, value=value if i == 3 else None) for i in range(6)]
    write_records(str(tmp_path / "x.tfrecord"), data)
    finished = job("fit_whitening", "--input", "x.tfrecord", "--output", "out")
    refused(finished, tmp_path, "x.tfrecord, record 3", "mean_rgb", "finite")


def test_nan_in_a_features_table(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[1], [2]], [[1.0, 2.0], [np.nan, 1.0]]])
    finished = job("train_entities", "--input", table, "--output", "out")
    refused(finished, tmp_path, "features", "finite")


def test_feature_widths_that_differ_in_a_table(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[1], [2]], [[1.0, 2.0], [1.0]]])
    finished = job("train_entities", "--input", table, "--output", "out")
    refused(finished, tmp_path, "width", "2", "1")


def test_a_table_of_the_wrong_schema(job, video_shards, tmp_path):
    job("convert_tfrecords", "--input", video_shards, "--output", "videos")
    for name in ("train_entities", "predict"):
        more = ("--model", "x") if name == "predict" else ()
        finished = job(name, "--input", "videos", "--output", "out", *more)
        assert finished.status == 2
    finished = job("train_entities", "--input", "videos", "--output", "out")
    refused(finished, tmp_path, "'features'", "array<float>")
    finished = job("evaluate", "--predictions", "videos", "--output", "out")
    refused(finished, tmp_path, "'entities'")
    finished = job("aggregate_videos", "--input", "videos", "--output", "out")
    refused(finished, tmp_path, "frame")
    finished = job("fit_whitening", "--input=videos", "--output=out", "--columns=mean_audio")
    refused(finished, tmp_path, "'mean_audio'")


def test_a_folder_that_is_no_table(job, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(job("train_entities", "--input=empty", "--output=out"), tmp_path, "empty", "Parquet")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/part.parquet").write_text("no table")
    finished = job("train_entities", "--input=damaged", "--output=out")
    refused(finished, tmp_path, "part.parquet", "not a Parquet file")


def test_videos_without_labels_cannot_be_trained_on(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[], None], [[1.0, 2.0], [2.0, 1.0]]])
    refused(job("train_entities", "--input", table, "--output", "out"), tmp_path, "label")


def test_options_that_are_wrong(job, tmp_path):
    wrong = {
        "--epochs": ("0", "at least 1"),
        "--learning-rate": ("-1", "above 0"),
        "--loss": ("svm", "one of logistic, hinge, moe"),
        "--entities": ("5-2", "entity range"),
        "--n-experts": ("two", "whole number"),
        "--epoch": ("5", "unrecognized"),
    }
    for flag, (value, word) in wrong.items():
        finished = job("train_entities", "--input", "x", "--output", "out", flag, value)
        refused(finished, tmp_path, word)
    refused(job("train_entities", "--input", "x"), tmp_path, "--output is missing")
    finished = job("run_pipeline", "--train=a", "--test=b", "--output=out", "--recipes=svm_mean")
    refused(finished, tmp_path, "svm_mean")


def test_statistics_that_there_are_not(job, frame_shards, tmp_path):
    arguments = ("--input", frame_shards, "--output", "out", "--statistics", "mean,median")
    refused(job("aggregate_videos", *arguments), tmp_path, "median")


def test_entities_that_no_video_has(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[1], [2]], [[1.0, 2.0], [2.0, 1.0]]])
    finished = job("train_entities", "--input", table, "--output", "out", "--entities", "5-9")
    refused(finished, tmp_path, "none of the entities", "1 to 2", "5 to 9")


def test_an_output_over_its_own_input_is_refused(job, tmp_path):
    table = features_table(tmp_path, [["a"], [[1]], [[1.0]]])
    finished = job("train_entities", "--input", table, "--output", table, "--overwrite")
    assert finished.status == 2
    assert "own input" in finished.error
    assert (tmp_path / table / "part-0.parquet").exists()


def test_a_failed_job_is_a_failed_run(job, tmp_path, tracking_uri):
    from mlflow import MlflowClient

    (tmp_path / "x").write_text("no shard, but a file")
    job("convert_tfrecords", "--input", "x", "--output", "out", "--experiment", "failing")
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("failing").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["FAILED"]


@pytest.mark.slow
def test_a_user_sees_one_line_and_no_java(run_job, frame_shards, tmp_path):
    # In a process of its own, with a JVM of its own that could write to the same terminal.
    path = tmp_path / "frame1.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    finished = run_job("aggregate_videos", "--input", frame_shards, "--output", "out")
    assert finished.returncode == 2
    assert finished.stdout == ""
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("aggregate_videos: error: ")
    assert "frame1.tfrecord, record 29" in last
    for trace in ("Traceback", "\tat ", "org.apache", "Exception"):
        assert trace not in finished.stderr, finished.stderr
    assert not (tmp_path / "out").exists()


def test_features_of_another_whitening_than_the_model_s(job, video_shards, tmp_path):
    for ridge in ("1", "2"):
        made = (f"w{ridge}", f"f{ridge}")
        job("fit_whitening", "--input", video_shards, f"--output={made[0]}", "--ridge", ridge)
        job(
            "normalize_videos",
            "--input",
            video_shards,
            f"--whitening={made[0]}",
            f"--output={made[1]}",
        )
    assert job("train_entities", "--input=f1", "--output=model", "--epochs=1").status == 0
    for name in ("predict", "evaluate"):
        finished = job(name, "--model=model", "--input=f2", "--output=out")
        refused(finished, tmp_path, "another whitening", "f2")


def test_a_table_whose_name_looks_like_a_pattern_is_read_itself(job, tmp_path):
    features_table(tmp_path, [["a"], [[1]], [[1.0]]], name="t1")
    rows = [["b", "c"], [[1], [2]], [[1.0, 2.0], [2.0, 0.0]]]
    features_table(tmp_path, rows, name="t[1]")
    arguments = ("--input", "t[1]", "--columns", "features", "--output", "w")
    assert job("fit_whitening", *arguments).result["metrics"]["n_videos"] == 2


def test_an_input_is_not_replaced_whatever_it_is_for(job, frame_shards, tmp_path):
    (tmp_path / "out2").mkdir()
    (tmp_path / "out2/v.csv").write_text("Index,Name\n0,a\n1,b\n2,c\n")
    arguments = ("--input", frame_shards, "--output", "out2", "--overwrite")
    finished = job("convert_tfrecords", *arguments, "--vocabulary", "out2/v.csv")
    refused(finished, tmp_path, "own input", "out2/v.csv")
    assert (tmp_path / "out2/v.csv").exists()


def test_a_label_below_zero_in_a_table(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[-1], [2]], [[1.0, 2.0], [2.0, 1.0]]])
    finished = job("train_entities", "--input", table, "--output", "out", "--loss", "moe")
    refused(finished, tmp_path, "label out of range", "-1")


def test_a_training_that_diverges_writes_no_model(job, tmp_path):
    table = features_table(tmp_path, [["a", "b"], [[1], [2]], [[2.0, -2.0], [2.0, 2.0]]])
    # Weights of opposite signs near float32's limit: their products with x cancel to NaN.
    arguments = ("--input", table, "--output=out", "--learning-rate=3e38", "--batch-size=1")
    finished = job("train_entities", *arguments)
    assert finished.status == 2
    assert "diverged" in finished.error
    assert not (tmp_path / "out").exists()
