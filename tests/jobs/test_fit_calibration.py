"""Calibration by the command line. What it computes: tests/core and tests/spark."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_files import random_model, write_model

ENTITIES, D = [0, 1, 2], 4


@pytest.fixture
def line(tmp_path):
    """A model and a features table, and the flags that name them."""
    write_model(tmp_path / "model", *random_model(1, 3, D), ENTITIES)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, D)).astype(np.float32)
    # The model knows nothing of these labels, so calibration has much to mend.
    labels = [[int(e) for e in np.flatnonzero(f[:3] > 0.5)] for f in features]
    table = pa.table(
        {
            "video_id": [f"v{i}" for i in range(60)],
            "labels": pa.array(labels, pa.list_(pa.int32())),
            "features": pa.array(features.tolist(), pa.list_(pa.float32())),
        }
    )
    (tmp_path / "features").mkdir()
    pq.write_table(table, tmp_path / "features" / "part-0.parquet")
    return ("--model", "model", "--input", "features")


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_is_fitted_and_predicts_probabilities(job, line, tmp_path, method):
    made = job("fit_calibration", *line, "--output", "calibration", "--method", method)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {"calibration": "calibration"}
    metrics = made.result["metrics"]
    assert metrics["n_videos"] == 60
    assert metrics["n_entities"] == 3
    assert metrics["calibrated_loss"] < metrics["loss"]
    described = json.loads((tmp_path / "calibration/calibration.json").read_text())
    assert described["method"] == method
    scores = {}
    for name, more in (("raw", ()), ("calibrated", ("--calibration", "calibration"))):
        done = job("predict", *line, "--output", name, "--top-k", "3", *more)
        assert done.status == 0, done.stderr
        rows = pq.read_table(tmp_path / name).sort_by("video_id").to_pylist()
        scores[name] = np.array([row["scores"] for row in rows])
    labels = pq.read_table(tmp_path / "features").sort_by("video_id")["labels"].to_pylist()
    share = sum(map(len, labels)) / (3 * len(labels))
    assert scores["calibrated"].mean() == pytest.approx(share, abs=0.02)
    assert abs(scores["raw"].mean() - share) > 0.05


def test_a_calibration_of_another_model_is_one_line(job, line, tmp_path):
    assert job("fit_calibration", *line, "--output", "calibration").status == 0
    write_model(tmp_path / "other", *random_model(1, 3, D, seed=1), ENTITIES)
    other = ("--model", "other", "--input", "features", "--calibration", "calibration")
    refused = job("predict", *other, "--output", "p")
    assert refused.status == 2
    assert "calibration is of another model in calibration, expected digest" in refused.error
    assert not (tmp_path / "p").exists()


def test_options_out_of_range_are_one_line(job, line):
    refused = job("fit_calibration", *line, "--output", "c", "--min-positives", "0")
    assert refused.status == 2
    assert "min_positives must be at least 1, got 0" in refused.error
    refused = job("fit_calibration", *line, "--output", "c", "--method", "beta")
    assert refused.status == 2
    assert "beta" in refused.error
