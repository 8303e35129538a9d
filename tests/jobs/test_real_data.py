"""The main job on real YouTube-8M shards. Skipped where they are not."""

import pytest

# What a plain NumPy loop reaches on these shards, less a margin: the project's promise.
PROMISED = {"map": 0.28, "hit_at_1": 0.73, "perr": 0.59, "gap_at_20": 0.63}


@pytest.mark.slow
def test_logistic_regression_on_real_videos_is_as_good_as_promised(job, shared_data):
    shards = shared_data / "yt8m_video"
    finished = job(
        "run_pipeline",
        *("--train", shards / "validate00[0-3]*.tfrecord"),
        *("--test", shards / "validate004[0-7].tfrecord"),
        *("--recipes", "logistic_mean", "--epochs", 5, "--output", "results"),
        *("--vocabulary", shared_data / "yt8m_vocab" / "vocabulary_3862.csv"),
    )
    assert finished.status == 0, finished.stderr
    metrics = finished.result["metrics"]
    for name, promised in PROMISED.items():
        assert metrics[f"logistic_mean.{name}"] >= promised, name
        assert metrics[f"logistic_mean.{name}"] > metrics[f"majority.{name}"], name


@pytest.mark.slow
def test_real_frames_become_videos(job, shared_data, tmp_path):
    source = shared_data / "audioset_frames" / "eval" / "eval0[0-1].tfrecord"
    arguments = ("--input", source, "--output", "videos")
    finished = job("aggregate_videos", *arguments)
    assert finished.status == 0, finished.stderr
    assert finished.result["metrics"]["n_videos"] > 1000
