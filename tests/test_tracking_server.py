"""Short waits and the rest between them, against ports of this machine on which nobody answers.

A real server that goes and comes back is tested in test_mlflow_server.py.
"""

import os
import socket
import time

import pytest
from mlflow.exceptions import MlflowException, RestException

from yt8m_spark import tracking_server
from yt8m_spark.tracking_server import Server, UnansweredError, reason, server_at


@pytest.fixture
def silent():
    """URI of a server that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def refusing():
    """URI of a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(tracking_server.time, "monotonic", lambda: now[0])
    return now


def ask_for_a_run(server):
    return server.ask(lambda client: client.get_run("0" * 32))


def fail(error):
    def call(_client):
        raise error

    return call


def test_a_server_that_is_not_there_is_told_in_seconds_and_in_a_few_words(refusing):
    started = time.monotonic()
    with pytest.raises(UnansweredError, match=r"^Connection refused$"):
        ask_for_a_run(Server(refusing))
    assert time.monotonic() - started < 5


def test_a_server_that_hangs_is_told_as_such(silent, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # the user's own limit wins
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    started = time.monotonic()
    with pytest.raises(UnansweredError, match="Read timed out"):
        ask_for_a_run(Server(silent))
    assert time.monotonic() - started < 5


def test_it_is_asked_again_after_a_while_that_grows_with_what_asking_takes(clock):
    server = Server("http://127.0.0.1:9")

    def hang(_client):
        clock[0] += 7.0
        raise OSError("gone")

    assert server.may_answer
    with pytest.raises(UnansweredError):
        server.ask(fail(OSError("gone")))
    for waited, may_answer in [(9.9, False), (10.0, True)]:
        clock[0] = 1000.0 + waited
        assert server.may_answer is may_answer
    with pytest.raises(UnansweredError):
        server.ask(hang)
    ended = clock[0]
    for waited, may_answer in [(69.9, False), (70.0, True)]:  # ten times the seven seconds
        clock[0] = ended + waited
        assert server.may_answer is may_answer
    assert server.ask(lambda _client: 3) == 3
    assert server.away is None
    assert server.may_answer


def test_limits_and_loggers_are_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    server = Server("http://127.0.0.1:9")
    seen = server.ask(lambda _client: dict(os.environ))
    assert seen["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert int(seen["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2
    assert dict(os.environ) == before
    with pytest.raises(UnansweredError):
        server.ask(fail(OSError("gone")))
    assert dict(os.environ) == before


def test_a_call_that_is_wrong_is_a_fault_of_ours_and_one_that_is_refused_is_not():
    server = Server("http://127.0.0.1:9")
    wrong = MlflowException.invalid_parameter_value("metric name has an @")
    with pytest.raises(MlflowException, match="has an @"):
        server.ask(fail(wrong))
    assert server.away is None
    deleted = MlflowException.invalid_parameter_value("run must be in the 'active' state")
    expired = RestException({"error_code": "UNAUTHENTICATED", "message": "token has expired"})
    for error in (deleted, expired):
        with pytest.raises(UnansweredError):
            server.ask(fail(error))
    with pytest.raises(UnansweredError, match="has an @"):
        server.ask(fail(wrong), forgiving=True)


def test_reasons_have_no_password():
    error = MlflowException("API request to https://ana:hunter2@host/api failed\nwith more")
    assert reason(error) == "API request to https://ana:***@host/api failed"


def test_all_runs_of_a_store_share_what_is_known_of_it():
    uri = "http://127.0.0.1:9"
    assert server_at(uri) is server_at(uri)
