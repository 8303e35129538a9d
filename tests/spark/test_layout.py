"""Records of every release, told from the first of them. Widths are tested with the source."""

import numpy as np
import pytest
from pyspark.sql.types import StructField, StructType
from shard_files import make_frames, make_video, rows, write

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import Segments
from yt8m_spark.formats.features import encode_entry, floats_feature, ints_feature
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.formats.wire import encode_bytes
from yt8m_spark.spark.schemas import INTS
from yt8m_spark.spark.source import YouTube8MSource


def bytes_value(value):
    return encode_bytes(1, encode_bytes(1, value))


def record(context, lists):
    """A SequenceExample of encoded features."""
    entries = b"".join(encode_entry(name, value) for name, value in context.items())
    frames = b"".join(
        encode_entry(name, b"".join(encode_bytes(1, one) for one in features))
        for name, features in lists.items()
    )
    return encode_bytes(1, entries) + encode_bytes(2, frames)


def columns(path, **options):
    return YouTube8MSource({"path": str(path), **options}).schema().names


LABELS = ints_feature(np.array([3, 5]))
FRAMES = [bytes_value(b"\x01\x02\x03"), bytes_value(b"\x04\x05\x06")]


@pytest.mark.parametrize(
    ("id_key", "name"),
    [
        ("video_id", "inc3"),  # 2016
        ("video_id", "rgb"),  # 2017
        ("id", "rgb"),  # 2018
        ("video_id", "audio_embedding"),  # AudioSet
    ],
)
def test_frames_of_every_release_are_read(tmp_path, id_key, name):
    data = record({id_key: bytes_value(b"abcd"), "labels": LABELS}, {name: FRAMES})
    write_records(str(tmp_path / "x.tfrecord"), [data])
    (row,) = rows(tmp_path)
    assert row["video_id"] == "abcd"
    assert row["labels"] == [3, 5]
    assert row[name] == b"\x01\x02\x03\x04\x05\x06"
    assert row["n_frames"] == 2


@pytest.mark.parametrize("name", ["mean_inc3", "mean_rgb"])
def test_videos_of_every_release_are_read(tmp_path, name):
    values = np.array([0.5, -1], np.float32)
    data = record(
        {"video_id": bytes_value(b"abcd"), "labels": LABELS, name: floats_feature(values)}, {}
    )
    write_records(str(tmp_path / "x.tfrecord"), [data])
    (row,) = rows(tmp_path)
    assert (row["video_id"], row["labels"], row[name]) == ("abcd", [3, 5], [0.5, -1])


def test_segments_of_2019_are_columns(tmp_path):
    segments = Segments(*np.array([[5], [10], [7]]), np.array([1], np.float32))
    write(tmp_path, "x.tfrecord", [make_frames(1, segments=segments)])
    assert columns(tmp_path)[-4:] == [
        "segment_start_times",
        "segment_end_times",
        "segment_labels",
        "segment_scores",
    ]


def test_features_of_other_kinds_are_skipped(tmp_path):
    data = record(
        {"id": bytes_value(b"a"), "labels": LABELS, "title": bytes_value(b"x")},
        {
            "rgb": FRAMES,
            "timestamps": [ints_feature(np.array([1]))],
            "scores": [floats_feature(np.ones(3, np.float32))] * 5,
        },
    )
    write_records(str(tmp_path / "x.tfrecord"), [data])
    assert columns(tmp_path) == ["video_id", "labels", "rgb", "n_frames", "shard"]
    video = record(
        {"id": bytes_value(b"a"), "views": LABELS, "mean_rgb": floats_feature(np.ones(2))}, {}
    )
    write_records(str(tmp_path / "x.tfrecord"), [video])
    assert columns(tmp_path) == ["video_id", "labels", "n_frames", "mean_rgb"]


def test_id_and_labels_are_found_under_the_names_that_are_given(tmp_path):
    data = record(
        {"id": bytes_value(b"a"), "key": bytes_value(b"b"), "tags": LABELS}, {"rgb": FRAMES}
    )
    write_records(str(tmp_path / "x.tfrecord"), [data])
    (row,) = rows(tmp_path, idKey="key", labelsKey="tags")
    assert (row["video_id"], row["labels"]) == ("b", [3, 5])
    assert (rows(tmp_path)[0]["video_id"], rows(tmp_path)[0]["labels"]) == ("a", [])


