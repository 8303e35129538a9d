"""Labels as a table, and over frames. What is in the files: tests/formats."""

import numpy as np
import pytest
from pyspark.sql import functions as F

from yt8m_spark.errors import InputError
from yt8m_spark.formats.target_labels import LabelledVideo
from yt8m_spark.spark.schemas import frames_schema, known_width
from yt8m_spark.spark.tables import read_table
from yt8m_spark.spark.target_labels import (
    check_labels,
    count_once,
    label_frames,
    labels_of_table,
    write_target_labels,
)

ROWS = [
    ("a", (1, 2), "train"),
    ("b", (2,), "test"),
    ("c", (), "train"),  # no label
    ("d", (3,), "train"),
    ("d", (3,), "train"),  # says it again
    ("e", (3,), "validate"),
]


@pytest.fixture
def table(spark, tmp_path):
    """What makes a table of labels of rows, each with its line."""

    def make(rows):
        path = str(tmp_path / "rows.parquet")
        placed = (LabelledVideo(*row, f"f.txt, line {n}") for n, row in enumerate(rows, start=1))
        write_target_labels(placed, path)
        return read_table(spark, path)

    return make


def test_videos_are_counted_once_and_without_labels_are_told(table):
    videos, counts = check_labels(table(ROWS))
    found = {row.video_id: (row.labels, row.split) for row in videos.collect()}
    assert found == {
        "a": ([1, 2], "train"),
        "b": ([2], "test"),
        "d": ([3], "train"),
        "e": ([3], "validate"),
    }
    assert counts.labelled == {"train": 2, "validate": 1, "test": 1}
    assert tuple(counts)[1:] == (1, 1, 0)


@pytest.mark.parametrize("row", [("b", (2,), "train"), ("b", (1,), "test")])
def test_a_video_that_comes_twice_with_other_words_is_refused_or_dropped(table, row):
    labels = table([*ROWS, row])
    with pytest.raises(InputError, match=r"video b comes twice.* in f\.txt, line 2,.*line 7 as"):
        check_labels(labels)
    videos, counts = check_labels(labels, conflicts="drop")
    assert sorted(row.video_id for row in videos.collect()) == ["a", "d", "e"]
    assert counts.n_conflicting == 1


def test_a_table_of_a_users_own_is_read(spark):
    rows = [("a", [5, 2, 5], "training"), ("b", None, "val")]
    table = spark.createDataFrame(rows, "video_id string, labels array<bigint>, split string")
    found = [tuple(row) for row in labels_of_table(table, "t").orderBy("video_id").collect()]
    assert found == [("a", [2, 5], "train", "t"), ("b", [], "validate", "t")]


@pytest.mark.parametrize(
    ("row", "schema", "told"),
    [
        (("a", [1], "all"), "video_id string, labels array<int>, split string", "no such split in"),
        (("a", [-1], "test"), "video_id string, labels array<int>, split string", "label of video"),
        (("a", 1, "test"), "video_id string, labels int, split string", "no column labels of"),
        (("a", [1]), "video_id string, labels array<int>", "no column split of labels in t"),
    ],
)
def test_another_table_is_refused(spark, row, schema, told):
    with pytest.raises(InputError, match=told):
        labels_of_table(spark.createDataFrame([row], schema), "t")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("b", [9, 2, 7], "test"), "unknown label of video b in t, expected one of 2 classes.* 7"),
        (("b", [9, None], "test"), "unknown label of video b in t"),
        ((None, [9], "test"), r"no video id in t, .*found labels \[9\], split test"),
        ((" ", [], "train"), "no video id in t"),
    ],
)
def test_unknown_labels_and_rows_without_an_id_are_refused(spark, row, told):
    schema = "video_id string, labels array<int>, split string"
    table = spark.createDataFrame([("a", [2, 9], "test"), row, ("c", None, "train")], schema)
    with pytest.raises(InputError, match=told):
        labels_of_table(table, "t", np.array([2, 9]))


def test_videos_are_counted_and_none_may_come_twice(spark):
    videos = spark.createDataFrame([("a",), ("b",), ("c",)], "video_id string")
    assert count_once(videos, "f") == 3
    with pytest.raises(InputError, match=r"video b comes 2 times in f, expected each video once"):
        count_once(videos.unionByName(videos.where("video_id = 'b'")), "f")


def test_labels_are_laid_over_frames_in_one_pass(spark, table, tmp_path):
    codes = {v: np.full((2, 3), n, np.uint8).tobytes() for n, v in enumerate("abcdez")}
    rows = [(v, [77], code, 2, "shard") for v, code in codes.items()]
    frames = spark.createDataFrame(rows, frames_schema({"rgb": 3})).repartition(3)
    (tmp_path / "beats").mkdir()
    videos = check_labels(table(ROWS))[0].where(F.col("split") != "validate")
    read = label_frames(frames, videos, str(tmp_path / "out"), heartbeats=str(tmp_path / "beats"))
    assert read == 6
    written = read_table(spark, str(tmp_path / "out" / "split=train"))
    assert written.columns == ["video_id", "labels", "rgb", "n_frames", "shard"]
    assert known_width(written.schema["rgb"]) == 3
    found = {row.video_id: (row.labels, bytes(row.rgb)) for row in written.collect()}
    assert found == {"a": ([1, 2], codes["a"]), "d": ([3], codes["d"])}
    tested = read_table(spark, str(tmp_path / "out" / "split=test"))
    assert [row.video_id for row in tested.collect()] == ["b"]
