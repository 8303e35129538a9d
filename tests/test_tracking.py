"""What a run leaves in an MLflow store of SQLite.

Stores that fail are tested in test_pending.py, a server in test_mlflow_server.py; Databricks is not
tested.
"""

import json
import math
import os
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from yt8m_spark.errors import InputError
from yt8m_spark.tracking import tracked_run


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all tests here: making its tables takes a second or two."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """What a store does not take is kept in the working folder: not in the project."""
    monkeypatch.chdir(tmp_path)


def read_text(run, name):
    return load_text(f"{run.info.artifact_uri}/{name}")


def test_a_run_ends_as_finished_with_its_name_and_options(uri, client):
    with tracked_run("train", {"loss": "moe", "entities": "0-199"}, uri=uri) as tracked:
        assert client.get_run(tracked.run_id).info.status == "RUNNING"
    run = client.get_run(tracked.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time >= run.info.start_time
    assert run.info.run_name == "train"
    assert run.data.params == {"loss": "moe", "entities": "0-199"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_whose_body_raises_ends_as_failed_and_keeps_its_figures(uri, client, error):
    runs = []

    def fail():
        with tracked_run("train", {}, uri=uri) as tracked:
            runs.append(tracked.run_id)
            tracked.log_metrics({"loss": 0.5})
            raise error("mid-way")

    with pytest.raises(error, match="mid-way"):
        fail()
    run = client.get_run(runs[0])
    assert run.info.status == "FAILED"
    assert run.data.metrics == {"loss": 0.5}


def test_a_child_names_its_parent(uri, client):
    with tracked_run("pipeline", {}, uri=uri) as parent:  # noqa: SIM117 - one inside the other
        with tracked_run("moe_mean", {}, uri=uri, parent_run_id=parent.run_id) as child:
            pass
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert "mlflow.parentRunId" not in client.get_run(parent.run_id).data.tags


def test_a_long_option_is_cut_to_what_mlflow_keeps(uri, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")  # else MLflow warns and cuts, too
    options = {"input": "x" * 7000, "empty": ""}
    with tracked_run("train", options, uri=uri) as tracked:
        pass
    run = client.get_run(tracked.run_id)
    assert run.data.params == {"input": "x" * 6000, "empty": ""}
    assert json.loads(read_text(run, "params.json")) == options


def test_passwords_in_options_are_masked(uri, client):
    options = {"tracking_uri": "https://ana:hunter2@host", "input": "s3://b/x?X-Amz-Signature=0f"}
    with tracked_run("train", options, uri=uri) as tracked:
        pass
    assert client.get_run(tracked.run_id).data.params == {
        "tracking_uri": "https://ana:***@host",
        "input": "s3://b/x?X-Amz-Signature=***",
    }


def test_more_than_a_request_may_hold_is_sent_in_several(uri, client):
    options = {f"option_{i:03d}": str(i) for i in range(250)}  # MLflow takes 100
    with tracked_run("train", options, uri=uri) as tracked:
        tracked.log_curve("loss", [0.5] * 2500)  # and 1,000
        tracked.log_tags({f"tag_{i:03d}": "x" for i in range(150)})
    run = client.get_run(tracked.run_id)
    assert run.data.params == options
    assert len(client.get_metric_history(tracked.run_id, "loss")) == 2500
    assert len([name for name in run.data.tags if name.startswith("tag_")]) == 150


def test_data_that_a_run_reads_are_its_inputs(uri, client):
    given = [
        {
            "name": f"table {i}",
            "digest": f"{i}",
            "source_type": "local",
            "source": json.dumps({"uri": f"/data/{i}"}),
            "schema": json.dumps({"mlflow_colspec": []}) if i else None,
            "profile": json.dumps({"num_rows": i}),
            "context": ("training", "evaluation")[i],
        }
        for i in range(2)
    ]
    with tracked_run("train", {}, uri=uri) as tracked:
        tracked.log_inputs(given)
        tracked.log_inputs(given)  # again: nothing is there twice
    found = client.get_run(tracked.run_id).inputs.dataset_inputs
    read = [dict(data.dataset) | {"context": data.tags[0].value} for data in found]
    assert sorted(read, key=lambda data: data["digest"]) == given


def test_figures_have_steps_and_may_be_nan(uri, client):
    with tracked_run("train", {}, uri=uri) as tracked:
        for epoch, loss in enumerate([0.5, 0.25]):
            tracked.log_metrics({"loss": loss}, step=epoch)
        tracked.log_metrics({"map": math.nan, "n_videos": 3})
    history = client.get_metric_history(tracked.run_id, "loss")
    assert [(entry.step, entry.value) for entry in history] == [(0, 0.5), (1, 0.25)]
    figures = client.get_run(tracked.run_id).data.metrics
    assert math.isnan(figures["map"])
    assert figures["n_videos"] == 3


def test_tables_texts_and_files_can_be_read_back(uri, client, tmp_path):
    table = pd.DataFrame({"entity": [3, 5], "name": ["Car", "Café"], "ap": [0.5, None]})
    (tmp_path / "model.json").write_text("{}")
    with tracked_run("evaluate", {}, uri=uri) as tracked:
        tracked.log_table(table, "per_entity.json")
        tracked.log_text("mAP 12.5", "table.txt")
        tracked.log_file(str(tmp_path / "model.json"))
    run = client.get_run(tracked.run_id)
    assert read_text(run, "table.txt") == "mAP 12.5"
    assert read_text(run, "model.json") == "{}"
    read = pd.read_json(StringIO(read_text(run, "per_entity.json")), orient="split")
    pd.testing.assert_frame_equal(read, table)


def test_artifacts_lie_beside_the_store(uri, client):
    with tracked_run("train", {}, uri=uri) as tracked:
        tracked.log_text("x", "note.txt")
    beside = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert [path.read_text() for path in beside.glob(f"{tracked.run_id}/**/note.txt")] == ["x"]


def test_runs_of_one_experiment_are_together(uri, client):
    ids = []
    for experiment in ("first", "first", "second"):
        with tracked_run("train", {}, uri=uri, experiment=experiment) as tracked:
            ids.append(client.get_run(tracked.run_id).info.experiment_id)
    assert ids[0] == ids[1] != ids[2]
    assert client.get_experiment(ids[2]).name == "second"


def test_the_store_is_the_one_given_then_the_one_of_the_environment(uri, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with tracked_run("train", {}) as tracked:
        pass
    assert client.get_run(tracked.run_id).info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/at/all.db")
    with tracked_run("train", {}, uri=uri) as tracked:
        pass
    assert client.get_run(tracked.run_id).info.status == "FINISHED"


def test_without_any_the_store_is_a_file_in_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    with tracked_run("train", {}) as tracked:
        tracked.log_text("x", "note.txt")
    assert sorted(os.listdir(tmp_path)) == [".mlflow.db.lock", "mlartifacts", "mlflow.db"]


def test_a_store_that_cannot_be_opened_is_one_line(uri, client, tmp_path):
    experiment = client.create_experiment("deleted")
    client.delete_experiment(experiment)
    for store, name in [(f"file:{tmp_path}", "any"), ("ftp://x", "any"), (uri, "deleted")]:
        cannot = pytest.raises(InputError, match="cannot open MLflow store in")
        with cannot as caught, tracked_run("train", {}, uri=store, experiment=name):
            pass
        assert "\n" not in str(caught.value)
        assert store in str(caught.value)
