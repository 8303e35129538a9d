"""Does a training finish although a worker is killed every two minutes, and what does that cost?

A standalone cluster of two workers of one core on this machine trains one classifier an entity on
random features. Every ``--every`` seconds a worker is killed (SIGKILL to the daemon, its executor
and their Python), and started anew ten seconds later, as a cluster manager would. Prints time and
kills, and whether the model is complete; with ``--undisturbed`` also what a run without kills
takes, and whether both models have the same bits.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for its cluster

from cluster.standalone import Cluster, standalone_cluster

VIDEOS_A_FILE, LABELS_A_VIDEO = 4096, 3
SECONDS_UNTIL_ANEW = 10


def main() -> None:
    """Train with kills, and without if asked, and print."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        n_bytes = write_features(folder / "features", options)
        print(
            f"{options.entities} entities, {options.videos} videos, {options.features} features "
            f"({n_bytes / 1e9:.1f} GB), {options.loss}, {options.epochs} passes",
            flush=True,
        )
        with standalone_cluster(folder / "cluster", memory=options.memory) as cluster:
            whole = train(cluster, folder, "undisturbed", options) if options.undisturbed else None
            killer = Killer(cluster, options.every)
            with killer:
                seconds = train(cluster, folder, "killed", options)
        print(f"with kills: {seconds:.0f} s, {killer.n_kills} workers killed")
        check(folder / "killed", options.entities)
        if whole is not None:
            lost = seconds - whole
            each = f", {lost / killer.n_kills:.0f} s a kill" if killer.n_kills else ""
            print(f"undisturbed: {whole:.0f} s; lost: {lost:.0f} s{each}")
            same = rows(folder / "killed").equals(rows(folder / "undisturbed"))
            print(f"the same bits: {'yes' if same else 'NO'}")


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entities", type=int, default=4800)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--loss", default="logistic")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--block-size", type=int, help="entities a task (default: the job's own)")
    parser.add_argument("--every", type=float, default=120, help="seconds between kills")
    parser.add_argument("--memory", default="6g", help="of a worker's executor")
    parser.add_argument("--folder", help="where to put all files (default: the temporary one)")
    parser.add_argument("--undisturbed", action="store_true", help="train without kills first")
    return parser.parse_args()


def write_features(folder: Path, options: argparse.Namespace) -> int:
    """Write a features table of random numbers; bytes of its features.

    Each entity is a label of some video, and 2 more labels a video are drawn with chances that
    fall as 1 / (1 + entity).
    """
    folder.mkdir()
    n_entities, width = options.entities, options.features
    chances = 1 / np.arange(1, n_entities + 1)
    for number, start in enumerate(range(0, options.videos, VIDEOS_A_FILE)):
        rng = np.random.default_rng([0, number])
        ids = np.arange(start, min(start + VIDEOS_A_FILE, options.videos))
        x = rng.normal(size=(len(ids), width)).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        drawn = rng.choice(n_entities, (len(ids), LABELS_A_VIDEO - 1), p=chances / chances.sum())
        labels = [np.unique([i % n_entities, *row]) for i, row in zip(ids, drawn, strict=True)]
        x_rows = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), width)
        columns = {
            "video_id": pa.array([f"v{i:07d}" for i in ids]),
            "labels": pa.array([row.tolist() for row in labels], pa.list_(pa.int32())),
            "features": x_rows.cast(pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number:05d}.parquet", compression="none")
    return 4 * options.videos * width


def train(cluster: Cluster, folder: Path, output: str, options: argparse.Namespace) -> float:
    """Run the job; seconds from submission to its end."""
    given = ["--input=features", f"--output={output}", f"--loss={options.loss}"]
    given += [f"--epochs={options.epochs}"]
    if options.block_size:
        given += [f"--block-size={options.block_size}"]
    # As a cluster for machines that come and go has it: a task may well meet several of them.
    settings = {"spark.task.maxFailures": "20", "spark.sql.files.maxPartitionBytes": "64m"}
    job = cluster.submit("train_entities", *given, cwd=folder, settings=settings)
    status = job.wait(48 * 3600)
    seconds = time.monotonic() - job.started
    if status:
        raise SystemExit(f"the job ended with status {status}:\n{job.text[-4000:]}")
    return seconds


class Killer:
    """Kills a worker of a cluster again and again, in turn, and starts another one."""

    def __init__(self, cluster: Cluster, every: float) -> None:
        self.n_kills = 0
        self._cluster, self._every = cluster, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            self._cluster.kill_worker(self._cluster.workers[0])
            self.n_kills += 1
            print(f"kill {self.n_kills}", flush=True)
            self._stop.wait(SECONDS_UNTIL_ANEW)
            self._cluster.start_worker()


def check(model: Path, n_entities: int) -> None:
    """The model has a row for each entity, and nothing is left beside it."""
    found = rows(model)["entity"].to_pylist()
    left = [path.name for path in model.parent.glob(f".{model.name}.*")]
    complete = found == list(range(n_entities)) and not left
    print(f"model: {len(found)} entities, {'complete' if complete else f'NOT complete, {left}'}")


def rows(model: Path) -> pa.Table:
    """Rows of a model in the order of their entities."""
    return pq.read_table(model / "entities").sort_by("entity")


if __name__ == "__main__":
    main()
