"""A Spark standalone cluster on this machine: a master and workers, each a process, on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyspark
from cluster.processes import arguments, descendants, kill_tree

from yt8m_spark.jre import ensure_java

__all__ = ["JOBS", "Cluster", "Submitted", "Worker", "standalone_cluster"]

JOBS = Path(__file__).parents[2] / "jobs"
SPARK_HOME = Path(pyspark.__file__).parent
_SECONDS = 120.0  # that a daemon may take to start
_CLASS = "org.apache.spark.deploy"

# Of this test's own Python and sessions: a cluster knows nothing of them.
_NOT_THEIRS = (
    "PYSPARK_PYTHON",
    "PYSPARK_DRIVER_PYTHON",
    "SPARK_REMOTE",
    "SPARK_TESTING",
    "SPARK_CONF_DIR",
)
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "4",
    "spark.decommission.enabled": "true",
    # A read of 4 MiB a part: many small tasks, as on large data.
    "spark.sql.files.maxPartitionBytes": "4194304",
}


class Worker(NamedTuple):
    """A worker daemon of the cluster: one core, one executor an application."""

    pid: int
    folder: Path

    def executors(self) -> list[int]:
        """JVMs of the executors that it has started."""
        return [p for p in descendants(self.pid) if "CoarseGrainedExecutor" in arguments(p)]

    def python_workers(self) -> list[int]:
        """Python processes that run tasks, without the daemon that forks them."""
        found = [p for p in descendants(self.pid) if "pyspark.daemon" in arguments(p)]
        daemons = {p for p in found if descendants(p)}
        return [p for p in found if p not in daemons]


class Submitted:
    """An application that `Cluster.submit` has started: spark-submit's JVM and its Python."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.started = time.monotonic()
        self._folder = folder

    def wait(self, seconds: float = 900.0) -> int:
        """Exit status, once it has ended; it is killed if it takes longer than ``seconds``."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_tree(self.process.pid)
            self.process.wait()
            raise

    def python(self) -> int:
        """Process number of the job's own Python."""
        tree = descendants(self.process.pid)
        return next(pid for pid in tree if "/jobs/" in arguments(pid))

    @property
    def text(self) -> str:
        """What it has told: spark-submit joins the two streams of a job's Python."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that a job ends with."""
        lines = [line for line in self.text.splitlines() if line.startswith('{"job": ')]
        return dict(json.loads(lines[-1]))

    @property
    def errors(self) -> list[str]:
        """Lines that say what went wrong."""
        return [line for line in self.text.splitlines() if re.match(r"\w+: (error|failed): ", line)]


class Cluster:
    """A master and its workers; `standalone_cluster` opens one and surely ends it.

    Parameters
    ----------
    folder : Path
        For logs and for what executors unpack and spill.
    memory : str
        Of each worker, and so of its executor.
    python : str
        Of executors: a path that all machines have.
    pinned : bool
        Keep each worker, with its executor's Java and Python, to a core of this machine.
    """

    def __init__(self, folder: Path, memory: str, python: str, *, pinned: bool = False) -> None:
        ensure_java()
        self.folder, self._memory, self._python = folder, memory, python
        self._pinned = pinned
        self.workers: list[Worker] = []
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._n_submitted = 0
        log = self._daemon("master", f"{_CLASS}.master.Master", "--port", "0")
        self.url = _awaited(log, r"Starting Spark master at (spark://\S+)")

    def start_worker(self) -> Worker:
        """Start one more worker of one core, on an address of its own: a host, to Spark.

        Spark runs the copy of a slow task (spark.speculation) on another host only.
        """
        number = len(self._daemons)
        folder = self.folder / f"worker-{number}"
        folder.mkdir()
        options = ("--cores", "1", "--memory", self._memory, "--work-dir", str(folder))
        address = f"127.0.{number // 250}.{1 + number % 250}"
        core = len(self.workers) % (os.cpu_count() or 1) if self._pinned else None
        name, daemon = folder.name, f"{_CLASS}.worker.Worker"
        log = self._daemon(name, daemon, *options, self.url, host=address, core=core)
        _awaited(log, r"(Successfully registered with master)")
        worker = Worker(self._daemons[-1].pid, folder)
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: Worker) -> None:
        """End a worker, its executors and their Python at once, as when a machine is lost."""
        kill_tree(worker.pid)
        self.lost(worker)

    def lost(self, worker: Worker) -> None:
        """Count a worker out that has ended."""
        next(d for d in self._daemons if d.pid == worker.pid).wait(_SECONDS)
        self.workers.remove(worker)

    def submit(
        self,
        script: str | Path,
        *options: str,
        cwd: Path,
        settings: Mapping[str, str] | None = None,
        archive: Path | None = None,
    ) -> Submitted:
        """spark-submit jobs/``script``.py, or a script by its path, in the folder ``cwd``.

        With ``archive``, a packed environment (--archives), executors use the Python in it.
        """
        path = JOBS / f"{script}.py" if isinstance(script, str) else script
        self._n_submitted += 1
        folder = self.folder / f"submitted-{self._n_submitted}"
        folder.mkdir()
        executors = {
            "spark.executor.memory": self._memory,
            "spark.executor.extraJavaOptions": _java_options(),
        }
        mine = executors | _SETTINGS | dict(settings or {})
        given = [part for key, value in mine.items() for part in ("--conf", f"{key}={value}")]
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.url, *given]
        python = self._python
        if archive is not None:
            command += ["--archives", f"{archive}#environment"]
            python = "./environment/bin/python"
        variables = {"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": sys.executable}
        if "PYTHONPATH" in os.environ:  # of the driver alone
            variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, str(path), *options],
                cwd=cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._variables(), **variables},
                start_new_session=True,
            )
        self._daemons.append(process)
        return Submitted(process, folder)

    def stop(self) -> None:
        """End all that was started here."""
        for process in reversed(self._daemons):
            if process.poll() is None:
                kill_tree(process.pid)
            process.wait()

    def _daemon(
        self,
        name: str,
        class_name: str,
        *options: str,
        host: str = "127.0.0.1",
        core: int | None = None,
    ) -> Path:
        """Start a daemon, on ``core`` alone if that is given, and give its log."""
        log = self.folder / f"{name}.log"
        command = [] if core is None else ["taskset", "--cpu-list", str(core)]
        command += [str(SPARK_HOME / "bin" / "spark-class"), class_name]
        command += ["--host", host, "--webui-port", "0", *options]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self._variables() | {"SPARK_LOCAL_IP": host},
                cwd=log.parent,
            )
        self._daemons.append(process)
        return log

    def _variables(self) -> dict[str, str]:
        theirs = {k: v for k, v in os.environ.items() if k not in (*_NOT_THEIRS, "PYTHONPATH")}
        return theirs | {
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": f"{_java_options()} -Dspark.decommission.enabled=true",
        }


@contextmanager
def standalone_cluster(
    folder: Path,
    *,
    n_workers: int = 2,
    memory: str = "2g",
    python: str = sys.executable,
    pinned: bool = False,
) -> Iterator[Cluster]:
    """A cluster of ``n_workers`` workers of one core, ended however the body ends."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, memory, python, pinned=pinned)
    try:
        for _ in range(n_workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()


def _java_options() -> str:
    """What the tests chose for all their Java; spark-submit gives it to the driver by itself."""
    return os.environ.get("SPARK_SUBMIT_OPTS", "")


def _awaited(log: Path, pattern: str) -> str:
    """What ``pattern`` finds in the log of a daemon, once it is there."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise TimeoutError(f"no {pattern!r} in {log}: {log.read_text(errors='replace')[-2000:]}")
