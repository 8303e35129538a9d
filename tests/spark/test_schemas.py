"""Columns and types of the tables. What fills them is tested with each stage."""

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, StringType, StructType, TimestampType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.schemas import (
    FEATURES,
    FLOATS,
    INTS,
    PREDICTIONS,
    arrow_schema,
    frame_features,
    frames_schema,
    require_columns,
    video_features,
    videos_schema,
)

# The tables of the design, column by column.
FRAMES = "video_id string, labels array<int>, rgb binary, audio binary, n_frames int, shard string"
SEGMENTS = (
    "segment_start_times array<int>, segment_end_times array<int>, "
    "segment_labels array<int>, segment_scores array<float>"
)


def described(schema):
    return ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in schema)


def test_tables_are_those_of_the_design():
    assert described(frames_schema(["rgb", "audio"])) == FRAMES
    assert described(frames_schema(["rgb", "audio"], segments=True)) == f"{FRAMES}, {SEGMENTS}"
    assert described(videos_schema(["mean_rgb", "top5_audio"])) == (
        "video_id string, labels array<int>, n_frames int, "
        "mean_rgb array<float>, top5_audio array<float>"
    )
    assert described(FEATURES) == "video_id string, labels array<int>, features array<float>"
    assert described(PREDICTIONS) == (
        "video_id string, labels array<int>, entities array<int>, scores array<float>"
    )


def test_all_fields_are_nullable_as_the_data_source_insists():
    assert all(field.nullable for field in frames_schema(["rgb"], segments=True))
    assert all(field.nullable for field in arrow_schema(FEATURES))


def test_arrow_types_are_the_32_bit_ones():
    schema = arrow_schema(PREDICTIONS)
    assert schema.field("entities").type.value_type == pa.int32()
    assert schema.field("scores").type.value_type == pa.float32()


def test_feature_lists_are_found_by_type_and_in_order():
    assert frame_features(frames_schema(["zzz", "audio"], segments=True)) == ["zzz", "audio"]
    assert video_features(videos_schema(["std_rgb", "mean_rgb"])) == ["std_rgb", "mean_rgb"]


def test_segment_scores_are_no_video_feature():
    assert video_features(frames_schema(["rgb"], segments=True)) == []


def test_a_missing_column_is_named_with_the_table(spark):
    table = spark.createDataFrame([], "video_id string, labels array<int>")
    with pytest.raises(InputError) as caught:
        require_columns(table, FEATURES, "features table")
    assert str(caught.value) == (
        "no column 'features' in features table, expected array<float>, found video_id, labels"
    )


def test_a_wrong_type_is_named_with_both_types(spark):
    table = spark.createDataFrame([], "video_id string, labels array<string>")
    with pytest.raises(InputError, match=r"'labels'.*expected array<int>, found array<string>"):
        require_columns(table, {"video_id": StringType(), "labels": INTS}, "videos table")


def test_more_columns_and_other_nullability_are_accepted(spark):
    schema = "video_id string not null, rgb binary, mean_rgb array<float>, note string"
    wanted = {"video_id": StringType(), "rgb": BinaryType(), "mean_rgb": FLOATS}
    require_columns(spark.createDataFrame([], schema), wanted, "any table")


def test_arrow_schemas_are_those_that_spark_makes(spark):
    every_kind = StructType.fromDDL(
        "a boolean, b tinyint, c smallint, d int, e bigint, f float, g double, h string, i binary, "
        "j date, k array<array<int>>, l struct<x: int, y: array<string>>, m map<string, double>"
    )
    strict = StructType().add("n", INTS, nullable=False)
    tables = frames_schema(["rgb"], segments=True), videos_schema(["mean_rgb"]), FEATURES
    for schema in (every_kind, strict, PREDICTIONS, *tables):
        assert arrow_schema(schema).equals(to_arrow_schema(schema), check_metadata=True)


def test_a_column_of_a_type_that_no_table_has_is_an_error():
    with pytest.raises(TypeError, match="type timestamp"):
        arrow_schema(StructType().add("t", TimestampType()))
