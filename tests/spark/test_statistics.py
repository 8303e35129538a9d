"""Frames to videos tables on Spark. Eq. 2 itself is tested in tests/core/test_statistics.py."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException

from yt8m_spark.core.quantization import dequantize
from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import FrameRecord, encode_frames
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.job import user_error
from yt8m_spark.spark.schemas import frames_schema, videos_schema
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.statistics import (
    aggregate_batches,
    aggregate_videos,
    frame_widths,
    plan_aggregation,
)

WIDTHS = {"rgb": 6, "audio": 3}
STATISTICS = ("mean", "std", "top5")


def make_codes(n_videos=12, seed=0):
    """Codes of each video's rgb (F, 6) and audio (F', 3) frames; audio may lack one or two."""
    rng = np.random.default_rng(seed)
    videos = []
    for i in range(n_videos):
        n_frames = int(rng.integers(1, 12))
        n_audio = max(1, n_frames - i % 3)
        shapes = [(n_frames, 6), (n_audio, 3)]
        videos.append([rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes])
    return videos


def make_frames(spark, videos, n_partitions=2):
    rows = [
        (f"v{i:03d}", [i], *(bytearray(c.tobytes()) for c in codes), len(codes[0]), "x.tfrecord")
        for i, codes in enumerate(videos)
    ]
    return spark.createDataFrame(rows, frames_schema(list(WIDTHS))).repartition(n_partitions)


def brute_force(frames):
    """Eq. 2 in float64, from its words."""
    ranked = np.sort(frames, axis=0)[::-1]
    return {
        "mean": frames.mean(axis=0),
        "std": frames.std(axis=0),
        "top5": np.concatenate([ranked[min(k, len(ranked) - 1)] for k in range(5)]),
    }


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.fixture
def pca(tmp_path):
    """Folder of a frame PCA of 9 activations to 6 components, and its three arrays."""
    rng = np.random.default_rng(5)
    vectors = np.linalg.qr(rng.normal(size=(9, 9)))[0][:6]
    arrays = {
        "mean": rng.random(9),
        "eigenvals": rng.uniform(0.1, 2, 8),  # the release has more than it uses
        "eigenvecs": vectors,
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return str(tmp_path), arrays


@pytest.mark.parametrize("n_partitions", [1, 3, 14])  # of 14, some hold no video
def test_statistics_are_those_of_the_dequantized_frames(spark, n_partitions):
    videos = make_codes()
    table = aggregate_videos(make_frames(spark, videos, n_partitions), WIDTHS, STATISTICS)
    rows = table.orderBy("video_id").collect()
    assert [row.video_id for row in rows] == [f"v{i:03d}" for i in range(12)]
    for i, (row, codes) in enumerate(zip(rows, videos, strict=True)):
        assert (row.labels, row.n_frames) == ([i], len(codes[0]))
        for name, feature_list in zip(WIDTHS, codes, strict=True):
            for statistic, expected in brute_force(
                dequantize(feature_list).astype(np.float64)
            ).items():
                found = row[f"{statistic}_{name}"]
                assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_columns_are_named_by_statistic_and_list_in_the_order_asked(spark):
    frames = make_frames(spark, make_codes(2))
    table = aggregate_videos(frames, {"audio": 3, "rgb": 6}, ("top5", "mean"))
    assert table.schema == videos_schema(["top5_audio", "mean_audio", "top5_rgb", "mean_rgb"])


def test_top5_is_rank_major_by_hand(spark):
    # Code 255 stands for 2.0078125; three frames, so the smallest is repeated.
    codes = np.array([[0, 255], [255, 0], [0, 0]], dtype=np.uint8)
    frames = make_frames(spark, [[codes, codes[:, :1]]])
    row = aggregate_videos(frames, {"rgb": 2}, ("top5",)).first()
    high, low = 2.0078125, -1.9921875
    assert row.top5_rgb == [high, high] + 4 * [low, low]


def test_relu_statistics_are_those_of_rebuilt_activations(spark, pca):
    folder, arrays = pca
    videos = make_codes(4)
    table = aggregate_videos(make_frames(spark, videos), WIDTHS, STATISTICS, pca_folder=folder)
    for row, (rgb, audio) in zip(table.orderBy("video_id").collect(), videos, strict=True):
        # The release divided component i by sqrt(eigenvalue i + 1e-4).
        whitened = rgb * (4 / 255) + (4 / 512 - 2)
        components = whitened * np.sqrt(arrays["eigenvals"][:6] + 1e-4)
        activations = np.maximum(components @ arrays["eigenvecs"] + arrays["mean"], 0)
        assert_allclose(row.mean_rgb, activations.mean(axis=0), rtol=1e-4, atol=1e-5)
        assert_allclose(row.std_rgb, activations.std(axis=0), rtol=1e-4, atol=1e-5)
        assert len(row.top5_rgb) == 5 * 9
        # No list but that of the PCA's width is rebuilt.
        assert_allclose(row.mean_audio, dequantize(audio).mean(axis=0), rtol=1e-5, atol=1e-6)


def test_a_pca_rewritten_in_place_is_read_again(spark, pca):
    folder, arrays = pca
    frames = make_frames(spark, make_codes(6), 6)  # enough tasks for every worker to have some

    def means():
        table = aggregate_videos(frames, WIDTHS, ("mean",), pca_folder=folder)
        return np.array([row.mean_rgb for row in table.orderBy("video_id").collect()])

    before = means()
    np.save(f"{folder}/mean.npy", arrays["mean"] + 100)
    # Activations that were cut off at 0 rise by less than 100, the others by just that.
    assert (means() > before + 80).all()


def test_a_pca_that_fits_no_feature_list_is_refused(spark, pca):
    frames = make_frames(spark, make_codes(1))
    message = failure(lambda: aggregate_videos(frames, {"audio": 3}, pca_folder=pca[0]))
    assert "no feature list has the width of the frame PCA" in message
    assert message.endswith("expected 6, found audio 3")


def test_a_width_is_found_though_every_audio_list_lacks_a_frame(spark):
    lengths = [(10, 9), (300, 299), (60, 59)]
    videos = [[np.zeros((n, 6), np.uint8), np.zeros((m, 128), np.uint8)] for n, m in lengths]
    assert frame_widths(make_frames(spark, videos), ["audio"]) == {"audio": 128}


def test_a_width_is_found_where_some_audio_lists_are_shorter(spark):
    videos = [
        [np.zeros((10, 1024), np.uint8), np.zeros((9, 128), np.uint8)],
        [np.zeros((128, 1024), np.uint8), np.zeros((127, 128), np.uint8)],  # 127 would divide too
        [np.zeros((7, 1024), np.uint8), np.zeros((7, 128), np.uint8)],
    ]
    frames = make_frames(spark, videos)
    assert frame_widths(frames, ["rgb", "audio"]) == {"rgb": 1024, "audio": 128}


def test_videos_without_frames_do_not_hide_the_width(spark):
    empty = [np.zeros((0, 6), np.uint8), np.zeros((0, 3), np.uint8)]
    frames = make_frames(spark, [empty, *make_codes(3)])
    assert frame_widths(frames, ["audio"]) == {"audio": 3}


def test_a_table_without_frames_of_a_list_is_refused(spark):
    empty = [np.ones((2, 6), np.uint8), np.zeros((0, 3), np.uint8)]
    frames = make_frames(spark, [empty])
    message = failure(lambda: frame_widths(frames, ["rgb", "audio"]))
    assert message == "no video has frames of 'audio' in frames table"


def test_a_feature_list_that_is_no_column_is_refused(spark):
    frames = make_frames(spark, make_codes(1))
    for call in (
        lambda: frame_widths(frames, ["inc3"]),
        lambda: aggregate_videos(frames, {"inc3": 6}),
    ):
        assert "no column 'inc3' in frames table, expected binary" in failure(call)


def test_bytes_that_are_no_whole_frames_name_the_video(spark):
    rows = [("good", [], bytearray(12), 2, "x"), ("bad", [], bytearray(7), 1, "x")]
    frames = spark.createDataFrame(rows, frames_schema(["rgb"]))
    message = failure(aggregate_videos(frames, {"rgb": 6}, ("mean",)).collect)
    assert message == (
        "feature list 'rgb' holds no whole number of frames in video bad, "
        "expected a multiple of 6 bytes, found 7 bytes"
    )


@pytest.mark.parametrize("cell", [None, bytearray()])
def test_a_video_without_frames_of_a_list_has_nulls(spark, cell):
    rows = [("none", [1], cell, 0, "x"), ("one", [], bytearray(b"\xff\x00"), 1, "x")]
    frames = spark.createDataFrame(rows, frames_schema(["rgb"])).repartition(1)
    none, one = aggregate_videos(frames, {"rgb": 2}, STATISTICS).orderBy("video_id").collect()
    assert (none.mean_rgb, none.std_rgb, none.top5_rgb) == (None, None, None)
    assert (none.labels, none.n_frames) == ([1], 0)
    assert one.top5_rgb == 5 * [2.0078125, -1.9921875]


@pytest.mark.parametrize("statistics", [("mean", "median"), ("top0",)])
def test_an_unknown_statistic_is_refused_before_any_task_runs(spark, statistics):
    with pytest.raises(ValueError, match="statistics must be of mean, std, top5"):
        aggregate_videos(make_frames(spark, make_codes(1)), WIDTHS, statistics)


def test_an_empty_frames_table_gives_an_empty_videos_table(spark):
    assert aggregate_videos(make_frames(spark, []), WIDTHS).collect() == []


def test_two_lists_of_the_pcas_width_are_refused(pca):
    with pytest.raises(InputError, match=r"more than one feature list .*found flow, rgb"):
        plan_aggregation({"flow": 6, "rgb": 6}, ["mean"], pca=pca[0])


def test_frames_in_large_binaries_are_the_same(pca):
    codes = [bytes([0, 255]), None, bytes([7, 7, 9, 9])]
    batches = [
        pa.RecordBatch.from_pydict(
            {
                "video_id": ["a", "b", "c"],
                "labels": pa.array([[1], [], []], pa.list_(pa.int32())),
                "n_frames": pa.array([1, 0, 2], pa.int32()),
                "rgb": pa.array(codes, kind),
            }
        )
        for kind in (pa.binary(), pa.large_binary())
    ]
    plan = plan_aggregation({"rgb": 2}, STATISTICS)
    small, large = aggregate_batches(batches, plan)
    assert large.equals(small)
    assert large["mean_rgb"].to_pylist()[1] is None


def test_the_pca_of_the_release_may_hold_more_components_than_it_kept(tmp_path):
    for name, array in {
        "mean": np.zeros(1030),
        "eigenvals": np.ones(1030),
        "eigenvecs": np.eye(1030),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    plan = plan_aggregation({"audio": 128, "rgb": 1024}, ["mean"], pca=str(tmp_path))
    assert plan.pca_list == "rgb"


def test_a_list_that_is_always_short_keeps_the_width_of_its_records(spark, tmp_path):
    # 5 audio frames of 4 for 10 of rgb: the 20 bytes alone could be 10 frames of 2.
    rng = np.random.default_rng(0)
    rgb, audio = (rng.integers(0, 256, size=s, dtype=np.uint8) for s in ((10, 8), (5, 4)))
    record = FrameRecord("v", np.array([1]), {"rgb": rgb, "audio": audio}, None)
    path = str(tmp_path / "x.tfrecord")
    write_records(path, [encode_frames(record)])
    frames = read_shards(spark, path)
    frames.write.parquet(str(tmp_path / "frames"))
    for table in (frames, spark.read.parquet(str(tmp_path / "frames"))):
        assert frame_widths(table, ["rgb", "audio"]) == {"rgb": 8, "audio": 4}
    row = aggregate_videos(frames, frame_widths(frames, ["audio"]), ["mean"]).collect()[0]
    np.testing.assert_allclose(row.mean_audio, dequantize(audio).mean(axis=0), rtol=1e-5)
