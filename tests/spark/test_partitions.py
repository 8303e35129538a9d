"""How shards are shared between tasks. Where a shard may be cut is tested in tests/formats."""

import os
from pathlib import Path

import pytest
from shard_files import make_video, write

from yt8m_spark.errors import InputError
from yt8m_spark.spark.partitions import plan_partitions
from yt8m_spark.spark.records import Piece
from yt8m_spark.spark.source import YouTube8MSource
from yt8m_spark.spark.storage import ShardFile

MIB = 1 << 20


def files(n, size):
    return [ShardFile(f"/none/{number:04}.tfrecord", size) for number in range(n)]


def test_each_shard_has_a_task(tmp_path):
    assert plan_partitions(files(5, MIB), 128 * MIB) == [
        (Piece(f"/none/{number:04}.tfrecord", size=MIB),) for number in range(5)
    ]


@pytest.mark.parametrize("mode", ["failfast", "dropmalformed", "permissive"])
@pytest.mark.parametrize("partition_bytes", ["500", "1000000"], ids=["cut", "whole"])
def test_a_shard_that_loses_whole_records_after_it_was_listed_is_refused(
    tmp_path, mode, partition_bytes
):
    videos = [make_video(number) for number in range(40)]
    half = Path(write(tmp_path, "half.tfrecord", videos[:20])).read_bytes()
    path = write(tmp_path, "x.tfrecord", videos)
    source = YouTube8MSource({"path": path, "partitionBytes": partition_bytes, "mode": mode})
    reader = source.reader(source.schema())
    parts = reader.partitions()
    Path(path).write_bytes(half)
    with pytest.raises(InputError, match=r"changed since it was listed in .*x\.tfrecord"):
        list(reader.read(parts[0]))


@pytest.mark.parametrize("mode", ["failfast", "dropmalformed", "permissive"])
def test_a_shard_that_loses_whole_records_while_it_is_read_is_refused(tmp_path, mode):
    videos = [make_video(number) for number in range(3000)]
    kept = Path(write(tmp_path, "kept.tfrecord", videos[:2900])).stat().st_size
    path = write(tmp_path, "x.tfrecord", videos)
    source = YouTube8MSource({"path": path, "mode": mode})
    reader = source.reader(source.schema())
    batches = reader.read(reader.partitions()[0])
    next(batches)
    os.truncate(path, kept)
    with pytest.raises(InputError, match="changed since it was listed"):
        list(batches)


def test_very_many_small_shards_share_tasks_with_their_neighbours():
    plan = plan_partitions(files(1000, MIB), 128 * MIB)
    assert [piece.path for pieces in plan for piece in pieces] == [
        file.path for file in files(1000, MIB)
    ]
    assert len(plan) == 250


def test_shards_that_share_a_task_are_no_more_than_a_partition_together():
    plan = plan_partitions(files(1000, 50 * MIB), 128 * MIB)
    assert max(map(len, plan)) == 2
    assert len(plan_partitions(files(1000, 200 * MIB), 128 * MIB)) == 1000


def test_a_big_shard_is_cut_into_ranges_that_hold_every_record_once(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(number) for number in range(40)])
    source = YouTube8MSource({"path": path, "partitionBytes": "500"})
    reader = source.reader(source.schema())
    parts = [
        [name for batch in reader.read(part) for name in batch.column("video_id").to_pylist()]
        for part in reader.partitions()
    ]
    assert len(parts) > 4
    assert [name for part in parts for name in part] == [f"v{number:03}" for number in range(40)]


def test_a_gzipped_shard_is_never_cut(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(n) for n in range(40)], compress=True)
    source = YouTube8MSource({"path": path, "partitionBytes": "500"})
    assert len(source.reader(source.schema()).partitions()) == 1
