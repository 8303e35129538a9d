"""Extraction from videos to shards and tables, as a job. Decoding is tested in tests/video."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_videos import colour_weights, level, write_onnx, write_seconds

from yt8m_spark.spark.source import register
from yt8m_spark.video.parts import finished_videos

JOB = Path(__file__).parents[2] / "jobs" / "extract_features.py"
WEIGHTS = colour_weights(6)


@pytest.fixture
def inputs(tmp_path):
    """Nine videos of 1 to 4 seconds, two that are none, a network, labels."""
    folder = tmp_path / "some vidéos"
    folder.mkdir()
    for i in range(9):
        write_seconds(folder / f"v{i}.mp4", i % 4 + 1)
    (folder / "broken.mp4").write_bytes(b"no video " * 99)
    (folder / "empty.webm").write_bytes(b"")
    write_onnx(tmp_path / "net.onnx", WEIGHTS, pooled=False)
    (tmp_path / "labels.csv").write_text("video_id,labels\nv0,5|2\nv1,1\n")
    return ("--input=some vidéos", "--network=net.onnx", "--preprocess=none")


def test_videos_become_raw_frames_then_a_pca_then_shards(job, spark, inputs, tmp_path):
    flags = (*inputs, "--layer=relu", "--labels=labels.csv", "--batch-size=4", "--max-skipped=0.2")
    made = job("extract_features", *flags, "--output=raw")
    assert made.status == 0, made.stderr
    metrics = made.result["metrics"]
    assert (metrics["n_videos"], metrics["n_frames"], metrics["n_skipped"]) == (9, 21, 2)
    parts = [metrics[f"share_{name}"] for name in ("decoding", "network", "ours")]
    assert sum(parts) == pytest.approx(1)
    assert min(parts) >= 0
    assert "time of tasks: decoding" in made.stderr
    assert "2 of 11 videos were skipped: raw/_skipped.csv says why" in made.stderr
    raw = pq.read_table(tmp_path / "raw").sort_by("video_id").to_pylist()
    assert [row["video_id"] for row in raw] == [f"v{i}" for i in range(9)]
    assert [row["labels"] for row in raw[:3]] == [[2, 5], [1], []]
    for i, row in enumerate(raw):
        greys = np.array([[level(10 * second)] for second in range(i % 4 + 1)])
        atol = 3 * WEIGHTS.sum(1).max()  # what YUV does to a grey
        np.testing.assert_allclose(row["rgb"], greys * WEIGHTS.sum(1), atol=atol)
    with (tmp_path / "raw" / "_skipped.csv").open() as file:
        skipped = list(csv.DictReader(file))
    assert [row["video_id"] for row in skipped] == ["broken", "empty"]
    assert all(row["reason"].startswith("not a video") for row in skipped)
    # Fitted on these frames, the PCA makes the same codes of the table and of the videos.
    assert job("fit_frame_pca", "--input=raw", "--output=pca", "--n-components=1").status == 0
    assert job("apply_frame_pca", "--input=raw", "--pca=pca", "--output=coded").status == 0
    made = job("extract_features", *flags, "--pca=pca", "--output=shards", "--n-shards=3")
    assert made.status == 0, made.stderr
    names = sorted(path.name for path in (tmp_path / "shards").glob("*.tfrecord"))
    assert names == [f"features-{i:05d}-of-{len(names):05d}.tfrecord" for i in range(len(names))]
    coded = pq.read_table(tmp_path / "coded").sort_by("video_id")
    register(spark)
    shards = spark.read.format("yt8m").load(str(tmp_path / "shards"))
    rows = shards.orderBy("video_id").collect()
    assert [row.rgb for row in rows] == coded["rgb"].to_pylist()
    assert [row.labels for row in rows] == coded["labels"].to_pylist()
    how = json.loads((tmp_path / "shards" / "_extraction.json").read_text())
    assert (how["layer"], how["how"]["size"]) == ("relu", 224)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--layer=pool3",), "no such layer in "),
        (("--network=labels.csv",), "not an ONNX network"),
        (("--network=none.onnx",), "no such file or folder in none.onnx"),
        (("--pca=pca",), "no such file or folder in pca"),
        (("--input=none*.mp4",), "no file matches the pattern"),
        (("--format=tfrecord",), "which takes --pca"),
        (("--frames-per-second=1e-7",), "frames_per_second must be finite and at least 0.000001"),
        (("--channel-std=1,0,1",), "channel_std must not be 0"),
        (("--channel-mean=1,2",), "channel_mean must be three numbers"),
        (("--max-skipped=0", "--layer=relu"), "2 of 11 videos were skipped"),
        (("--layer=relu", "--resize=none"), "11 of 11 videos were skipped"),
        (("--layer=relu", "--output=some vidéos"), "output exists already"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(job, inputs, tmp_path, flags, message):
    made = job("extract_features", *inputs, "--output=out", *flags)
    assert made.status == 2, made.stderr
    assert message in made.error
    assert not (tmp_path / "out").exists()


def test_too_many_broken_videos_are_told_of_and_the_rest_is_kept(job, inputs, tmp_path):
    flags = (*inputs, "--layer=relu", "--output=out")
    assert "at most 10 % (--max-skipped)" in job("extract_features", *flags).error
    made = job("extract_features", *flags, "--resume", "--max-skipped=0.2")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 9
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.slow
def test_a_killed_job_is_resumed_and_ends_the_same(job, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for i in range(24):
        write_seconds(folder / f"v{i}.mp4", 4)
    write_onnx(tmp_path / "net.onnx", colour_weights(256), size=224)
    (tmp_path / "pca").mkdir()
    for name, array in (
        ("mean", np.zeros(256)),
        ("eigenvals", np.full(256, 1e4)),
        ("eigenvecs", np.eye(3, 256)),
    ):
        np.save(tmp_path / "pca" / f"{name}.npy", array)
    flags = ("--input=videos", "--network=net.onnx", "--pca=pca", "--batch-size=2", "--n-shards=2")
    command = [sys.executable, str(JOB), *flags]
    with (tmp_path / "log").open("wb") as log:
        killed = subprocess.Popen(
            [*command, "--output=resumed"],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    parts = tmp_path / ".resumed.work" / "parts"
    while killed.poll() is None and sum(p.stat().st_size for p in parts.glob("*/*.tfrecord")) < 200:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = [name for shard in parts.glob("*") for name in finished_videos(shard)]
    assert 0 < len(done) < 24, (tmp_path / "log").read_text()
    assert job("extract_features", *flags, "--output=whole").status == 0
    assert job("extract_features", *flags, "--output=resumed").status == 2
    made = job("extract_features", *flags, "--output=resumed", "--resume")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_videos"] == 24
    whole, resumed = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.tfrecord")}
        for name in ("whole", "resumed")
    )
    assert whole == resumed
    assert len(whole) == 2
