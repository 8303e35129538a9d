"""Raw frames to a frames table and back. The algebra is tested in tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException

from yt8m_spark.core.frame_pca import FramePca, ReluSpace, apply_frame_pca, invert_frame_pca
from yt8m_spark.core.quantization import quantize
from yt8m_spark.errors import InputError
from yt8m_spark.formats.pca_files import read_frame_pca
from yt8m_spark.job import user_error
from yt8m_spark.spark.frame_pca import code_frames, fit_frames, save_frame_pca
from yt8m_spark.spark.schemas import frames_schema
from yt8m_spark.spark.statistics import aggregate_videos, frame_widths

SCHEMA = "video_id string, labels array<int>, rgb array<array<float>>, audio binary"
M, D = 12, 6


def make_videos(n_videos=20, seed=0):
    """ReLU activations (F, M) of each video, of 1 to 9 frames; most variance in few directions."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(M, M)))[0]
    sizes = rng.integers(1, 10, n_videos)
    scale = np.geomspace(2, 0.02, M)
    return [
        np.maximum(rng.normal(size=(size, M)) * scale @ turn + 1.5, 0).astype(np.float32)
        for size in sizes
    ]


def make_table(spark, videos, n_partitions=2):
    rows = [
        (f"v{i:03d}", [i % 3], None if v is None else v.tolist(), bytes([i, 1]))
        for i, v in enumerate(videos)
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.fixture
def fitted(spark, tmp_path):
    """Folder of the PCA of `make_videos`."""
    pairs, moments = fit_frames(make_table(spark, make_videos()), "rgb", D)
    save_frame_pca(str(tmp_path / "pca"), moments, pairs)
    return str(tmp_path / "pca")


def test_the_fit_is_over_all_frames_of_all_videos(spark):
    frames = np.concatenate(make_videos()).astype(np.float64)
    pairs, moments = fit_frames(make_table(spark, make_videos(), 3), "rgb", D)
    values, vectors = np.linalg.eigh(np.cov(frames.T, bias=True))
    assert moments.n == len(frames)
    assert_allclose(moments.mean, frames.mean(axis=0))
    assert_allclose(pairs.spectrum, values[::-1], rtol=1e-4)
    assert_allclose(np.abs(pairs.vectors), np.abs(vectors[:, ::-1][:, :D].T), atol=1e-4)


def test_a_table_is_coded_by_the_release_s_code(spark, fitted):
    videos = make_videos()
    coded = code_frames(make_table(spark, videos), "rgb", fitted).orderBy("video_id").collect()
    pca = FramePca(*read_frame_pca(fitted))
    for i, (row, frames) in enumerate(zip(coded, videos, strict=True)):
        found = np.frombuffer(row.rgb, np.uint8).reshape(-1, D).astype(int)
        expected = quantize(apply_frame_pca(frames, pca))
        assert np.abs(found - expected).max() <= 1  # at a threshold float32 may round either way
        assert (row.video_id, row.labels, row.n_frames) == (f"v{i:03d}", [i % 3], len(frames))
        assert row.audio == bytes([i, 1])


def test_the_output_is_a_frames_table_that_knows_its_width(spark, fitted, tmp_path):
    coded = code_frames(make_table(spark, make_videos()), "rgb", fitted)
    assert coded.schema == frames_schema({"rgb": D, "audio": 0})
    coded.write.parquet(str(tmp_path / "frames"))
    assert frame_widths(spark.read.parquet(str(tmp_path / "frames")), ["rgb"]) == {"rgb": D}


def test_activations_come_back_but_for_the_code_and_the_lost_components(spark, fitted):
    videos = make_videos()
    coded = code_frames(make_table(spark, videos), "rgb", fitted).orderBy("video_id").collect()
    pca = FramePca(*read_frame_pca(fitted))
    space = ReluSpace(pca)
    for row, frames in zip(coded, videos, strict=True):
        found = space.activations(np.frombuffer(row.rgb, np.uint8).reshape(-1, D))
        components = apply_frame_pca(frames, pca)
        within = np.abs(components).max(axis=1) <= 2  # others are clipped by the code
        kept = np.maximum(invert_frame_pca(components, pca), 0)
        # Half a step and the reader's bias, or a step at a threshold, times scale, along each.
        step = np.linalg.norm(pca.scale * (4 / 255 + 1 / 128))
        assert (np.linalg.norm(found - kept, axis=1)[within] <= step).all()
        # What the lost components held is lost; cutting at 0 only brings nearer.
        lost = np.linalg.norm(frames - invert_frame_pca(components, pca), axis=1)
        assert (np.linalg.norm(found - frames, axis=1)[within] <= (lost + step)[within]).all()


def test_the_statistics_of_activations_are_taken_through_the_fitted_pca(spark, fitted):
    videos = [v for v in make_videos() if len(v) > 3]
    coded = code_frames(make_table(spark, videos), "rgb", fitted)
    found = aggregate_videos(coded, {"rgb": D}, ["mean"], pca_folder=fitted)
    rows = found.orderBy("video_id").collect()
    for row, frames in zip(rows, videos, strict=True):
        assert_allclose(row.mean_rgb, frames.mean(axis=0), atol=0.5)
        assert np.corrcoef(row.mean_rgb, frames.mean(axis=0))[0, 1] > 0.7


def test_a_video_without_frames_is_null_and_others_keep_their_place(spark, fitted):
    videos = make_videos(4)
    videos[1], videos[2] = None, np.empty((0, M), np.float32)
    table = make_table(spark, videos, 1)
    rows = code_frames(table, "rgb", fitted).orderBy("video_id").collect()
    assert [row.n_frames for row in rows] == [len(videos[0]), 0, 0, len(videos[3])]
    assert rows[1].rgb is None
    assert rows[2].rgb == b""
    alone = make_table(spark, [videos[3]])
    assert rows[3].rgb == code_frames(alone, "rgb", fitted).collect()[0].rgb
    pairs, _ = fit_frames(table, "rgb", 2)
    assert_array_equal(pairs.vectors.shape, (2, M))


def test_doubles_are_taken_too(spark, fitted):
    table = make_table(spark, make_videos(3))
    doubles = table.withColumn("rgb", table.rgb.cast("array<array<double>>"))
    assert sorted(code_frames(doubles, "rgb", fitted).collect()) == sorted(
        code_frames(table, "rgb", fitted).collect()
    )


def test_bad_frames_are_refused(spark, fitted):
    good = make_videos(3)
    nan = [good[0], np.full((1, M), np.nan, np.float32)]
    narrow = [v[:, :5] for v in good]
    for call, message in (
        (lambda: fit_frames(make_table(spark, nan), "rgb", D), "value is not finite"),
        (lambda: fit_frames(make_table(spark, good), "mean", D), "no column 'mean'"),
        (lambda: fit_frames(make_table(spark, good), "audio", D), "has the wrong type"),
        (lambda: fit_frames(make_table(spark, good), "rgb", 13), "n_components must be 1 to 12"),
        (lambda: fit_frames(make_table(spark, [None]), "rgb", D), "no rows to take moments of"),
        (
            lambda: code_frames(make_table(spark, narrow), "rgb", fitted).collect(),
            "frame width is not that of the PCA in column rgb, expected 12, found 5",
        ),
        (
            lambda: code_frames(make_table(spark, nan), "rgb", fitted).collect(),
            "value is not finite in column 'rgb'",
        ),
        (
            lambda: code_frames(make_table(spark, good), "rgb", "nowhere"),
            "no such file in",
        ),
    ):
        assert message in failure(call)
