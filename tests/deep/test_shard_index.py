"""Which shards there are and how many videos they have. Reading them is tested in test_feed."""

import json
import os
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frame_shards import make_videos, write_parquet, write_tfrecords
from shard_files import flip, write

from yt8m_spark.deep.shard_index import (
    NO_ROW_GROUP,
    PARQUET,
    TFRECORD,
    ShardIndex,
    Unit,
    index_shards,
    load_index,
    offset_of_record,
    save_index,
)
from yt8m_spark.errors import InputError
from yt8m_spark.manifest import ShardEntry, save_manifest


def starts_of(path):
    """Byte where each record starts, and the size of the file, by the lengths alone."""
    data, starts = Path(path).read_bytes(), [0]
    while starts[-1] < len(data):
        (length,) = struct.unpack_from("<Q", data, starts[-1])
        starts.append(starts[-1] + 8 + 4 + length + 4)
    return starts


def counted(index):
    return [(os.path.basename(unit.path), *unit[1:]) for unit in index.units]


@pytest.mark.parametrize("compress", [False, True])
def test_records_of_tfrecord_files_are_counted(tmp_path, compress):
    folder = write_tfrecords(tmp_path / "shards", make_videos(9), [4, 0, 5], compress=compress)
    index = index_shards(folder)
    assert index.kind == TFRECORD
    expected = [("train00.tfrecord", NO_ROW_GROUP, 4), ("train02.tfrecord", NO_ROW_GROUP, 5)]
    assert counted(index) == expected  # the empty one is left out
    assert index.n_videos == 9
    assert index.counts.tolist() == [4, 5]
    assert index_shards(f"file:{folder}/train0[02].tfrecord") == index


def test_row_groups_of_a_frames_table_are_counted(tmp_path):
    folder = write_parquet(tmp_path / "frames", make_videos(9), [5, 4], row_group_size=3)
    index = index_shards(folder)
    first, second = "part-00000.parquet", "part-00001.parquet"
    assert index.kind == PARQUET
    assert counted(index) == [(first, 0, 3), (first, 1, 2), (second, 0, 3), (second, 1, 1)]
    assert index_shards(f"{folder}/*.parquet") == index
    assert index_shards(f"{folder}/{second}").n_videos == 4


def test_hidden_files_and_folders_are_left_out_and_subfolders_are_not(tmp_path):
    folder = tmp_path / "frames"
    videos = make_videos(8)
    write_parquet(folder, videos[:2], [2])
    write_parquet(folder / "split=train", videos[2:5], [3])
    for name in ("_quarantine", ".staged"):
        write_parquet(folder / name, videos[5:], [3])
    (folder / "._part.parquet").write_bytes(b"no Parquet")
    assert index_shards(str(folder)).n_videos == 5


def test_a_table_that_lacks_a_part_of_its_manifest_is_refused(tmp_path):
    folder = Path(write_parquet(tmp_path / "frames", make_videos(4), [2, 2]))
    part = folder / "part-00001.parquet"
    size = part.stat().st_size
    entry = ShardEntry("/s/train01.tfrecord", 9, "0", 2, 0, part.name, size, "0")
    save_manifest(folder, {}, [entry])
    assert index_shards(str(folder)).n_videos == 4
    part.unlink()
    with pytest.raises(InputError, match=r"part of shard /s/train01\.tfrecord"):
        index_shards(str(folder))


def test_an_index_comes_back_from_its_file(tmp_path):
    index = index_shards(write_parquet(tmp_path / "frames", make_videos(5), [5], row_group_size=2))
    save_index(tmp_path / "index.json", index)
    assert load_index(tmp_path / "index.json") == index


@pytest.mark.parametrize(
    "value",
    [{}, {"format": 1, "kind": "csv", "units": []}, {"format": 1, "kind": PARQUET, "units": [[1]]}],
)
def test_a_file_that_is_no_index_is_refused(tmp_path, value):
    (tmp_path / "index.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"not an index of shards in .*index\.json"):
        load_index(tmp_path / "index.json")


def test_a_header_that_is_damaged_is_refused_with_its_record(tmp_path):
    path = write(tmp_path, "train00.tfrecord", make_videos(4))
    flip(path, starts_of(path)[2])
    with pytest.raises(InputError, match=r"train00\.tfrecord, record 2, byte"):
        index_shards(path)


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_cut_short_is_refused_with_its_record(tmp_path, compress):
    path = write(tmp_path, "train00.tfrecord", make_videos(4), compress=compress)
    os.truncate(path, os.path.getsize(path) - 20)
    with pytest.raises(InputError, match=r"train00\.tfrecord, record 3, byte"):
        index_shards(path)


def test_a_record_is_found_by_its_number(tmp_path):
    path = write(tmp_path, "train00.tfrecord", make_videos(5))
    starts = starts_of(path)
    with open(path, "rb") as file:
        found = [offset_of_record(file, path, number) for number in range(6)]
        assert found == [(start, number) for number, start in enumerate(starts)]
        assert offset_of_record(file, path, 9) == offset_of_record(file, path, None) == found[-1]


def test_files_that_are_none_are_refused(tmp_path):
    for name in ("notes.tfrecord", "part.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 but cut short" if "parquet" in name else b"some text")
    with pytest.raises(InputError, match=r"notes\.tfrecord, record 0"):
        index_shards(str(tmp_path / "notes.tfrecord"))
    with pytest.raises(InputError, match=r"not a Parquet file in .*part\.parquet"):
        index_shards(str(tmp_path / "part.parquet"))
    with pytest.raises(InputError, match="files of two kinds"):
        index_shards(str(tmp_path / "*.*"))
    with pytest.raises(InputError, match="no such file or folder"):
        index_shards(str(tmp_path / "nowhere"))


def test_an_input_without_videos_is_refused(tmp_path):
    pq.write_table(pa.table({"video_id": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"no videos in .*a\.parquet"):
        index_shards(str(tmp_path / "a.parquet"))


def test_real_shards_hold_what_their_lengths_tell(shared_data):
    index = index_shards(f"{shared_data}/audioset_frames/bal_train/bal_train0[01].tfrecord")
    assert index == ShardIndex(
        tuple(Unit(unit.path, -1, len(starts_of(unit.path)) - 1) for unit in index.units), TFRECORD
    )
    assert len(index.units) == 2
