"""Tables written as shards. What rows may be records is tested in test_row_records."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames, decode_video
from yt8m_spark.formats.tfrecord import read_records, write_records
from yt8m_spark.job import user_error
from yt8m_spark.spark.schemas import arrow_schema, frames_schema, videos_schema
from yt8m_spark.spark.sink import ShardWriter
from yt8m_spark.spark.source import read_shards, register

TESTS = Path(__file__).parents[1]
WIDTHS = {"rgb": 3, "audio": 2}
FRAMES = frames_schema(WIDTHS, segments=True)
VIDEOS = videos_schema(["mean_rgb", "mean_audio"])
NO_SEGMENTS = dict.fromkeys(name for name in FRAMES.names if name.startswith("segment_"))


def codes(number, n_frames, width):
    return np.random.default_rng([number, width]).bytes(n_frames * width)


def make_frames():
    """Rows of a frames table: every way in which videos differ."""
    rated = {
        "segment_start_times": [5, 40],
        "segment_end_times": [10, 45],
        "segment_labels": [7, 9],
        "segment_scores": [0.0, 1.0],
    }
    test = {**rated, "segment_labels": [], "segment_scores": []}  # of 2019's test split
    empty = {name: [] for name in rated}
    rows = [
        {"video_id": "as it is", "labels": [3, 3861, 0], "rgb": 4, "audio": 4, **rated},
        {"video_id": "vidéo 視頻", "labels": [], "rgb": 5, "audio": 4, **NO_SEGMENTS},
        {"video_id": "no frames", "labels": [1], "rgb": 0, "audio": 0, **empty},
        {"video_id": "only audio", "labels": [2], "rgb": 0, "audio": 1, **test},
        {"video_id": "long", "labels": [5], "rgb": 400, "audio": 399, **NO_SEGMENTS},
    ]
    for number, row in enumerate(rows):
        row["n_frames"] = max(row["rgb"], row["audio"])
        row |= {name: codes(number, row[name], width) for name, width in WIDTHS.items()}
        row["shard"] = "x.tfrecord"
    return rows


def make_videos(n=5):
    rng = np.random.default_rng(0)
    return [
        {
            "video_id": f"vidéo {number}",
            "labels": list(range(number)),
            "n_frames": None,
            "mean_rgb": rng.random(4, np.float32).tolist(),
            "mean_audio": rng.random(2, np.float32).tolist(),
        }
        for number in range(n)
    ]


def table_of(spark, rows, schema, n_partitions=2):
    ordered = [tuple(row[name] for name in schema.names) for row in rows]
    return spark.createDataFrame(ordered, schema).repartition(n_partitions)


def save(table, folder, mode="append", **options):
    register(table.sparkSession)
    table.write.format("yt8m").mode(mode).options(**options).save(str(folder))


def collected(table):
    """Rows as dicts in order of ids, less the name of the shard."""
    table = table.drop("shard")
    return sorted((row.asDict() for row in table.collect()), key=lambda row: row["video_id"])


def contents(folder):
    """Names, and sizes of files, of everything in and below a folder."""
    paths = sorted(Path(folder).rglob("*"))
    return [(str(p.relative_to(folder)), p.is_file() and p.stat().st_size) for p in paths]


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def batches_of(rows, schema, rows_a_batch=2):
    columns = {name: [row[name] for row in rows] for name in schema.names}
    return pa.table(columns, schema=arrow_schema(schema)).to_batches(rows_a_batch)


def write_in_process(folder, schema, *partitions, overwrite=False, **options):
    """What the planner, one task a partition and the driver do, without Spark."""
    writer = ShardWriter(schema, {"path": str(folder), **options}, overwrite)
    messages = [writer.write(iter(batches_of(rows, schema))) for rows in partitions]
    writer.commit(messages)
    return writer


def records_in(folder):
    """Data of all records in the folder, shard by shard."""
    paths = sorted(str(path) for path in Path(folder).glob("*.tfrecord*"))
    return [record.data for path in paths for record in read_records(path)]


def in_tensorflow(task, **arguments):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    given = json.dumps({"task": task, **arguments})
    finished = subprocess.run(
        [sys.executable, str(TESTS / "tensorflow_parser.py"), given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def pb():
    """Message classes of the protobuf package."""
    spec = importlib.util.spec_from_file_location("oracle", TESTS / "formats" / "conftest.py")
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return oracle.build_messages(packed=True)


# With Spark


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_frames_are_read_again_as_they_were(spark, tmp_path, compression):
    table = table_of(spark, make_frames(), FRAMES)
    save(table, tmp_path, compression=compression)
    # The schema is given, for the first record need not be one with segments.
    again = spark.read.format("yt8m").schema(FRAMES).load(str(tmp_path))
    assert collected(again) == collected(table)


def test_videos_are_read_again_as_they_were(spark, tmp_path):
    table = table_of(spark, make_videos(), VIDEOS)
    save(table, tmp_path / "new" / "folder", prefix="train")
    again = read_shards(spark, f"{tmp_path}/new/folder/train0000*.tfrecord")
    assert again.schema == VIDEOS
    assert collected(again) == collected(table)


def test_one_partition_gives_one_shard_and_append_adds(spark, tmp_path):
    table = table_of(spark, make_videos(9), VIDEOS, n_partitions=3)
    save(table, tmp_path)
    save(table, tmp_path)
    names = sorted(os.listdir(tmp_path))
    assert len(names) == 6
    assert all(name.startswith("part0000") for name in names)
    assert read_shards(spark, str(tmp_path)).count() == 18


def test_overwrite_may_read_what_it_replaces(spark, tmp_path):
    save(table_of(spark, make_videos(9), VIDEOS), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    half = read_shards(spark, str(tmp_path)).where("size(labels) >= 5")
    save(half, tmp_path, "overwrite")
    found = collected(read_shards(spark, str(tmp_path)))
    assert found == collected(table_of(spark, make_videos(9)[5:], VIDEOS))
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_failed_job_leaves_everything_as_it_was(spark, tmp_path, mode):
    save(table_of(spark, make_videos(9), VIDEOS), tmp_path / "old")
    before = contents(tmp_path)
    bad = table_of(spark, make_videos(9), VIDEOS).withColumn(
        "video_id", F.when(F.size("labels") < 8, F.col("video_id"))
    )
    for folder in (tmp_path / "old", tmp_path / "new" / "folder"):
        assert "no video id in column 'video_id'" in failure(
            lambda folder=folder: save(bad, folder, mode)
        )
        assert contents(tmp_path) == before


@pytest.mark.parametrize("mode", ["errorifexists", "ignore"])
def test_modes_that_spark_refuses_for_python_write_nothing(spark, tmp_path, mode):
    # If this fails, Spark has learnt to: tell so in the docstring of the module.
    table = table_of(spark, make_videos(), VIDEOS)
    with pytest.raises(PySparkException, match=r"UNSUPPORTED_(DATA_SOURCE_SAVE_MODE|OPERATION)"):
        save(table, tmp_path / "new", mode)
    assert contents(tmp_path) == []


def test_table_that_cannot_be_written_is_told_before_anything_runs(spark, tmp_path):
    table = table_of(spark, make_videos(), VIDEOS).withColumn("split", F.lit("train"))
    message = failure(lambda: save(table, tmp_path / "new"))
    assert message.startswith("column 'split' would be lost: a record has no place for string")
    assert contents(tmp_path) == []


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_spark_connect_writes_the_same(tmp_path):
    write_in_process(tmp_path / "in", VIDEOS, make_videos()[:3], make_videos()[3:])
    # A process of its own: a classic and a Connect session cannot live in one.
    script = f"""
