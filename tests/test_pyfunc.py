"""Models logged to MLflow and loaded again. Their scores: tests/core/test_scoring.py."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from model_files import random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.scoring import top_k_videos
from yt8m_spark.core.whitening import apply_whitening, fit_whitening, l2_normalize
from yt8m_spark.errors import InputError
from yt8m_spark.pyfunc import EntityTagger, log_entity_model
from yt8m_spark.scorer import load_scorer
from yt8m_spark.tracking import tracked_run

ENTITIES = [3, 8, 21, 22, 50]
D = 4


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A SQLite store."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture
def folder(tmp_path):
    """A mixture of two experts."""
    weights, bias = random_model(4, len(ENTITIES), D)
    return write_model(tmp_path / "model", weights, bias, ENTITIES, loss="moe")


def make_features(n=7, width=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def log_and_load(uri, folder, monkeypatch, whitening=None):
    with tracked_run("train", {}, uri=uri) as run:
        logged = log_entity_model(run, folder, whitening=whitening)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    from mlflow.pyfunc import load_model  # after yt8m_spark.pyfunc: its first import warns

    return load_model(logged), run.run_id, logged


@pytest.fixture(scope="module")
def whitening(tmp_path_factory):
    """Folder of a whitening of six raw features to four, and the whitening."""
    from yt8m_spark.spark.whitening import load_whitening, save_whitening

    fitted = fit_whitening(moments_of(make_features(50, 6, seed=1)), D)
    folder = str(tmp_path_factory.mktemp("whitening"))
    save_whitening(folder, fitted, ["mean_rgb"])
    return folder, load_whitening(folder)[0]


def test_a_model_comes_back_from_mlflow_and_scores_as_its_folder(uri, folder, monkeypatch):
    model, run_id, logged = log_and_load(uri, folder, monkeypatch)
    features = make_features()
    entities, scores = top_k_videos(load_scorer(folder), features, 3)
    table = pd.DataFrame({"features": list(features)}, index=[*"abcdefg"])
    for given in (features, features.astype(np.float64), table):
        found = model.predict(given, params={"top_k": 3})
        assert list(found.columns) == ["entities", "scores"]
        assert_array_equal(np.stack(found["entities"]), entities)
        assert_allclose(np.stack(found["scores"]), scores, rtol=1e-6)
    assert list(found.index) == [*"abcdefg"]
    assert {len(e) for e in model.predict(features)["entities"]} == {len(ENTITIES)}  # of 20
    run = MlflowClient(uri).get_run(run_id)
    assert [f"models:/{output.model_id}" for output in run.outputs.model_outputs] == [logged]


def test_the_artifact_is_the_folder_and_the_name_of_a_module(uri, folder, tmp_path, monkeypatch):
    _, _, logged = log_and_load(uri, folder, monkeypatch)
    path = Path(download_artifacts(logged, dst_path=str(tmp_path)))
    assert not list(path.rglob("*.pkl"))
    assert "loader_module: yt8m_spark.pyfunc" in (path / "MLmodel").read_text()
    copied = load_scorer(str(next(path.rglob("entity_model"))))
    assert_array_equal(copied.weights, load_scorer(folder).weights)


def test_with_its_whitening_a_model_takes_raw_features(uri, folder, monkeypatch, whitening):
    model, _, _ = log_and_load(uri, folder, monkeypatch, whitening[0])
    raw = make_features(9, 6)
    features = l2_normalize(apply_whitening(raw, whitening[1]))
    entities, scores = top_k_videos(load_scorer(folder), features, 2)
    found = model.predict(raw, params={"top_k": 2})
    assert_array_equal(np.stack(found["entities"]), entities)
    assert_allclose(np.stack(found["scores"]), scores, rtol=1e-5)
    with pytest.raises(InputError, match="not the model's, expected 6, found 4"):
        model.predict(make_features())


def test_a_model_logs_to_the_store_of_its_run_whatever_the_process_has_set(
    tmp_path, folder, monkeypatch
):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with tracked_run("train", {}, uri=store) as run:
        log_entity_model(run, folder)
    assert not (tmp_path / "other.db").exists()
    experiment = MlflowClient(store).get_experiment_by_name("yt8m_spark")
    found = MlflowClient(store).search_logged_models([experiment.experiment_id])
    assert [(model.name, str(model.status)) for model in found] == [("entity_model", "READY")]


def test_another_whitening_than_the_models_is_refused(tmp_path, uri, whitening):
    weights, bias = random_model(1, 5, D)
    folder = write_model(tmp_path / "model", weights, bias, ENTITIES, whitening="f" * 64)
    with (
        pytest.raises(InputError, match=r"trained on another whitening .*expected digest ffff"),
        tracked_run("train", {}, uri=uri) as run,
    ):
        log_entity_model(run, folder, whitening=whitening[0])


def test_a_folder_that_is_no_model_is_refused(tmp_path, uri):
    with (
        pytest.raises(InputError, match=r"no such file in .*model\.json"),
        tracked_run("train", {}, uri=uri) as run,
    ):
        log_entity_model(run, str(tmp_path))


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
