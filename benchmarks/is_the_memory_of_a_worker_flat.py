"""Does a worker need more memory for more data?

Peak memory of a process that reads one shard of 100 MB and of one that reads one of 1 GB, as a
Spark task does: to frames, and to mean, standard deviation and top 5. Prints the ratio; 1 is flat.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from made_shards import make_shards

from yt8m_spark.spark.read_options import ReadOptions
from yt8m_spark.spark.scan import plan_scan

SMALL, LARGE = 400, 4_000  # videos
STATISTICS = {"frames": (), "statistics": ("mean", "std", "top5")}


def main() -> None:
    """Measure each case in a process of its own and print."""
    with tempfile.TemporaryDirectory() as folder:
        shards = {n: make_shards(Path(folder) / str(n), 1, n)[0] for n in (SMALL, LARGE)}
        for what in STATISTICS:
            peaks = [peak_in_process(shards[n], what) for n in (SMALL, LARGE)]
            sizes = [os.path.getsize(shards[n]) / 1e6 for n in (SMALL, LARGE)]
            print(
                f"{what:10} {sizes[0]:5.0f} MB: {peaks[0]:5.0f} MiB, "
                f"{sizes[1]:5.0f} MB: {peaks[1]:5.0f} MiB, ratio {peaks[1] / peaks[0]:.2f}"
            )


def peak_in_process(path: str, what: str) -> float:
    """Peak memory in MiB of this file run on ``path``."""
    command = [sys.executable, __file__, path, what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read(path: str, what: str) -> None:
    """Read the shard as one task and print the peak memory of this process in MiB."""
    scan = plan_scan(ReadOptions(path, statistics=STATISTICS[what], partition_bytes=1 << 40))
    (pieces,) = scan.partitions
    for _ in scan.read(pieces):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(*sys.argv[1:])
    else:
        main()
