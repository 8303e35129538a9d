"""Shards to a table with its quarantine and manifest. The job is tested in tests/jobs."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from shard_files import flip, make_frames, make_video, write

from yt8m_spark.errors import InputError
from yt8m_spark.formats.features import bytes_feature, encode_entry, floats_feature
from yt8m_spark.formats.record_types import Keys
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.formats.wire import encode_bytes
from yt8m_spark.job import user_error
from yt8m_spark.manifest import load_manifest
from yt8m_spark.spark import conversion
from yt8m_spark.spark.conversion import QUARANTINE_SCHEMA, convert_shards
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.tables import read_table


def videos(start, n=4):
    return [make_video(number) for number in range(start, start + n)]


@pytest.fixture
def shards(tmp_path):
    """Three shards of four videos; the second has a record whose label is below 0."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(3):
        records = videos(4 * shard)
        if shard == 1:
            records[2] = make_video(6, labels=np.array([-1]))
        write(folder, f"train{shard}.tfrecord", records)
    return folder


@pytest.fixture
def convert(spark, shards, tmp_path):
    """Convert the shards to a new folder; returns the folder and the figures."""

    def run(name, *, mode="dropmalformed", previous=None, **options):
        given = ReadOptions(str(shards), mode=mode, **options)
        folder = tmp_path / name
        return folder, convert_shards(spark, given, str(folder), previous=previous)

    return run


def ids(table):
    return sorted(row.video_id for row in table.select("video_id").collect())


def test_good_records_are_in_the_table_and_bad_ones_in_the_quarantine(spark, shards, convert):
    folder, figures = convert("out")
    assert (figures.n_videos, figures.n_bad_records) == (11, 1)
    assert ids(read_table(spark, str(folder))) == [f"v{n:03}" for n in range(12) if n != 6]
    quarantine = read_table(spark, str(folder / "_quarantine"))
    assert quarantine.schema == QUARANTINE_SCHEMA
    (row,) = quarantine.collect()
    assert (row.shard, row.path, row.record) == ("train1.tfrecord", f"{shards}/train1.tfrecord", 2)
    data = (shards / "train1.tfrecord").read_bytes()
    record = data[row.offset : row.offset + row.n_bytes]
    assert b"v006" in record
    assert int.from_bytes(record[:8], "little") == len(record) - 16
    assert "number out of range in 'labels'" in row.reason


def test_permissive_keeps_bad_records_as_rows_that_do_not_count_as_records(spark, convert):
    folder, figures = convert("out", mode="permissive")
    assert (figures.n_videos, figures.n_bad_records) == (11, 1)
    table = spark.read.parquet(str(folder))
    assert table.count() == 12
    assert table.where("_corrupt_record is not null").count() == 1
    assert read_table(spark, str(folder)).count() == 11  # what jobs see


def test_failfast_tells_of_the_first_bad_record(convert):
    with pytest.raises(Exception, match="InputError") as raised:
        convert("out", mode="failfast")
    assert "'labels' in " in user_error(raised.value)


def test_a_clean_conversion_has_an_empty_quarantine(spark, shards, convert):
    (shards / "train1.tfrecord").unlink()
    folder, figures = convert("out", mode="failfast")
    assert figures.n_bad_records == 0
    assert read_table(spark, str(folder / "_quarantine")).count() == 0


def test_the_manifest_tells_of_every_shard(shards, convert):
    folder, figures = convert("out")
    manifest = load_manifest(folder)
    assert list(manifest.shards) == [f"{shards}/train{shard}.tfrecord" for shard in range(3)]
    for path, entry in manifest.shards.items():
        data = Path(path).read_bytes()
        assert entry.sha256 == hashlib.sha256(data).hexdigest()
        assert entry.n_bytes == len(data)
        assert entry.records + entry.bad_records == 4
    assert figures.n_bytes == sum(entry.n_bytes for entry in manifest.shards.values())


def test_only_new_and_changed_shards_are_converted_again(spark, shards, convert, tmp_path):
    first, _ = convert("first")
    write(shards, "train1.tfrecord", videos(20))  # changed
    (shards / "train0.tfrecord").unlink()  # gone
    write(shards, "train3.tfrecord", videos(30))  # new
    second, figures = convert("second", previous=str(first))
    assert (figures.n_shards, figures.n_converted) == (3, 2)
    expected, _ = convert("anew")
    assert ids(read_table(spark, str(second))) == ids(read_table(spark, str(expected)))
    assert sorted(os.listdir(second)) == sorted(os.listdir(expected))
    assert load_manifest(second) == load_manifest(expected)
    shutil.rmtree(first)
    assert read_table(spark, str(second)).count() == 12


