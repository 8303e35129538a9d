"""Which Spark session a job works in. Java is tested in test_jre.py; Connect by the jobs."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from yt8m_spark import session
from yt8m_spark.session import ROWS_PER_BATCH, spark_session

PROJECT = Path(__file__).parents[1]
BATCH_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture
def shared(spark):
    """The session of all tests, with its settings put back afterwards."""
    names = (BATCH_ROWS, "spark.app.name", "spark.sql.shuffle.partitions")
    before = {name: spark.conf.get(name) for name in names}
    yield spark
    for name, value in before.items():
        spark.conf.set(name, value)


@pytest.fixture
def started(monkeypatch):
    """Instead of starting Spark, note what would have been started; no session is there yet."""

    class Noted:
        def __init__(self):
            self.options, self.stopped, self.conf = {}, False, self

        def appName(self, name):
            return self.config("name", name)

        def master(self, master):
            return self.config("master", master)

        def config(self, key, value):
            self.options[key] = value
            return self

        def getOrCreate(self):
            return self

        def set(self, key, value):
            self.options[key] = value

        def stop(self):
            self.stopped = True

    noted = Noted()
    monkeypatch.setattr(session, "_session_of_this_process", lambda: None)
    monkeypatch.setattr(session, "ensure_java", lambda: None)
    monkeypatch.setattr(session.SparkSession, "builder", noted)
    for name in ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DATABRICKS_RUNTIME_VERSION", "YT8M_SPARK_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return noted


def test_a_session_that_is_there_is_joined_and_left_running(shared):
    with spark_session("a job") as joined:
        assert joined is SparkSession.getActiveSession()
        assert joined.conf.get(BATCH_ROWS) == str(ROWS_PER_BATCH)
        assert joined.conf.get("spark.sql.shuffle.partitions") == "2"  # as tests/conftest.py set it
    assert shared.range(3).count() == 3


def test_a_session_of_another_thread_is_joined_and_left_running(shared):
    def work():
        with spark_session("a job") as joined:
            counts.append(joined.range(2).count())

    counts = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert counts == [2]
    assert shared.range(3).count() == 3


def test_a_joined_session_is_left_running_when_the_job_fails(shared):
    with pytest.raises(RuntimeError, match="mid-way"), spark_session("a job"):
        raise RuntimeError("mid-way")
    assert shared.range(3).count() == 3


def test_without_a_cluster_the_session_is_this_machine_s_and_is_stopped(started):
    with spark_session("a job"):
        assert not started.stopped
    assert started.options["name"] == "a job"
    assert started.options["master"] == "local[*]"
    assert started.options["spark.ui.enabled"] == "false"
    assert started.options[BATCH_ROWS] == str(ROWS_PER_BATCH)
    assert started.stopped


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("PYSPARK_GATEWAY_PORT", "1", {"spark.log.level": "FATAL"}),
        ("SPARK_REMOTE", "sc://host:15002", {}),  # another's, with a log of its own
    ],
)
def test_a_cluster_s_own_settings_are_left_alone(started, monkeypatch, name, value, ours):
    monkeypatch.setenv(name, value)
    with spark_session("a job"):
        pass
    assert started.options == {"name": "a job", BATCH_ROWS: str(ROWS_PER_BATCH), **ours}
    assert started.stopped


def test_a_connect_server_of_this_process_is_set_up_as_its_own_session_would_be(
    started, monkeypatch
):
    monkeypatch.setenv("SPARK_REMOTE", "local[2]")
    with spark_session("a job"):
        pass
    assert started.options["spark.ui.showConsoleProgress"] == "false"
    assert "log4j2" in started.options["spark.driver.extraJavaOptions"]
    assert "spark.log.level" not in started.options
    assert "master" not in started.options


@pytest.mark.classic("starts a server of its own")
def test_a_connect_server_of_this_process_is_quiet(tmp_path):
    script = (
        "from yt8m_spark.session import spark_session\n"
        "with spark_session('a job') as spark: print(spark.range(1000).count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "SPARK_REMOTE": "local[2]", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1000\n"
    told = [line for line in done.stderr.splitlines() if "incubator modules" not in line]
    assert told == []


def test_the_environment_brings_spark_s_own_log_back(started, monkeypatch):
    monkeypatch.setenv("YT8M_SPARK_LOG_LEVEL", "INFO")
    with spark_session("a job"):
        pass
    assert started.options["spark.log.level"] == "INFO"


def test_a_setting_that_serverless_does_not_let_in_is_left_as_it_is(started, monkeypatch):
    def refuse(key, value):
        raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available.")

    monkeypatch.setenv("SPARK_REMOTE", "sc://host:443/;token=x")
    monkeypatch.setattr(started, "set", refuse)
    with spark_session("a job") as spark:
        assert spark is started


def test_a_session_of_databricks_is_not_stopped(started, monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.0")
    with spark_session("a job"):
        pass
    assert "master" not in started.options
    assert not started.stopped


def test_a_session_started_here_is_stopped_when_the_job_fails(started):
    with pytest.raises(RuntimeError, match="mid-way"), spark_session("a job"):
        raise RuntimeError("mid-way")
    assert started.stopped


def test_workers_use_this_python_and_one_thread_unless_told_otherwise(started, monkeypatch):
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", *THREADS):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYSPARK_DRIVER_PYTHON", "/opt/python")
    monkeypatch.setenv("MKL_NUM_THREADS", "4")
    with spark_session("a job"):
        pass
    assert os.environ["PYSPARK_PYTHON"] == sys.executable
    assert os.environ["PYSPARK_DRIVER_PYTHON"] == "/opt/python"
    assert [os.environ[name] for name in THREADS] == ["1", "1", "4"]


@pytest.mark.classic("starts a session of this machine, where the environment gives none")
def test_a_real_session_starts_works_in_this_python_and_ends(tmp_path):
    script = """
        import json, os, sys
        import pyarrow as pa
        from pyspark.sql import SparkSession
        from yt8m_spark.session import spark_session

        def describe(batches):
            yield pa.RecordBatch.from_pydict({
                "python": [sys.executable], "threads": [os.environ["OMP_NUM_THREADS"]]})

        with spark_session("a job") as spark:
            task = spark.range(1).mapInArrow(describe, "python string, threads string").first()
            told = {**task.asDict(), "master": spark.conf.get("spark.master")}
        print(json.dumps({**told, "left": str(SparkSession.getActiveSession())}))
    """
    dropped = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", *THREADS)
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {
        "python": sys.executable,
        "threads": "1",
        "master": "local[*]",
        "left": "None",
    }
    assert "\tat " not in done.stderr
    assert os.listdir(tmp_path) == []