def test_features_are_those_that_are_asked_for_in_their_order(tmp_path):
    write(tmp_path, "x.tfrecord", [make_frames(3)])
    assert columns(tmp_path, features="audio")[2:3] == ["audio"]
    assert columns(tmp_path, features="audio:2,rgb:3")[2:4] == ["audio", "rgb"]
    for text, message in (
        ("flow", "no feature 'flow' in .*, expected one of rgb, audio"),
        ("rgb:1024", "feature 'rgb' has another width in .*, expected 1024, found 3"),
    ):
        with pytest.raises(InputError, match=message):
            columns(tmp_path, features=text)


def test_a_width_that_no_record_examined_tells_is_the_one_given(tmp_path):
    silent, five = make_frames(0, n_frames=1), make_frames(3)
    five = five._replace(features={**five.features, "audio": np.ones((3, 5), np.uint8)})
    write(tmp_path, "x.tfrecord", [*[silent] * 100, five])
    assert len(rows(tmp_path, features="rgb:3,audio:5")) == 101
    with pytest.raises(InputError, match=r"'audio' has another width in .*record 100"):
        rows(tmp_path, features="rgb:3,audio:2")


def test_a_width_found_late_in_a_shard_binds_what_comes_after(tmp_path):
    silent, two, five = make_frames(0, n_frames=1), make_frames(3), make_frames(4)
    five = five._replace(features={**five.features, "audio": np.ones((3, 5), np.uint8)})
    write(tmp_path, "x.tfrecord", [*[silent] * 100, two, five])
    with pytest.raises(InputError, match=r"width in .*record 101, expected 2, found 5"):
        rows(tmp_path)


def test_a_record_of_labels_only_is_decoded_without_its_frames(tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("frames were decoded")

    write(tmp_path, "x.tfrecord", [make_frames(2), make_frames(4)])
    reader = YouTube8MSource({"path": str(tmp_path)}).reader(
        StructType([StructField("labels", INTS)])
    )
    monkeypatch.setattr("yt8m_spark.formats.examples.decode_frame_list", fail)
    (batch,) = [b for part in reader.partitions() for b in reader.read(part)]
    assert batch.to_pylist() == [{"labels": [0, 1]}, {"labels": [0]}]


def test_videos_whose_features_are_not_all_there_are_told(tmp_path):
    write(tmp_path, "x.tfrecord", [make_video(1)])
    with pytest.raises(InputError, match="no feature 'mean_inc3'"):
        columns(tmp_path, features="mean_rgb,mean_inc3")


def test_mediapipes_floats_are_read_as_the_release_codes_them(tmp_path):
    values = np.array([[-2, 0, 2], [-3, 1, 3]], np.float32)
    data = record(
        {"clip/media_id": bytes_value(b"clip1"), "clip/label/index": LABELS},
        {
            "RGB/feature/floats": [floats_feature(row) for row in values],
            "RGB/feature/timestamp": [ints_feature(np.array([t])) for t in range(2)],
        },
    )
    write_records(str(tmp_path / "x.tfrecord"), [data])
    (row,) = rows(tmp_path)
    # round((clip(x, -2, 2) + 2) * 255 / 4)
    assert list(row["rgb"]) == [0, 128, 255, 0, 191, 255]
    assert (row["video_id"], row["labels"], row["n_frames"]) == ("clip1", [3, 5], 2)


@pytest.mark.parametrize("checksums", ["all", "lengths"])
def test_labels_alone_are_those_of_whole_records(tmp_path, checksums):
    records = [make_frames(number, n_frames=n) for number, n in enumerate((4, 9000, 9000, 2, 9000))]
    write(tmp_path, "x.tfrecord", records)
    names = ("labels", "video_id", "shard")
    whole = [{name: row[name] for name in names} for row in rows(tmp_path)]
    fields = YouTube8MSource({"path": str(tmp_path)}).schema()
    schema = StructType([fields[name] for name in names])
    for bound in ("1000000", "30000"):  # whole, and in ranges
        options = {"checksums": checksums, "partitionBytes": bound}
        assert rows(tmp_path, schema=schema, **options) == whole
