"""Which rows can be stored, without Spark. How they are shuffled is tested in test_shards.py."""

import numpy as np
import pyarrow as pa
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.shard_rows import row_names, stored_features

FLOATS, BYTES = pa.list_(pa.float32()), pa.binary()


def make_batch(features, kind=FLOATS, frames=None):
    columns = {
        "video_id": pa.array([f"v{i}" for i in range(len(features))]),
        "features": pa.array(features, kind),
    }
    if frames is not None:
        columns["frame"] = pa.array(frames, pa.int32())
    return pa.RecordBatch.from_pydict(columns)


def test_batches_are_joined_as_float32():
    parts = [make_batch([[1, 2], [3, 4]]), make_batch([[5, 6]])]
    stored = stored_features(parts, "float32", 0)
    assert stored.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert stored.dtype == np.float32


def test_float16_is_the_nearest_one():
    values = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    stored = stored_features([make_batch(values.tolist())], "float16", 0)
    assert stored.dtype == np.float16
    assert (np.abs(stored - values) <= np.abs(values) * 2.0**-11).all()


@pytest.mark.parametrize("value", [65504.0, -65504.0])
def test_the_largest_float16_is_stored(value):
    assert stored_features([make_batch([[value]])], "float16", 0)[0, 0] == value


@pytest.mark.parametrize("value", [65505.0, -1e9])
def test_what_float16_cannot_hold_is_refused_with_its_video(value):
    with pytest.raises(InputError, match=r"video v1: value is out of the range of float16 in"):
        stored_features([make_batch([[0.0, 1.0], [value, 0.0]])], "float16", 0)


def test_codes_are_kept():
    stored = stored_features([make_batch([b"\x00\x05", b"\x06\x01"], BYTES)], "uint8", 7)
    assert stored.tolist() == [[0, 5], [6, 1]]
    assert stored.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "null row in column 'features'"),
        ([1.0, None], "null value in column 'features'"),
        ([1.0, float("nan")], "value is not finite in column 'features', feature 1"),
        ([float("-inf"), 1.0], "value is not finite in column 'features', feature 0"),
        ([1.0], "feature widths differ in column 'features', expected 2, found 1"),
    ],
)
def test_features_that_cannot_be_stored_are_refused_with_their_video(dtype, row, message):
    parts = [make_batch([[1.0, 2.0]]), make_batch([[1.0, 2.0], [3.0, 4.0], row, [0.0, 0.0]])]
    with pytest.raises(InputError, match=f"video v2: {message}"):
        stored_features(parts, dtype, 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "null row"),
        (b"\x01", "feature widths differ in column 'features', expected 2, found 1"),
        (b"\x01\x07", "code is not of the codebook in .*, expected 0 to 6, found 7"),
    ],
)
def test_codes_that_cannot_be_stored_are_refused_with_their_video(row, message):
    with pytest.raises(InputError, match=f"video v1: {message}"):
        stored_features([make_batch([b"\x01\x02", row], BYTES)], "uint8", 7)


def test_the_frame_is_part_of_a_row_s_name():
    assert row_names([make_batch([[1.0]] * 2)]) == ["video v0", "video v1"]
    assert row_names([make_batch([[1.0]], frames=[12])]) == ["video v0, frame 12"]
