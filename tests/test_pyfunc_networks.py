"""Networks logged to MLflow and loaded again. Models of single entities: test_pyfunc.py."""

import base64
import json
import os
import pickletools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowException
from mlflow.artifacts import download_artifacts
from mlflow.models import Model
from model_files import random_model, write_model
from network_files import ENTITIES, frame_codes, one_by_one, write_network
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.pyfunc import log_entity_model, log_network_model
from yt8m_spark.tracking import tracked_run


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A SQLite store."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture(autouse=True)
def _store(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture(scope="module")
def made(tmp_path_factory, uri):
    """URI of a logged LSTM, and the network."""
    folder, network = write_network(tmp_path_factory.mktemp("made") / "model", "lstm")
    with tracked_run("train", {}, uri=uri) as run:
        logged = log_network_model(run, folder, register="deep", alias="champion")
    return logged, network


@pytest.fixture(scope="module")
def table():
    """Videos as a frames table has them."""
    codes = frame_codes()
    columns = zip(*([part.tobytes() for part in parts] for parts in codes.values()), strict=True)
    return pd.DataFrame(dict(zip(("rgb", "audio"), columns, strict=True)), index=list(codes))


def load(logged):
    from mlflow.pyfunc import load_model  # after yt8m_spark.pyfunc: its first import warns

    return load_model(logged)


def check(found, network, k=3):
    """Compare a table of entities and scores with the network one video at a time."""
    expected = one_by_one(network, frame_codes())
    assert sorted(found.index) == sorted(expected)
    for video_id, row in found.iterrows():
        best = np.argsort(-expected[video_id], kind="stable")[:k]
        assert list(row["entities"]) == [ENTITIES[column] for column in best]
        assert_allclose(row["scores"], expected[video_id][best], rtol=1e-4, atol=1e-6)


def test_a_network_comes_back_from_mlflow_and_scores_as_before(made, table):
    logged, network = made
    for uri in (logged, "models:/deep@champion"):
        check(load(uri).predict(table, params={"top_k": 3}), network)


def test_it_scores_a_table_as_a_udf_of_spark(spark, made, table):
    import mlflow.pyfunc

    rows = table.reset_index(names="video_id")
    schema = "video_id string, rgb binary, audio binary"
    frames = spark.createDataFrame(list(rows.itertuples(index=False, name=None)), schema)
    tags = mlflow.pyfunc.spark_udf(spark, made[0], env_manager="local", params={"top_k": 3})
    scored = frames.repartition(3).select("video_id", tags("rgb", "audio").alias("best"))
    check(scored.select("video_id", "best.*").toPandas().set_index("video_id"), made[1])


def test_the_model_is_code_and_data_and_nothing_pickled(made, tmp_path):
    path = Path(download_artifacts(artifact_uri=made[0], dst_path=str(tmp_path)))
    names = {file.name for file in path.rglob("*") if file.is_file()}
    assert {"MLmodel", "pyfunc_model.py", "yt8m_spark.zip", "weights.safetensors"} <= names
    for file in path.rglob("*"):
        assert not (file.is_file() and is_pickle(file.read_bytes())), file
    requirements = (path / "requirements.txt").read_text().split()
    packages = [line.partition("==")[0] for line in requirements]
    assert packages == ["mlflow", "numpy", "scipy", "pandas", "pyarrow", "torch", "safetensors"]
    assert not any("+" in line for line in requirements)  # a build the package index has not
    example = Model.load(str(path)).load_input_example(str(path))
    assert len(load(str(path)).predict(example)) == 1


def is_pickle(data):
    try:
        return len(list(pickletools.genops(data))) > 1
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return False


# A process in which there is neither pyspark nor yt8m_spark but in the model itself.
BARE = """
import sys
sys.modules["pyspark"] = None
sys.path[:] = [p for p in sys.path if p not in ("", PROJECT)]
# An editable installation finds the package by a hook of its own.
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
sys.path_hooks[:] = [h for h in sys.path_hooks if "editable" not in repr(h).lower()]
import importlib.util
assert importlib.util.find_spec("yt8m_spark") is None
import mlflow.pyfunc
import pandas as pd
model = mlflow.pyfunc.load_model(MODEL)
found = model.predict(pd.DataFrame({"rgb": [b"abcdef"], "audio": [b"abcd"]}), params={"top_k": 2})
import yt8m_spark.deep.networks
assert ".zip" in yt8m_spark.deep.networks.__file__
print(found["entities"].tolist())
"""


def test_it_is_served_where_there_is_neither_spark_nor_the_package(made, tmp_path):
    path = download_artifacts(artifact_uri=made[0], dst_path=str(tmp_path / "got"))
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
    codes = [np.frombuffer(b"abcdef", np.uint8).reshape(2, 3), np.frombuffer(b"abcd", np.uint8)]
    video = {"v": (codes[0], codes[1].reshape(2, 2))}
    best = np.argsort(-one_by_one(made[1], video)["v"], kind="stable")[:2]
    assert finished.stdout.splitlines()[-1] == str([[ENTITIES[column] for column in best]])


def test_what_the_signature_does_not_say_is_refused(made):
    model = load(made[0])
    with pytest.raises(MlflowException, match="Failed to enforce schema"):
        model.predict(pd.DataFrame({"rgb": [b"abc"]}))
    for rgb, message in ((b"abcd", "no whole number of frames"), ("abc", "frames are no bytes")):
        with pytest.raises(InputError, match=message):
            model.predict(pd.DataFrame({"rgb": [rgb], "audio": [b"ab"]}))


def test_a_server_takes_frames_as_base64(made, table):
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    model = load(made[0])
    text = table.map(lambda value: base64.b64encode(value).decode()).to_json(orient="split")
    request = {"dataframe_split": json.loads(text)}
    parsed = infer_and_parse_data(request, model.metadata.get_input_schema())
    found = model.predict(parsed.set_axis(table.index), params={"top_k": 3})
    check(found, made[1])


def test_each_kind_of_model_is_logged_by_its_own_function(uri, tmp_path):
    network, _ = write_network(tmp_path / "network")
    classifiers = write_model(tmp_path / "model", *random_model(1, 2, 4), [3, 8])
    with tracked_run("train", {}, uri=uri) as run:
        with pytest.raises(InputError, match="model is a network"):
            log_entity_model(run, network)
        with pytest.raises(InputError, match="model is no network"):
            log_network_model(run, classifiers)