from pyspark.sql import SparkSession
from yt8m_spark.spark.source import read_shards
spark = SparkSession.builder.remote("local[1]").config("spark.ui.enabled", "false").getOrCreate()
table = read_shards(spark, {str(tmp_path / "in")!r})
for mode in ("append", "overwrite"):
    table.write.format("yt8m").mode(mode).save({str(tmp_path / "out")!r})
try:
    table.selectExpr("*", "1 AS x").write.format("yt8m").mode("append").save({str(tmp_path)!r})
except Exception as error:
    print("column 'x' would be lost" in str(error))
spark.stop()
"""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    path = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **python, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == ["True"]
    assert sorted(records_in(tmp_path / "out")) == sorted(records_in(tmp_path / "in"))


# Other readers


def test_tensorflow_reads_the_frames(tmp_path):
    rows = make_frames()
    folder, options = tmp_path / "x", {"compression": "gzip", "idKey": "video_id"}
    write_in_process(folder, FRAMES, rows, **options)
    paths = [str(path) for path in folder.iterdir()]
    found = in_tensorflow(
        "parse_frames", paths=paths, widths=WIDTHS, id_key="video_id", compression="GZIP"
    )
    for told, row in zip(found, rows, strict=True):
        assert told["id"] == row["video_id"]
        assert told["labels"] == row["labels"]
        assert {name: base64.b64decode(told[name]) for name in WIDTHS} == {
            name: row[name] for name in WIDTHS
        }
        assert {name: told[name] for name in NO_SEGMENTS} == {
            name: row[name] or [] for name in NO_SEGMENTS
        }


def test_tensorflow_reads_the_videos(tmp_path):
    rows = make_videos()
    write_in_process(tmp_path, VIDEOS, rows)
    paths = [str(path) for path in tmp_path.iterdir()]
    found = in_tensorflow("parse_videos", paths=paths, widths={"mean_rgb": 4, "mean_audio": 2})
    for told, row in zip(found, rows, strict=True):
        assert told["id"] == row["video_id"]
        for name in ("labels", "mean_rgb", "mean_audio"):
            assert told[name] == row[name]


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_protobuf_reads_the_frames(tmp_path, pb, id_key):
    rows = make_frames()
    write_in_process(tmp_path, FRAMES, rows, idKey=id_key)
    for data, row in zip(records_in(tmp_path), rows, strict=True):
        parsed = pb.SequenceExample.FromString(data)
        context, lists = parsed.context.entry, parsed.feature_lists.entry
        assert context[id_key].bytes_list.value == [row["video_id"].encode()]
        assert context["labels"].int64_list.value == row["labels"]
        segments = {name for name in NO_SEGMENTS if row[name] is not None}
        if any(row[name] for name in segments):  # an empty one beside others is left out
            segments = {name for name in segments if row[name]}
        assert set(context) == {id_key, "labels"} | segments
        assert set(lists) == set(WIDTHS)
        for name in WIDTHS:
            frames = [one.bytes_list.value[0] for one in lists[name].feature]
            assert b"".join(frames) == row[name]


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_protobuf_reads_the_videos_with_an_empty_second_field(tmp_path, pb, id_key):
    rows = make_videos()
    write_in_process(tmp_path, VIDEOS, rows, idKey=id_key)
    for data, row in zip(records_in(tmp_path), rows, strict=True):
        assert data.endswith(b"\x12\x00")
        context = pb.SequenceExample.FromString(data).context.entry
        assert set(context) == {id_key, "labels", "mean_rgb", "mean_audio"}
        assert context[id_key].bytes_list.value == [row["video_id"].encode()]
        assert context["mean_rgb"].float_list.value == row["mean_rgb"]


# Without Spark: what a planner, a task and the driver do


def test_shards_are_numbered_by_partition_and_empty_partitions_have_none(tmp_path):
    rows = make_videos(3)
    write_in_process(tmp_path, VIDEOS, rows[:2], [], rows[2:], prefix="validate")
    names = sorted(os.listdir(tmp_path))
    assert [name[:13] for name in names] == ["validate00000", "validate00001"]
    ids = [decode_video(data).video_id for data in records_in(tmp_path)]
    assert ids == [row["video_id"] for row in rows]


def test_table_without_rows_gives_a_folder_without_shards(tmp_path):
    write_in_process(tmp_path / "a", VIDEOS)
    write_in_process(tmp_path / "b", VIDEOS, [])
    assert contents(tmp_path) == [("a", False), ("b", False)]


def test_null_labels_are_none(tmp_path):
    write_in_process(tmp_path, VIDEOS, [{**make_videos(2)[1], "labels": None}])
    assert decode_video(records_in(tmp_path)[0]).labels.size == 0


def test_task_that_ran_twice_counts_once(tmp_path):
    writer = ShardWriter(VIDEOS, {"path": str(tmp_path)}, overwrite=False)
    first, second = (writer.write(iter(batches_of(make_videos(2), VIDEOS))) for _ in range(2))
    assert first.name != second.name
    writer.commit([second])
    assert len(os.listdir(tmp_path)) == 1
    assert len(records_in(tmp_path)) == 2


def test_shards_are_hidden_until_the_driver_commits(tmp_path):
    writer = ShardWriter(VIDEOS, {"path": str(tmp_path)}, overwrite=True)
    writer.write(iter(batches_of(make_videos(2), VIDEOS)))
    assert all(name.startswith(".") for name in os.listdir(tmp_path))
    writer.abort([])
    assert os.listdir(tmp_path) == []


OTHERS = ("notes.txt", ".hidden.tfrecord", "_x.tfrecord", "x.tfrecord.md", "x.tfrecord/a.tfrecord")


@pytest.fixture
def used_folder(tmp_path):
    """A folder with shards, released, gzip'ed and ours, and with other things."""
    folder = tmp_path / "used"
    folder.mkdir()
    for name in ("train0093.tfrecord", "test0.tfrecord.gz", "train00000-abc.tfrecord"):
        write_records(str(folder / name), [b"old"])
    for name in OTHERS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    return folder


