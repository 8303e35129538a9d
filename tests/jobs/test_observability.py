"""Events and counters of whole jobs. Their format is tested in tests/test_events.py."""

import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from yt8m_spark.formats.tfrecord import write_records

EVENT = re.compile(r"\S+Z ([A-Z]+) job=(\S+) run=(\S+) (?:stage=(\S+) )?event=(\S+) ?(.*)")
GOOD = 11  # records of the shard that are whole


@pytest.fixture
def shard(tmp_path, records):
    """A shard of frames with one record that is none."""
    good = [records["frame"](i) for i in range(GOOD)]
    write_records(str(tmp_path / "a.tfrecord"), [*good[:6], b"no record", *good[6:]])
    return tmp_path / "a.tfrecord"


@pytest.fixture
def logged(job, monkeypatch):
    monkeypatch.setenv("YT8M_SPARK_LOG", "logfmt")
    return job


def events_of(stderr):
    """Those that do not depend on how fast the machine is."""
    found = [match.groups() for line in stderr.splitlines() if (match := EVENT.fullmatch(line))]
    return [fields for fields in found if fields[4] != "progress"]


def test_events_of_a_job_are_of_its_run_and_its_counters_go_to_mlflow(logged, shard, tracking_uri):
    made = logged(
        "aggregate_videos", "--input", shard.name, "--output", "videos", "--mode", "dropmalformed"
    )
    assert made.status == 0, made.stderr
    found, run_id = events_of(made.stderr), made.result["mlflow_run_id"]
    assert {(level, name, run) for level, name, run, *_ in found} == {
        ("INFO", "aggregate_videos", run_id)
    }
    assert [event for *_, event, _ in found] == [
        "job_started",
        "stage_started",
        "bad_records",
        "stage_finished",
        "output_written",
        "job_finished",
    ]
    assert {stage for _, _, _, stage, _, _ in found[1:4]} == {"aggregate_videos"}
    assert f"path=videos files=1 bytes={size('videos')} rows={GOOD}" == found[4][-1]
    metrics = MlflowClient(tracking_uri).get_run(run_id).data.metrics
    counters = {key: value for key, value in metrics.items() if key.startswith("counters/")}
    assert counters.pop("counters/seconds") >= counters.pop("counters/seconds/aggregate_videos")
    assert counters == {
        "counters/files_read": 1,
        "counters/bytes_read": shard.stat().st_size,
        "counters/rows_read": GOOD,
        "counters/files_written": 1,
        "counters/bytes_written": size("videos"),
        "counters/rows_written": GOOD,
        "counters/bad_records": 1,
        "counters/task_retries": 0,
    }
    assert not any(key.startswith("counters/") for key in made.result["metrics"])


def test_a_job_that_fails_midway_tells_it_and_ends_with_its_one_line(logged, shard):
    failed = logged("aggregate_videos", "--input", shard.name, "--output", "videos")
    assert failed.status == 2
    *_, stage_end, end = events_of(failed.stderr)
    assert stage_end[4] == "stage_failed"
    assert (end[0], end[4]) == ("ERROR", "job_failed")
    assert shard.name in end[5]
    assert failed.stderr.splitlines()[-1].startswith("aggregate_videos: error: ")


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).glob("*.parquet"))
