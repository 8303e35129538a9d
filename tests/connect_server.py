"""A Spark Connect server of this machine, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[1]
_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_SECONDS = 120
# What says of a process that it talks with a server, or is a child of Spark's.
_OF_A_SESSION = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE")


@contextmanager
def connect_server(folder, settings=None):
    """Start a server of two cores that logs to ``folder``; its address is the value.

    The server is Spark's own, so its Java and the Python of its tasks share nothing with the
    process of the tests but the disk.
    """
    log = Path(folder) / "connect_server.log"
    port = _free_port()
    with log.open("wb") as file:
        server = subprocess.Popen(
            _command(port, Path(folder), settings or {}),
            cwd=PROJECT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Java and its Python workers end together
        )
    try:
        _wait_for(server, port, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _command(port, folder, settings):
    log_settings = PROJECT / "yt8m_spark" / "resources" / "log4j2.properties"
    given = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder),
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log_settings.as_uri()}",
    } | settings
    options = [word for name, value in given.items() for word in ("--conf", f"{name}={value}")]
    submit = str(Path(sys.executable).with_name("spark-submit"))
    return [submit, "--master", "local[2]", "--class", _SERVER, *options, "spark-internal"]


def _environment():
    kept = {name: value for name, value in os.environ.items() if name not in _OF_A_SESSION}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    return kept | python | {"SPARK_LOCAL_IP": "127.0.0.1"}


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(server, port, log):
    """Until the server takes connections."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"no Spark Connect server: {log.read_text()[-3000:]}")
