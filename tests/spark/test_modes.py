"""Bad records in every mode of the reader. How damage is found is tested in tests/formats."""

import os

import numpy as np
import pytest
from pyspark.sql.types import StringType, StructField, StructType
from shard_files import flip, make_frames, make_video, read_in_process, rows, write

from yt8m_spark.errors import InputError
from yt8m_spark.spark.source import YouTube8MSource, read_shards


@pytest.fixture
def damaged(tmp_path):
    """Five videos of equal size: the second has a wrong byte, the fourth a label below 0."""
    videos = [make_video(3 * number) for number in range(5)]  # no labels: equal sizes
    videos[3] = videos[3]._replace(labels=np.array([-7]))
    path = write(tmp_path, "x.tfrecord", videos)
    size = os.path.getsize(write(tmp_path, "one.tfrecord", videos[:1]))
    flip(path, size + 12 + 30)
    return path, size


def test_failfast_is_the_default_and_stops_at_the_first(damaged):
    path, size = damaged
    line = rf"^data of a record is corrupt in {path}, record 1, byte {size}, expected masked CRC"
    with pytest.raises(InputError, match=line):
        rows(path)
    with pytest.raises(InputError, match=line):
        rows(path, mode="FailFast")


def test_dropmalformed_keeps_every_good_record_and_tells_how_many_it_dropped(damaged, caplog):
    path, size = damaged
    found = rows(path, mode="dropmalformed")
    assert [row["video_id"] for row in found] == ["v000", "v006", "v012"]
    assert "_corrupt_record" not in found[0]
    (message,) = caplog.messages
    assert message.startswith(f"2 bad records; the first: {path}, record 1, byte {size}: ")


def test_permissive_says_file_byte_and_reason_in_a_row_of_nulls(damaged):
    path, size = damaged
    found = rows(path, mode="permissive")
    assert [row["video_id"] for row in found] == ["v000", None, "v006", None, "v012"]
    good = make_video(6)
    assert found[2]["mean_rgb"] == good.features["mean_rgb"].tolist()
    assert found[2]["_corrupt_record"] is None
    corrupt, label = found[1].pop("_corrupt_record"), found[3].pop("_corrupt_record")
    assert corrupt.startswith(f"{path}, record 1, byte {size}: data of a record is corrupt, exp")
    assert label == (
        f"{path}, record 3, byte {3 * size}: "
        "number out of range in 'labels', expected 0 .. 2147483647, found -7"
    )
    assert {value for row in (found[1], found[3]) for value in row.values()} == {None}


def test_the_column_of_corrupt_records_has_the_name_that_it_is_given(damaged):
    found = rows(damaged[0], mode="permissive", columnNameOfCorruptRecord="why")
    assert [row["why"] is None for row in found] == [True, False, True, False, True]


def test_a_schema_without_the_column_leaves_rows_of_nulls_as_in_sparks_readers(damaged):
    schema = StructType([StructField("video_id", StringType())])
    found = rows(damaged[0], schema=schema, mode="permissive")
    # The wrong label does not matter to a reader of ids.
    assert [row["video_id"] for row in found] == ["v000", None, "v006", "v009", "v012"]


def test_a_frame_level_shard_keeps_frames_and_shard_beside_bad_rows(tmp_path):
    records = [make_frames(number) for number in range(4)]
    records[1] = make_frames(1, features={**records[1].features, "rgb": np.ones((4, 9), np.uint8)})
    path = write(tmp_path, "x.tfrecord", records)
    found = rows(path, mode="permissive")
    assert [row["shard"] for row in found] == ["x.tfrecord"] * 4
    assert [row["rgb"] for row in found] == [
        None if number == 1 else records[number].features["rgb"].tobytes() for number in range(4)
    ]
    assert found[1]["_corrupt_record"].endswith("'rgb' has another width, expected 3, found 9")


def test_the_columns_are_those_of_the_first_good_record(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(1), make_video(2)])
    flip(path, 40)
    with pytest.raises(InputError, match="data of a record is corrupt"):
        YouTube8MSource({"path": path}).schema()
    schema = YouTube8MSource({"path": path, "mode": "permissive"}).schema()
    assert schema.names[-1] == "_corrupt_record"
    assert [row["video_id"] for row in rows(path, mode="dropmalformed")] == ["v002"]


def test_any_number_of_bad_records_may_come_first(tmp_path):
    bad = [make_video(0, labels=np.array([1]), features={}) for _ in range(150)]
    write(tmp_path, "x.tfrecord", [*bad, make_video(2)])
    assert [row["video_id"] for row in rows(tmp_path, mode="dropmalformed")] == ["v002"]
    assert len(rows(tmp_path, mode="permissive")) == 151


def test_a_name_that_a_column_has_is_no_column_of_corrupt_records(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(1)])
    with pytest.raises(InputError, match="name of the column of corrupt records"):
        rows(path, mode="permissive", columnNameOfCorruptRecord="Video_ID")


def test_shards_with_no_good_record_at_all_have_no_columns(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(1)])
    flip(path, 40)
    with pytest.raises(InputError, match=r"no records in .*x\.tfrecord, found 1 bad ones"):
        rows(path, mode="dropmalformed")


def test_labels_outside_the_vocabulary_are_bad_records_too(tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n")
    path = write(tmp_path, "x.tfrecord", [make_video(number) for number in range(6)])
    options = {"vocabulary": str(tmp_path / "v.csv"), "mode": "dropmalformed"}
    assert [row["labels"] for row in rows(path, **options)] == [[], [0], [], [0]]


def test_a_tail_that_is_cut_off_costs_the_last_record_only(tmp_path):
    path = write(tmp_path, "x.tfrecord", [make_video(number) for number in range(3)])
    os.truncate(path, os.path.getsize(path) - 5)
    found = rows(path, mode="permissive")
    assert [row["video_id"] for row in found] == ["v000", "v001", None]
    assert "file is cut short" in found[2]["_corrupt_record"]


def test_every_batch_of_only_bad_records_has_the_schema(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m_spark.spark.records._VIDEOS_A_BATCH", 1)
    path = write(tmp_path, "x.tfrecord", [make_frames(number) for number in range(3)])
    size = os.path.getsize(path) - 5
    os.truncate(path, size)
    batches = read_in_process(path, mode="permissive")
    assert [batch.num_rows for batch in batches] == [1, 1, 1]
    assert len({str(batch.schema) for batch in batches}) == 1
    dropped = read_in_process(path, mode="dropmalformed")
    assert [batch.num_rows for batch in dropped] == [1, 1]


def test_spark_reads_in_all_modes(spark, damaged):
    path, _ = damaged
    table = read_shards(spark, path, options={"mode": "permissive"})
    assert table.where("_corrupt_record is not null").count() == 2
    assert read_shards(spark, path, options={"mode": "dropmalformed"}).count() == 3
