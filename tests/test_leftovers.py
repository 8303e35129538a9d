"""What killed writers leave beside an output. Kills of whole jobs are in tests/cluster."""

import json
import os
import signal
import subprocess
import sys

import pytest

from yt8m_spark.artifacts import staged_output
from yt8m_spark.leftovers import remove_leftovers, remove_temporaries

# Writes to "out", says so, and waits to be killed.
WRITER = """
import time
from pathlib import Path
from yt8m_spark.artifacts import staged_output

with staged_output("out", run_id="run 1") as folder:
    for name in (folder, folder + ".heartbeats"):
        Path(name).mkdir()
        (Path(name) / "part").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def begun_writer(folder):
    """Process that is writing."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    while writer.stdout.readline().strip() != "writing":
        assert writer.poll() is None
    return writer


def kill(writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()


def test_what_a_killed_writer_left_goes_and_its_run_is_told(tmp_path):
    kill(begun_writer(tmp_path))
    assert len(os.listdir(tmp_path)) == 3  # staged, heartbeats, lock
    assert remove_leftovers(tmp_path / "out") == ["run 1"]
    assert os.listdir(tmp_path) == []
    assert remove_leftovers(tmp_path / "out") == []


def test_a_writer_at_work_is_left_alone(tmp_path):
    writer = begun_writer(tmp_path)
    before = sorted(os.listdir(tmp_path))
    try:
        assert remove_leftovers(tmp_path / "out") == []
        with staged_output(str(tmp_path / "out")) as folder:
            os.mkdir(folder)
        assert sorted(os.listdir(tmp_path)) == sorted([*before, "out"])
    finally:
        kill(writer)


def claim(tmp_path, name="out", host=None):
    """Lock of a writer that is dead."""
    lock = tmp_path / f".{name}.0123456789ab.tmp.lock"
    claim = {"host": host or os.uname().nodename, "pid": 1, "run_id": "run 1"}
    lock.write_text(json.dumps(claim))
    return lock


def test_an_output_taken_away_by_a_writer_that_was_killed_is_put_back(tmp_path):
    lock = claim(tmp_path)  # killed after the old output went, before the new one came
    for name, file in ((lock.stem, "new"), (f"{lock.stem}.old", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    remove_leftovers(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "out"]


def test_an_old_output_goes_if_the_new_one_came(tmp_path):
    lock = claim(tmp_path)
    for name, file in (("out", "new"), (f"{lock.stem}.old", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    remove_leftovers(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "out"]


def test_what_is_left_of_another_machine_is_told_and_stays(tmp_path, capsys):
    lock = claim(tmp_path, host="elsewhere")
    assert remove_leftovers(tmp_path / "out") == []
    assert lock.exists()
    assert str(lock.with_suffix("")) in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_lock_that_says_nothing_is_left_alone(tmp_path, text):
    lock = tmp_path / ".out.0123456789ab.tmp.lock"
    lock.write_text(text)
    assert remove_leftovers(tmp_path / "out") == []
    assert lock.exists()


def test_a_lock_whose_writer_was_killed_before_it_said_a_word_goes_later(tmp_path):
    lock = tmp_path / ".out.0123456789ab.tmp.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    assert remove_leftovers(tmp_path / "out") == []
    assert not lock.exists()


def test_names_with_signs_of_patterns_are_found(tmp_path):
    claim(tmp_path, "out[1]*")
    (tmp_path / ".out1x.0123456789ab.tmp").mkdir()  # another output's
    remove_leftovers(tmp_path / "out[1]*")
    assert os.listdir(tmp_path) == [".out1x.0123456789ab.tmp"]


def test_temporary_files_of_killed_tasks_do_not_become_part_of_the_output(tmp_path):
    with staged_output(str(tmp_path / "out")) as folder:
        os.makedirs(f"{folder}/sub")
        for name in (f".part.{'0' * 32}.tmp", "sub/.x.tmp", f"part.{'0' * 32}.tmp"):
            (tmp_path / folder / name).touch()
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*"))
    assert found == [f"part.{'0' * 32}.tmp", "sub", "sub/.x.tmp"]


def test_there_need_be_no_folder_to_clean(tmp_path):
    remove_temporaries(tmp_path / "none")
    assert remove_leftovers(tmp_path / "none" / "out") == []