def files_of(folder):
    return {name for name, size in contents(folder) if size is not False}


def test_overwrite_deletes_nothing_but_shards(used_folder):
    write_in_process(used_folder, VIDEOS, make_videos(1), overwrite=True)
    (new,) = files_of(used_folder) - set(OTHERS)
    assert new.startswith("part00000-")
    assert files_of(used_folder) >= set(OTHERS)


def test_overwrite_with_a_prefix_deletes_its_shards_only(used_folder):
    write_in_process(used_folder, VIDEOS, make_videos(1), overwrite=True, prefix="train")
    left = files_of(used_folder) - set(OTHERS)
    assert len(left) == 2
    assert "test0.tfrecord.gz" in left


def test_a_longer_name_with_the_same_beginning_is_another_prefix(tmp_path):
    kept = ["train_segments00000-abc.tfrecord", "training0.tfrecord", "trainer00.tfrecord"]
    for name in [*kept, "train0093.tfrecord", "trainpj.tfrecord", "train00000-ab.tfrecord.gz"]:
        (tmp_path / name).touch()
    write_in_process(tmp_path, VIDEOS, make_videos(1), overwrite=True, prefix="train")
    assert files_of(tmp_path) >= set(kept)
    assert len(files_of(tmp_path)) == len(kept) + 1


