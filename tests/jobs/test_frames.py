"""Classifiers of frames from shards to metrics, as jobs (§4.1.1). Bad input of jobs besides.

What is computed is tested in tests/core and tests/spark. The model is not trained here.
"""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from model_files import random_model, write_model

from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.spark.frame_sampling import frames_of


@pytest.fixture
def model(tmp_path):
    """Model of frames of 8 codes whose entity e is feature e: the bright one of each video."""
    weights = 20 * np.eye(3, 8, dtype=np.float32)[None]
    frames = {"features": {"rgb": 8}, "normalize": True, "n_frames": 4, "seed": 0}
    bias = np.full((1, 3), -10, np.float32)
    return write_model(tmp_path / "model", weights, bias, [0, 1, 2], frames=frames)


def test_frames_are_sampled_from_shards_and_from_their_table_alike(job, frame_shards, tmp_path):
    made = job("sample_frames", "--input", frame_shards, "--output", "a", "--n-frames", 4)
    assert made.status == 0, made.stderr
    assert made.result["metrics"] == {"n_frames": 60 * 4}
    assert made.result["outputs"] == {"features": "a"}
    assert job("convert_tfrecords", "--input", frame_shards, "--output", "frames").status == 0
    assert job("sample_frames", "--input=frames", "--output=b", "--n-frames=4").status == 0
    a, b = (
        pq.read_table(tmp_path / name).sort_by([("video_id", "ascending"), ("frame", "ascending")])
        for name in "ab"
    )
    assert a.column_names == ["video_id", "labels", "features", "frame"]
    assert a.equals(b)
    row = a.to_pylist()[0]
    record = decode_frames(next(read_records(str(tmp_path / "frame0.tfrecord"))).data)
    x = record.features["rgb"][row["frame"]].astype(float) * 4 / 255 + (4 / 512 - 2)
    np.testing.assert_allclose(row["features"], x / np.linalg.norm(x), rtol=1e-5)
    described = frames_of(str(tmp_path / "a"))
    assert described["features"] == {"rgb": 8}
    assert (described["normalize"], described["n_frames"], described["seed"]) == (True, 4, 0)


def test_options_of_sampling_are_heeded(job, frame_shards, tmp_path):
    arguments = ("--input", frame_shards, "--features", "rgb:8", "--normalize", "false")
    assert job("sample_frames", *arguments, "--output=a", "--seed=1").status == 0
    table = pq.read_table(tmp_path / "a")
    assert table.num_rows == 60 * 6  # all there are, of 20 asked for
    assert json.loads((tmp_path / "a/_frames.json").read_text())["seed"] == 1
    assert np.linalg.norm(table["features"].to_pylist(), axis=1).min() > 1.5


def test_a_model_of_frames_is_applied_and_evaluated_on_shards_and_tables(
    job, frame_shards, model, tmp_path
):
    job("convert_tfrecords", "--input", frame_shards, "--output", "frames")
    for source, output in ((frame_shards, "a"), ("frames", "b")):
        arguments = ("--model", model, "--input", source, "--top-k=2")
        made = job("predict", *arguments, "--output", output)
        assert made.status == 0, made.stderr
        assert made.result["metrics"] == {"n_videos": 60}
    a, b = (pq.read_table(tmp_path / name).sort_by("video_id") for name in "ab")
    assert a["entities"].equals(b["entities"])
    np.testing.assert_allclose(a["scores"].to_pylist(), b["scores"].to_pylist(), rtol=1e-5)
    assert [row[0] for row in a["entities"].to_pylist()] == [i % 3 for i in range(60)]
    made = job("evaluate", "--model", model, "--input", frame_shards, "--output", "evaluation")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["hit_at_1"] == 1


@pytest.mark.parametrize("name", ["predict", "evaluate"])
def test_input_of_the_other_kind_is_refused_in_one_line(job, frame_shards, model, tmp_path, name):
    assert job("sample_frames", "--input", frame_shards, "--output", "features").status == 0
    of_videos = write_model(tmp_path / "other", *random_model(1, 3, 8), [0, 1, 2])
    for given, source, message in (
        (model, "features", "no frames in input"),
        (of_videos, frame_shards, "found TFRecord shards"),
        (of_videos, "features", "found features of single frames"),
    ):
        finished = job(name, "--model", given, "--input", source, "--output", "out")
        assert finished.status == 2
        assert message in finished.error
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--n-frames=0", "n_frames must be at least 1, got 0"),
        ("--seed=-1", "seed must be at least 0, got -1"),
        ("--features=inc3", "inc3"),
        ("--features=rgb:7", "expected 7, found 8"),
    ],
)
def test_options_out_of_range_are_refused(job, frame_shards, tmp_path, option, message):
    finished = job("sample_frames", "--input", frame_shards, "--output", "out", option)
    assert finished.status == 2, finished.stderr
    assert message in finished.error
    assert not (tmp_path / "out").exists()


def test_video_level_records_have_no_frames_to_sample(job, video_shards, tmp_path):
    finished = job("sample_frames", "--input", video_shards, "--output", "out")
    assert finished.status == 2, finished.stderr
    assert "video" in finished.error
    assert not (tmp_path / "out").exists()
