"""What a job is given. Decoding of TFRecord shards is tested in test_source.py."""

from itertools import chain

import numpy as np
import pytest
from pyspark.errors import AnalysisException

from yt8m_spark.core.codebooks import linear_code
from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import VideoRecord, encode_video
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.job import user_error
from yt8m_spark.spark.codebooks import quantize_columns, save_codebooks
from yt8m_spark.spark.schemas import frames_schema, videos_schema
from yt8m_spark.spark.tables import is_frames_table, read_input, read_table


@pytest.fixture(scope="module")
def tables(spark, tmp_path_factory):
    """Folder of a table ``plain`` of six rows and ``parted``, the same in subfolders."""
    folder = tmp_path_factory.mktemp("tables")
    table = spark.range(6).selectExpr("id", "id % 2 AS odd")
    table.write.parquet(str(folder / "plain"))
    table.write.partitionBy("odd").parquet(str(folder / "parted"))
    return folder


def ids(table):
    return sorted(row.id for row in table.collect())


@pytest.mark.parametrize("read", [read_table, read_input])
@pytest.mark.parametrize("name", ["plain", "parted"])
def test_a_table_is_read_partitioned_or_not(spark, tables, read, name):
    table = read(spark, str(tables / name))
    assert sorted(table.columns) == ["id", "odd"]
    assert ids(table) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("read", [read_table, read_input])
def test_one_parquet_file_is_a_table(spark, tables, read):
    files = sorted((tables / "plain").glob("*.parquet"))
    assert sorted(chain(*(ids(read(spark, str(path))) for path in files))) == [0, 1, 2, 3, 4, 5]


def test_a_table_may_be_named_as_a_uri(spark, tables):
    assert ids(read_table(spark, f"file://{tables}/plain")) == [0, 1, 2, 3, 4, 5]


def test_a_path_that_is_not_there_is_refused(spark, tmp_path):
    path = str(tmp_path / "absent")
    with pytest.raises(InputError) as caught:
        read_table(spark, path)
    assert str(caught.value) == f"no such table in {path}"
    with pytest.raises(InputError, match="absent"):
        read_input(spark, path)


def test_a_uri_that_is_not_there_is_told_in_one_line(spark, tmp_path):
    with pytest.raises((InputError, AnalysisException)) as caught:
        read_table(spark, f"file://{tmp_path}/absent")
    message = user_error(caught.value)
    assert "absent" in message
    assert "\n" not in message


def test_a_folder_without_a_table_is_refused(spark, tmp_path):
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(InputError, match=r"no table here .*expected Parquet files, found none"):
        read_table(spark, str(tmp_path))


@pytest.mark.parametrize("contents", [b"", b"PAR1", b"not a table at all"])
@pytest.mark.parametrize("read", [read_table, read_input])
def test_a_damaged_file_is_named(spark, tables, tmp_path, contents, read):
    whole = next((tables / "plain").glob("*.parquet"))
    (tmp_path / "a.parquet").write_bytes(whole.read_bytes())
    (tmp_path / "b.parquet").write_bytes(contents)
    for path in (tmp_path, tmp_path / "b.parquet"):
        with pytest.raises(InputError, match=r"not a Parquet file in .*b\.parquet") as caught:
            read(spark, str(path))
        assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_is_named(spark, tables, tmp_path):
    whole = next((tables / "plain").glob("*.parquet")).read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"not a Parquet file in .*a\.parquet"):
        read_table(spark, str(tmp_path))


def test_tfrecord_shards_are_read_by_pattern_file_or_folder(spark, tmp_path):
    for i in range(2):
        record = VideoRecord(f"v{i}", np.array([i]), {"mean_rgb": np.float32([i, 2])})
        write_records(tmp_path / f"train{i}.tfrecord", [encode_video(record)])
    for source in (tmp_path, tmp_path / "train*.tfrecord"):
        rows = read_input(spark, str(source)).orderBy("video_id").collect()
        assert [(r.video_id, r.labels, r.mean_rgb) for r in rows] == [
            ("v0", [0], [0, 2]),
            ("v1", [1], [1, 2]),
        ]
    assert read_input(spark, str(tmp_path / "train1.tfrecord")).count() == 1


def test_a_pattern_that_matches_nothing_is_refused(spark, tmp_path):
    with pytest.raises(InputError, match="absent"):
        read_input(spark, str(tmp_path / "absent*.tfrecord"))


def test_frames_tables_are_told_by_their_bytes(spark):
    assert is_frames_table(spark.createDataFrame([], frames_schema(["rgb"])))
    assert not is_frames_table(spark.createDataFrame([], videos_schema(["mean_rgb"])))


def test_a_table_coded_as_bytes_is_read_as_floats_with_its_codebook(spark, tmp_path):
    rows = [("a", [1], 1, [0.0, 1.0]), ("b", [], 1, [-1.0, 0.5])]
    videos = spark.createDataFrame(rows, videos_schema(["mean_rgb"]))
    folder = tmp_path / "coded"
    save_codebooks(str(folder / "_codebook"), {"mean_rgb": linear_code(unbiased=True)})
    coded = quantize_columns(videos, str(folder / "_codebook"))
    coded.write.mode("append").parquet(str(folder))
    read = read_table(spark, str(folder))
    assert read.schema == videos.schema
    for row, (*_, values) in zip(read.orderBy("video_id").collect(), rows, strict=True):
        np.testing.assert_allclose(row.mean_rgb, values, atol=2.001 / 255)
