"""Counts of tasks and the bar over them. That tasks of Spark count is tested in tests/spark."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from yt8m_spark import progress
from yt8m_spark.events import reporting
from yt8m_spark.progress import Heartbeat, part, step, watch


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "heartbeats").mkdir()
    return str(tmp_path / "heartbeats")


@pytest.fixture
def fast(monkeypatch):
    """Look at the counts, and draw the bar, a hundred times a second."""
    monkeypatch.setattr(progress, "_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_interval", lambda: 0.01)


def count(folder, key, n):
    heartbeat = Heartbeat(folder, key)
    heartbeat.advance(n)
    heartbeat.flush()


def last_bar(printed):
    return re.split(r"[\r\n]+", printed.strip())[-1]


def wait_for(condition):
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_a_task_adds_up_its_own_units(folder):
    heartbeat = Heartbeat(folder, "0")
    for n in (1, 2, 4):
        heartbeat.advance(n)
    heartbeat.flush()
    assert (Path(folder) / "0").read_text() == "7"
    assert os.listdir(folder) == ["0"]


def test_a_task_that_runs_again_replaces_its_count(folder):
    count(folder, "0", 5)
    count(folder, "1", 10)
    count(folder, "0", 3)
    assert progress._sum_of_counts(folder) == 3 + 10


def test_counts_are_written_at_most_once_a_second(folder, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    heartbeat = Heartbeat(folder, "0")
    told = []
    for now[0] in (100.0, 100.5, 101.0, 101.5, 102.0, 103.0):
        heartbeat.advance(1)
        told.append(int((Path(folder) / "0").read_text()))
    assert told == [1, 1, 1, 4, 4, 6]


def test_the_sum_passes_over_what_is_no_count(folder):
    count(folder, "0", 5)
    (Path(folder) / "1").write_text("")  # just being made
    (Path(folder) / "2").write_text("half a")
    (Path(folder) / "3").mkdir()
    (Path(folder) / ".0.77").write_text("1000")  # about to replace 0
    assert progress._sum_of_counts(folder) == 5


def test_no_task_has_counted_before_the_first(folder):
    assert progress._sum_of_counts(folder) == 0


def test_the_bar_ends_at_the_total(folder, capsys):
    with watch(folder, 30, "train", " entities") as given:
        assert given == folder
        count(folder, "0", 10)
        count(folder, "1", 20)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.match(r"train: 100%.*30\.0/30\.0 .* entities", last_bar(printed.err))


def test_the_bar_moves_while_the_work_is_under_way(folder, capsys, fast):
    seen = []

    def shown():
        seen.append(capsys.readouterr().err)
        return "50%" in "".join(seen)

    with watch(folder, 30, "train"):
        count(folder, "0", 15)
        wait_for(shown)


def test_the_bar_falls_back_when_a_task_starts_again(folder, capsys, fast):
    with watch(folder, 30, "train"):
        count(folder, "0", 30)
        wait_for(lambda: "100%" in capsys.readouterr().err)
        count(folder, "0", 15)
    assert "50%" in last_bar(capsys.readouterr().err)


def test_without_a_total_the_bar_tells_how_many(folder, capsys):
    with watch(folder, None, "read"):
        count(folder, "0", 12)
    assert re.match(r"read: 12\.0 videos \[", last_bar(capsys.readouterr().err))


def test_counts_of_an_earlier_watch_do_not_count(folder, capsys):
    count(folder, "0", 1000)
    with watch(folder, 10, "train"):
        count(folder, "1", 5)
    assert "50%" in last_bar(capsys.readouterr().err)
    assert not Path(folder).exists()


def test_when_the_work_fails_its_error_comes_out_and_nothing_stays(folder, capsys):
    n_threads = threading.active_count()
    with pytest.raises(RuntimeError, match="mid-way"), watch(folder, 10, "train"):
        raise RuntimeError("mid-way")
    assert threading.active_count() == n_threads
    assert not Path(folder).exists()


def test_a_step_tells_its_name_and_its_seconds_on_stderr(capsys, monkeypatch):
    times = iter([10.0, 12.34])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    with step("fit whitening"):
        assert capsys.readouterr().err == "fit whitening ...\n"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "fit whitening: 2.3 s\n")


def test_a_step_that_fails_does_not_say_that_it_is_done(capsys):
    with pytest.raises(RuntimeError, match="mid-way"), step("fit whitening"):
        raise RuntimeError("mid-way")
    assert capsys.readouterr().err == "fit whitening ...\n"


def test_a_log_file_gets_few_bars_and_a_terminal_many(monkeypatch):
    intervals = {}
    for is_terminal in (True, False):
        monkeypatch.setattr(
            progress.sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal
        )
        intervals[is_terminal] = progress._interval()
    assert intervals[True] <= 1 < intervals[False]


def test_work_that_need_not_be_done_counts_as_done(folder):
    heartbeat = Heartbeat(folder, "fit")
    heartbeat.advance(3)
    heartbeat.catch_up(10)
    heartbeat.catch_up(5)
    heartbeat.flush()
    assert (Path(folder) / "fit").read_text() == "10"


def test_stages_that_are_alike_go_by_the_part_they_belong_to(folder, capsys):
    with part("fold-1"), watch(folder, 10, "train moe, 40 entities"):
        count(folder, "0", 10)
    assert last_bar(capsys.readouterr().err).startswith("fold-1: train moe, 40 entities: 100%")


def test_in_a_log_a_bar_is_an_event_with_rate_and_time_left(folder, capsys, monkeypatch):
    monkeypatch.setenv("YT8M_SPARK_LOG", "json")
    monkeypatch.setattr(progress, "_LOG_SECONDS", 0.0)
    with reporting("train_entities"), progress.bar(30, "train", " videos") as shown:
        for _ in range(3):
            shown.update(5)
    start, *told, end = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (start["event"], end["event"], end["done"]) == ("stage_started", "stage_finished", 15)
    assert [(e["event"], e["done"], e["total"], e["unit"]) for e in told] == [
        ("progress", done, 30, "videos") for done in (5, 10, 15)
    ]
    assert all(e["per_second"] > 0 and e["left_seconds"] >= 0 for e in told)


def test_a_terminal_that_does_not_know_its_width_shows_bars():
    ours, theirs = pty.openpty()  # 0 columns
    code = (
        "from yt8m_spark.progress import bar\n"
        "with bar(10, 'score', ' videos') as shown: shown.update(10)"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, timeout=60)
    os.close(theirs)
    told = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "score: 100%" in told
    assert "10.0/10.0" in told
