"""Codebooks, VLAD and Fisher vectors as jobs, from shards to metrics; bad input besides.

What is computed is tested in tests/core and tests/spark.
"""

import json

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from frame_codebooks import make_kmeans

from yt8m_spark.core.fisher import encode_fisher
from yt8m_spark.core.vlad import encode_vlad
from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.frame_codebook_files import load_codebooks, save_codebooks

FIT = ("--n-centres=3", "--sample=200")


def test_codebooks_are_fitted_and_encode_the_frames_of_shards(job, frame_shards, tmp_path):
    fit = ("--input", frame_shards, "--output", "codebook", "--method", "kmeans,gmm", *FIT)
    made = job("fit_frame_codebook", *fit)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {"codebook": "codebook"}
    assert made.result["metrics"]["kmeans.rgb.n_frames"] == 200
    assert (tmp_path / "codebook/centres.png").stat().st_size > 5000
    described = json.loads((tmp_path / "codebook/frame_codebook.json").read_text())
    assert described["fit"]["options"]["n_centres"] == 3

    encode = ("--input", frame_shards, "--output", "videos", "--codebook", "codebook")
    made = job("aggregate_videos", *encode, "--statistics", "vlad,fisher")
    assert made.status == 0, made.stderr
    videos = pq.read_table(tmp_path / "videos")
    row = videos.filter(pc.equal(videos["video_id"], "v000")).to_pylist()[0]
    rgb = decode_frames(next(read_records(str(tmp_path / "frame0.tfrecord"))).data).features["rgb"]
    books, offsets = load_codebooks(str(tmp_path / "codebook")), np.array([0, len(rgb)])
    expected = encode_vlad(rgb, offsets, books["kmeans"]["rgb"])[0]
    np.testing.assert_allclose(row["vlad_rgb"], expected, rtol=1e-5, atol=1e-6)
    expected = encode_fisher(rgb, offsets, books["gmm"]["rgb"])[0]
    np.testing.assert_allclose(row["fisher_rgb"], expected, rtol=1e-5, atol=1e-6)


def test_the_pipeline_fits_codebooks_and_reduces_what_they_give(job, frame_shards, tmp_path):
    made = job(
        "run_pipeline",
        *("--train", frame_shards, "--test", frame_shards, "--output", "results"),
        # Of one centre VLAD is the mean less the centre, scaled: what tells these entities apart.
        *("--recipes=logistic_vlad,moe_fisher", "--n-centres=1", "--sample=200"),
        *("--epochs=4", "--encoding-components=5"),
    )
    assert made.status == 0, made.stderr
    for recipe in ("logistic_vlad", "moe_fisher"):
        assert made.result["metrics"][f"{recipe}.hit_at_1"] > 0.9
    assert load_codebooks(str(tmp_path / "results/codebook")).keys() == {"kmeans", "gmm"}
    for name, width in (("vlad", 8), ("fisher", 16)):
        path = tmp_path / f"results/whitening/{name}/whitening.json"
        described = json.loads(path.read_text())
        assert (described["width"], described["n_components"]) == (width, 5)


def refused(finished, *words):
    assert finished.status == 2, finished.stderr
    for word in words:
        assert word in finished.error


def test_what_cannot_be_fitted_or_encoded_is_told_in_a_line(
    job, frame_shards, video_shards, tmp_path
):
    fit = ("--input", frame_shards, "--output", "out")
    refused(job("fit_frame_codebook", *fit, "--method=median"), "method must be of kmeans, gmm")
    refused(job("fit_frame_codebook", *fit, "--sample=9"), "sample must be at least n_centres")
    refused(
        job("fit_frame_codebook", *fit, "--n-centres=1000"),
        "fewer distinct frames than centres",
        "expected at least 1000, found 360",
    )
    of_videos = ("--input", video_shards, "--output", "out")
    refused(job("fit_frame_codebook", *of_videos), "expected frame, found video")

    refused(job("aggregate_videos", *fit, "--statistics=vlad"), "vlad needs a codebook")
    save_codebooks(str(tmp_path / "narrow"), {"kmeans": {"rgb": make_kmeans(4, 7)}}, {})
    narrow = ("--codebook", "narrow")
    refused(job("aggregate_videos", *fit, *narrow), "a codebook goes with vlad or fisher")
    refused(
        job("aggregate_videos", *fit, *narrow, "--statistics=vlad"),
        "'rgb' has not the width of its codebook",
        "expected 7, found 8",
    )
    refused(
        job("aggregate_videos", *fit, *narrow, "--statistics=fisher"),
        "fisher needs a codebook of method gmm",
        "found kmeans",
    )
    (tmp_path / "narrow/frame_codebook.npz").write_bytes(b"PK")
    refused(
        job("aggregate_videos", *fit, *narrow, "--statistics=vlad"), "not an .npz file of arrays"
    )
    assert not (tmp_path / "out").exists()
    pipeline = ("--train", video_shards, "--test", video_shards, "--output", "out")
    refused(job("run_pipeline", *pipeline, "--recipes=moe_vlad"), "expected frame, found video")
