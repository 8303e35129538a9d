"""Trainings killed midway, by command line. What a checkpoint holds is in tests/spark.

``make faults`` kills more often, at random: YT8M_FAULTS is how often.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

JOB = Path(__file__).parents[2] / "jobs" / "train_entities.py"
N_KILLS = int(os.environ.get("YT8M_FAULTS", "1"))
N, D, E = 20_000, 64, 24
FLAGS = ("--input=features", "--loss=moe", "--block-size=6", "--checkpoint-seconds=0.2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A features table, and the model of an undisturbed training in ``whole``."""
    folder = tmp_path_factory.mktemp("faults")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(np.float32)
    labels = [np.flatnonzero(row > 1.8).tolist() for row in x[:, :E]]
    table = {"video_id": [f"v{i:05d}" for i in range(N)], "labels": labels, "features": list(x)}
    types = {"labels": pa.list_(pa.int32()), "features": pa.list_(pa.float32())}
    columns = [pa.array(table[name], types.get(name)) for name in table]
    (folder / "features").mkdir()
    pq.write_table(pa.table(columns, list(table)), folder / "features" / "part.parquet")
    finished = start(folder, "whole")
    assert finished.wait() == 0, (folder / "log").read_text()
    return folder


def start(folder, output, *flags):
    """The job, in a process group of its own so that all of it can be killed."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(JOB), *FLAGS, f"--output={output}", *flags],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        )


def bytes_of(model):
    """Contents of a model's rows, whatever file they are in."""
    return pq.read_table(model / "entities").sort_by("entity")


def wait_for_progress(job, work, seconds):
    """Until some block has left a checkpoint, and ``seconds`` more; or the job has ended."""
    while job.poll() is None and not list((work / "progress").glob("block-*.npz")):
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        job.wait(seconds)


def workers(job):
    """Process numbers of the Python workers of a job: those of its group that Spark forked."""
    found = subprocess.run(
        ["ps", "-eo", "pid=,pgid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split(None, 2) for line in found]
    return [int(pid) for pid, _, args in rows if "pyspark.worker" in args and of_job(int(pid), job)]


def of_job(pid, job):
    """Whether ``job`` is among the ancestors of process ``pid``."""
    while pid > 1:
        if pid == job.pid:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return False
    return False


def kill_all(job):
    """Driver, JVM and workers at once, as when a machine is lost."""
    os.killpg(job.pid, signal.SIGKILL)
    for pid in workers(job):  # the daemon of workers has a group of its own
        os.kill(pid, signal.SIGKILL)
    job.wait()


def kill_a_task(job):
    """One Python worker. On one machine Spark then gives up, on a cluster it tries again."""
    for pid in workers(job)[-1:]:
        os.kill(pid, signal.SIGKILL)
    job.wait()


def terminate(job):
    """As a scheduler does that wants the machine back."""
    job.terminate()
    job.wait()


# Losing all at once is the hardest; the rest is for `make faults`.
KILLS = [kill_all] if N_KILLS == 1 else [kill_all, kill_a_task, terminate]


@pytest.mark.parametrize("kill", KILLS)
def test_a_killed_training_is_resumed_to_the_same_bits(folder, kill):
    output = f"model_{kill.__name__}"
    work = folder / f".{output}.work"
    rng = np.random.default_rng(N_KILLS)
    stopped = 0
    for attempt in range(N_KILLS):
        job = start(folder, output, *(["--resume"] if attempt else []))
        wait_for_progress(job, work, float(rng.uniform(0, 0.5)))
        if job.poll() is None:
            kill(job)
            stopped += 1
        if (folder / output).exists():
            break
        assert work.exists(), (folder / "log").read_text()
    if not (folder / output).exists():
        assert start(folder, output, "--resume").wait() == 0, (folder / "log").read_text()
    assert stopped > 0
    assert bytes_of(folder / output).equals(bytes_of(folder / "whole"))
    assert not work.exists()
    assert not list((folder / output).rglob("*.tmp"))
