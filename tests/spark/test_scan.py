"""Statistics straight from shards. That they are right is tested with `core.statistics`."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import StringType, StructField, StructType
from shard_files import make_frames, make_video, rows, write

from yt8m_spark.errors import InputError
from yt8m_spark.spark.aggregation import write_scan
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import plan_scan
from yt8m_spark.spark.schemas import FLOATS, videos_schema
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.statistics import aggregate_videos

WIDTHS = {"rgb": 3, "audio": 2}


@pytest.fixture
def shards(tmp_path):
    """Two shards of videos of 0 to 8 frames."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        records = [make_frames(number, n_frames=number) for number in range(shard, 9, 2)]
        write(folder, f"{shard}.tfrecord", records)
    return str(folder)


def by_id(found):
    return {row["video_id"]: row for row in found}


def test_shards_give_the_same_statistics_as_a_frames_table(spark, shards):
    table = aggregate_videos(read_shards(spark, shards), WIDTHS, ["mean", "std", "top5"])
    direct = read_shards(spark, shards, options={"statistics": "mean,std,top5"})
    assert direct.schema == table.schema
    expected = by_id(row.asDict() for row in table.collect())
    assert by_id(row.asDict() for row in direct.collect()) == expected
    assert len(expected) == 9


def test_a_video_without_frames_of_a_list_has_nulls_in_its_columns(shards):
    found = by_id(rows(shards, statistics="mean,top2"))
    assert (found["v000"]["mean_rgb"], found["v000"]["top2_audio"]) == (None, None)
    assert found["v001"]["mean_audio"] is None  # one frame of rgb, none of audio
    assert len(found["v001"]["top2_rgb"]) == 6


def test_unbiased_statistics_are_lower_by_the_bias_of_the_released_decoder(shards):
    biased, unbiased = (
        by_id(rows(shards, statistics="mean,std,max", unbiased=unbiased))["v008"]
        for unbiased in ("false", "true")
    )
    for name, shift in (("mean_rgb", 1 / 128), ("max_audio", 1 / 128), ("std_rgb", 0)):
        expected = np.array(biased[name]) - shift
        np.testing.assert_allclose(unbiased[name], expected, rtol=1e-5, atol=1e-6)


def test_a_schema_takes_only_the_statistics_that_it_names(shards):
    schema = StructType([StructField("std_audio", FLOATS), StructField("video_id", StringType())])
    found = rows(shards, schema=schema, statistics="mean,std")
    assert {tuple(row) for row in found} == {("std_audio", "video_id")}
    with pytest.raises(InputError, match="no column 'top5_rgb'"):
        rows(shards, schema=videos_schema(["top5_rgb"]), statistics="mean,std")


def test_bad_records_pass_as_rows_that_say_why(tmp_path):
    records = [make_frames(1), make_frames(2, labels=np.array([-1])), make_frames(3)]
    path = write(tmp_path, "x.tfrecord", records)
    found = rows(path, statistics="mean", mode="permissive")
    assert [row["mean_rgb"] is None for row in found] == [False, True, False]
    assert "record 1" in found[1]["_corrupt_record"]


def test_a_width_that_no_record_tells_in_time_is_asked_for_not_guessed(tmp_path):
    silent, late = make_frames(0, n_frames=1), make_frames(3)
    write(tmp_path, "x.tfrecord", [*[silent] * 100, late])
    with pytest.raises(InputError, match=r"width of feature list 'audio' .* video v003, .*audio:"):
        rows(tmp_path, statistics="mean")
    found = rows(tmp_path, statistics="mean", features="rgb:3,audio:2")
    assert len(found[100]["mean_audio"]) == 2
    assert (
        rows(write(tmp_path, "x.tfrecord", [silent] * 3), statistics="mean")[0]["mean_audio"]
        is None
    )


def test_videos_have_no_frames_to_take_statistics_of(tmp_path):
    write(tmp_path, "x.tfrecord", [make_video(1)])
    with pytest.raises(InputError, match="no frames to take statistics of"):
        rows(tmp_path, statistics="mean")


def test_a_written_scan_is_the_table_that_spark_would_have_written(spark, shards, tmp_path):
    scan = plan_scan(ReadOptions(shards, statistics=("mean", "top5")))
    assert write_scan(spark, scan, str(tmp_path / "videos")) == 9
    table = spark.read.parquet(str(tmp_path / "videos"))
    direct = read_shards(spark, shards, options={"statistics": "mean,top5"})
    assert table.schema == direct.schema
    assert sorted(table.collect()) == sorted(direct.collect())


def test_parts_keep_the_widths_of_feature_lists(spark, shards, tmp_path):
    scan = plan_scan(ReadOptions(shards))
    write_scan(spark, scan, str(tmp_path / "frames"))
    table = spark.read.parquet(str(tmp_path / "frames"))
    assert table.schema["rgb"].metadata == {"width": 3}
    part = next((tmp_path / "frames").glob("*.parquet"))
    assert pq.read_schema(part).field("rgb").type == "binary"
