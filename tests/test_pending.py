"""What waits in a folder and how it is sent, to a SQLite store that is made to fail.

A real server that goes and comes back is tested in test_mlflow_server.py, disks that are full and
folders that are damaged in test_tracking_checks.py.
"""

import json
import time

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.exceptions import MlflowException

from yt8m_spark import pending, tracking_server
from yt8m_spark.errors import InputError
from yt8m_spark.pending import PendingRun, send_folder
from yt8m_spark.tracking import tracked_run

N_ENTRIES = 6  # of log_all


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all tests here: making its tables takes a second or two."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


@pytest.fixture(autouse=True)
def _no_bars(monkeypatch, tmp_path):
    """MLflow's, of what the tests themselves fetch; and nothing is kept in the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture
def away(monkeypatch):
    """Call it to have every request fail, or to let them through again; counts requests."""
    state = {"away": False, "asked": 0}
    names = ("log_batch", "log_artifact", "log_inputs", "set_tag", "set_terminated", "create_run")
    for name in (*names, "search_experiments", "get_run", "create_logged_model"):
        monkeypatch.setattr(MlflowClient, name, failing(getattr(MlflowClient, name), state))
    monkeypatch.setattr(tracking_server, "_AGAIN", 0.0)
    monkeypatch.setattr(tracking_server, "_REST", 0.0)

    def switch(is_away=True):
        state["away"] = is_away
        return state

    yield switch
    tracking_server._servers.clear()


def failing(method, state):
    def call(*arguments, **named):
        state["asked"] += 1
        if state["away"]:
            raise MlflowException("connection refused")
        return method(*arguments, **named)

    return call


def log_all(run, folder):
    """One entry of each kind that a job logs, with a table in a subfolder."""
    (folder / "note.txt").write_text("short")
    run.log_metrics({"loss": 0.5, "map": float("nan")})
    run.log_curve("loss_by_pass", [0.75, 0.5, 0.25])
    run.log_tags({"kind": "test"})
    run.log_table(pd.DataFrame({"entity": [3], "name": ["Café"]}), "evaluation/per_entity.json")
    run.log_file(str(folder / "note.txt"), "notes")
    run.log_inputs([{"name": "t", "digest": "d", "source_type": "local", "source": "{}"} | USED])


USED = {"schema": None, "profile": None, "context": "training"}


def check_all(client, run_id):
    """All of `log_all`, each once."""
    run = client.get_run(run_id)
    assert run.data.metrics["loss"] == 0.5
    history = client.get_metric_history(run_id, "loss_by_pass")
    assert [(point.step, point.value) for point in history] == [(1, 0.75), (2, 0.5), (3, 0.25)]
    assert run.data.tags["kind"] == "test"
    text = load_text(f"{run.info.artifact_uri}/evaluation/per_entity.json")
    assert json.loads(text) == {"columns": ["entity", "name"], "data": [[3, "Café"]]}
    tables = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert tables == [{"path": "evaluation/per_entity.json", "type": "table"}]
    assert load_text(f"{run.info.artifact_uri}/notes/note.txt") == "short"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.digest, data.tags[0].value) == ("d", "training")
    return run


def test_a_job_goes_on_and_what_it_logged_waits_in_order(uri, client, away, tmp_path, capsys):
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        log_all(run, tmp_path)
    told = capsys.readouterr().err.splitlines()
    folder = tmp_path / "pending" / run.run_id
    kinds = [json.loads(line)["kind"] for line in (folder / "entries.jsonl").open()]
    assert kinds == ["metrics", "metrics", "tags", "artifact", "artifact", "inputs", "end"]
    assert len(told) == 2  # when it goes away, and at the end
    assert "connection refused" in told[0]
    assert f"python -m yt8m_spark.pending {folder}" in told[1]
    assert f"{N_ENTRIES + 1} entries" in told[1]
    away(False)
    assert client.get_run(run.run_id).info.status == "RUNNING"
    assert client.get_run(run.run_id).data.metrics == {}


def test_what_waits_is_sent_later_and_a_second_time_changes_nothing(
    uri, client, away, tmp_path, capsys
):
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        log_all(run, tmp_path)
    ended = time.time()
    (tmp_path / "note.txt").unlink()  # copies were kept
    away(False)
    for _ in range(2):
        assert send_folder(str(tmp_path / "pending")) == [run.run_id]
        sent = check_all(client, run.run_id)
        assert sent.info.status == "FINISHED"
        assert sent.info.end_time <= ended * 1000  # when it ended, not when that was sent
    told = capsys.readouterr().err.splitlines()
    assert f"{N_ENTRIES + 1} entries sent" in told[-2]
    assert "0 entries sent" in told[-1]


def test_a_server_that_comes_back_gets_all_and_nothing_is_left(uri, client, away, tmp_path, capsys):
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        log_all(run, tmp_path)
        away(False)
        run.log_metrics({"last": 1.0})
        assert check_all(client, run.run_id).data.metrics["last"] == 1.0
        assert not (tmp_path / "pending").exists()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "answers again" in told[1]


def test_sending_that_breaks_off_goes_on_where_it_stopped(uri, client, away, tmp_path):
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        log_all(run, tmp_path)
    folder = tmp_path / "pending" / run.run_id
    state = away(False)
    sent = []

    def break_off(client, run_id, entry, where):
        if len(sent) == 3:
            state["away"] = True
        sent.append(entry["kind"])
        return real(client, run_id, entry, where)

    real, pending.send_entry = pending.send_entry, break_off
    try:
        with pytest.raises(InputError, match=r"4 entries of .* still wait.*connection refused"):
            send_folder(str(folder))
        away(False)
        send_folder(str(folder))
    finally:
        pending.send_entry = real
    assert sent == [
        "metrics",
        "metrics",
        "tags",
        "artifact",
        "artifact",
        "artifact",
        "inputs",
        "end",
    ]
    check_all(client, run.run_id)


def test_a_child_that_could_not_be_made_is_made_once_and_nested(uri, client, away, tmp_path):
    with tracked_run("parent", {}, uri=uri, pending=str(tmp_path / "pending")) as parent:
        away()
        with tracked_run("child", {"k": "v"}, uri=uri, parent_run_id=parent.run_id) as child:
            log_all(child, tmp_path)
    assert len(list((tmp_path / "pending").iterdir())) == 2
    away(False)
    first, second = (send_folder(str(tmp_path / "pending")) for _ in range(2))
    assert first == second
    (child_id,) = set(first) - {parent.run_id}
    made = check_all(client, child_id)
    assert made.data.tags["mlflow.parentRunId"] == parent.run_id
    assert made.data.params == {"k": "v"}
    assert (made.info.run_name, made.info.status) == ("child", "FINISHED")


def test_a_run_whose_making_was_answered_too_late_is_found_again(uri, client, away, tmp_path):
    with tracked_run("parent", {}, uri=uri, pending=str(tmp_path / "pending")) as parent:
        away()
        with tracked_run("child", {}, uri=uri, parent_run_id=parent.run_id) as child:
            child.log_metrics({"loss": 1.0})
    described = json.loads((tmp_path / "pending" / child.run_id / "run.json").read_text())
    away(False)
    experiment = client.get_experiment_by_name("yt8m_spark").experiment_id
    made = client.create_run(experiment, tags=described["new"]["tags"])
    assert made.info.run_id in send_folder(str(tmp_path / "pending"))
    assert client.get_run(made.info.run_id).data.metrics == {"loss": 1.0}


def test_a_model_waits_like_the_rest(uri, client, away, tmp_path, monkeypatch):
    from model_files import random_model, write_model

    from yt8m_spark.pyfunc import log_entity_model

    model = write_model(tmp_path / "model", *random_model(1, 2, 3), [3, 8])
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        assert log_entity_model(run, model, register="late", alias="champion") is None
    away(False)
    for _ in range(2):
        send_folder(str(tmp_path / "pending"))
    (output,) = client.get_run(run.run_id).outputs.model_outputs
    champion = client.get_model_version_by_alias("late", "champion")
    assert champion.source == client.get_logged_model(output.model_id).artifact_location
    assert len(client.search_model_versions("name = 'late'")) == 1


def test_passwords_are_not_kept_and_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    waiting = PendingRun(tmp_path / "run", "https://ana:hunter2@nowhere.invalid", "r")
    waiting.keep({"kind": "tags", "values": {"a": "b"}})
    assert "hunter2" not in (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(InputError, match=r"password .* was not kept in https://ana:\*\*\*@nowhere"):
        send_folder(str(tmp_path / "run"))


def test_a_file_that_is_not_there_is_an_error_whether_the_server_is(uri, away, tmp_path):
    with tracked_run("x", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        for is_away in (False, True):
            away(is_away)
            with pytest.raises(FileNotFoundError):
                run.log_file(str(tmp_path / "none"))
