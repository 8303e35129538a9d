"""The yt8m data source. How bytes become records is tested in tests/formats."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, IntegerType, StringType, StructField, StructType
from shard_files import make_frames, make_video, read_in_process, rows, write

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import Segments
from yt8m_spark.spark import records as records_module
from yt8m_spark.spark.schemas import FLOATS, INTS, arrow_schema, frames_schema, videos_schema
from yt8m_spark.spark.source import YouTube8MSource, read_shards, register

# With Spark


def test_videos_table_has_every_record_as_it_was_written(spark, tmp_path):
    videos = [make_video(number) for number in range(7)]
    for shard in range(3):
        write(tmp_path, f"train{shard}.tfrecord", videos[shard::3])
    table = read_shards(spark, f"{tmp_path}/train*.tfrecord")
    assert table.schema == videos_schema(["mean_rgb", "mean_audio"])
    found = {row.video_id: row for row in table.collect()}
    assert len(found) == 7
    for video in videos:
        row = found[video.video_id]
        assert row.labels == video.labels.tolist()
        assert row.n_frames is None
        for name, values in video.features.items():
            assert_array_equal(np.array(row[name], np.float32), values)


def test_frames_table_has_every_record_as_it_was_written(spark, tmp_path):
    videos = [make_frames(number, n_frames=number) for number in range(5)]
    write(tmp_path, "train0.tfrecord", videos[3:])
    write(tmp_path, "train1.tfrecord", videos[:3])
    table = read_shards(spark, str(tmp_path), level="frame")
    widths = {name: codes.shape[1] for name, codes in videos[4].features.items()}
    assert table.schema == frames_schema({name: widths[name] for name in ("rgb", "audio")})
    found = {row.video_id: row for row in table.collect()}
    assert len(found) == 5
    for number, video in enumerate(videos):
        row = found[video.video_id]
        assert row.labels == video.labels.tolist()
        assert row.n_frames == number
        assert row.shard == ("train0.tfrecord" if number >= 3 else "train1.tfrecord")
        assert bytes(row.rgb) == video.features["rgb"].tobytes()
        assert bytes(row.audio) == video.features["audio"].tobytes()


def test_each_shard_is_one_partition(spark, tmp_path):
    for shard in range(3):
        write(tmp_path, f"{shard}.tfrecord", [make_video(shard)] * (shard + 1))
    table = read_shards(spark, str(tmp_path)).groupBy(F.spark_partition_id()).count()
    assert sorted(row["count"] for row in table.collect()) == [1, 2, 3]


def test_format_is_registered_by_name(spark, tmp_path):
    register(spark)
    path = write(tmp_path, "x.tfrecord", [make_video(1)])
    assert spark.read.format("yt8m").option("level", "video").load(path).count() == 1


def test_projection_reads_only_its_columns_in_its_order(spark, tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_frames(2)])
    table = read_shards(spark, path, projection=["n_frames", "audio", "video_id"])
    assert table.columns == ["n_frames", "audio", "video_id"]
    assert table.first() == (4, make_frames(2).features["audio"].tobytes(), "v002")
    with pytest.raises(InputError, match="no column 'other'"):
        read_shards(spark, path, projection=["other"])


def test_relative_paths_are_those_of_the_caller(spark, tmp_path, monkeypatch):
    write(tmp_path, "x.tfrecord", [make_video(2)])
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n0,a\n1,b\n")
    monkeypatch.chdir(tmp_path)
    assert read_shards(spark, "*.tfrecord", vocabulary="vocabulary.csv").count() == 1


def test_fault_of_the_first_record_is_told_before_anything_runs(spark, tmp_path):
    write(tmp_path, "x.tfrecord", [make_video(1)])
    with pytest.raises(InputError, match=r"^no file matches the pattern in .*/none\*$"):
        read_shards(spark, f"{tmp_path}/none*")
    with pytest.raises(InputError, match=r"x\.tfrecord, record 0, expected frame, found video$"):
        read_shards(spark, str(tmp_path), level="frame")
    with pytest.raises(InputError, match=r"^no such vocabulary in .*none\.csv$"):
        read_shards(spark, str(tmp_path), vocabulary=f"{tmp_path}/none.csv")


def test_fault_of_a_later_record_names_it_in_the_exception_of_the_task(spark, tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(1), make_video(2)])
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - 1)
    table = read_shards(spark, path)
    line = rf"yt8m_spark\.errors\.InputError: file is cut short: checksum .*{path}, record 1, byte"
    with pytest.raises(PySparkException, match=line):
        table.collect()


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_spark_connect_reads_the_same(tmp_path):
    write(tmp_path, "a.tfrecord", [make_video(1), make_video(2)])
    write(tmp_path, "b.tfrecord", [make_video(4)])
    # A process of its own: a classic and a Connect session cannot live in one.
    script = f"""
