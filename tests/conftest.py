"""Fixtures shared by all tests: one Spark session, and the way to the real data.

``YT8M_TEST_MODE=connect`` makes the session one of Spark Connect, with a server on this machine in
a process of its own (`make connect`); jobs that a test starts work there, too.
"""

import os
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from connect_server import connect_server
from java_archive import java_options

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

PROJECT = Path(__file__).parents[1]
CONNECT_MODE = os.environ.get("YT8M_TEST_MODE") == "connect"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "classic(reason): has no meaning with YT8M_TEST_MODE=connect, and is left out"
    )
    # They hold for the sessions of jobs that a test starts, and for the processes of xdist, too.
    if "SPARK_SUBMIT_OPTS" not in os.environ:
        os.environ["SPARK_SUBMIT_OPTS"] = java_options(lambda: config.cache.mkdir("java"))


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("classic")
        if CONNECT_MODE and marker is not None:
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One session for the whole run: two cores, two shuffle partitions."""
    from yt8m_spark.jre import ensure_java

    ensure_java()
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.pop("SPARK_TESTING", None)  # for servers, see below; not for this session
    with _on_connect(tmp_path_factory) if CONNECT_MODE else _classic(tmp_path_factory) as session:
        yield session


@contextmanager
def _classic(tmp_path_factory):
    from pyspark.sql import SparkSession

    settings = PROJECT / "yt8m_spark" / "resources" / "log4j2.properties"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .config(
                "spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={settings.as_uri()}"
            )
            .getOrCreate()
        )
    yield session
    session.stop()


@contextmanager
def _on_connect(tmp_path_factory):
    from pyspark.sql import SparkSession

    with (
        connect_server(tmp_path_factory.mktemp("server")) as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SPARK_REMOTE", address)  # for the jobs that are processes of their own
        session = SparkSession.builder.remote(address).getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the project; tests that use it skip without it."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data are not here")
    return folder


@pytest.fixture
def run_job(tmp_path):
    """Run jobs/NAME.py as a user does; returns the finished process (text output)."""

    def run(name, *arguments, environment=None):
        return subprocess.run(
            [sys.executable, str(PROJECT / "jobs" / f"{name}.py"), *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, the one of the machine; tests that use it skip where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


# What shows that tests of a file start a Spark Connect server.
_ON_CONNECT = ".remote(", "networks_scenario", "evaluation_scenario", "ml_scenario"


@pytest.fixture(scope="module", autouse=True)
def port_of_its_own(request):
    """Let Connect servers choose a free port: two files are tested at a time (`make test`)."""
    text = request.path.read_text(encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        if any(word in text for word in _ON_CONNECT):
            patch.setenv("SPARK_TESTING", "1")
        yield
