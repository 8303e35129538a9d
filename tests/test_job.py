"""Exit status, JSON line and one-line errors of a job. What the jobs do is tested in tests/jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.config import option
from yt8m_spark.errors import InputError
from yt8m_spark.job import JobResult, run_job, user_error

JAVA = ("\tat ", "java", "Traceback", "SQLSTATE", "py4j")


@dataclass(frozen=True)
class Config:
    """Options of a job."""

    output: str = option("where to", "out")


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a job of one function; returns its exit status, stdout and stderr, as people see it."""
    monkeypatch.setenv("YT8M_SPARK_LOG", "text")

    def run(main, *argv):
        with pytest.raises(SystemExit) as ended:
            run_job("some_job", Config, main, list(argv))
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def failing(error):
    def main(config):
        raise error

    return main


def raise_input_error(batches):
    for _ in batches:
        raise InputError("record is cut short", where="a.tfrecord, record 17", found=3)
    yield from ()


def raise_key_error(batches):
    for _ in batches:
        {}["no_such_feature"]
    yield from ()


def test_a_job_that_ends_well_prints_its_result_last_and_exits_with_0(run):
    def main(config):
        print("more of the job's own")
        return JobResult({"table": config.output}, {"n_videos": 3, "map": 0.5}, "abc")

    status, out, err = run(main, "--output", "there")
    assert status == 0
    assert json.loads(out.splitlines()[-1]) == {
        "job": "some_job",
        "outputs": {"table": "there"},
        "metrics": {"n_videos": 3, "map": 0.5},
        "mlflow_run_id": "abc",
    }
    assert err == ""


def test_figures_that_json_does_not_know_are_null(run):
    metrics = {"nan": float("nan"), "inf": float("inf"), "minus": -np.inf, "zero": 0.0}
    _, out, _ = run(lambda config: JobResult({}, metrics))

    def refuse(constant):
        raise AssertionError(constant)

    parsed = json.loads(out, parse_constant=refuse)
    assert parsed["metrics"] == {"nan": None, "inf": None, "minus": None, "zero": 0.0}
    assert parsed["mlflow_run_id"] is None


def test_figures_may_be_numpy_s(run):
    metrics = {"a": np.float32(0.5), "b": np.float64(0.25), "c": np.int64(3)}
    status, out, _ = run(lambda config: JobResult({}, metrics))
    assert status == 0
    assert json.loads(out)["metrics"] == {"a": 0.5, "b": 0.25, "c": 3}


def test_an_input_at_fault_is_one_line_and_exit_status_2(run):
    status, out, err = run(failing(InputError("no such file", where="a\nb")))
    assert (status, out, err) == (2, "", "some_job: error: no such file in a b\n")


def test_an_input_at_fault_is_found_behind_the_error_it_caused(run):
    error = RuntimeError("stage failed")
    error.__cause__ = InputError("no such file")
    assert run(failing(error)) == (2, "", "some_job: error: no such file\n")


def test_an_option_at_fault_is_one_line_and_exit_status_2(run):
    status, out, err = run(failing(AssertionError("must not run")), "--outptu", "x")
    assert (status, out) == (2, "")
    assert err.startswith("some_job: error: ")
    assert "--outptu" in err
    assert err.count("\n") == 1


def test_help_exits_with_0(run):
    status, out, _ = run(failing(AssertionError("must not run")), "--help")
    assert status == 0
    assert "--output" in out


def test_a_fault_of_ours_shows_its_stack_and_exit_status_1(run):
    status, out, err = run(failing(KeyError("rgb")))
    assert (status, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):")
    assert "in main" in err
    assert err.endswith("some_job: failed: 'rgb'\n")


@pytest.mark.parametrize(
    ("error", "last"), [(ValueError(), "ValueError()"), (ValueError("\n\n a\nb"), "a")]
)
def test_a_fault_is_named_by_its_first_line_or_its_type(run, error, last):
    status, _, err = run(failing(error))
    assert status == 1
    assert err.splitlines()[-1] == f"some_job: failed: {last}"


@pytest.mark.parametrize(
    "reason",
    ["No space left on device", "/data/a (Read-only file system)", "Mkdirs failed to create x"],
)
@pytest.mark.parametrize(
    "kind", ["java.io.IOException", "org.apache.hadoop.fs.FSError: java.io.IOException"]
)
def test_a_disk_at_fault_is_one_line_in_spark_s_own_words_too(run, kind, reason):
    error = RuntimeError(
        f"Job aborted\n\tat org.apache.X(X.java:1)\nCaused by: {kind}: {reason}\n\tat Y"
    )
    line = f"some_job: error: cannot write or read: {reason}\n"
    assert run(failing(error)) == (2, "", line)


def test_a_write_that_numpy_cut_short_is_a_full_disk(run):
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OSError, match="written") as told,
    ):
        np.ones(1 << 16).tofile(full)
    status, _, err = run(failing(RuntimeError(f"task failed\nOSError: {told.value}")))
    assert status == 2
    assert "No space left on device" in err
    assert err.count("\n") == 1


def test_spark_s_number_of_a_call_is_not_what_went_wrong(run):
    error = RuntimeError("An error occurred while calling o85.parquet.\n: java.lang.Bad: why\n")
    assert run(failing(error))[2].endswith("some_job: failed: java.lang.Bad: why\n")


@pytest.mark.parametrize(
    "text", ["Answer from Java side is empty", "Job 3 cancelled because SparkContext was shut down"]
)
def test_a_spark_that_was_told_to_end_is_one_line(run, text):
    error = RuntimeError(f"An error occurred while calling o8.collect.\n: X: {text}\n\tat a.b(c)")
    status, _, err = run(failing(error))
    assert status == 128 + 15  # SIGTERM
    assert err.startswith("some_job: failed: Spark has ended")
    assert err.count("\n") == 1


