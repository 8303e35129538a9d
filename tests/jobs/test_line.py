"""Every job on good input, one after the other. Bad input is tested in test_bad_input.

What the stages compute is tested in tests/core and tests/spark; here: flags, files, JSON lines.
"""

import json

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from yt8m_spark.core.statistics import quantized_statistics
from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records


def table(path):
    return pq.read_table(path).sort_by("video_id")


def test_the_stages_one_by_one_from_frames_to_metrics(job, frame_shards, tmp_path, tracking_uri):
    made = job("aggregate_videos", "--input", frame_shards, "--output", "videos")
    assert made.status == 0, made.stderr
    assert made.result["job"] == "aggregate_videos"
    assert made.result["outputs"] == {"videos": "videos"}
    assert made.result["metrics"] == {"n_videos": 60}
    videos = table(tmp_path / "videos")
    assert videos.column_names == [
        "video_id", "labels", "n_frames", "mean_rgb", "std_rgb", "top5_rgb",
    ]  # fmt: skip
    first = next(read_records(str(tmp_path / "frame0.tfrecord"))).data
    rgb = decode_frames(first).features["rgb"]
    expected = quantized_statistics(rgb, np.array([0, len(rgb)]))
    row = videos.filter(pc.equal(videos["video_id"], "v000")).to_pylist()[0]
    for name, values in expected.items():
        np.testing.assert_allclose(row[f"{name}_rgb"], values[0], rtol=1e-6)

    columns = "mean_rgb,std_rgb"
    made = job(
        "fit_whitening", "--input", "videos", "--output", "whitening", f"--columns={columns}"
    )
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 60
    assert made.result["metrics"]["n_components"] == 16
    assert json.loads((tmp_path / "whitening/whitening.json").read_text())["columns"] == [
        "mean_rgb",
        "std_rgb",
    ]

    arguments = ("--input", "videos", "--whitening", "whitening", "--output", "features")
    assert job("normalize_videos", *arguments).status == 0
    features = table(tmp_path / "features")
    assert features.column_names == ["video_id", "labels", "features"]
    lengths = np.linalg.norm(features["features"].to_pylist(), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)

    for loss in ("logistic", "hinge", "moe"):
        arguments = ("--input", "features", "--output", f"model_{loss}", "--loss", loss)
        made = job("train_entities", *arguments, "--epochs=3", "--entities", "0-2")
        assert made.status == 0, made.stderr
        assert made.result["metrics"]["n_entities"] == 3
        described = json.loads((tmp_path / f"model_{loss}/model.json").read_text())
        assert described["loss"] == loss
        assert described["n_features"] == 16
        digest = json.loads((tmp_path / "whitening/whitening.json").read_text())["digest"]
        assert described["whitening"] == digest
        assert described["versions"].keys() == {"yt8m_spark", "pyspark", "numpy"}
        rows = pq.read_table(tmp_path / f"model_{loss}/entities")
        assert sorted(rows["entity"].to_pylist()) == [0, 1, 2]
        assert rows["n_positives"].to_pylist() == [20, 20, 20]
        n_rows = {"logistic": 1, "hinge": 1, "moe": 4}[loss]
        assert {len(w) for w in rows["weights"].to_pylist()} == {4 * 16 * n_rows}
        assert {len(h) for h in rows["loss_history"].to_pylist()} == {3}
    assert not list(tmp_path.glob(".*")), "nothing is left beside the outputs"

    arguments = ("--model", "model_moe", "--input", "features", "--output", "predictions")
    assert job("predict", *arguments, "--top-k", "2").status == 0
    predictions = table(tmp_path / "predictions")
    assert predictions.column_names == ["video_id", "labels", "entities", "scores"]
    assert {len(e) for e in predictions["entities"].to_pylist()} == {2}

    of_model = job(
        "evaluate", "--model", "model_moe", "--input", "features", "--output", "evaluation"
    )
    of_table = job("evaluate", "--predictions", "predictions", "--output", "evaluation2")
    assert of_model.status == of_table.status == 0
    names = {"map", "hit_at_1", "hit_at_5", "perr", "gap_at_20"}
    names |= {f"starter_{name}" for name in ("map", "hit_at_1", "perr", "gap_at_20")}
    assert names <= of_model.result["metrics"].keys()
    assert of_model.result["metrics"]["hit_at_1"] == of_table.result["metrics"]["hit_at_1"] == 1
    written = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert written["n_labelled_videos"] == 60
    assert pq.read_table(tmp_path / "evaluation/per_entity.parquet").num_rows == 3

    run = MlflowClient(tracking_uri).get_run(of_model.result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["gap_at_20"] == of_model.result["metrics"]["gap_at_20"]
    assert run.data.params["model"] == "model_moe"


@pytest.mark.parametrize("level", ["frame", "video"])
def test_convert_makes_a_table_of_either_level(job, frame_shards, video_shards, tmp_path, level):
    source = {"frame": frame_shards, "video": video_shards}[level]
    made = job("convert_tfrecords", "--input", source, "--output", "table", f"--level={level}")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 60
    column = {"frame": "rgb", "video": "mean_rgb"}[level]
    assert column in pq.read_table(tmp_path / "table").column_names


def test_a_converted_table_serves_as_input(job, frame_shards, tmp_path):
    job("convert_tfrecords", "--input", frame_shards, "--output", "frames")
    for source, output in ((frame_shards, "a"), ("frames", "b")):
        assert job("aggregate_videos", "--input", source, "--output", output).status == 0
    assert table(tmp_path / "a").equals(table(tmp_path / "b"))


def test_the_pipeline_compares_recipes_in_one_parent_run(job, frame_shards, tmp_path, tracking_uri):
    made = job(
        "run_pipeline",
        *("--train", frame_shards, "--test", frame_shards, "--output", "results"),
        *("--recipes", "logistic_mean,moe_mean_std_top5", "--epochs", "3"),
    )
    assert made.status == 0, made.stderr
    text = (tmp_path / "results/table.txt").read_text()
    for name in ("majority", "logistic_mean", "moe_mean_std_top5", "mAP", "GAP@20"):
        assert name in text
    assert text in made.stderr
    assert made.result["metrics"]["logistic_mean.hit_at_1"] == 1

    client = MlflowClient(tracking_uri)
    parent = client.get_run(made.result["mlflow_run_id"])
    query = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = client.search_runs([parent.info.experiment_id], query)
    names = {child.info.run_name for child in children}
    assert names == {"majority", "logistic_mean", "moe_mean_std_top5"}
    assert {child.info.status for child in children} == {"FINISHED"}
    assert "table.txt" in {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert not (tmp_path / "results/work").exists()


def test_the_pipeline_on_video_level_records(job, video_shards):
    arguments = ("--train", video_shards, "--test", video_shards, "--output", "results")
    made = job("run_pipeline", *arguments, "--recipes=hinge_mean", "--epochs=2")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["hinge_mean.hit_at_1"] == 1
    refused = job("run_pipeline", *arguments, "--overwrite", "--recipes=moe_mean_std_top5")
    assert refused.status == 2
    assert "video-level" in refused.error


def test_synthetic_data_feed_the_line(job, tmp_path):
    made = job(
        "make_synthetic",
        *("--output", "data", "--n-videos", 60, "--n-entities", 5, "--n-shards", 4, "--seed", 7),
        *("--rgb-dim", 8, "--audio-dim", 4, "--mean-frames", 10, "--max-frames", 20),
    )
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 60
    assert (tmp_path / "data/vocabulary.csv").exists()
    made = job(
        "aggregate_videos",
        *("--input", "data/frame/train*.tfrecord", "--output", "videos"),
        *("--statistics", "mean", "--features", "audio", "--vocabulary", "data/vocabulary.csv"),
    )
    assert made.status == 0, made.stderr
    assert "mean_audio" in table(tmp_path / "videos").column_names


def test_a_config_file_gives_options_and_flags_win(job, video_shards, tmp_path):
    (tmp_path / "c.toml").write_text(f'input = "{video_shards}"\noutput = "a"\nlevel = "frame"\n')
    made = job("convert_tfrecords", "--config", "c.toml", "--level", "video", "--output=b")
    assert made.status == 0, made.stderr
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "a").exists()


def test_overwrite_replaces_an_output(job, video_shards, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    arguments = ("--input", video_shards, "--output", "out")
    assert job("convert_tfrecords", *arguments).status == 2
    assert job("convert_tfrecords", *arguments, "--overwrite").status == 0
    assert not (tmp_path / "out/old").exists()


def test_a_stopped_training_is_resumed_where_it_was(job, video_shards, tmp_path, monkeypatch):
    job("fit_whitening", "--input", video_shards, "--output", "w")
    job("normalize_videos", "--input", video_shards, "--whitening", "w", "--output", "features")
    arguments = ("--input", "features", "--epochs=2", "--block-size=1")
    assert job("train_entities", *arguments, "--output", "whole").status == 0

    def stop(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("yt8m_spark.spark.training.gather_model", stop)
        stopped = job("train_entities", *arguments, "--output", "model")
        assert stopped.status == 130
        assert "--resume" in stopped.stderr
    assert not (tmp_path / "model").exists()
    blocks = tmp_path / ".model.work/blocks"
    assert len(list(blocks.iterdir())) == 3
    next(blocks.iterdir()).unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in blocks.iterdir()}

    again = job("train_entities", *arguments, "--output", "model")
    assert again.status == 2
    assert "--resume to go on" in again.error
    changed = job("train_entities", *arguments, "--output", "model", "--resume", "--l2=0.5")
    assert changed.status == 2
    assert "--l2 has changed" in changed.error
    (tmp_path / "features/_new").touch()
    changed = job("train_entities", *arguments, "--output", "model", "--resume")
    assert changed.status == 2
    assert "the table of --input has changed" in changed.error
    (tmp_path / "features/_new").unlink()
    resumed = job("train_entities", *arguments, "--output", "model", "--resume")
    assert resumed.status == 0, resumed.stderr
    assert "1 of 3 blocks left" in resumed.stderr
    entities = tmp_path / "model/entities"
    assert {n: (entities / n).stat().st_mtime_ns for n in kept} == kept
    whole, model = (pq.read_table(tmp_path / n / "entities") for n in ("whole", "model"))
    assert whole.sort_by("entity").equals(model.sort_by("entity"))
    assert not (tmp_path / ".model.work").exists()
