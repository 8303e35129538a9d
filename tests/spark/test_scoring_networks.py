"""Networks on Spark: predictions, evaluations, calibrations. Their scores: test_network_scorer."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import networks_scenario as scenario
import numpy as np
import pytest
from brute_evaluation import brute_force, same
from model_files import random_model, write_model
from network_files import ENTITIES, NETWORKS, frame_codes, one_by_one, write_network
from networks_scenario import LABELS, frames_table
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException
from safetensors.torch import load_file, save_file

from yt8m_spark.calibration import save_calibration
from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.job import user_error
from yt8m_spark.spark.calibration import fit_calibration
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS
from yt8m_spark.spark.scoring import evaluate_model, predict
from yt8m_spark.spark.scoring_input import read_scoring_input


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def ranked(scores, k):
    """Entities of the ``k`` best, by a plain stable sort, and their scores."""
    best = np.argsort(-scores, kind="stable")[:k]
    return [ENTITIES[column] for column in best], scores[best]


def check(found, network):
    """Compare what the scenario gave with the network one video at a time, and brute force."""
    expected = one_by_one(network, frame_codes())
    assert found["predictions"].keys() == expected.keys()
    for video_id, (entities, scores) in found["predictions"].items():
        best, of_best = ranked(expected[video_id], 5)
        assert entities == best
        assert_allclose(scores, of_best, rtol=1e-4, atol=1e-6)
    videos = [
        (v, LABELS.get(v, [20]), dict(zip(ENTITIES, scores.tolist(), strict=True)))
        for v, scores in expected.items()
    ]
    same(found["metrics"], brute_force(videos), rel=1e-4)
    activations = one_by_one(network, frame_codes(), "activations")
    for video_id, row in found["activations"].items():
        assert_allclose(row, activations[video_id], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_and_metrics_are_those_of_each_video_alone(spark, tmp_path, name):
    folder, network = write_network(tmp_path / "model", name)
    check(scenario.run(spark, folder), network)


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_spark_connect_gives_the_same(tmp_path):
    folder, network = write_network(tmp_path / "model", "lstm")
    # A classic and a Connect session cannot live in one process.
    finished = subprocess.run(
        [sys.executable, str(Path(scenario.__file__)), folder],
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    check(ast.literal_eval(finished.stdout.splitlines()[-1]), network)


def test_a_video_without_frames_scores_nothing_and_stays(spark, tmp_path):
    folder, _ = write_network(tmp_path / "model")
    rows = {r.video_id: r for r in predict(frames_table(spark, null=("v1",)), folder, 2).collect()}
    for video_id in ("v0", "v1", "v3"):
        assert rows[video_id].entities == ENTITIES[:2]
        assert rows[video_id].scores == [0, 0]
    assert predict(frames_table(spark), folder).schema == PREDICTIONS


def test_calibrated_scores_are_the_map_of_the_networks(spark, tmp_path):
    folder, network = write_network(tmp_path / "model")
    fitted = fit_calibration(frames_table(spark), folder, min_positives=1)
    assert fitted.n_videos == len(frame_codes())
    save_calibration(str(tmp_path / "calibration"), fitted.calibration, folder, 1)
    maps = fitted.calibration
    expected = one_by_one(network, frame_codes())
    table = predict(frames_table(spark), folder, 3, calibration=str(tmp_path / "calibration"))
    for row in table.collect():
        raw = np.clip(expected[row.video_id].astype(np.float64), 1e-6, 1 - 1e-6)
        if raw.max() > 1e-6:
            own = maps.offsets[maps.maps]  # Platt: one slope and intercept a map
            probabilities = 1 / (1 + np.exp(-(maps.x[own] * np.log(raw / (1 - raw)) + maps.y[own])))
            assert_allclose(row.scores, ranked(probabilities, 3)[1], rtol=1e-3, atol=1e-5)


def test_a_table_that_is_not_of_the_networks_frames_is_refused(spark, tmp_path):
    folder, _ = write_network(tmp_path / "model")
    table = frames_table(spark)
    assert "no column 'audio' in frames table" in failure(
        lambda: predict(table.drop("audio"), folder)
    )
    features = spark.createDataFrame([("v", [], [0.0] * 5)], FEATURES)
    assert "no frames in input" in failure(lambda: predict(features, folder))
    model = write_model(tmp_path / "classifiers", *random_model(1, 2, 5), [0, 1])
    assert "model is of video features" in failure(lambda: predict(table, model))


def test_weights_that_only_a_task_finds_wrong_are_one_line(spark, tmp_path):
    folder, _ = write_network(tmp_path / "model")
    path = tmp_path / "model" / "weights.safetensors"
    weights = load_file(path)
    name = "output.linear.weight"
    weights[name] = weights[name][:, :-1].contiguous()
    save_file(weights, path)
    message = failure(lambda: evaluate_model(frames_table(spark), folder))
    assert message.startswith("weights do not fit model.json")
    assert name in message


@pytest.mark.slow
def test_real_clips_score_as_each_alone(spark, tmp_path, shared_data):
    shard = f"{shared_data}/audioset_frames/eval/eval00.tfrecord"
    lists, entities = {"audio_embedding": 128}, list(range(527))
    folder, network = write_network(tmp_path / "m", "lstm", features=lists, entities=entities)
    found = predict(read_scoring_input(spark, shard, folder), folder, 3).toArrow().to_pylist()
    records = [decode_frames(record.data) for record in read_records(shard)]
    codes = {r.video_id: (r.features["audio_embedding"],) for r in records}
    scores = one_by_one(network, codes)
    assert {row["video_id"] for row in found} == scores.keys()
    for row in found:
        best = np.argsort(-scores[row["video_id"]], kind="stable")[:3]
        assert_allclose(row["scores"], scores[row["video_id"]][best], rtol=1e-4, atol=1e-6)
