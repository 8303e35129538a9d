"""Runs found in a real MLflow store of SQLite, logged by MLflow's own client."""

import math
import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from comparison_files import FIGURES, entities, save_evaluation
from mlflow import MlflowClient
from mlflow.entities import RunStatus

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.store import RunStore, read_runs
from yt8m_spark.errors import InputError

TABLE = pd.DataFrame(
    {
        "entity": [3, 5],
        "name": ["Car", "Café"],
        "n_positives": [4, 2],
        "average_precision": [0.1234567890123, None],
    }
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all tests here: making its tables takes a second or two."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/store.db"


@pytest.fixture(scope="module")
def client(uri):
    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def experiment(client, request, tmp_path):
    """Name of an experiment of this test, its artifacts in the test's folder."""
    client.create_experiment(request.node.name, (tmp_path / "artifacts").as_uri())
    return request.node.name


@pytest.fixture
def log(client, experiment):
    """Log a run; returns its id."""

    def log(name, metrics=None, *, params=(), tags=None, folder=None, table=None, status=None):
        experiment_id = client.get_experiment_by_name(experiment).experiment_id
        run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
        for key, value in (FIGURES if metrics is None else metrics).items():
            client.log_metric(run_id, key, value)
        for key, value in dict(params).items():
            client.log_param(run_id, key, value)
        if folder is not None:
            client.log_artifacts(run_id, str(folder), "evaluation")
        if table is not None:
            client.log_table(run_id, table, "per_entity.json")
        client.set_terminated(run_id, status or RunStatus.to_string(RunStatus.FINISHED))
        return run_id

    return log


def test_a_run_with_the_files_of_its_evaluation(uri, log, tmp_path):
    precise = 0.12345678901234567
    replicates = {"map": [precise] * 40}
    folder = save_evaluation(tmp_path / "e", entities({3: precise}), replicates=replicates)
    run_id = log(
        "moe",
        {"map": 0.1, "seconds": 5.0},
        params={"loss": "moe", "output": "x"},
        folder=folder,
        table=TABLE,
    )
    (run,) = read_runs([run_id], uri)
    assert (run.name, run.source, run.settings) == ("moe", run_id, {"loss": "moe"})
    assert run.metrics == {**FIGURES, "n_videos": 100, "seconds": 5.0}  # the file's wins
    assert run.per_entity["average_precision"].to_pylist() == [precise]
    assert run.interval("map") == (0.125, 0.875)
    (named,) = read_runs([f"best={run_id}"], uri)
    assert named.name == "best"


def test_an_older_run_has_figures_and_a_table(uri, log):
    run_id = log("old", table=TABLE)
    (run,) = read_runs([run_id], uri)
    assert run.metrics == FIGURES
    assert run.per_entity.to_pydict() == {
        "entity": [3, 5],
        "n_positives": [4, 2],
        "average_precision": [pytest.approx(0.1234567890123, abs=1e-10), None],
        "name": ["Car", "Café"],
    }
    assert run.bootstrap is None


def test_what_a_training_logged_is_not_taken_for_the_evaluations(uri, log):
    trained = {**FIGURES, "n_videos": 5000.0, "loss": 0.1, "n_blocks": 3.0}
    pair = [log("train", trained), log("evaluate", {**FIGURES, "n_videos": 100.0})]
    first, second = read_runs(pair, uri)
    assert "n_videos" not in first.metrics
    assert "loss" not in first.metrics
    assert second.metrics["n_videos"] == 100
    assert compare(pair, tracking_uri=uri).warnings == ()


def test_runs_of_other_tools_need_only_metrics(uri, log):
    pair = [log("a", {"val/auc": 0.5}), log("b", {"val/auc": 0.75})]
    found = compare(pair, metrics=["val/auc"], tracking_uri=uri)
    assert found.differences["b"]["val/auc"].value == 0.25
    with pytest.raises(InputError, match=r"run 'a' has no metric 'map' in \w{32}, found val/auc"):
        compare(pair, tracking_uri=uri)


def test_runs_of_one_name_are_told_apart_by_their_ids(uri, log):
    pair = [log("evaluate"), log("evaluate")]
    assert [run.name for run in read_runs(pair, uri)] == [f"evaluate ({i[:8]})" for i in pair]


def test_the_children_of_a_run_in_their_order(uri, log):
    parent = log("pipeline", {})
    ids = [log(name, tags={"mlflow.parentRunId": parent}) for name in ("c", "a", "b")]
    log("other", tags={"mlflow.parentRunId": "0" * 32})
    assert RunStore(uri).children(parent) == ids
    with pytest.raises(InputError, match=f"run has no child runs in sqlite.*found {ids[0]}"):
        RunStore(uri).children(ids[0])


def test_the_best_of_an_experiment_are_finished_and_have_the_metric(uri, log, experiment):
    middle, best, worst = (log("r", {"map": value, "loss": value}) for value in (0.4, 0.5, 0.3))
    log("failed", {"map": 0.9}, status="FAILED")
    log("nan", {"map": math.nan})
    log("none", {"perr": 0.9})
    store = RunStore(uri)
    assert store.best(experiment, 2, "map") == [best, middle]
    assert store.best(experiment, 9, "map") == [best, middle, worst]
    assert store.best(experiment, 2, "loss") == [worst, middle]  # the least is best
    for metric, words in (
        ("hit_at_1", "no finished run has the metric"),
        ("map` DESC --", "no name of a metric"),
    ):
        with pytest.raises(InputError, match=words):
            store.best(experiment, 2, metric)
    with pytest.raises(InputError, match=r"no such experiment in sqlite.*found nowhere"):
        store.best("nowhere", 2, "map")


def test_the_best_are_of_those_that_were_asked_the_same(uri, log, experiment):
    of_all = {"n_videos": 9, "n_labelled_videos": 9, "n_entities": 5}
    ids = [log("r", of_all | {"map": value}) for value in (0.4, 0.5)]
    log("of easy entities", of_all | {"n_entities": 2, "map": 0.9})
    assert RunStore(uri).best(experiment, 3, "map") == ids[::-1]


def test_what_is_not_there_is_refused_and_not_made(uri, client, tmp_path):
    for name in ("0" * 32, "no id", "x=../y"):
        with pytest.raises(InputError, match="no such run in sqlite") as caught:
            read_runs([name], uri)
        assert "\n" not in str(caught.value)
    absent = tmp_path / "absent.db"
    with pytest.raises(InputError, match="no such MLflow store"):
        read_runs(["0" * 32], f"sqlite:///{absent}")
    assert not absent.exists()


def test_a_store_that_cannot_be_asked_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"cannot read MLflow store in http://127\.0\.0\.1:9"):
        read_runs(["0" * 32], "http://127.0.0.1:9")
    with pytest.raises(InputError, match="cannot open MLflow store in ftp"):
        read_runs(["0" * 32], "ftp://nowhere")


def test_a_damaged_table_artifact_is_refused(uri, log, client):
    for text in ("{}", "[1]", "no json", '{"columns": ["entity"], "data": [[1, 2]]}'):
        run_id = log("damaged")
        client.log_text(run_id, text, "per_entity.json")
        with pytest.raises(InputError, match=f"per_entity.json of run {run_id}"):
            read_runs([run_id], uri)


def test_the_store_stays_as_it_was(uri, log):
    pair = [log("a"), log("b")]
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as store:
        before = list(store.iterdump())
        compare(pair, tracking_uri=uri)
        assert list(store.iterdump()) == before
