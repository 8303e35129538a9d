"""quantize_features as a user runs it. What it computes is tested in tests/core and tests/spark."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from yt8m_spark.core.codebooks import decode, encode
from yt8m_spark.core.quantization import quantize
from yt8m_spark.spark.codebooks import load_codebooks

CODES = ("released", "unbiased", "lloyd_max")


@pytest.fixture
def videos(job, video_shards, tmp_path):
    """A videos table of 60 videos of 8 features."""
    assert job("convert_tfrecords", "--input", video_shards, "--output", "videos").status == 0
    return pq.read_table(tmp_path / "videos").sort_by("video_id")


def matrix(table):
    return np.array(table["mean_rgb"].to_pylist(), np.float32)


def codes(path):
    table = pq.read_table(path).sort_by("video_id")
    return np.array([np.frombuffer(row, np.uint8) for row in table["mean_rgb"].to_pylist()]), table


def test_a_table_is_coded_with_its_codebook_and_report_beside_it(job, videos, tmp_path):
    arguments = ("--input", "videos", "--output", "coded", "--n-levels", 16)
    made = job("quantize_features", *arguments)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {
        "table": "coded",
        "codebook": "coded/_codebook",
        "report": "coded/_report",
    }
    found, table = codes(tmp_path / "coded")
    assert table.column_names == videos.column_names
    assert table.drop(["mean_rgb"]).equals(videos.drop(["mean_rgb"]))
    books = load_codebooks(str(tmp_path / "coded/_codebook"))
    values = matrix(videos)
    np.testing.assert_array_equal(found, encode(values, books["mean_rgb"]))

    metrics = made.result["metrics"]
    error = decode(found, books["mean_rgb"]) - values.astype(float)
    np.testing.assert_allclose(metrics["lloyd_max.mse"], (error**2).mean())
    assert metrics["n_videos"] == 60
    assert (metrics["raw_bytes"], metrics["code_bytes"]) == (60 * 8 * 4, 60 * 8)
    assert (metrics["size_ratio"], metrics["size_ratio_with_pca"]) == (4, 8)
    report = json.loads((tmp_path / "coded/_report/report.json").read_text())
    assert set(report["codes"]) == set(CODES)
    # Values of standard deviation 1, and a 4 in each row, which linear codes clip.
    clipped = (np.abs(values) > 2).mean()
    np.testing.assert_allclose(report["codes"]["released"]["clipped"], clipped)
    assert report["codes"]["lloyd_max"]["clipped"] == 0
    for line in ("SNR dB", *CODES, "note: 3.8 videos a level"):
        assert line in made.stderr
    assert (tmp_path / "coded/_report/distortion.png").exists()


@pytest.mark.parametrize("code", ["released", "unbiased"])
def test_linear_codes_are_the_releases_and_still_compared(job, videos, tmp_path, code):
    made = job("quantize_features", "--input=videos", "--output=coded", f"--code={code}")
    assert made.status == 0, made.stderr
    found, _ = codes(tmp_path / "coded")
    np.testing.assert_array_equal(found, quantize(matrix(videos)))
    assert {f"{name}.mse" for name in CODES} <= made.result["metrics"].keys()
    described = json.loads((tmp_path / "coded/_codebook/codebook.json").read_text())
    assert described["columns"]["mean_rgb"]["code"] == code


def test_codebooks_of_an_earlier_run_code_other_shards(job, videos, video_shards, tmp_path):
    job("quantize_features", "--input=videos", "--output=a", "--scope=shared")
    arguments = ("--input", video_shards, "--codebook", "a/_codebook")
    made = job("quantize_features", *arguments, "--output=b", "--columns=mean_rgb")
    assert made.status == 0, made.stderr
    assert codes(tmp_path / "a")[1].equals(codes(tmp_path / "b")[1])
    a, b = (load_codebooks(str(tmp_path / f"{name}/_codebook"))["mean_rgb"] for name in "ab")
    assert a.digest == b.digest
    assert a.width is None


def test_what_cannot_be_coded_is_refused_and_leaves_nothing(job, videos, tmp_path):
    wrong = {
        ("--columns", "mean_audio"): "no column 'mean_audio'",
        ("--codebook", "nowhere"): "nowhere",
        ("--n-levels", "300"): "n_levels must be 2 to 256, got 300",
        ("--n-bins", "9"): "n_bins must be at least 256",
        ("--code", "optimal"): "one of lloyd_max, released, unbiased",
    }
    for flags, words in wrong.items():
        finished = job("quantize_features", "--input=videos", "--output=out", *flags)
        assert finished.status == 2, finished.stderr
        assert words in finished.error
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".*"))


def test_codebooks_that_were_not_fitted_are_refused(job, videos, tmp_path):
    job("quantize_features", "--input=videos", "--output=linear", "--code=released")
    arguments = ("--input=videos", "--output=out", "--codebook=linear/_codebook")
    assert "expected lloyd_max, found released" in job("quantize_features", *arguments).error
    arguments = ("--input=videos", "--output=out", "--codebook=linear/_report/lloyd_max")
    finished = job("quantize_features", *arguments, "--columns=mean_audio")
    assert "no codebook of the column" in finished.error


@pytest.mark.slow
def test_real_videos_are_coded_better_than_the_release_codes_them(job, shared_data):
    shards = shared_data / "yt8m_video" / "validate000[0-3].tfrecord"
    made = job("quantize_features", "--input", shards, "--output=coded", "--columns=mean_rgb")
    assert made.status == 0, made.stderr
    metrics = made.result["metrics"]
    assert metrics["lloyd_max.mse"] < metrics["unbiased.mse"] < metrics["released.mse"]
    assert metrics["lloyd_max.snr_db"] > metrics["released.snr_db"] + 6
