"""A cluster for all tests of this folder, and an environment that only executors use."""

import os
import sys

import pytest
import wheel_environment
from cluster.standalone import standalone_cluster

# Executors have the cluster's PySpark, and tasks neither track runs nor draw.
_DRIVERS = ("pyspark", "mlflow", "matplotlib")


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The wheel and what tasks need of what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    wheel = wheel_environment.build_wheel(folder)
    return wheel_environment.install_wheel(wheel, folder / "environment", without=_DRIVERS)


@pytest.fixture(scope="session")
def archive(environment, tmp_path_factory):
    """The same, packed for --archives."""
    packed = tmp_path_factory.mktemp("packed") / "packed.tar.gz"
    return wheel_environment.pack(environment, packed)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, environment):
    """A master and two workers of one core."""
    python = str(environment / "bin" / "python")
    with standalone_cluster(tmp_path_factory.mktemp("cluster"), python=python) as one:
        yield one


@pytest.fixture(autouse=True)
def quiet_tracking(monkeypatch):
    """Each application keeps its runs where it stands."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "faults: left out unless YT8M_FAULTS is set, see make faults"
    )


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("faults")]
    if left_out and "YT8M_FAULTS" not in os.environ:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter):
    """What each fault has cost, if there were any."""
    faults = sys.modules.get("cluster.fault_times")
    if faults is not None and faults.ROWS:
        terminalreporter.section("time lost")
        terminalreporter.write_line(faults.table())