def test_append_deletes_nothing(used_folder):
    before = files_of(used_folder)
    write_in_process(used_folder, VIDEOS, make_videos(1))
    assert files_of(used_folder) > before


@pytest.mark.parametrize("n_done", range(6))
def test_commit_that_fails_anywhere_leaves_the_folder_as_it_was(used_folder, monkeypatch, n_done):
    before = contents(used_folder)
    writer = ShardWriter(VIDEOS, {"path": str(used_folder)}, overwrite=True)
    rows = make_videos(3)
    messages = [writer.write(iter(batches_of([row], VIDEOS))) for row in rows]
    done = []

    def rename(source, target, real=os.rename):
        done.append(target)
        if len(done) == n_done + 1:
            raise OSError("the disk has gone")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="the disk has gone"):
        writer.commit(messages)
    writer.abort(messages)  # as Spark does then
    assert contents(used_folder) == before


def test_two_writes_at_once_do_not_meet(tmp_path):
    writers = [ShardWriter(VIDEOS, {"path": str(tmp_path)}, overwrite=False) for _ in range(2)]
    messages = [[writer.write(iter(batches_of(make_videos(2), VIDEOS)))] for writer in writers]
    writers[0].abort(messages[0])
    writers[1].commit(messages[1])
    assert len(records_in(tmp_path)) == 2


