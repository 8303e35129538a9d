"""Runs that a killed process left open, in an MLflow store of SQLite."""

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from yt8m_spark.tracking_killed import end_killed


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}")


def open_run(client, parent=None):
    tags = {"mlflow.parentRunId": parent} if parent else {}
    return client.create_run("0", tags=tags).info.run_id


def status(client, run_id):
    return client.get_run(run_id).info.status


def test_the_run_and_what_is_nested_in_it_are_killed(client):
    run = open_run(client)
    nested = [open_run(client, run) for _ in range(3)]
    client.set_terminated(nested[0], "FINISHED")
    other = open_run(client)
    end_killed(client, run)
    assert status(client, run) == "KILLED"
    assert [status(client, one) for one in nested] == ["FINISHED", "KILLED", "KILLED"]
    assert status(client, other) == "RUNNING"


def test_a_run_that_has_ended_stays_as_it_is(client):
    run = open_run(client)
    client.set_terminated(run, "FAILED")
    end_killed(client, run)
    assert status(client, run) == "FAILED"


def test_a_run_of_another_store_is_not_found(client):
    with pytest.raises(MlflowException, match="not found"):
        end_killed(client, "0" * 32)
