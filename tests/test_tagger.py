"""A model that scores without Spark and MLflow. Its scores: tests/core/test_scoring.py."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.calibration import save_calibration
from yt8m_spark.core.calibration import Calibration
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.errors import InputError
from yt8m_spark.tagger import EntityTagger, load_tagger
from yt8m_spark.whitening_files import save_whitening

ENTITIES = [3, 8, 21, 22, 50]
D = 4


@pytest.fixture
def folder(tmp_path):
    """A mixture of two experts."""
    return write_model(tmp_path / "model", *random_model(4, len(ENTITIES), D), ENTITIES, loss="moe")


def make_features(n=7, width=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def ranked(scores, k):
    """Entities and scores of the ``k`` best, by a plain stable sort."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.array(ENTITIES)[order], np.take_along_axis(scores, order, axis=1)


def test_matrices_and_tables_are_scored_by_the_formulas(folder):
    features = make_features()
    weights, bias = random_model(4, len(ENTITIES), D)
    entities, scores = ranked(probabilities(features, weights, bias, "moe"), 3)
    table = pd.DataFrame({"features": list(features)}, index=[*"abcdefg"])
    for given in (features, features.astype(np.float64), table):
        found = load_tagger(folder).predict(given, {"top_k": 3})
        assert_array_equal(np.stack(found["entities"]), entities)
        assert_allclose(np.stack(found["scores"]), scores, rtol=1e-4)
    assert list(found.index) == [*"abcdefg"]
    assert {len(e) for e in load_tagger(folder).predict(features)["entities"]} == {5}  # of 20


def test_calibrated_scores_are_probabilities_and_rank_as_such(folder, tmp_path):
    # Platt's map with another slope and intercept for each entity: ranks change between them.
    slopes, intercepts = np.linspace(0.5, 2.0, 5), np.linspace(2.0, -2.0, 5)
    maps = np.arange(5)
    fitted = Calibration("platt", np.array(ENTITIES), maps, np.arange(6), slopes, intercepts)
    save_calibration(str(tmp_path / "calibration"), fitted, folder, 10)
    features = make_features(600)  # more than are calibrated at once
    weights, bias = random_model(4, len(ENTITIES), D)
    raw = probabilities(features, weights, bias, "moe")
    expected = 1 / (1 + np.exp(-(slopes * np.log(raw / (1 - raw)) + intercepts)))
    entities, scores = ranked(expected, 2)
    tagger = load_tagger(folder, calibration=str(tmp_path / "calibration"))
    found = tagger.predict(features, {"top_k": 2})
    assert np.mean(np.stack(found["entities"]) == entities) > 0.99  # float32 against float64
    assert_allclose(np.stack(found["scores"]), scores, rtol=1e-3, atol=1e-6)


def test_an_example_is_a_row_that_it_takes(folder, tmp_path):
    assert np.linalg.norm(load_tagger(folder).example()) == pytest.approx(1)
    raw = make_features(50, 6, seed=1)
    save_whitening(str(tmp_path / "w"), fit_whitening(moments_of(raw), D), ["mean_rgb"])
    tagger = load_tagger(folder, whitening=str(tmp_path / "w"))
    assert tagger.width == 6
    assert_allclose(tagger.example(), raw.mean(axis=0), rtol=1e-4, atol=1e-6)
    for one in (load_tagger(folder), tagger):
        assert len(one.predict(np.array([one.example()]))) == 1


def test_a_calibration_of_another_model_is_refused(folder, tmp_path):
    other = write_model(tmp_path / "other", *random_model(1, 5, D, seed=9), ENTITIES)
    one = np.arange(5), np.arange(6), np.ones(5), np.zeros(5)
    save_calibration(str(tmp_path / "c"), Calibration("platt", np.array(ENTITIES), *one), other, 1)
    with pytest.raises(InputError, match="calibration is of another model"):
        load_tagger(folder, calibration=str(tmp_path / "c"))


def test_neither_spark_nor_mlflow_is_loaded(folder):
    code = f"""
import sys
from yt8m_spark.tagger import load_tagger
load_tagger({folder!r}).predict([[1.0] * {D}])
sys.exit(bool({{"pyspark", "mlflow"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given", "params", "message"),
    [
        (np.zeros((2, 5)), {}, "feature width is not the model's, expected 4, found 5"),
        (np.zeros(4), {}, "features are no matrix"),
        (np.full((1, 4), np.nan), {}, "value is not finite"),
        (np.zeros((1, 4)), {"top_k": 0}, "top_k is too small, expected at least 1, found 0"),
        (pd.DataFrame({"x": [1]}), {}, "no column 'features' in input, found x"),
        (pd.DataFrame({"features": [[1.0] * 4, [1.0]]}), {}, "no rows of one length"),
        (pd.DataFrame({"features": [[1.0] * 4, None]}), {}, "no rows of one length"),
    ],
)
def test_input_that_cannot_be_scored_is_refused(folder, given, params, message):
    with pytest.raises(InputError, match=message):
        EntityTagger(folder).predict(given, params)
