"""What a model may score, read and checked. Scores are tested in test_scoring.py."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_files import random_model, write_model
from shard_files import make_frames, make_video, write

from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.frame_sampling import mark_frames
from yt8m_spark.spark.scoring_input import read_scoring_input

WIDTHS = {"rgb": 3, "audio": 2}


@pytest.fixture
def video_model(tmp_path):
    """A model of five features of videos."""
    return write_model(tmp_path / "model", *random_model(1, 2, 5), [0, 1], whitening="a" * 64)


@pytest.fixture
def frame_model(tmp_path):
    """A model of frames of 3 + 2 codes."""
    frames = FrameOptions(WIDTHS).describe()
    return write_model(tmp_path / "frame_model", *random_model(1, 2, 5), [0, 1], frames=frames)


@pytest.fixture
def features(tmp_path):
    """A features table of width 5; the first row is null."""
    return write_features(tmp_path / "features", [None, [0.0] * 5])


def write_features(folder, rows):
    folder.mkdir()
    columns = {
        "video_id": [f"v{i}" for i in range(len(rows))],
        "labels": pa.array([[0]] * len(rows), pa.list_(pa.int32())),
        "features": pa.array(rows, pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), folder / "part-0.parquet")
    return str(folder)


@pytest.fixture
def shards(tmp_path):
    """A glob of frame-level shards."""
    (tmp_path / "shards").mkdir()
    write(tmp_path / "shards", "frame0.tfrecord", [make_frames(i) for i in range(3)])
    return str(tmp_path / "shards" / "frame*.tfrecord")


def test_features_are_read_for_a_model_of_features(spark, features, video_model):
    assert read_scoring_input(spark, features, video_model).count() == 2


def test_shards_and_tables_of_frames_are_read_for_a_model_of_frames(
    spark, shards, frame_model, tmp_path
):
    frames = read_scoring_input(spark, shards, frame_model)
    assert frames.count() == 3
    frames.write.parquet(str(tmp_path / "table"))
    assert read_scoring_input(spark, str(tmp_path / "table"), frame_model).count() == 3


def test_shards_for_a_model_of_features_are_refused(spark, shards, video_model):
    with pytest.raises(InputError, match=r"of video features in .*, found TFRecord shards"):
        read_scoring_input(spark, shards, video_model)


def test_a_frames_table_for_a_model_of_features_is_refused(
    spark, shards, frame_model, video_model, tmp_path
):
    read_scoring_input(spark, shards, frame_model).write.parquet(str(tmp_path / "table"))
    with pytest.raises(InputError, match=r"model is of video features in .*, found frames"):
        read_scoring_input(spark, str(tmp_path / "table"), video_model)


def test_features_of_sampled_frames_for_a_model_of_features_are_refused(
    spark, features, video_model
):
    mark_frames(features, FrameOptions(WIDTHS))
    with pytest.raises(InputError, match="found features of single frames"):
        read_scoring_input(spark, features, video_model)


def test_features_for_a_model_of_frames_are_refused(spark, features, frame_model):
    with pytest.raises(InputError, match="no frames in input, expected frame-level records or a"):
        read_scoring_input(spark, features, frame_model)


def test_shards_of_videos_for_a_model_of_frames_are_refused(spark, frame_model, tmp_path):
    path = write(tmp_path, "video0.tfrecord", [make_video(i) for i in range(3)])
    with pytest.raises(InputError, match="video"):
        read_scoring_input(spark, path, frame_model)


def test_another_width_is_told_of_before_any_video_is_scored(spark, video_model, tmp_path):
    table = write_features(tmp_path / "wide", [None, [0.0] * 6])
    with pytest.raises(InputError, match=r"width is not the model's in .*expected 5, found 6"):
        read_scoring_input(spark, table, video_model)


def test_another_whitening_is_refused(spark, features, video_model, tmp_path):
    mark = tmp_path / "features" / "_whitening.json"
    mark.write_text(json.dumps({"digest": "b" * 64, "columns": []}))
    with pytest.raises(InputError, match=r"another whitening .*digest aaaaaaaaaaaa, found bbbb"):
        read_scoring_input(spark, features, video_model)


def test_what_is_not_there_is_refused(spark, features, video_model, frame_model, tmp_path):
    with pytest.raises(InputError, match=r"no such table in .*nowhere"):
        read_scoring_input(spark, str(tmp_path / "nowhere"), video_model)
    with pytest.raises(InputError, match="nowhere"):
        read_scoring_input(spark, str(tmp_path / "nowhere"), frame_model)
    with pytest.raises(InputError, match=r"no such file in .*model\.json"):
        read_scoring_input(spark, features, str(tmp_path / "nowhere"))
    shutil.rmtree(f"{video_model}/entities")
    with pytest.raises(InputError, match="cannot read the model's entities"):
        read_scoring_input(spark, features, video_model)
