"""Jobs that take a network as they take any model, or refuse it. Scores: tests/spark."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from brute_evaluation import brute_force
from network_files import one_by_one, write_network
from shard_files import write

from yt8m_spark.formats.examples import FrameRecord

ENTITIES = [0, 1, 2, 7]
WIDTHS = {"audio": 2, "rgb": 3}


def make_codes():
    rng = np.random.default_rng(0)
    return {
        f"v{i:02d}": tuple(
            rng.integers(0, 256, (i % 7, width), dtype=np.uint8) for width in WIDTHS.values()
        )
        for i in range(24)
    }


@pytest.fixture
def network(tmp_path):
    """A DBoF network in the folder "model", and two shards of frames, "frames?.tfrecord"."""
    records = [
        FrameRecord(video_id, np.array([i % 3]), dict(zip(WIDTHS, parts, strict=True)), None)
        for i, (video_id, parts) in enumerate(make_codes().items())
    ]
    for shard in range(2):
        write(tmp_path, f"frames{shard}.tfrecord", records[shard::2])
    return write_network(tmp_path / "model", features=WIDTHS, entities=ENTITIES)[1]


def test_predictions_and_their_evaluation_are_those_of_the_model(job, network, tmp_path):
    made = job("predict", "--model=model", "--input=frames?.tfrecord", "--output=p", "--top-k=4")
    assert made.status == 0, made.stderr
    assert made.result["metrics"] == {"n_videos": 24}
    scores = one_by_one(network, make_codes())
    rows = {row["video_id"]: row for row in pq.read_table(tmp_path / "p").to_pylist()}
    assert rows.keys() == scores.keys()
    for video_id, row in rows.items():
        best = np.argsort(-scores[video_id], kind="stable")
        assert row["entities"] == [ENTITIES[column] for column in best]
        np.testing.assert_allclose(row["scores"], scores[video_id][best], rtol=1e-4, atol=1e-6)
    videos = [
        (v, [i % 3], dict(zip(ENTITIES, scores[v].tolist(), strict=True)))
        for i, v in enumerate(scores)
    ]
    expected = brute_force(videos)
    for line in (
        ("--model=model", "--input=frames?.tfrecord", "--output=of_model"),
        ("--predictions=p", "--output=of_predictions"),
    ):
        metrics = job("evaluate", *line).result["metrics"]
        for name in ("map", "hit_at_1", "perr", "gap_at_20"):
            assert metrics[name] == pytest.approx(expected[name], rel=1e-4)
    bands = pq.read_table(tmp_path / "of_model/per_entity.parquet")["band"].to_pylist()
    assert len(bands) == 3


def test_scores_of_a_network_are_calibrated(job, network, tmp_path):
    line = ("--model=model", "--input=frames?.tfrecord")
    fitted = job("fit_calibration", *line, "--output=c", "--min-positives=3")
    assert fitted.status == 0, fitted.stderr
    assert fitted.result["metrics"]["calibrated_loss"] < fitted.result["metrics"]["loss"]
    made = job("evaluate", *line, "--calibration=c", "--output=e")
    assert made.result["metrics"]["loss"] < 1


def test_activations_are_features_that_classifiers_learn_from(job, network, tmp_path):
    line = ("--model=model", "--input=frames?.tfrecord", "--output=features")
    made = job("export_activations", *line)
    assert made.status == 0, made.stderr
    assert made.result["metrics"] == {"n_videos": 24, "n_features": 8}
    trained = job("train_entities", "--input=features", "--output=classifiers", "--epochs=2")
    assert trained.status == 0, trained.stderr
    evaluated = job("evaluate", "--model=classifiers", "--input=features", "--output=e")
    assert evaluated.result["metrics"]["n_videos"] == 24
    refused = job("export_activations", "--model=classifiers", "--input=features", "--output=x")
    assert (refused.status, "model has no activations" in refused.error) == (2, True)


def test_activations_of_another_network_are_refused(job, network, tmp_path):
    write_network(tmp_path / "other", seed=1, features=WIDTHS, entities=ENTITIES, horizon=21)
    for name in ("model", "other"):
        line = (f"--model={name}", "--input=frames?.tfrecord", f"--output=of_{name}")
        assert job("export_activations", *line).status == 0
    trained = job("train_entities", "--input=of_model", "--output=classifiers", "--epochs=1")
    assert trained.status == 0, trained.stderr
    refused = job("predict", "--model=classifiers", "--input=of_other", "--output=p")
    assert refused.status == 2
    assert "features are of another whitening than the model's in of_other" in refused.error


@pytest.mark.parametrize("option", ["--initial-model", "--extends"])
def test_classifiers_are_not_begun_from_a_network(job, network, tmp_path, option):
    line = ("--model=model", "--input=frames?.tfrecord", "--output=features")
    assert job("export_activations", *line).status == 0
    refused = job("train_entities", "--input=features", "--output=x", option, "model")
    assert refused.status == 2
    assert "model is a network, whose entities have no weights of their own" in refused.error


def test_features_of_videos_are_refused_for_a_network(job, network, tmp_path):
    line = ("--model=model", "--input=frames?.tfrecord", "--output=f")
    assert job("export_activations", *line).status == 0
    for name in ("predict", "evaluate", "export_activations"):
        refused = job(name, "--model=model", "--input=f", "--output=out")
        assert refused.status == 2
        assert "no frames in input" in refused.error
