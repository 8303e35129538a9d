"""Does a mapper run on shards of four times the memory that it may have?

One process with a limit on its memory (RLIMIT_DATA: what it allocates beyond its libraries, not
what the system caches of files) is a mapper: it trains a block of entities in two passes over
shards of four times that. A process that keeps the shards it has read must fail, or the limit would
be none. Prints the peak of each.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from yt8m_spark.artifacts import save_json
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.spark.mapper import train_blocks
from yt8m_spark.spark.plan import Plan, write_plan
from yt8m_spark.spark.shard_files import write_shard
from yt8m_spark.spark.shards import open_shards, read_ahead

LIMIT = 256 << 20
N_VIDEOS, N_FEATURES, N_ENTITIES, BATCH = 2048, 1024, 64, 512  # of a shard, of a block
N_SHARDS = 4 * LIMIT // (4 * N_VIDEOS * N_FEATURES)
PASSES = 2


def main() -> None:
    """Write shards, run both in processes of their own and print."""
    with tempfile.TemporaryDirectory() as folder:
        write_set(folder)
        print(f"{N_SHARDS} shards, {N_SHARDS * N_VIDEOS * N_FEATURES * 4 >> 20} MiB of features")
        for what in ("trains", "keeps"):
            command = [sys.executable, __file__, folder, what]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(f"limit {LIMIT >> 20} MiB, {what}: {last_line(done.stdout + done.stderr)}")


def write_set(folder: str) -> None:
    """Write random shards."""
    rng = np.random.default_rng(0)
    counts, values = np.full(N_VIDEOS, 3), rng.integers(0, N_ENTITIES, 3 * N_VIDEOS)
    sizes = []
    for number in range(N_SHARDS):
        features = rng.random((N_VIDEOS, N_FEATURES), np.float32)
        sizes.append(write_shard(folder, number, features, counts, values))
    described = {"format": 2, "dtype": "float32", "n_features": N_FEATURES, "digest": "random"}
    described |= {"sizes": [N_VIDEOS] * N_SHARDS, "file_bytes": sizes}
    save_json(Path(folder) / "shards.json", described)


def train(folder: str) -> None:
    """Do a mapper's work under the limit; print passes, time and peak."""
    entities = np.arange(N_ENTITIES)
    options = TrainingOptions(n_epochs=PASSES, batch_size=BATCH)
    counts = np.full(N_ENTITIES, 3 * N_VIDEOS * N_SHARDS // N_ENTITIES)
    plan = Plan("logistic", 1, options, entities, counts, N_ENTITIES, folder, "random")
    work = str(Path(folder) / "work")
    write_plan(work, plan)
    (Path(work) / "heartbeats").mkdir()
    limit_memory()
    start = time.perf_counter()
    reports = list(train_blocks([pa.RecordBatch.from_pydict({"id": [0]})], work))
    seconds = time.perf_counter() - start
    loss = reports[0].column("mean_loss")[0].as_py()
    print(f"{PASSES} passes in {seconds:.1f} s, loss {loss:.3f}, at most {peak()} MiB resident")


def keep(folder: str) -> None:
    """Read the shards under the limit and keep them."""
    shards = open_shards(folder)
    limit_memory()
    kept = list(read_ahead(shards.read(number) for number in range(N_SHARDS)))
    print(f"kept {len(kept)} shards, at most {peak()} MiB resident")


def limit_memory() -> None:
    """Allow `LIMIT` bytes beyond what Python and its libraries have taken."""
    status = Path("/proc/self/status").read_text()
    taken = int(status.partition("VmData:")[2].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (taken + LIMIT, taken + LIMIT))


def peak() -> int:
    """MiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def last_line(text: str) -> str:
    """What a process told last."""
    return text.strip().rpartition("\n")[2]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        (train if sys.argv[2] == "trains" else keep)(sys.argv[1])
    else:
        main()
