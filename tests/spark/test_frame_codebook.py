"""Frames sampled over a table. Fitting codebooks on them is in tests/test_frame_codebook_fit.py."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pyspark.errors import PySparkException

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.frame_codebook import count_frames, sample_codes
from yt8m_spark.spark.schemas import frames_schema

WIDTHS = {"rgb": 2, "audio": 1}


def make_frames(spark, n_videos=30, n_partitions=2, *, schema=None, order=1):
    """Frame t of video v has rgb (v, t), audio t but in the last one; none where v % 5 is 0."""
    rows = []
    for v in range(n_videos)[::order]:
        n_frames = (v % 5) * 4
        rgb = bytearray(np.uint8([[v, t] for t in range(n_frames)]).tobytes())
        audio = bytearray(range(max(n_frames - 1, 0))) if n_frames else None
        rows.append((f"v{v:03d}", [], rgb, audio, n_frames, "x"))
    schema = schema or frames_schema(list(WIDTHS))
    return spark.createDataFrame(rows, schema).repartition(n_partitions)


def sample(frames, **options):
    return sample_codes(frames, WIDTHS, count_frames(frames, WIDTHS), **options)


def test_frames_are_counted_by_list(spark):
    # Six videos of each of 4, 8, 12, 16 frames.
    assert count_frames(make_frames(spark), WIDTHS) == {"rgb": 240, "audio": 216}


def test_a_sample_larger_than_all_frames_is_all_of_them_once(spark):
    found = sample(make_frames(spark), n_sampled=1000)
    expected = {(v, t) for v in range(30) for t in range(v % 5 * 4)}
    assert len(found["rgb"]) == len(expected)
    assert set(map(tuple, found["rgb"].tolist())) == expected
    assert found["audio"].shape == (216, 1)


def test_which_frames_are_sampled_hangs_on_neither_partitions_nor_order(spark):
    found = [
        sample(make_frames(spark, n_partitions=n, order=order), n_sampled=50, seed=7)
        for n, order in ((1, 1), (5, -1))
    ]
    for name in WIDTHS:
        assert len(found[0][name]) == 50
        assert_array_equal(found[0][name], found[1][name])
    other = sample(make_frames(spark), n_sampled=50, seed=8)
    assert (other["rgb"] != found[0]["rgb"]).any()


def test_every_second_is_as_likely_as_any_other(spark):
    # 400 frames of 32 videos of 100 frames: the mean second is 49.5 +- 28.9 / 20.
    rows = [
        (
            f"v{v:03d}",
            [],
            bytearray(np.uint8([[v, t] for t in range(100)]).tobytes()),
            None,
            100,
            "",
        )
        for v in range(32)
    ]
    frames = spark.createDataFrame(rows, frames_schema(list(WIDTHS)))
    codes = sample_codes(frames, {"rgb": 2}, {"rgb": 3200}, n_sampled=400)["rgb"]
    assert abs(codes[:, 1].mean() - 49.5) < 5 * 28.9 / 20
    assert len(set(codes[:, 0].tolist())) == 32


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def test_tables_that_cannot_be_sampled_are_refused(spark):
    frames = make_frames(spark, 6)
    assert "no column 'inc3'" in failure(lambda: count_frames(frames, {"inc3": 2}))
    told = make_frames(spark, 6, schema=frames_schema(WIDTHS))
    assert "feature widths differ" in failure(lambda: count_frames(told, {"rgb": 4}))
    silent = make_frames(spark, 1)
    assert "no video has frames of 'rgb'" in failure(lambda: count_frames(silent, WIDTHS))
    # 8 bytes of v001 are no whole number of frames of 3.
    message = failure(lambda: sample_codes(frames, {"rgb": 3}, {"rgb": 1}))
    assert "no whole number of frames in video v00" in message
