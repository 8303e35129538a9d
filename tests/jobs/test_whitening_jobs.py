"""The jobs that fit and apply whitenings and frame PCAs. Their maths is tested elsewhere."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS, WIDTH = 60, 6


@pytest.fixture
def videos(tmp_path):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(ROWS, WIDTH)) * np.geomspace(3, 0.1, WIDTH)).astype(np.float32)
    table = {
        "video_id": [f"v{i:03d}" for i in range(ROWS)],
        "labels": pa.array([[i % 3] for i in range(ROWS)], pa.list_(pa.int32())),
        "mean_rgb": pa.array(rows.tolist(), pa.list_(pa.float32())),
    }
    (tmp_path / "videos").mkdir()
    pq.write_table(pa.table(table), tmp_path / "videos/part.parquet")
    return rows


@pytest.fixture
def raw_frames(tmp_path):
    rng = np.random.default_rng(0)
    frames = [np.abs(rng.normal(size=(5, 8))).astype(np.float32).tolist() for _ in range(ROWS)]
    table = {
        "video_id": [f"v{i:03d}" for i in range(ROWS)],
        "labels": pa.array([[i % 3] for i in range(ROWS)], pa.list_(pa.int32())),
        "rgb": pa.array(frames, pa.list_(pa.list_(pa.float32()))),
    }
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.table(table), tmp_path / "raw/part.parquet")


def described(folder):
    return json.loads((folder / "whitening.json").read_text())


def features(folder):
    rows = pq.read_table(folder).sort_by("video_id")["features"].to_pylist()
    return np.array(rows, np.float32)


def test_a_share_of_the_variance_with_its_picture(job, videos, tmp_path):
    made = job("fit_whitening", "--input=videos", "--output=w", "--explained-variance=0.9")
    assert made.status == 0, made.stderr
    shares = np.sort(np.linalg.eigvalsh(np.cov(videos.T)))[::-1].cumsum()
    expected = int(np.argmax(shares >= 0.9 * shares[-1])) + 1
    assert made.result["metrics"]["n_components"] == expected
    assert made.result["metrics"]["explained_variance_ratio"] == pytest.approx(
        shares[expected - 1] / shares[-1], rel=1e-5
    )
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [
        "explained_variance.png",
        "whitening.json",
        "whitening.npz",
    ]


def test_method_none_without_length_one_gives_centred_features(job, videos, tmp_path):
    options = ("--method=none", "--l2-normalize=false")
    made = job("fit_whitening", "--input=videos", "--output=w", *options)
    assert made.status == 0, made.stderr
    assert described(tmp_path / "w")["method"] == "none"
    assert described(tmp_path / "w")["l2_normalize"] is False
    assert not (tmp_path / "w/explained_variance.png").exists()
    assert job("normalize_videos", "--input=videos", "--whitening=w", "--output=f").status == 0
    np.testing.assert_allclose(features(tmp_path / "f"), videos - videos.mean(axis=0), atol=1e-6)


def test_little_memory_goes_by_tiles_and_leaves_none(job, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 140)).astype(np.float32)
    table = {
        "video_id": [str(i) for i in range(40)],
        "labels": pa.array([[0]] * 40, pa.list_(pa.int32())),
        "x": pa.array(rows.tolist(), pa.list_(pa.float32())),
    }
    (tmp_path / "wide").mkdir()
    pq.write_table(pa.table(table), tmp_path / "wide/part.parquet")
    # 8 * 140^2 bytes are more than an eighth of 1 MiB.
    arguments = ("--input=wide", "--memory=1")
    refused = job("fit_whitening", *arguments, "--n-components=140", "--output=all")
    assert refused.status == 2
    assert "140 components of 140 features need more memory than 1 MiB" in refused.error
    most = job("fit_whitening", *arguments, "--output=most")
    assert most.status == 0
    assert "find components of 140 features" in most.stderr
    assert "140 features are too wide for --memory: kept are the first 39" in most.stderr
    assert described(tmp_path / "most")["n_components"] == 39  # of 40 videos
    for output, memory in (("tiled", "1"), ("whole", "512")):
        options = (f"--memory={memory}", "--n-components=20", f"--output={output}")
        assert job("fit_whitening", "--input=wide", *options).status == 0
    ratios = [described(tmp_path / name)["explained_variance_ratio"] for name in ("tiled", "whole")]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-6)
    assert not list(tmp_path.glob(".*")), "nothing is left beside the outputs"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-components=2", "--explained-variance=0.9"), "not both"),
        (("--explained-variance=1.5",), "at most 1"),
        (("--method=ica",), "one of pca, zca, none"),
        (("--method=none", "--n-components=2"), "keeps all features"),
        (("--memory=0",), "at least 1 MiB"),
    ],
)
def test_options_that_make_no_sense(job, videos, tmp_path, options, words):
    finished = job("fit_whitening", "--input=videos", "--output=out", *options)
    assert finished.status == 2
    assert words in finished.error
    assert not (tmp_path / "out").exists()


def test_frames_are_fitted_coded_and_aggregated_in_relu_space(job, raw_frames, tmp_path):
    options = ("--column=rgb", "--n-components=4")
    made = job("fit_frame_pca", "--input=raw", "--output=pca", *options)
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_frames"] == 5 * ROWS
    assert 0 < made.result["metrics"]["explained_variance_ratio"] < 1
    assert sorted(path.name for path in (tmp_path / "pca").iterdir()) == [
        "eigenvals.npy",
        "eigenvecs.npy",
        "explained_variance.png",
        "mean.npy",
    ]
    assert job("apply_frame_pca", "--input=raw", "--pca=pca", "--output=frames").status == 0
    relu = ("--space=relu", "--pca=pca", "--statistics=mean")
    made = job("aggregate_videos", "--input=frames", "--output=means", *relu)
    assert made.status == 0, made.stderr
    means = np.array(pq.read_table(tmp_path / "means")["mean_rgb"].to_pylist())
    assert means.shape == (ROWS, 8)
    assert (means >= 0).all()


def test_more_components_than_activations(job, raw_frames, tmp_path):
    finished = job("fit_frame_pca", "--input=raw", "--output=pca", "--n-components=9")
    assert finished.status == 2
    assert "n_components must be 1 to 8, got 9 in column rgb" in finished.error
    assert not (tmp_path / "pca").exists()
    all_there_are = job("fit_frame_pca", "--input=raw", "--output=pca")
    assert all_there_are.result["metrics"]["n_components"] == 8
