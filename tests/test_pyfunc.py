"""Models logged to MLflow and loaded again, as a pyfunc and as a UDF of Spark.

Their scores: tests/test_tagger.py. A server that serves one: tests/test_mlflow_server.py.
"""

import os
import pickletools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.artifacts import download_artifacts
from model_files import random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.scoring import top_k_videos
from yt8m_spark.core.whitening import apply_whitening, fit_whitening, l2_normalize
from yt8m_spark.errors import InputError
from yt8m_spark.pyfunc import check_registration, log_entity_model
from yt8m_spark.scorer import load_scorer
from yt8m_spark.tracking import tracked_run

ENTITIES = [3, 8, 21, 22, 50]
D = 4


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A SQLite store."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture(autouse=True)
def _store(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture
def folder(tmp_path):
    """A mixture of two experts."""
    weights, bias = random_model(4, len(ENTITIES), D)
    return write_model(tmp_path / "model", weights, bias, ENTITIES, loss="moe")


def make_features(n=7, width=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def log(uri, folder, whitening=None, register=None, alias=None):
    with tracked_run("train", {}, uri=uri) as run:
        logged = log_entity_model(run, folder, whitening=whitening, register=register, alias=alias)
    return logged, run.run_id


def load(logged):
    from mlflow.pyfunc import load_model  # after yt8m_spark.pyfunc: its first import warns

    return load_model(logged)


@pytest.fixture(scope="module")
def whitening(tmp_path_factory):
    """Folder of a whitening of six raw features to four, and the whitening."""
    from yt8m_spark.whitening_files import load_whitening, save_whitening

    fitted = fit_whitening(moments_of(make_features(50, 6, seed=1)), D)
    folder = str(tmp_path_factory.mktemp("whitening"))
    save_whitening(folder, fitted, ["mean_rgb"])
    return folder, load_whitening(folder)[0]


def test_a_model_comes_back_from_mlflow_and_scores_as_its_folder(uri, folder):
    logged, run_id = log(uri, folder)
    features = make_features()
    entities, scores = top_k_videos(load_scorer(folder), features, 3)
    for kind in (np.float32, np.float64, list):
        rows = [kind(row) if kind is list else row.astype(kind) for row in features]
        table = pd.DataFrame({"features": rows}, index=[*"abcdefg"])
        found = load(logged).predict(table, params={"top_k": 3})
        assert list(found.columns) == ["entities", "scores"]
        assert_array_equal(np.stack(found["entities"]), entities)
        assert_allclose(np.stack(found["scores"]), scores, rtol=1e-6)
        assert list(found.index) == [*"abcdefg"]
    run = MlflowClient(uri).get_run(run_id)
    assert [f"models:/{output.model_id}" for output in run.outputs.model_outputs] == [logged]


def test_what_the_signature_does_not_say_is_refused(uri, folder):
    model = load(log(uri, folder)[0])
    for given in (make_features(), pd.DataFrame({"x": [1.0]}), pd.DataFrame({"features": ["a"]})):
        with pytest.raises(MlflowException, match="Failed to enforce schema"):
            model.predict(given)
    with pytest.raises(InputError, match="width is not the model's, expected 4, found 2"):
        model.predict(pd.DataFrame({"features": [[1.0, 2.0]]}))


def test_the_model_is_code_and_data_and_nothing_pickled(uri, folder, tmp_path):
    logged, _ = log(uri, folder)
    path = Path(download_artifacts(artifact_uri=logged, dst_path=str(tmp_path / "got")))
    names = {file.name for file in path.rglob("*") if file.is_file()}
    expected = {"MLmodel", "requirements.txt", "pyfunc_model.py", "yt8m_spark.zip", "model.json"}
    assert expected | {"input_example.json"} <= names
    for file in path.rglob("*"):
        assert not (file.is_file() and is_pickle(file.read_bytes())), file
    requirements = (path / "requirements.txt").read_text().split()
    packages = [line.partition("==")[0] for line in requirements]
    assert packages == ["mlflow", "numpy", "scipy", "pandas", "pyarrow"]
    copied = load_scorer(str(next(path.rglob("entity_model"))))
    assert_array_equal(copied.weights, load_scorer(folder).weights)


def is_pickle(data):
    try:
        return len(list(pickletools.genops(data))) > 1
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return False


def test_its_example_is_what_it_takes(uri, folder, tmp_path):
    from mlflow.models import Model

    path = download_artifacts(artifact_uri=log(uri, folder)[0], dst_path=str(tmp_path / "got"))
    example = Model.load(path).load_input_example(path)
    assert len(load(path).predict(example)) == 1


# A process in which there is neither pyspark nor yt8m_spark but in the model itself.
BARE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyspark":
            raise ModuleNotFoundError(f"no module named {name}", name=name)
        return None

sys.meta_path.insert(0, Hidden())
sys.path[:] = [p for p in sys.path if p not in ("", PROJECT)]
# An editable installation finds the package by a hook of its own.
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
sys.path_hooks[:] = [h for h in sys.path_hooks if "editable" not in repr(h).lower()]

import importlib.util
assert importlib.util.find_spec("yt8m_spark") is None
import mlflow.pyfunc
import pandas as pd
model = mlflow.pyfunc.load_model(MODEL)
found = model.predict(pd.DataFrame({"features": [[1.0, 0.5, 0.25, 0.125]]}), params={"top_k": 2})
import yt8m_spark.tagger
assert ".zip" in yt8m_spark.tagger.__file__, yt8m_spark.tagger.__file__
assert "pyspark" not in sys.modules
print(found["entities"].tolist(), found["scores"].tolist())
"""


def test_it_is_served_where_there_is_neither_spark_nor_the_package(uri, folder, tmp_path):
    logged, _ = log(uri, folder)
    path = download_artifacts(artifact_uri=logged, dst_path=str(tmp_path / "got"))
    names = {"MODEL": path, "PROJECT": str(Path(__file__).parents[1])}
    code = "\n".join(f"{name} = {value!r}" for name, value in names.items()) + BARE
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    row = np.array([[1.0, 0.5, 0.25, 0.125]], np.float32)
    entities, scores = top_k_videos(load_scorer(folder), row, 2)
    assert finished.stdout.splitlines()[-1] == f"{entities.tolist()} {scores.tolist()}"


def test_with_its_whitening_a_model_takes_raw_features(uri, folder, whitening):
    model = load(log(uri, folder, whitening[0])[0])
    raw = make_features(9, 6)
    features = l2_normalize(apply_whitening(raw, whitening[1]))
    entities, scores = top_k_videos(load_scorer(folder), features, 2)
    found = model.predict(pd.DataFrame({"features": list(raw)}), params={"top_k": 2})
    assert_array_equal(np.stack(found["entities"]), entities)
    assert_allclose(np.stack(found["scores"]), scores, rtol=1e-5)
    with pytest.raises(InputError, match="not the model's, expected 6, found 4"):
        model.predict(pd.DataFrame({"features": list(make_features())}))


@pytest.mark.parametrize(
    "result_type", [None, "struct<entities: array<int>, scores: array<float>>"]
)
def test_it_scores_a_table_as_a_udf_of_spark(spark, uri, folder, result_type):
    import mlflow.pyfunc

    logged, _ = log(uri, folder)
    features = make_features(20)
    rows = [(f"v{i:02d}", [float(x) for x in row]) for i, row in enumerate(features)]
    table = spark.createDataFrame(rows, "video_id string, features array<float>").repartition(3)
    tags = mlflow.pyfunc.spark_udf(
        spark, logged, result_type=result_type, env_manager="local", params={"top_k": 2}
    )
    scored = table.select("video_id", tags("features").alias("best")).select("video_id", "best.*")
    found = scored.orderBy("video_id").toPandas()
    entities, scores = top_k_videos(load_scorer(folder), features, 2)
    assert_array_equal(np.stack(found["entities"]), entities)
    assert_allclose(np.stack(found["scores"]), scores, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_it_is_a_udf_of_spark_connect_too(uri, folder, tmp_path):
    logged, _ = log(uri, folder)
    # A classic and a Connect session cannot live in one process.
    code = f"""
import mlflow.pyfunc
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("local[1]").config("spark.ui.enabled", "false").getOrCreate()
tags = mlflow.pyfunc.spark_udf(spark, {logged!r}, env_manager="local", params={{"top_k": 2}})
table = spark.createDataFrame([([1.0, 0.5, 0.25, 0.125],)], "features array<float>")
print(list(table.select(tags("features").alias("best")).first().best.entities))
spark.stop()
"""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **python, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    row = np.array([[1.0, 0.5, 0.25, 0.125]], np.float32)
    expected, _ = top_k_videos(load_scorer(folder), row, 2)
    assert finished.stdout.splitlines()[-1] == str(expected[0].tolist())


def test_a_registered_model_is_loaded_by_its_alias_which_moves_to_the_newest(uri, folder, tmp_path):
    other = write_model(tmp_path / "other", *random_model(1, 2, D), [7, 9])
    first, _ = log(uri, folder, register="tagger", alias="champion")
    second, run_id = log(uri, other, register="tagger", alias="champion")
    found = load("models:/tagger@champion").predict(pd.DataFrame({"features": [[0.5] * D]}))
    assert sorted(found["entities"][0]) == [7, 9]
    client = MlflowClient(uri)
    version = client.get_model_version_by_alias("tagger", "champion")
    assert (version.version, version.run_id) == (2, run_id)
    assert first != second


@pytest.mark.parametrize(
    ("register", "alias", "message"),
    [
        (None, "champion", "alias names a version"),
        ("a/b", None, "register must be"),
        ("", None, "register must be"),
        ("a", "latest", "alias must have"),
        ("a", "v3", "alias must have"),
        ("a", "two words", "alias must have"),
    ],
)
def test_names_that_no_registry_takes_are_told_before_the_training(register, alias, message):
    with pytest.raises(ValueError, match=message):
        check_registration(register, alias)


def test_names_that_a_registry_takes_are_taken(uri, folder):
    for register, alias in [("catalog.schema.name", "challenger-2"), ("two words", "v3x")]:
        check_registration(register, alias)
        log(uri, folder, register=register, alias=alias)
        assert load(f"models:/{register}@{alias}")


def test_a_model_logs_to_the_store_of_its_run_whatever_the_process_has_set(
    tmp_path, folder, monkeypatch
):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with tracked_run("train", {}, uri=store) as run:
        log_entity_model(run, folder, register="here", alias="champion")
    assert not (tmp_path / "other.db").exists()
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("yt8m_spark")
    found = client.search_logged_models([experiment.experiment_id])
    assert [(model.name, str(model.status)) for model in found] == [("entity_model", "READY")]
    assert client.get_model_version_by_alias("here", "champion").version == 1


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