from pyspark.sql import SparkSession
from yt8m_spark.errors import InputError
from yt8m_spark.spark.source import read_shards
spark = SparkSession.builder.remote("local[1]").config("spark.ui.enabled", "false").getOrCreate()
table = read_shards(spark, {str(tmp_path)!r}, projection=["video_id", "labels"])
print(sorted((row.video_id, row.labels) for row in table.collect()))
try:
    read_shards(spark, {str(tmp_path)!r}, level="frame")
except InputError as error:
    print(error)
spark.stop()
"""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **python, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    rows, error = finished.stdout.splitlines()
    assert rows == "[('v001', [0]), ('v002', [0, 1]), ('v004', [0])]"
    assert "records are of the wrong level" in error


# Without Spark: what a planner and a worker do


def test_batches_have_exactly_the_schema_that_spark_demands(tmp_path):
    segments = Segments(*np.array([[5], [10], [7]]), np.array([0.5], np.float32))
    write(tmp_path, "f.tfrecord", [make_frames(1, segments=segments)])
    write(tmp_path, "v.tfrecord", [make_video(1)])
    for name in ("f.tfrecord", "v.tfrecord"):
        schema = YouTube8MSource({"path": str(tmp_path / name)}).schema()
        (batch,) = read_in_process(tmp_path / name)
        assert batch.schema.equals(arrow_schema(schema))
        batch.validate(full=True)


def test_segments_are_read_and_null_where_a_video_has_none(tmp_path):
    two = Segments(*np.array([[5, 40], [10, 45], [7, 9]]), np.array([0, 1], np.float32))
    none = Segments(*np.empty((3, 0), int), np.empty(0, np.float32))
    records = [make_frames(0, segments=two), make_frames(1), make_frames(2, segments=none)]
    found = rows(write(tmp_path, "x.tfrecord", records))
    assert [row["segment_start_times"] for row in found] == [[5, 40], None, []]
    assert [row["segment_end_times"] for row in found] == [[10, 45], None, []]
    assert [row["segment_labels"] for row in found] == [[7, 9], None, []]
    assert [row["segment_scores"] for row in found] == [[0, 1], None, []]


def test_batches_end_at_their_bounds_and_keep_the_order(tmp_path, monkeypatch):
    path = write(tmp_path, "x.tfrecord", [make_video(number) for number in range(7)])
    monkeypatch.setattr(records_module, "_VIDEOS_A_BATCH", 3)
    batches = read_in_process(path)
    assert [batch.num_rows for batch in batches] == [3, 3, 1]
    monkeypatch.setattr(records_module, "_BYTES_A_BATCH", 1)
    batches = read_in_process(path)
    assert [batch.num_rows for batch in batches] == [1] * 7
    ids = [name for batch in batches for name in batch.column(0).to_pylist()]
    assert ids == [f"v{number:03}" for number in range(7)]


def test_empty_shards_are_read_beside_others(tmp_path):
    write(tmp_path, "a.tfrecord", [])
    write(tmp_path, "b.tfrecord", [make_video(1)])
    assert [row["video_id"] for row in rows(tmp_path)] == ["v001"]


def test_columns_come_in_one_order_whatever_the_records_say(tmp_path):
    names = ["zebra", "mean_audio", "ant", "mean_rgb", "std_rgb"]
    features = {name: np.ones(2, np.float32) for name in names}
    path = write(tmp_path, "x.tfrecord", [make_video(1, features=features)])
    columns = YouTube8MSource({"path": path}).schema().names
    assert columns[3:] == ["mean_rgb", "std_rgb", "mean_audio", "ant", "zebra"]


def test_width_is_that_of_the_first_video_with_a_frame(tmp_path):
    other = make_frames(3)
    wrong = make_frames(4, features={**other.features, "audio": np.ones((3, 5), np.uint8)})
    path = write(tmp_path, "x.tfrecord", [make_frames(0, n_frames=1), other])
    assert [row["n_frames"] for row in rows(path)] == [1, 4]
    path = write(tmp_path, "x.tfrecord", [make_frames(0, n_frames=1), other, wrong])
    with pytest.raises(
        InputError, match=r"'audio' has another width in .*record 2, expected 2, fo"
    ):
        rows(path)


def test_widths_agree_between_shards_and_after_many_videos_without_a_frame(tmp_path):
    silent, two = make_frames(0, n_frames=1), make_frames(3)
    five = make_frames(4, features={**two.features, "audio": np.ones((3, 5), np.uint8)})
    for name, records in (("a", [silent]), ("b", [two]), ("c", [silent, five])):
        write(tmp_path, f"{name}.tfrecord", records)
    with pytest.raises(
        InputError, match=r"'audio' has .*c\.tfrecord, record 1, expected 2, found 5"
    ):
        rows(tmp_path)
    path = write(tmp_path, "x.tfrecord", [*[silent] * 100, two, five])
    with pytest.raises(InputError, match=r"'audio' has .*, record 101, expected 2, found 5"):
        rows(path)


def test_n_frames_does_not_depend_on_the_projection(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_frames(1)])
    schema = StructType(
        [StructField("audio", BinaryType()), StructField("n_frames", IntegerType())]
    )
    assert rows(path, schema=schema)[0]["n_frames"] == 4  # rgb has 4, audio 3


def test_vocabulary_admits_its_labels_only(tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n1,b\n2,c\n")
    good = [make_video(0, labels=np.array([2, 0])), make_video(1, labels=np.array([], int))]
    path = write(tmp_path, "x.tfrecord", good)
    assert [row["labels"] for row in rows(path, vocabulary=str(tmp_path / "v.csv"))] == [[2, 0], []]
    path = write(tmp_path, "x.tfrecord", [*good, make_video(2, labels=np.array([3, 1, 4]))])
    line = r"not in the vocabulary in .*x\.tfrecord, record 2, expected one of 3 entities, found 3$"
    with pytest.raises(InputError, match=line):
        rows(path, vocabulary=str(tmp_path / "v.csv"))


@pytest.mark.parametrize("label", [-1, 2**31, -(2**63)])
def test_label_that_is_no_entity_is_refused(tmp_path, label):
    records = [make_video(0), make_video(2), make_video(1, labels=np.array([4, label]))]
    path = write(tmp_path, "x.tfrecord", records)
    with pytest.raises(
        InputError, match=rf"'labels' in {path}, record 2, expected .* found {label}"
    ):
        rows(path)


def test_records_of_later_batches_keep_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(records_module, "_VIDEOS_A_BATCH", 2)
    bad = make_video(4, labels=np.array([-1]))
    path = write(tmp_path, "x.tfrecord", [*map(make_video, range(3)), bad])
    with pytest.raises(InputError, match=r"record 3, expected .* found -1"):
        rows(path)


ONE = np.ones(5, np.float32)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"mean_rgb": ONE}, "features differ .*, expected mean_rgb, mean_audio, found mean_rgb$"),
        (
            {"mean_rgb": ONE[:4], "mean_audio": ONE[:3]},
            "'mean_rgb' has another width .*, expected 5, found 4$",
        ),
    ],
)
def test_record_that_lacks_a_feature_or_has_another_width_is_refused(tmp_path, features, message):
    path = write(tmp_path, "x.tfrecord", [make_video(0), make_video(1, features=features)])
    with pytest.raises(InputError, match=message) as raised:
        rows(path)
    assert f" in {path}, record 1, expected" in str(raised.value)


def test_features_that_the_first_record_lacks_are_left_out(tmp_path):
    more = make_video(1, features={**make_video(1).features, "new": ONE})
    found = rows(write(tmp_path, "x.tfrecord", [make_video(0), more]))
    assert list(found[1]) == ["video_id", "labels", "n_frames", "mean_rgb", "mean_audio"]


def test_record_that_lacks_a_feature_is_read_where_it_is_projected_out(tmp_path):
    odd = make_video(1, features={"mean_rgb": ONE, "new": ONE})
    path = write(tmp_path, "x.tfrecord", [make_video(0), odd])
    schema = StructType([StructField("mean_rgb", FLOATS), StructField("labels", INTS)])
    assert rows(path, schema=schema)[1] == {"mean_rgb": [1.0] * 5, "labels": [0]}
    with pytest.raises(InputError, match="record 1, expected mean_audio, found"):
        rows(path, schema=StructType([StructField("mean_audio", FLOATS)]))


@pytest.mark.parametrize("first", [make_video, make_frames])
def test_levels_do_not_mix(tmp_path, first):
    second = make_frames if first is make_video else make_video
    path = write(tmp_path, "x.tfrecord", [first(0), second(1)])
    with pytest.raises(
        InputError, match=r"x\.tfrecord, record 1: not a (frame|video)-level record"
    ):
        rows(path)


def test_segments_that_the_first_record_lacks_are_not_lost_silently(tmp_path):
    segments = Segments(*np.array([[5], [10], [7]]), np.array([0.5], np.float32))
    path = write(tmp_path, "x.tfrecord", [make_frames(0), make_frames(1, segments=segments)])
    with pytest.raises(InputError, match=r"segments, but none in the first record in .*record 1"):
        rows(path)
    schema = StructType([StructField("video_id", StringType())])
    assert len(rows(path, schema=schema)) == 2
    schema = frames_schema(["rgb"], segments=True)
    assert [row["segment_labels"] for row in rows(path, schema=schema)] == [None, [7]]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (StructField("mean_inc3", FLOATS), "no column 'mean_inc3' .*expected one of video_id"),
        (StructField("mean_rgb", BinaryType()), "'mean_rgb' .*expected array<float>, found binary"),
        (StructField("labels", StringType()), "'labels' .*expected array<int>, found string"),
        (StructField("shard", StringType()), "no column 'shard'"),
    ],
)
def test_schema_that_the_records_cannot_fill_is_refused(tmp_path, field, message):
    path = write(tmp_path, "x.tfrecord", [make_video(0)])
    with pytest.raises(InputError, match=message):
        rows(path, schema=StructType([field]))


@pytest.mark.parametrize("names", [[], ["video_id", "video_id"]])
def test_schema_without_columns_or_with_one_twice_is_refused(tmp_path, names):
    path = write(tmp_path, "x.tfrecord", [make_video(0)])
    schema = StructType([StructField(name, StringType()) for name in names])
    with pytest.raises(InputError, match="expected columns, each once"):
        rows(path, schema=schema)


def test_feature_named_as_a_column_is_refused(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(0, features={"n_frames": ONE})])
    with pytest.raises(InputError, match="a feature has the name of the column 'n_frames'"):
        rows(path)


def test_shards_without_any_record_are_refused(tmp_path):
    for name in ("a.tfrecord", "b.tfrecord"):
        write(tmp_path, name, [])
    with pytest.raises(InputError, match=r"no records in .*a\.tfrecord, found 2 empty files"):
        rows(tmp_path)


def test_record_without_features_is_refused(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(0, features={})])
    with pytest.raises(InputError, match=r"record has no features in .*record 0"):
        rows(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "segment"}, "unknown level, expected auto or frame or video, found segment"),
        ({"vocabluary": "x.csv"}, "unknown option 'vocabluary'"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path, options, message):
    write(tmp_path, "x.tfrecord", [make_video(0)])
    with pytest.raises(InputError, match=message):
        rows(tmp_path, **options)


def test_missing_path_is_refused():
    with pytest.raises(InputError, match="no path to load"):
        YouTube8MSource({}).schema()


# Real data


def test_every_real_video_is_read(shared_data):
    batches = read_in_process(
        shared_data / "yt8m_video", vocabulary=str(shared_data / "yt8m_vocab/vocabulary_3862.csv")
    )
    table = pa.Table.from_batches(batches)
    assert table.num_rows == 13_998
    assert len(table["video_id"].unique()) == 13_998
    assert {len(values) for values in table["mean_rgb"].slice(0, 99).to_pylist()} == {1024}
    assert {len(values) for values in table["mean_audio"].slice(0, 99).to_pylist()} == {128}


def count_records(path):
    """Records of a plain TFRecord file, by hopping from length to length."""
    size, position, count = os.path.getsize(path), 0, 0
    with open(path, "rb") as file:
        while position < size:
            file.seek(position)
            position += 16 + struct.unpack("<Q", file.read(8))[0]
            count += 1
    return count


@pytest.mark.parametrize("split", ["bal_train", "eval"])
def test_every_real_clip_is_read(shared_data, split):
    folder = shared_data / "audioset_frames"
    vocabulary = str(folder / "class_labels_indices.csv")
    table = pa.Table.from_batches(read_in_process(folder / split, vocabulary=vocabulary))
    n_videos = sum(count_records(path) for path in (folder / split).iterdir())
    assert table.num_rows == n_videos > 10_000
    assert len(table["video_id"].unique()) == n_videos
    frames = table["audio_embedding"].to_pylist()
    assert [len(one) for one in frames] == [128 * n for n in table["n_frames"].to_pylist()]
