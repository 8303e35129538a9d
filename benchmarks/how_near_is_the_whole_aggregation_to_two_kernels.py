"""How much faster is the whole Spark job on two cores than its kernel on one?

From TFRecord shards to the videos table of mean, standard deviation and top 5 on storage: one
process that reads, decodes and reduces without Spark and writes nothing, against `write_scan` on
local[2], which plans, reads, reduces and writes. Prints the ratio; 2 would be the limit. The
session is up before the clock starts; the first run pays for the start of Python workers. The
kernel's process has the allocator's settings of a worker.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import shutil
import sys
import tempfile
import time
from pathlib import Path

from made_shards import make_shards, repeat_shards

from yt8m_spark.session import WORKER_MEMORY, get_spark
from yt8m_spark.spark.aggregation import write_scan
from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import Scan, plan_scan

N_SHARDS, VIDEOS_A_SHARD, TIMES = 2, 1600, 8  # 400 MB a shard, as the release's are
RUNS = 3


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        paths = repeat_shards(make_shards(Path(folder), N_SHARDS, VIDEOS_A_SHARD), TIMES)
        n_bytes = sum(os.path.getsize(path) for path in paths)
        print(f"{len(paths)} shards, {n_bytes / 1e9:.1f} GB, mean + std + top5 of rgb and audio")
        scan = plan_scan(
            ReadOptions(str(Path(paths[0]).parent), statistics=("mean", "std", "top5"))
        )
        kernel = min(one_core(scan) for _ in range(RUNS))
        spark = get_spark("benchmark")
        seconds = [whole_job(spark, scan, Path(folder) / "videos") for _ in range(RUNS + 1)]
        spark.stop()
    job = min(seconds[1:])
    print(f"kernel, one core, nothing written: {kernel:6.2f} s ({n_bytes / kernel / 1e6:.0f} MB/s)")
    print(
        f"Spark job, local[2], first run:    {seconds[0]:6.2f} s, ratio {kernel / seconds[0]:.2f}"
    )
    print(f"Spark job, local[2]:               {job:6.2f} s, ratio {kernel / job:.2f}")


def one_core(scan: Scan) -> float:
    """Seconds that one process takes for all partitions."""
    start = time.perf_counter()
    for pieces in scan.partitions:
        for _ in scan.read(pieces):
            pass
    return time.perf_counter() - start


def whole_job(spark, scan: Scan, folder: Path) -> float:
    """Seconds from the plan to the table on storage."""
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    write_scan(spark, scan, str(folder))
    return time.perf_counter() - start


if __name__ == "__main__":
    if not WORKER_MEMORY.keys() <= os.environ.keys():  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_MEMORY})  # noqa: S606
    main()