def test_widths_that_differ_between_partitions_are_refused(tmp_path):
    one, other = ({**make_frames()[0], "audio": codes(0, 4, d), "n_frames": 4} for d in (2, 5))
    schema = frames_schema(["audio"])
    with pytest.raises(
        InputError, match="between partitions in column 'audio', expected 2, found 5"
    ):
        write_in_process(tmp_path / "new", schema, [one], [other])
    assert not (tmp_path / "new").exists()


def test_widths_are_given_by_an_option_where_the_table_does_not_know_them(tmp_path):
    rows = make_frames()
    write_in_process(tmp_path, frames_schema(list(WIDTHS)), rows, features="rgb:3,audio:2")
    for data, row in zip(records_in(tmp_path), rows, strict=True):
        for name, width in WIDTHS.items():
            frames = decode_frames(data).features[name]
            assert frames.tobytes() == row[name]
            assert not frames.size or frames.shape[1] == width


# What is refused


def test_feature_with_the_name_of_the_id_is_refused(tmp_path):
    schema = videos_schema(["id"])
    with pytest.raises(InputError, match="a feature has the name of the id, 'id'"):
        ShardWriter(schema, {"path": str(tmp_path)}, overwrite=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compresion": "gzip"}, "unknown option 'compresion' to write format yt8m"),
        ({"compression": "snappy"}, "unknown compression, expected none or gzip, found snappy"),
        ({"prefix": "a/b"}, "option 'prefix' starts no name"),
        ({"prefix": ".a"}, "option 'prefix' starts no name"),
        ({"idKey": "labels"}, "option 'idKey' is no free name"),
        ({"features": "rgb:3,rgb:4"}, "'features' is no list of features"),
        ({"features": "video:3"}, "no feature 'video' to write, expected rgb, audio"),
        ({"features": "rgb:4"}, "width of feature 'rgb', expected 3, found 4"),
        ({"path": ""}, "no folder to write to"),
        ({"path": "s3a://bucket/x"}, "not a mounted file system in s3a://bucket/x"),
        ({"path": __file__}, "not a folder in"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        ShardWriter(FRAMES, {"path": str(tmp_path), **options}, overwrite=False)


def test_names_of_options_may_be_in_lower_case_as_spark_gives_them(tmp_path):
    write_in_process(f"file://{tmp_path}/x", VIDEOS, make_videos(1), idkey="video_id")
    assert b"video_id" in records_in(tmp_path / "x")[0]


# Real data


def rewritten(spark, path, folder, **options):
    """Tables of a real shard and of what was written of it."""
    table = read_shards(spark, str(path))
    save(table, folder, **options)
    return table, read_shards(spark, str(folder))


def test_real_videos_are_read_again_as_they_were(spark, shared_data, tmp_path):
    path = sorted((shared_data / "yt8m_video").glob("*.tfrecord"))[0]
    table, again = rewritten(spark, path, tmp_path / "x")
    found = again.toArrow()
    assert found.num_rows > 100
    assert found.equals(table.toArrow())  # one partition: in the same order


def test_real_clips_are_read_again_as_they_were(spark, shared_data, tmp_path):
    path = sorted((shared_data / "audioset_frames" / "bal_train").glob("*.tfrecord"))[0]
    table, again = rewritten(spark, path, tmp_path / "x", idKey="video_id")
    found = again.drop("shard").toArrow()
    assert found.num_rows > 0
    assert found.equals(table.drop("shard").toArrow())
    records = [record.data for record in read_records(str(path))]
    assert [decode_frames(data).video_id for data in records] == found["video_id"].to_pylist()
