"""Models of frames on Spark against the mean of Eq. 1. Models of features: test_scoring.py."""

import numpy as np
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS, frames_schema
from yt8m_spark.spark.scoring import evaluate_model, predict

ENTITIES = [3, 8, 21, 22, 50, 70]
# Two feature lists, 3 + 1 codes a frame. v5 has one second of audio less.
FRAME_LENGTHS = {
    "v0": (0, 0),
    "v1": (1, 1),
    "v2": (3, 3),
    "v3": (0, 2),
    "v4": (700, 700),
    "v5": (5, 4),
}
WIDTHS = {"rgb": 3, "audio": 1}


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def frame_codes():
    """Codes of each video: rgb (F, 3) and audio (F, 1)."""
    rng = np.random.default_rng(0)
    return {
        video_id: tuple(
            rng.integers(0, 256, size=(length, width), dtype=np.uint8)
            for length, width in zip(lengths, WIDTHS.values(), strict=True)
        )
        for video_id, lengths in FRAME_LENGTHS.items()
    }


def frames_table(spark, *, widths=WIDTHS, null=()):
    rows = [
        (i, [3], *(None if i in null else codes.tobytes() for codes in both), len(both[0]), "s")
        for i, both in frame_codes().items()
    ]
    return spark.createDataFrame(rows, frames_schema(widths)).repartition(3)


def frame_model(folder, loss="logistic", *, normalize=True):
    frames = {"features": WIDTHS, "normalize": normalize, "n_frames": 20, "seed": 0}
    weights, bias = random_model(4 if loss == "moe" else 1, len(ENTITIES), 4)
    return write_model(folder, weights, bias, ENTITIES, loss=loss, frames=frames), weights, bias


def mean_over_frames(weights, bias, loss, *, normalize):
    """Scores of each video, Eq. 1: the plain mean over its frames; 0 without frames."""
    scores = {}
    for video_id, codes in frame_codes().items():
        n_frames = min(map(len, codes))
        if n_frames == 0:
            scores[video_id] = np.zeros(len(ENTITIES))
            continue
        x = np.concatenate([part[:n_frames] for part in codes], axis=1).astype(np.float64)
        x = x * 4 / 255 + (4 / 512 - 2)
        x = x / np.linalg.norm(x, axis=1, keepdims=True) if normalize else x
        scores[video_id] = probabilities(x, weights, bias, loss).mean(axis=0)
    return scores


@pytest.mark.parametrize(("loss", "normalize"), [("logistic", True), ("moe", False)])
def test_a_model_of_frames_scores_the_mean_over_all_frames(spark, tmp_path, loss, normalize):
    folder, weights, bias = frame_model(tmp_path, loss, normalize=normalize)
    expected = mean_over_frames(weights, bias, loss, normalize=normalize)
    predictions = predict(frames_table(spark), folder, 6)
    assert predictions.schema == PREDICTIONS
    rows = predictions.collect()
    assert sorted(row.video_id for row in rows) == sorted(FRAME_LENGTHS)
    for row in rows:
        best = np.argsort(-expected[row.video_id], kind="stable")
        assert row.entities == [ENTITIES[column] for column in best]
        assert_allclose(row.scores, expected[row.video_id][best], rtol=2e-5)
        assert row.labels == [3]


def test_a_video_without_frames_scores_nothing_and_stays(spark, tmp_path):
    folder, _, _ = frame_model(tmp_path)
    table = frames_table(spark, null=("v1",))
    rows = {row.video_id: row for row in predict(table, folder, 2).collect()}
    for video_id in ("v0", "v1", "v3"):
        assert rows[video_id].entities == ENTITIES[:2]
        assert rows[video_id].scores == [0, 0]


def test_an_evaluation_of_a_model_of_frames_is_that_of_the_means(spark, tmp_path):
    folder, weights, bias = frame_model(tmp_path)
    scores = mean_over_frames(weights, bias, "logistic", normalize=True)
    hits = [ENTITIES[int(np.argmax(row))] == 3 for row in scores.values()]
    assert any(hits)
    found = evaluate_model(frames_table(spark), folder)
    assert found.n_videos == len(FRAME_LENGTHS)
    assert_allclose(found.metrics["hit_at_1"], np.mean(hits))


def test_frames_for_a_model_of_features_and_the_reverse_are_refused(spark, tmp_path):
    model = write_model(tmp_path / "other", *random_model(1, len(ENTITIES), 4), ENTITIES)
    message = failure(lambda: predict(frames_table(spark), model))
    assert "model is of video features" in message
    folder, _, _ = frame_model(tmp_path)
    message = failure(
        lambda: predict(spark.createDataFrame([("v", [], [0.0] * 4)], FEATURES), folder)
    )
    assert message.startswith("no frames in input, expected frame-level records")


def test_a_feature_list_that_is_missing_or_of_another_width_is_refused(spark, tmp_path):
    folder, _, _ = frame_model(tmp_path)
    table = frames_table(spark)
    message = failure(lambda: predict(table.drop("audio"), folder))
    assert "no column 'audio' in frames table" in message
    table = frames_table(spark, widths={"rgb": 1, "audio": 3})
    message = failure(lambda: predict(table, folder))
    assert "feature widths differ in frames table, feature list 'rgb', expected 3" in message


def test_bytes_that_are_no_whole_frames_are_told_of_with_the_video(spark, tmp_path):
    folder, _, _ = frame_model(tmp_path)
    rows = [("odd", [], b"1234", b"1", 1, "s")]
    table = spark.createDataFrame(rows, frames_schema(["rgb", "audio"]))
    message = failure(predict(table, folder).collect)
    assert "holds no whole number of frames in video odd" in message
