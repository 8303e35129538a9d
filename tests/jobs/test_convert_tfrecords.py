"""convert_tfrecords on damaged and growing sets of shards. What damage is, tests/formats tests."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from yt8m_spark.formats.tfrecord import write_records


@pytest.fixture
def damaged(frame_shards, tmp_path):
    """A glob of two shards of 30 videos, a byte of the sixth video of the first one changed."""
    path = tmp_path / "frame0.tfrecord"
    data = bytearray(path.read_bytes())
    size = len(data) // 30
    data[5 * size + 40] ^= 0xFF
    path.write_bytes(data)
    return frame_shards


def test_dropmalformed_keeps_good_records_and_quarantines_bad_ones(job, damaged, tmp_path):
    made = job("convert_tfrecords", "--input", damaged, "--output=out", "--mode=dropmalformed")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 59
    assert made.result["metrics"]["n_bad_records"] == 1
    assert "1 bad records, listed in out/_quarantine" in made.stderr
    outputs = made.result["outputs"]
    assert set(outputs) == {"table", "quarantine", "manifest"}
    assert pq.read_table(tmp_path / outputs["table"]).num_rows == 59
    (row,) = pq.read_table(tmp_path / outputs["quarantine"]).to_pylist()
    assert (row["shard"], row["record"]) == ("frame0.tfrecord", 5)
    manifest = json.loads((tmp_path / outputs["manifest"]).read_text())
    assert [shard["bad_records"] for shard in manifest["shards"]] == [1, 0]
    assert manifest["totals"]["records"] == 59


def test_permissive_keeps_a_row_for_every_record(job, damaged, tmp_path):
    made = job("convert_tfrecords", "--input", damaged, "--output=out", "--mode=permissive")
    assert made.status == 0, made.stderr
    table = pq.read_table(tmp_path / "out")
    assert table.num_rows == 60
    assert table["_corrupt_record"].null_count == 59


def test_failfast_stops_at_the_first_and_leaves_nothing(job, damaged, tmp_path):
    made = job("convert_tfrecords", "--input", damaged, "--output=out")
    assert made.status == 2
    assert "frame0.tfrecord, record 5, byte " in made.error
    assert not (tmp_path / "out").exists()


def test_a_second_run_converts_only_what_is_new(job, frame_shards, tmp_path, records):
    arguments = ("--input", frame_shards, "--output=out")
    assert job("convert_tfrecords", *arguments).result["metrics"]["n_converted"] == 2
    refused = job("convert_tfrecords", *arguments)
    assert refused.status == 2
    assert "--overwrite" in refused.error
    write_records(str(tmp_path / "frame2.tfrecord"), [records["frame"](n) for n in range(60, 65)])
    made = job("convert_tfrecords", *arguments, "--overwrite")
    assert made.result["metrics"]["n_converted"] == 1
    assert made.result["metrics"]["n_videos"] == 65
    assert "2 of 3 shards had not changed" in made.stderr
    ids = pq.read_table(tmp_path / "out")["video_id"].to_pylist()
    assert sorted(ids) == [f"v{number:03d}" for number in range(65)]
    anew = job("convert_tfrecords", *arguments, "--overwrite", "--reuse=false")
    assert anew.result["metrics"]["n_converted"] == 3


def test_features_are_chosen_by_name(job, video_shards, tmp_path):
    made = job(
        "convert_tfrecords", "--input", video_shards, "--output=out", "--features=mean_rgb:8"
    )
    assert made.status == 0, made.stderr
    refused = job(
        "convert_tfrecords", "--input", video_shards, "--output=b", "--features=mean_rgb:1024"
    )
    assert refused.status == 2
    assert "'mean_rgb' has another width" in refused.error


def test_a_videos_table_keeps_its_floats_bit_for_bit(job, video_shards, tmp_path, records):
    job("convert_tfrecords", "--input", video_shards, "--output=out")
    table = pq.read_table(tmp_path / "out")
    values = np.array(table["mean_rgb"][7].as_py(), np.float32)
    number = int(table["video_id"][7].as_py()[1:])
    assert values.tobytes() in records["video"](number)
