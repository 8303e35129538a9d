"""Counters of a job, and marks of tasks that run again. Whole jobs are in tests/jobs."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from yt8m_spark import progress
from yt8m_spark.counters import Marks, Tally, current_tally, sizes_of, tallied
from yt8m_spark.progress import Heartbeat, watch


def described(context, **profile):
    return {"profile": json.dumps(profile) if profile else None, "context": context}


class Attempt:
    """A TaskContext of attempt ``number``."""

    def __init__(self, number):
        self._number = number

    def attemptNumber(self):
        return self._number

    def stageId(self):
        return 4

    def partitionId(self):
        return 2


def test_rows_of_tables_add_up_and_those_of_a_vocabulary_do_not():
    train = described("training", num_files=2, num_bytes=100, num_rows=10)
    test = described("evaluation", num_files=1, num_bytes=30, num_rows=3)
    vocabulary = described("vocabulary", num_files=1, num_bytes=5, num_rows=99)
    sizes = sizes_of([train, test, vocabulary])
    assert sizes == {"files": 2 + 1 + 1, "bytes": 100 + 30 + 5, "rows": 10 + 3}


def test_rows_are_left_out_where_one_table_does_not_tell():
    known = described("training", num_files=1, num_bytes=100, num_rows=10)
    shards = described("training", num_files=1, num_bytes=50)
    assert sizes_of([known, shards]) == {"files": 2, "bytes": 150}
    assert sizes_of([known, described("training")]) == {"files": 1, "bytes": 100}


def test_rows_that_nobody_tells_are_the_most_that_a_stage_gave():
    tally = Tally(read={"files": 1, "bytes": 50})
    tally.end_stage("read", 1.0, 60)
    tally.end_stage("count", 2.0, 40)
    assert tally.metrics()["counters/rows_read"] == 60
    assert Tally(read={"files": 1, "rows": 7}, rows=60).metrics()["counters/rows_read"] == 7


def test_turns_of_a_stage_add_up_and_a_summary_leaves_stages_out():
    tally = Tally()
    for seconds in (1.0, 2.5):
        tally.end_stage("train", seconds)
    assert tally.metrics()["counters/seconds/train"] == 3.5
    assert set(tally.summary()) == {"bad_records", "task_retries", "seconds"}


def test_with_speculation_retries_go_by_another_name():
    tally = Tally(marks=Marks(retries=2), speculative=True)
    assert tally.summary()["task_retries_or_copies"] == 2
    assert "task_retries" not in tally.summary()


def test_the_tally_is_that_of_the_body():
    current_tally().end_stage("nobody reads this", 1.0)
    with tallied() as tally:
        current_tally().end_stage("train", 1.0)
    assert tally.seconds == {"train": 1.0}


@pytest.mark.parametrize(("attempt", "retries"), [(0, 0), (1, 1), (3, 1)])
def test_a_task_that_is_not_the_first_attempt_leaves_a_mark(
    tmp_path, monkeypatch, attempt, retries
):
    monkeypatch.setattr(progress.TaskContext, "get", lambda: Attempt(attempt))
    with tallied() as tally, watch(str(tmp_path / "beats"), 5, "train") as folder:
        for key in ("a", "b"):  # a task may keep several counts
            heartbeat = Heartbeat(folder, key)
            heartbeat.advance(1)
            heartbeat.flush()
        assert progress._sum_of_counts(folder) == 2  # the mark is no count
    assert tally.marks == Marks(retries=retries)


def test_records_left_out_are_counted_and_once_for_a_task_that_runs_again(tmp_path):
    with tallied() as tally, watch(str(tmp_path / "beats"), 5, "read") as folder:
        for n in (1, 3):
            heartbeat = Heartbeat(folder, "0")
            progress.left_out(n)
            heartbeat.flush()
        other = Heartbeat(folder, "1")
        progress.left_out(2)
        other.flush()
    assert tally.marks == Marks(bad_records=3 + 2)


def test_a_retry_of_a_real_task_is_counted(tmp_path):
    """In a process of its own: a session that retries is no session of the other tests."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from functools import partial
        import flaky
        from pyspark.sql import SparkSession
        from yt8m_spark.counters import tallied
        from yt8m_spark.jre import ensure_java
        from yt8m_spark.progress import watch

        ensure_java()
        folder = sys.argv[1]
        spark = SparkSession.builder.master("local[1,4]").getOrCreate()
        with tallied() as tally, watch(folder + "/beats", 3, "try") as beats:
            task = partial(flaky.task, beats=beats, mark=folder + "/failed")
            spark.range(0, 3, 1, 1).mapInArrow(task, "id long").collect()
        print(tally.marks.retries)
    """)
    (tmp_path / "flaky.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        from yt8m_spark.spark.counted import counting

        def task(batches, beats, mark):
            yield from counting(batches, beats, lambda batch: batch.num_rows)
            if not Path(mark).exists():
                Path(mark).touch()
                raise RuntimeError("once")
    """)
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable}
    environment.pop("SPARK_REMOTE", None)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["1"]
