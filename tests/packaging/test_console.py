"""The command `yt8m-spark` with small jobs made here; real jobs by it: test_wheel, test_submit."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from yt8m_spark import console

JOB = '''"""Does {what}.

reads nothing
"""
import os, sys
print("from the job:", sys.argv[1:], os.environ.get("PYSPARK_SUBMIT_ARGS"))
if "--fail" in sys.argv:
    sys.exit(2)
'''

# A job as ours are, which waits where theirs work.
WAITING = '''"""Waits."""
import time
from yt8m_spark.job import run_job
from yt8m_spark.run import JobConfig


def main(config):
    try:
        print("waiting", flush=True)
        time.sleep(100)
    finally:
        print("unwound", flush=True)


run_job("wait", JobConfig, main)
'''

SETTINGS = ("SPARK_REMOTE", "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package of two jobs, and nobody's settings of Spark."""
    for name in (*SETTINGS, "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.setenv(name, "")  # so that what the command sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["yt8m-spark"])
    monkeypatch.setattr(console, "_PACKAGE", tmp_path / "package")
    jobs = tmp_path / "package" / "jobs"
    jobs.mkdir(parents=True)
    (tmp_path / "package" / "conf").mkdir()
    (jobs / "train_entities.py").write_text(JOB.format(what="a training"))
    (jobs / "predict.py").write_text(JOB.format(what="a prediction"))
    return tmp_path / "package"


@pytest.fixture
def submitted(capsys):
    """Run the command; what the job says PySpark would be given, as a list, or None."""

    def run(*arguments):
        console.main(arguments)
        told = capsys.readouterr().out.strip().rpartition("] ")[2]
        return None if told == "None" else shlex.split(told)

    return run


def status_of(*arguments):
    with pytest.raises(SystemExit) as ended:
        console.main(arguments)
    return ended.value.code


def test_a_job_that_succeeds_returns_as_databricks_wants_it(capsys):
    console.main(["predict", "--top-k", "5"])
    assert "from the job: ['--top-k', '5']" in capsys.readouterr().out


def test_a_job_that_fails_ends_with_its_own_status():
    assert status_of("predict", "--fail") == 2


def test_jobs_are_listed_with_the_first_lines_of_their_docstrings(capsys):
    console.main(["--help"])
    listed = capsys.readouterr().out
    assert "  predict         Does a prediction.\n  train_entities  Does a training.\n" in listed
    console.main([])
    assert capsys.readouterr().out == listed


def test_the_list_needs_nothing_heavy(package):
    code = "import sys, yt8m_spark.console as c; c.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyspark", "numpy", "mlflow"} & set(done.stdout.split())


def test_a_job_is_known_by_its_file_and_with_hyphens(package, capsys):
    for name in ("train_entities", "train-entities", "train_entities.py"):
        console.main(["--path", name])
        assert capsys.readouterr().out.strip() == str(package / "jobs" / "train_entities.py")


def test_a_name_that_is_nearly_a_job_is_told_in_one_line(capsys):
    assert status_of("trian_entities") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("yt8m-spark: error: no job 'trian_entities'; is it train_entities?")
    assert status_of("--path", "nothing_like_it") == 2
    assert "is it" not in capsys.readouterr().err


def test_options_without_a_job_are_told(capsys):
    assert status_of("--master", "local[2]") == 2
    assert "no job is named" in capsys.readouterr().err


def test_with_no_options_the_session_is_that_of_the_plain_job(submitted):
    assert submitted("predict") is None


def test_options_before_the_job_are_sparks_and_come_last(submitted, package):
    given = submitted("--conf", "spark.driver.memory=9g", "-v", "--name=a b", "predict", "--x")
    own = ["--conf", "spark.driver.memory=9g", "-v", "--name=a b", "pyspark-shell"]
    assert given[-len(own) :] == own
    assert given[:2] == ["--properties-file", str(package / "conf" / "spark-defaults.conf")]
    # The laptop's session, since no master is named.
    assert given[given.index("--master") + 1] == "local[*]"
    assert given.index("spark.driver.memory=4g") < given.index("spark.driver.memory=9g")


