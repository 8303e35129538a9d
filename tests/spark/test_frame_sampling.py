"""Sampled frames of tables and shards. Which frames: tests/core/test_frame_sampling.py."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException
from shard_files import make_frames, write

from yt8m_spark.core.frame_sampling import FrameOptions, choose_frames
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.frame_sampling import (
    FRAME_EXAMPLES,
    frames_of,
    mark_frames,
    sample_frames,
)
from yt8m_spark.spark.schemas import frames_schema
from yt8m_spark.spark.source import read_shards

LENGTHS = [0, 1, 3, 20, 21, 300]
OPTIONS = FrameOptions({"rgb": 3, "audio": 2}, n_frames=4, seed=1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Folder of shards, and its records; audio is a second shorter than rgb."""
    records = [make_frames(i, n_frames=n) for i, n in enumerate(LENGTHS)]
    folder = tmp_path_factory.mktemp("shards")
    write(folder, "a.tfrecord", records[:3])
    write(folder, "b.tfrecord", records[3:])
    return str(folder), {record.video_id: record for record in records}


def rows(df):
    return sorted((r.video_id, r.labels, r.frame, r.features) for r in df.collect())


@pytest.mark.parametrize("normalize", [True, False])
def test_examples_are_the_chosen_frames_with_the_labels_of_their_video(spark, shards, normalize):
    folder, records = shards
    options = OPTIONS._replace(normalize=normalize)
    sample = sample_frames(read_shards(spark, folder, level="frame"), options)
    assert sample.schema == FRAME_EXAMPLES
    found = rows(sample)
    expected = [
        (video_id, frame)
        for video_id, record in records.items()
        for frame in choose_frames(video_id, len(record.features["audio"]), 4, 1)
    ]
    assert [(video_id, frame) for video_id, _, frame, _ in found] == expected
    assert len(found) == 0 + 0 + 2 + 4 + 4 + 4
    for video_id, labels, frame, features in found:
        record = records[video_id]
        codes = np.concatenate([record.features[name][frame] for name in ("rgb", "audio")])
        x = codes.astype(float) * 4 / 255 + (4 / 512 - 2)
        assert_allclose(features, x / np.linalg.norm(x) if normalize else x, rtol=1e-5)
        assert_array_equal(labels, record.labels)


def test_the_sample_depends_neither_on_partitions_nor_on_order(spark, shards):
    frames = read_shards(spark, shards[0], level="frame")
    one = rows(sample_frames(frames.coalesce(1), OPTIONS))
    assert rows(sample_frames(frames.orderBy("n_frames").repartition(5), OPTIONS)) == one
    assert rows(sample_frames(frames, OPTIONS._replace(seed=2))) != one


def test_more_videos_than_are_sampled_at_once_all_give_their_frames(spark):
    data = [(f"v{i:04d}", [i], bytes([i % 256]) * 6, b"12", 2, "s") for i in range(600)]
    table = spark.createDataFrame(data, frames_schema({"rgb": 3, "audio": 1})).coalesce(1)
    options = FrameOptions({"rgb": 3, "audio": 1}, n_frames=20)
    found = rows(sample_frames(table, options))
    assert [(i, frame) for i, _, frame, _ in found] == [(d[0], f) for d in data for f in (0, 1)]


def test_a_table_of_features_is_refused(spark):
    table = spark.createDataFrame(
        [("v", [1], [1.0])], "video_id string, labels array<int>, x array<float>"
    )
    with pytest.raises(InputError, match="no frames in input, expected frame-level records"):
        sample_frames(table, OPTIONS)


def test_a_list_that_is_not_there_is_refused(spark, shards):
    frames = read_shards(spark, shards[0], level="frame")
    with pytest.raises(InputError, match="no column 'inc3' in frames table"):
        sample_frames(frames, FrameOptions({"inc3": 3}))
    with pytest.raises(InputError, match="feature list 'rgb', expected 4, found 3"):
        sample_frames(frames, FrameOptions({"rgb": 4}))


def test_a_null_video_id_is_told_of(spark):
    table = spark.createDataFrame([(None, [1], b"123", 1, "s")], frames_schema({"rgb": 3}))
    with pytest.raises(PySparkException) as caught:
        sample_frames(table, FrameOptions({"rgb": 3})).collect()
    assert user_error(caught.value) == "null video_id in frames table"


def test_a_table_tells_how_its_frames_were_made(tmp_path):
    assert frames_of(str(tmp_path)) is None
    mark_frames(str(tmp_path), OPTIONS)
    written = json.loads((tmp_path / "_frames.json").read_text())
    expected = {"features": {"rgb": 3, "audio": 2}, "normalize": True, "n_frames": 4, "seed": 1}
    assert {name: written[name] for name in expected} == expected
    assert FrameOptions.from_description(frames_of(str(tmp_path)), "") == OPTIONS