def test_quarantined_records_of_an_unchanged_shard_stay_quarantined(spark, convert):
    first, _ = convert("first")
    second, figures = convert("second", previous=str(first))
    assert (figures.n_converted, figures.n_bad_records) == (0, 1)
    assert read_table(spark, str(second / "_quarantine")).count() == 1


@pytest.mark.parametrize(
    "options", [{"mode": "permissive"}, {"features": {"mean_rgb": 0}}, {"level": "video"}]
)
def test_other_options_convert_everything_anew_unless_they_change_nothing(convert, options):
    first, _ = convert("first")
    _, figures = convert("second", previous=str(first), **options)
    assert figures.n_converted == (0 if options == {"level": "video"} else 3)


def test_another_vocabulary_converts_everything_anew(convert, tmp_path):
    vocabulary = tmp_path / "v.csv"
    vocabulary.write_text("Index,Name\n0,a\n1,b\n")
    first, figures = convert("first", vocabulary=str(vocabulary))
    assert figures.n_bad_records == 1
    vocabulary.write_text("Index,Name\n0,a\n")
    second, figures = convert("second", previous=str(first), vocabulary=str(vocabulary))
    assert (figures.n_converted, figures.n_bad_records) == (3, 5)  # and v002, v005, v008, v011
    assert convert("third", previous=str(second), vocabulary=str(vocabulary))[1].n_converted == 0


@pytest.mark.parametrize("keys", [Keys(("id",), "labels"), Keys(("id", "video_id"), "tags")])
def test_other_keys_convert_everything_anew(convert, keys):
    first, _ = convert("first")
    assert convert("second", previous=str(first), keys=keys)[1].n_converted == 3


def test_a_first_shard_of_another_dialect_converts_everything_anew(spark, shards, convert):
    clip = encode_bytes(1, encode_entry("clip/media_id", bytes_feature(b"clip")))
    values = floats_feature(np.ones(3, np.float32))
    frames = encode_bytes(2, encode_entry("RGB/feature/floats", encode_bytes(1, values)))
    for shard in range(3):
        write(shards, f"train{shard}.tfrecord", [make_frames(shard)])
    released, _ = convert("released")
    write_records(str(shards / "a.tfrecord"), [clip + frames])
    _, figures = convert("mixed", previous=str(released))
    assert figures.n_converted == 4


@pytest.mark.parametrize("damage", ["part", "manifest"])
def test_a_part_that_is_not_as_it_was_written_is_made_again(spark, convert, damage):
    first, _ = convert("first")
    if damage == "part":
        part = next(first.glob("part-train2*.parquet"))
        part.write_bytes(part.read_bytes()[:-1])
    else:
        (first / "_manifest.json").write_text("{}")
    second, figures = convert("second", previous=str(first))
    assert figures.n_converted == (1 if damage == "part" else 3)
    assert read_table(spark, str(second)).count() == 11


def test_shards_of_one_name_in_two_folders_have_two_parts(spark, tmp_path):
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "x.tfrecord", [make_frames(number)])
    options = ReadOptions(f"{tmp_path}/[ab]/x.tfrecord")
    assert convert_shards(spark, options, str(tmp_path / "out")).n_videos == 2
    assert ids(read_table(spark, str(tmp_path / "out"))) == ["v000", "v001"]


@pytest.mark.parametrize("name", ["_a", "a:b", "x" * 200, "é ü", ".hidden"])
def test_shards_of_any_name_become_parts_that_spark_reads(spark, tmp_path, name):
    path = write(tmp_path, f"{name}.tfrecord", [make_video(1)])
    convert_shards(spark, ReadOptions(path), str(tmp_path / "out"))
    assert ids(read_table(spark, str(tmp_path / "out"))) == ["v001"]


def test_a_first_shard_of_another_width_is_no_reason_to_mix_widths(shards, convert):
    first, _ = convert("first")
    features = {"mean_rgb": np.ones(7, np.float32), "mean_audio": np.ones(3, np.float32)}
    write(shards, "a.tfrecord", [make_video(50, features=features)])
    _, figures = convert("second", previous=str(first))
    assert (figures.n_converted, figures.n_videos) == (4, 1)


def test_a_part_whose_bytes_have_changed_is_made_again(spark, convert):
    first, _ = convert("first")
    flip(next(first.glob("part-train2*.parquet")), 40)
    second, figures = convert("second", previous=str(first))
    assert figures.n_converted == 1
    assert read_table(spark, str(second)).count() == 11


def test_a_table_that_lost_a_part_is_refused(spark, convert):
    folder, _ = convert("out")
    part = next(folder.glob("part-train2*.parquet"))
    part.unlink()
    with pytest.raises(InputError, match=r"part of shard .*train2\.tfrecord is not as it was wr"):
        read_table(spark, str(folder))


def test_where_files_cannot_be_linked_they_are_copied(convert, monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(conversion.os, "link", refuse)
    conversion._link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"
