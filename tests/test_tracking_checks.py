"""Disks that are full, and folders of runs that are damaged; a SQLite store takes what is whole.

What is kept and sent when all is well is tested in test_pending.py.
"""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from yt8m_spark import pending, tracking_server
from yt8m_spark.errors import InputError
from yt8m_spark.pending import PendingRun, main, send_folder
from yt8m_spark.tracking import tracked_run

TAG = {"kind": "tags", "values": {"a": "b"}}
OTHER = {"kind": "tags", "values": {"c": "d"}}
END = {"kind": "end", "status": "FINISHED", "time": 1}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture
def client(uri):
    return MlflowClient(tracking_uri=uri)


@pytest.fixture
def run_id(client):
    return client.create_run("0").info.run_id


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """Nothing is kept in the project."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def away(monkeypatch):
    """Call it to have the requests that the tests make fail, or to let them through again."""
    state = {"away": False}

    def switched(method):
        def call(*arguments, **named):
            if state["away"]:
                raise MlflowException("connection refused")
            return method(*arguments, **named)

        return call

    for name in ("log_batch", "set_terminated", "create_run", "search_experiments"):
        monkeypatch.setattr(MlflowClient, name, switched(getattr(MlflowClient, name)))
    monkeypatch.setattr(tracking_server, "_AGAIN", 0.0)
    monkeypatch.setattr(tracking_server, "_REST", 0.0)
    yield lambda is_away=True: state.update(away=is_away)
    tracking_server._servers.clear()


@pytest.fixture
def disk(monkeypatch):
    """Call it with the bytes that still fit in entries.jsonl; None for a disk with room."""
    state = {"room": None}
    real = pending._append

    def append(path, line):
        if state["room"] is None:
            return real(path, line)
        with path.open("ab") as file:
            file.write(line[: state["room"]])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pending, "_append", append)
    return lambda room=None: state.update(room=room)


def lines(folder):
    return (folder / "entries.jsonl").read_text().splitlines()


def test_an_entry_that_the_disk_takes_half_of_leaves_no_trace(tmp_path, disk):
    waiting = PendingRun(tmp_path / "run", "sqlite:///x.db", "r")
    (tmp_path / "big.txt").write_text("big")
    waiting.keep(TAG)
    disk(10)
    artifact = {"kind": "artifact", "files": {"file": str(tmp_path / "big.txt")}}
    with pytest.raises(OSError, match="No space left"):
        waiting.keep(artifact | {"folder": None, "is_table": False})
    assert lines(tmp_path / "run") == [json.dumps(TAG)]
    assert list((tmp_path / "run" / "files").iterdir()) == []
    disk()
    waiting.keep(OTHER)
    assert lines(tmp_path / "run") == [json.dumps(TAG), json.dumps(OTHER)]
    assert waiting.n_waiting == PendingRun.at(tmp_path / "run").n_waiting == 2


def test_a_folder_in_which_nothing_could_be_kept_does_not_stay(tmp_path, disk):
    disk(10)
    with pytest.raises(OSError, match="No space left"):
        PendingRun(tmp_path / "kept" / "run", "sqlite:///x.db", "r").keep(TAG)
    assert not (tmp_path / "kept").exists()


def test_an_entry_is_not_written_behind_half_a_line(tmp_path):
    waiting = PendingRun(tmp_path / "run", "sqlite:///x.db", "r")
    waiting.keep(TAG)
    with (tmp_path / "run" / "entries.jsonl").open("a") as file:
        file.write('{"kind": "metr')
    assert waiting.is_cut_short
    waiting.keep(OTHER)
    assert lines(tmp_path / "run") == [json.dumps(TAG), json.dumps(OTHER)]


def test_half_a_line_is_passed_over_and_told(uri, client, run_id, tmp_path, capsys):
    PendingRun(tmp_path / "run", uri, run_id).keep(TAG)
    with (tmp_path / "run" / "entries.jsonl").open("a") as file:
        file.write('{"kind": "metr')
    assert main([str(tmp_path / "run")]) == 0
    told = capsys.readouterr().err
    assert "1 entries sent" in told
    assert "the last line, which was cut short, is lost" in told
    assert client.get_run(run_id).data.tags["a"] == "b"


def test_a_disk_that_is_full_for_a_while_costs_only_what_came_then(
    uri, client, away, disk, tmp_path, capsys
):
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        run.log_metrics({"before": 1.0})
        disk(10)
        run.log_metrics({"while": 2.0})
        disk()
        run.log_metrics({"after": 3.0})
    folder = tmp_path / "pending" / run.run_id
    told = capsys.readouterr().err.splitlines()
    assert "metrics is lost ([Errno 28] No space left on device)" in told[1]
    assert "did not take 3 entries" in told[-1]
    assert told[-1].endswith("; 1 entries are lost (metrics)")
    away(False)
    with tracked_run("next", {}, uri=uri, pending=str(tmp_path / "pending")):
        pass  # a folder that waits is no matter of the next run
    assert send_folder(str(folder)) == [run.run_id]
    assert client.get_run(run.run_id).data.metrics == {"before": 1.0, "after": 3.0}
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_what_was_lost_is_told_when_the_server_answers_again(uri, client, away, tmp_path, capsys):
    (tmp_path / "pending").write_text("a file, so that no folder can be made there")
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        run.log_metrics({"loss": 1.0})
        run.log_tags({"a": "b"})
        away(False)
        run.log_metrics({"later": 2.0})
        again = capsys.readouterr().err.splitlines()[-1]
        assert again.endswith("answers again: nothing was kept; 2 entries are lost (metrics, tags)")
    assert capsys.readouterr().err == ""
    assert client.get_run(run.run_id).data.metrics == {"later": 2.0}
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_what_was_lost_is_told_at_the_end_when_the_server_stays_away(uri, away, tmp_path, capsys):
    (tmp_path / "pending").write_text("")
    with tracked_run("train", {}, uri=uri, pending=str(tmp_path / "pending")) as run:
        away()
        run.log_metrics({"loss": 1.0})
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("does not answer (connection refused); 2 entries are lost (metrics, end)")


def test_a_child_of_which_nothing_could_be_kept_is_made_later(uri, client, away, tmp_path):
    (tmp_path / "pending").write_text("")
    with tracked_run("parent", {}, uri=uri, pending=str(tmp_path / "pending")) as parent:
        away()
        with tracked_run("child", {}, uri=uri, parent_run_id=parent.run_id) as child:
            away(False)
            child.log_metrics({"loss": 1.0})
    made = client.get_run(child.run_id)
    assert made.data.metrics == {"loss": 1.0}
    assert made.data.tags["mlflow.parentRunId"] == parent.run_id
    assert made.info.status == "FINISHED"


def write_run(folder, uri, run_id, entries=(TAG, END), changed=None):
    """A folder as `PendingRun.keep` writes it, with other parts of run.json if given."""
    waiting = PendingRun(folder, uri, run_id)
    for entry in entries:
        waiting.keep(entry)
    described = json.loads((folder / "run.json").read_text()) | (changed or {})
    (folder / "run.json").write_text(json.dumps(described))


NEW = {"name": "x", "experiment": "e", "tags": {}, "start_time": 1, "mark": "m"}


@pytest.mark.parametrize("store", ["ftp://x", "http://[bad", "oracle://x/y", "mysql://x"])
def test_a_store_that_cannot_be_opened_is_one_line(tmp_path, capsys, store):
    write_run(tmp_path / "run", store, "r")
    assert main([str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pending: error: cannot open MLflow store in {store}")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"n_sent": "x"},
        {"n_sent": -1},
        {"n_sent": True},
        {"n_sent": 3},  # of 2
        {"run_id": None, "new": None},
        {"run_id": None, "new": {"zz": 1}},
        {"run_id": None, "new": NEW | {"start_time": 2**63}},
        {"run_id": None, "new": NEW | {"tags": {"a": 1}}},
        {"run_id": 7},
        {"tracking_uri": 5},
        {"tracking_uri": ""},
        {"tracking_uri": "sqlite:///a\0b"},
        {"more": 1},
    ],
)
def test_a_damaged_description_is_one_line(uri, run_id, tmp_path, capsys, changed):
    write_run(tmp_path / "run", uri, run_id, changed=changed)
    assert main([str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("pending: error: ")
    assert told.count("\n") == 1
    assert str(tmp_path / "run") in told


METRIC = ["loss", 0.5, 1, 0]
ARTIFACT = {"kind": "artifact", "files": {"file": "files/0/x"}, "folder": None, "is_table": False}


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
        b"[1]",
        b"{}",
        b"null",
        b'{"kind": "metr{"kind": "end", "status": "FINISHED", "time": 1}',
        b'{"kind": "nonsense"}',
        b'{"kind": ["metrics"]}',
        b'{"kind": "metrics"}',
        *(
            json.dumps({"kind": "metrics", "values": values}).encode()
            for values in (
                [1],
                {"loss": 1},
                [METRIC[:3]],
                [["loss", "much", 1, 0]],
                [["loss", None, 1, 0]],
                [["", 0.5, 1, 0]],
                [["loss", 0.5, 1e20, 0]],
                [["loss", 10**30, 1, 0]],
                [["loss", 0.5, 2**63, 0]],
            )
        ),
        b'{"kind": "tags", "values": {"a": 1}}',
        b'{"kind": "tags", "values": {"a": "\\ud800"}}',
        b'{"kind": "params", "values": ["a"]}',
        b'{"kind": "inputs", "values": [{"name": "x"}]}',
        b'{"kind": "end", "status": "OVER", "time": 1}',
        b'{"kind": "end", "status": "FINISHED", "time": null}',
        json.dumps(ARTIFACT).encode(),  # a file that is not there
        json.dumps(ARTIFACT | {"files": {}}).encode(),
        json.dumps(ARTIFACT | {"files": {"file": "a\0b"}}).encode(),
        b'{"kind": "model", "name": "m", "register": null, "alias": null, "files": {"x": "y"}}',
    ],
)
def test_a_damaged_line_is_told_and_nothing_of_its_run_is_sent(
    uri, client, run_id, tmp_path, capsys, line
):
    write_run(tmp_path / "run", uri, run_id, entries=[TAG])
    with (tmp_path / "run" / "entries.jsonl").open("ab") as file:
        file.write(line + b"\n")
    assert main([str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("pending: error: ")
    assert told.count("\n") == 1
    assert "entries.jsonl, line 2" in told or "no such file in " in told
    assert len(told) < 500
    assert "a" not in client.get_run(run_id).data.tags


@pytest.mark.parametrize("text", [None, b"", b'{"kind": "ta'])
def test_a_folder_without_entries_makes_no_empty_run(uri, client, tmp_path, text):
    write_run(tmp_path / "run", uri, None, changed={"new": NEW | {"experiment": f"none {text}"}})
    (tmp_path / "run" / "entries.jsonl").unlink()
    if text is not None:
        (tmp_path / "run" / "entries.jsonl").write_bytes(text)
    with pytest.raises(InputError, match=r"(no such file|no entry waits) in .*entries\.jsonl"):
        send_folder(str(tmp_path / "run"))
    assert client.get_experiment_by_name(f"none {text}") is None


def test_runs_beside_damaged_ones_are_sent(uri, client, tmp_path, capsys):
    ids = [client.create_run("0").info.run_id for _ in range(2)]
    write_run(tmp_path / "p" / "b", uri, ids[0])
    write_run(tmp_path / "p" / "d", uri, ids[1])
    write_run(tmp_path / "p" / "a", uri, ids[0], changed={"n_sent": "x"})
    write_run(tmp_path / "p" / "c", uri, "nobody's")
    write_run(tmp_path / "p" / "e", uri, ids[0])
    (tmp_path / "p" / "e" / "run.json").unlink()
    (tmp_path / "p" / "f").mkdir()  # no run
    assert main([str(tmp_path / "p")]) == 2
    *told, last = capsys.readouterr().err.splitlines()
    fails = [line.startswith("pending: error: ") for line in told]
    assert fails == [True, False, True, False, True]
    for line, name in zip(told, "abcde", strict=True):
        assert str(tmp_path / "p" / name) in line
    assert last == f"pending: error: 3 of 5 runs were not sent in {tmp_path / 'p'}"
    for sent in ids:
        assert client.get_run(sent).data.tags["a"] == "b"
        assert client.get_run(sent).info.status == "FINISHED"


def test_the_command_says_what_it_did_in_its_exit_status(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "yt8m_spark.pending", *arguments],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )

    missing = run(str(tmp_path / "none"))
    assert missing.returncode == 2
    assert missing.stderr.startswith("pending: error: no run waits here in ")
    PendingRun(tmp_path / "run", "http://127.0.0.1:9", "r").keep(TAG)
    refused = run(str(tmp_path / "run"))
    assert refused.returncode == 2
    assert "1 entries" in refused.stderr
    assert refused.stderr.count("\n") == 1