def test_a_plain_value_error_is_a_fault_of_ours(run):
    assert run(failing(ValueError("shapes (2,) and (3,) do not match")))[0] == 1


def test_an_interrupted_job_exits_as_the_shell_expects(run):
    assert run(failing(KeyboardInterrupt()))[0] == 128 + 2  # SIGINT


ACTIONS = {
    "to arrow": lambda df, path: df.toArrow(),
    "write": lambda df, path: df.write.parquet(path),
    "iterate": lambda df, path: list(df.toLocalIterator()),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_input_at_fault_in_a_task_is_one_line(spark, run, tmp_path, action):
    bad = spark.range(2).mapInArrow(raise_input_error, "id long")
    done = run(lambda config: ACTIONS[action](bad, str(tmp_path / "t")))
    line = "record is cut short in a.tfrecord, record 17, found 3"
    assert done == (2, "", f"some_job: error: {line}\n")


@pytest.mark.parametrize("action", ["write", "iterate"])
def test_a_fault_of_ours_in_a_task_shows_the_task_s_stack_without_java(
    spark, run, tmp_path, action
):
    bad = spark.range(2).mapInArrow(raise_key_error, "id long")
    status, _, err = run(lambda config: ACTIONS[action](bad, str(tmp_path / "t")))
    assert status == 1
    assert err.count("Traceback") == 1
    assert "in raise_key_error" in err
    assert "KeyError: 'no_such_feature'" in err
    assert "\tat " not in err
    assert "java:" not in err


@pytest.mark.parametrize(
    ("query", "part"),
    [
        (
            lambda spark, path: spark.read.parquet(f"{path}/nowhere").count(),
            "Path does not exist: file:/",
        ),
        (lambda spark, path: spark.range(1).select("rgb").count(), "name `rgb` cannot be resolved"),
        (
            lambda spark, path: spark.range(1).filter("id >< 3").count(),
            "Syntax error at or near '<'",
        ),
        (lambda spark, path: spark.range(1).write.parquet(path), "already exists"),
    ],
)
def test_what_spark_cannot_analyse_is_one_line(spark, run, tmp_path, query, part):
    status, out, err = run(lambda config: query(spark, str(tmp_path)))
    assert (status, out) == (2, "")
    assert err.startswith("some_job: error: [")
    assert part in err
    assert err.count("\n") == 1
    assert not [word for word in JAVA if word in err]


def test_a_damaged_table_is_one_line_with_its_path(spark, run, tmp_path):
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), path, compression="none")
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36  # the header of the page; the footer, read first, is whole
    path.write_bytes(content)
    status, _, err = run(lambda config: spark.read.parquet(str(path)).collect())
    assert status == 2
    assert err.count("\n") == 1
    assert str(path) in err
    assert not [word for word in JAVA if word in err]


def test_other_errors_are_no_user_error():
    assert user_error(RuntimeError("InputError: of somebody else")) is None


def test_a_real_job_tells_contradicting_options_in_one_line(run_job, tmp_path):
    done = run_job("evaluate", "--output", "out", "--model", "model")
    assert (done.returncode, done.stdout, os.listdir(tmp_path)) == (2, "", [])
    assert done.stderr.startswith("evaluate: error: --model and --input go together")
    assert done.stderr.count("\n") == 1


def test_a_spark_job_cancelled_by_ctrl_c_is_an_interrupt(run):
    cancelled = RuntimeError("An error occurred: [SPARK_JOB_CANCELLED] Job 3 cancelled")
    assert run(failing(cancelled)) == (130, "", "some_job: interrupted\n")


def test_sigterm_unwinds_the_job(tmp_path):
    code = f"""
import dataclasses, pathlib, time
from yt8m_spark.job import run_job
@dataclasses.dataclass
class Config:
    pass
def main(config):
    try:
        pathlib.Path({str(tmp_path / "started")!r}).touch()
        time.sleep(60)
    finally:
        pathlib.Path({str(tmp_path / "closed")!r}).touch()
run_job("train", Config, main, [])
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert (tmp_path / "closed").exists()


def test_sigterm_does_not_wait_for_what_spark_is_at(tmp_path):
    code = f"""
import dataclasses, pathlib, time
from yt8m_spark.job import run_job
from yt8m_spark.session import spark_session
@dataclasses.dataclass
class Config:
    pass
def sleep(batches):
    pathlib.Path({str(tmp_path / "started")!r}).touch()
    time.sleep(100)
    yield from batches
def main(config):
    with spark_session("train") as spark:
        try:
            spark.range(4).mapInArrow(sleep, "id long").toArrow()
        finally:
            pathlib.Path({str(tmp_path / "closed")!r}).touch()
run_job("train", Config, main, [])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    told = process.communicate(timeout=60)[1]  # the task sleeps longer
    assert process.returncode == 128 + signal.SIGTERM
    assert (tmp_path / "closed").exists()
    assert told.splitlines()[-1] == "train: terminated (SIGTERM)"
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/full/part"),
        PermissionError(13, "Permission denied", "/closed"),
        RuntimeError(
            "in a task: OSError: [Errno 28] No space left on device: '/full/part'\n\tat x"
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_told_in_one_line(error):
    line = user_error(error)
    assert line.startswith("cannot write or read: [Errno ")
    assert "\n" not in line


def test_other_faults_of_the_system_are_ours():
    assert user_error(OSError(5, "Input/output error")) is None