@pytest.mark.parametrize(
    "options", [["--master", "yarn"], ["--master=yarn"], ["--conf", "spark.master=yarn"]]
)
def test_a_cluster_keeps_its_own_memory(options, submitted):
    given = submitted(*options, "predict")
    assert "local[*]" not in given
    assert not [text for text in given if text.startswith("spark.driver.memory")]


@pytest.mark.parametrize("where", ["SPARK_CONF_DIR", "SPARK_HOME"])
def test_settings_of_the_user_decide(where, submitted, tmp_path, monkeypatch):
    conf = tmp_path / "mine" / ("" if where == "SPARK_CONF_DIR" else "conf")
    conf.mkdir(parents=True)
    (conf / "spark-defaults.conf").write_text("spark.master yarn\n")
    monkeypatch.setenv(where, str(tmp_path / "mine"))
    given = submitted("predict")
    assert [os.path.normpath(text) for text in given] == [
        "--properties-file",
        str(conf / "spark-defaults.conf"),
        "pyspark-shell",
    ]


def test_a_properties_file_of_the_user_decides(submitted):
    given = submitted("--properties-file", "mine.conf", "predict")
    assert "local[*]" not in given
    assert given[-3:] == ["--properties-file", "mine.conf", "pyspark-shell"]


def test_a_connect_server_is_joined(submitted, monkeypatch):
    assert submitted("--remote", "sc://host", "predict") is None
    assert os.environ["SPARK_REMOTE"] == "sc://host"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_may_come_before_the_job(flag, capsys):
    console.main([flag, "predict"])
    assert "from the job: ['--help']" in capsys.readouterr().out


def test_the_path_of_no_job_is_told(capsys):
    assert status_of("--path") == 2
    assert "yt8m-spark --path JOB" in capsys.readouterr().err


def test_options_that_a_connect_server_cannot_take_are_told_without_their_secrets(capsys):
    option = "spark.hadoop.fs.s3a.secret.key=a hush;hush,hush"
    assert status_of("--remote", "sc://host", "--conf", option, "predict") == 2
    told = capsys.readouterr().err
    assert "found --remote --conf spark.hadoop.fs.s3a.secret.key\n" in told
    assert "hush" not in told


@pytest.mark.parametrize("name", ["SPARK_REMOTE", "DATABRICKS_RUNTIME_VERSION"])
def test_where_the_session_is_given_there_is_nothing_to_submit(
    name, submitted, monkeypatch, capsys
):
    monkeypatch.setenv(name, "sc://host" if name == "SPARK_REMOTE" else "17.3")
    assert submitted("predict") is None
    assert status_of("--master", "yarn", "predict") == 2
    assert "is given here, found --master\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "where",
    [
        ("--deploy-mode", "cluster"),
        ("--conf", "spark.submit.deployMode=client", "--conf", "spark.submit.deployMode=cluster"),
        ("--properties-file", "own.conf"),
    ],
)
def test_with_the_driver_on_the_cluster_it_becomes_spark_submit(package, tmp_path, where):
    spark = tmp_path / "spark"
    (spark / "bin").mkdir(parents=True)
    submit = spark / "bin" / "spark-submit"
    submit.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    submit.chmod(0o755)
    settings = tmp_path / "own.conf"
    settings.write_text("spark.app.name x\nspark.submit.deployMode \\\n  cluster\n")
    options = ["--master", "yarn", *(str(settings) if w == "own.conf" else w for w in where)]
    done = command(package, *options, "predict", "--top-k", "5", SPARK_HOME=str(spark))
    assert done.communicate(timeout=60)[0].splitlines() == [
        *options,
        str(package / "jobs" / "predict.py"),
        *("--top-k", "5"),
    ]
    assert done.returncode == 7


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_reaches_the_job_which_unwinds(number, status, package):
    (package / "jobs" / "wait.py").write_text(WAITING)
    done = command(package, "wait", "--output", "anything")
    assert done.stdout.readline() == "waiting\n"
    started = time.monotonic()
    done.send_signal(number)
    assert done.communicate(timeout=60)[0] == "unwound\n"
    assert done.returncode == status
    assert time.monotonic() - started < 50


def command(package, *arguments, **environment):
    """The command in a process, on the jobs of ``package``."""
    code = f"""
import pathlib, yt8m_spark.console as console
console._PACKAGE = pathlib.Path({json.dumps(str(package))})
console.main({list(arguments)!r})
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
