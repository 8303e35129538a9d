"""A job by `yt8m-spark` and by spark-submit: one session, one status. Clusters: tests/cluster."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest
from wheel_environment import PROJECT

# Shows the session that it gets, and fails if asked to.
SHOW = '''"""Shows the session."""
import json, sys
from yt8m_spark.session import spark_session

KEYS = ("spark.master", "spark.driver.memory", "spark.task.maxFailures", "spark.ui.enabled",
        "spark.sql.execution.arrow.maxRecordsPerBatch", "spark.executorEnv.OMP_NUM_THREADS")

with spark_session("show") as spark:
    shown = {key: spark.conf.get(key, "not set") for key in KEYS}
print(json.dumps(shown | {"given": sys.argv[1:]}))
sys.exit(7 if "--fail" in sys.argv else 0)
'''

COMMAND = """
import pathlib, sys, yt8m_spark.console as console
console._PACKAGE = pathlib.Path(sys.argv.pop(1))
console.main()
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "jobs").mkdir()
    (folder / "jobs" / "show.py").write_text(SHOW)
    (folder / "conf").symlink_to(PROJECT / "conf")
    return folder


def finished(command, package):
    environment = {key: value for key, value in os.environ.items() if key != "SPARK_REMOTE"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        command,
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_both_give_the_job_one_session_and_its_status_to_the_shell(package):
    options = ["--master", "local[2]", "--conf", "spark.driver.memory=700m"]
    rest = ["--x", "a b", "--fail"]
    ours = finished([sys.executable, "-c", COMMAND, package, *options, "show", *rest], package)
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    defaults = ["--properties-file", PROJECT / "conf" / "spark-defaults.conf"]
    file = package / "jobs" / "show.py"
    theirs = finished([submit, *defaults, *options, file, *rest], package)
    assert (ours.returncode, theirs.returncode) == (7, 7), ours.stderr + theirs.stderr
    shown = json.loads(ours.stdout.splitlines()[-1])
    assert shown == json.loads(theirs.stdout.splitlines()[-1])
    assert shown == {
        "spark.master": "local[2]",
        "spark.driver.memory": "700m",
        "spark.task.maxFailures": "8",
        "spark.ui.enabled": "not set",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1024",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "given": rest,
    }
    assert quiet(ours.stderr) == []


def test_without_a_master_the_session_is_this_machines(package):
    options = ["--conf", "spark.task.maxFailures=2"]
    done = finished([sys.executable, "-c", COMMAND, package, *options, "show"], package)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    expected = {"spark.master": "local[*]", "spark.driver.memory": "4g"}
    expected |= {"spark.task.maxFailures": "2", "spark.ui.enabled": "false"}
    assert expected.items() <= shown.items()
    assert quiet(done.stderr) == []


def quiet(stderr):
    """Lines that Spark wrote, but for the one of the Java virtual machine itself."""
    return [line for line in stderr.splitlines() if not re.match(r"WARNING: Using incubator", line)]
