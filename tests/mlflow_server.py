"""Real servers of MLflow on this machine's loopback: started, killed, started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

_SECONDS = 120  # until a server must answer, on a busy machine


class Process:
    """A command that listens on a port of 127.0.0.1, and all that it starts."""

    def __init__(self, command, folder, environment=None):
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(part) for part in command]
        self._log = Path(folder) / f"server-{self.port}.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process = None
        self.start()

    def start(self):
        """Start it, and wait until it answers."""
        command = [part.replace("PORT", str(self.port)) for part in self._command]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
            )
        limit = time.monotonic() + _SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise RuntimeError(f"no server: {self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def answers(self):
        """Whether it is up."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def stop(self, number=signal.SIGKILL):
        """End it and all that it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(30)
        self._process = None


def tracking_server(folder):
    """Server of runs with a SQLite store and a folder of artifacts in ``folder``."""
    folder = Path(folder)
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", "--port=PORT"]
    command += ["--workers=1", f"--backend-store-uri=sqlite:///{folder}/store.db"]
    command += [f"--artifacts-destination={folder}/artifacts"]
    # No queue of jobs beside it: it is for MLflow's judges of language models.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return Process(command, folder, quiet)


def model_server(uri, folder, tracking_uri):
    """Server of the model at ``uri``, by the packages that are here."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", f"--model-uri={uri}"]
    command += ["--host=127.0.0.1", "--port=PORT", "--workers=1", "--env-manager=local"]
    # It starts uvicorn by its name, which lies beside this Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return Process(command, folder, {"MLFLOW_TRACKING_URI": tracking_uri, "PATH": path})


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
