"""Rows as records. Spark is not here, nor are files: they are tested in test_sink."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from yt8m_spark.errors import InputError
from yt8m_spark.spark.row_records import row_layout, row_records
from yt8m_spark.spark.schemas import FEATURES, FLOATS, arrow_schema, frames_schema, videos_schema

WIDTHS = {"rgb": 3, "audio": 2}
FRAMES = frames_schema(WIDTHS, segments=True)
UNKNOWN = frames_schema(list(WIDTHS))  # a table that does not know its widths
VIDEOS = videos_schema(["mean_rgb"])
VIDEO = {"video_id": "a", "labels": [1], "n_frames": None, "mean_rgb": [0.5, 1.0, -2.0, 3.0]}
RATED = {
    "video_id": "rated",
    "labels": [3, 7],
    "rgb": bytes(range(12)),
    "audio": bytes(range(8)),
    "n_frames": 4,
    "shard": "x.tfrecord",
    "segment_start_times": [5, 40],
    "segment_end_times": [10, 45],
    "segment_labels": [7, 9],
    "segment_scores": [0.0, 1.0],
}


def records_of(rows, schema, widths=None):
    """Records of ``rows``, which come as batches of two; ``widths`` takes those found."""
    columns = {name: [row[name] for row in rows] for name in schema.names}
    layout = row_layout(schema, {})
    found = dict(layout.widths) if widths is None else widths
    found |= {name: width for name, width in layout.widths.items() if name not in found}
    table = pa.table(columns, schema=arrow_schema(schema))
    return [one for batch in table.to_batches(2) for one in row_records(batch, layout, found)]


def test_frames_are_rows_of_bytes_by_hand():
    silent = {**RATED, "labels": None, "audio": b"", **dict.fromkeys(list(RATED)[-4:])}
    first, second = records_of([RATED, silent], FRAMES)
    assert first.video_id == "rated"
    assert first.labels.tolist() == [3, 7]
    assert first.features["audio"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [values.tolist() for values in first.segments] == [[5, 40], [10, 45], [7, 9], [0, 1]]
    assert second.labels.size == 0
    assert second.segments is None
    assert second.features["audio"].shape == (0, 2)
    assert_array_equal(second.features["rgb"], np.arange(12).reshape(4, 3))


def test_segments_that_are_empty_are_not_those_that_are_absent():
    empty = {**RATED, **{name: [] for name in list(RATED)[-4:]}}
    half = {**RATED, "segment_labels": None, "segment_scores": []}
    records = records_of([empty, half, RATED], FRAMES)
    sizes = [[len(values) for values in record.segments] for record in records]
    assert sizes == [[0, 0, 0, 0], [2, 2, 0, 0], [2, 2, 2, 2]]


def test_segment_columns_that_the_table_lacks_are_empty():
    schema = with_columns(FRAMES, without=["segment_scores"])
    (record,) = records_of([RATED], schema)
    assert [len(values) for values in record.segments] == [2, 2, 2, 0]


# Widths


def rgb_only(row):
    return {name: value for name, value in row.items() if name != "audio"}


def test_widths_are_told_by_n_frames_where_all_rows_agree():
    none = {**RATED, "rgb": b"", "n_frames": 0}
    widths = {}
    schema = with_columns(UNKNOWN, without=["audio"])
    records = records_of([rgb_only(row) for row in (none, none, RATED)], schema, widths)
    assert widths == {"rgb": WIDTHS["rgb"]}
    assert records[0].features["rgb"].shape == (0, 0)
    assert records[2].features["rgb"].shape == (4, WIDTHS["rgb"])


def test_of_two_lists_n_frames_tells_no_width():
    # Audio is often shorter: 4 frames of rgb and 2 of 4 of audio look like 4 of 2.
    message = "does not tell how wide frames are in column 'rgb', expected option features=rgb:W"
    with pytest.raises(InputError, match=message):
        records_of([RATED], UNKNOWN)


@pytest.mark.parametrize(
    "changes", [{"n_frames": 5}, {"n_frames": None}, {"n_frames": 0}, {"rgb": b"1234567"}]
)
def test_bytes_that_n_frames_does_not_divide_tell_no_width(changes):
    schema = with_columns(UNKNOWN, without=["audio"])
    message = r"how wide frames are in column .*, expected option features=.*:WIDTH, or n_f"
    with pytest.raises(InputError, match=message):
        records_of([rgb_only(RATED), rgb_only({**RATED, **changes})], schema)
    with pytest.raises(InputError, match=message):
        records_of([rgb_only(RATED)], with_columns(schema, without=["n_frames"]))


def test_widths_that_differ_between_rows_or_batches_are_refused():
    schema = with_columns(UNKNOWN, without=["audio"])
    wide = {**RATED, "rgb": bytes(2 * len(RATED["rgb"]))}
    for rows in ([RATED, wide], [RATED, RATED, wide]):
        with pytest.raises(InputError, match=r"column 'rgb', .* found widths \[3, 6\]"):
            records_of([rgb_only(row) for row in rows], schema)


# What is refused


def with_columns(schema, *fields, without=()):
    return StructType([*(f for f in schema if f.name not in without), *fields])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (with_columns(VIDEOS, without=["labels"]), "column 'labels' to write, expected array<int>"),
        (with_columns(VIDEOS, without=["video_id"]), "'video_id' to write, expected string"),
        (
            with_columns(VIDEOS, StructField("labels", ArrayType(LongType())), without=["labels"]),
            "column 'labels' to write, expected array<int>, found array<bigint>",
        ),
        (
            with_columns(VIDEOS, StructField("x", ArrayType(DoubleType()))),
            "column 'x' would be lost: a record has no place for array<double>",
        ),
        (
            with_columns(FRAMES, StructField("split", StringType())),
            "column 'split' would be lost",
        ),
        (
            with_columns(FRAMES, StructField("mean_rgb", FLOATS)),
            "not a frames or videos table, expected features that are all binary",
        ),
        (with_columns(VIDEOS, without=["mean_rgb", "mean_audio"]), "not a frames or videos table"),
        (
            with_columns(VIDEOS, FRAMES["segment_labels"]),
            "column 'segment_labels' would be lost",
        ),
        (
            with_columns(
                FRAMES, StructField("segment_scores", BinaryType()), without=["segment_scores"]
            ),
            "'segment_scores' would be lost: a record has no place for binary, expected array<fl",
        ),
    ],
)
def test_table_that_would_lose_something_is_refused(schema, message):
    with pytest.raises(InputError, match=message):
        row_layout(schema, {})


def test_columns_that_follow_from_others_are_left_out():
    schema = with_columns(VIDEOS, StructField("_corrupt_record", StringType()), FRAMES["shard"])
    (record,) = records_of([{**VIDEO, "_corrupt_record": None, "shard": "x"}], schema)
    assert record.features.keys() == {"mean_rgb"}


def test_features_table_is_a_videos_table_with_one_feature():
    (record,) = records_of([{"video_id": "a", "labels": [1], "features": [0.5]}], FEATURES)
    assert record.features["features"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"video": 3}, "no feature 'video' to write, expected rgb, audio"),
        ({"rgb": 4}, "width of feature 'rgb', expected 3, found 4"),
    ],
)
def test_widths_that_belong_to_no_feature_are_refused(widths, message):
    with pytest.raises(InputError, match=message):
        row_layout(FRAMES, widths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_id": None}, "no video id in column 'video_id', row 1 of a batch"),
        ({"video_id": ""}, "no video id"),
        ({"labels": [3, -1]}, "out of range in column 'labels', video 'bad', .* found -1"),
        ({"labels": [3, None]}, "null entity id"),
        ({"rgb": None}, "null frames in column 'rgb', video 'bad'"),
        ({"rgb": b"1234"}, "not whole frames in column 'rgb', video 'bad', .* 3 bytes, found 4"),
        ({"segment_labels": [1]}, r"segments differ in length in video 'bad', found \[1, 2\]"),
        ({"segment_end_times": [1, -5]}, "out of range in column 'segment_end_times'"),
        ({"segment_scores": [0.0, np.nan]}, "no finite number in column 'segment_scores'"),
        ({"segment_scores": [0.0, None]}, "no finite number in column 'segment_scores'"),
    ],
)
def test_frames_that_cannot_be_read_again_are_refused(changes, message):
    bad = {**RATED, "video_id": "bad", **changes}
    with pytest.raises(InputError, match=message):
        records_of([RATED, bad], FRAMES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "null row in column 'mean_rgb'"),
        ([1.0, None, 3.0, 4.0], "null value in column 'mean_rgb'"),
        ([1.0, np.nan, 3.0, 4.0], "value is not finite in column 'mean_rgb'"),
        ([1.0], "feature widths differ in column 'mean_rgb', expected 4, found 1"),
    ],
)
def test_vectors_that_cannot_be_read_again_are_refused(values, message):
    rows = [VIDEO, VIDEO, {**VIDEO, "mean_rgb": values}]  # in the second batch
    with pytest.raises(InputError, match=message):
        records_of(rows, VIDEOS)


def test_vectors_without_a_value_are_refused():
    rows = [{**VIDEO, "mean_rgb": []}] * 2
    with pytest.raises(InputError, match="vector without a value in column 'mean_rgb'"):
        records_of(rows, VIDEOS)
