"""How much faster is it to read only the labels of frame-level shards?

The same shards by ``spark.read.format("yt8m")`` with all columns and with the labels only (a
schema is the projection), both to Spark's "noop" sink; and the same in one process without Spark.
By default every byte is read for the checksums whatever is wanted; with the option
``checksums=lengths`` frames that nobody wants are not read at all. Prints the ratios.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from made_shards import make_shards, repeat_shards

from yt8m_spark.session import get_spark
from yt8m_spark.spark.read_options import CHECKSUMS, ReadOptions
from yt8m_spark.spark.scan import plan_scan
from yt8m_spark.spark.schemas import StructType
from yt8m_spark.spark.source import read_shards

RUNS = 3
LABELS = ["video_id", "labels"]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        paths = repeat_shards(make_shards(Path(folder), 2, 1600), 8)
        pattern = str(Path(paths[0]).parent)
        n_bytes = sum(os.path.getsize(path) for path in paths)
        print(f"{len(paths)} shards, {n_bytes / 1e9:.1f} GB")
        spark = get_spark("benchmark")
        whole = read_shards(spark, pattern)
        for checksums in CHECKSUMS:
            given = {"checksums": checksums}
            labels = read_shards(spark, pattern, projection=LABELS, options=given)
            compare(
                f"Spark, local[2], checksums={checksums}",
                lambda: to_nowhere(whole),
                lambda labels=labels: to_nowhere(labels),
            )
        spark.stop()
        everything = plan_scan(ReadOptions(pattern))
        fields = StructType([everything.schema[name] for name in LABELS])
        for checksums in CHECKSUMS:
            only = plan_scan(ReadOptions(pattern, checksums=checksums), fields)
            compare(
                f"one process, checksums={checksums}",
                lambda: through(everything),
                lambda only=only: through(only),
            )


def compare(title: str, whole: Callable[[], None], labels: Callable[[], None]) -> None:
    """Print the times of both and their ratio."""
    seconds = [min(timed(run) for _ in range(RUNS)) for run in (whole, labels)]
    print(
        f"{title:34} all columns {seconds[0]:6.2f} s, labels {seconds[1]:6.2f} s, "
        f"ratio {seconds[0] / seconds[1]:.1f}"
    )


def to_nowhere(table) -> None:
    """Read ``table`` and keep nothing."""
    table.write.format("noop").mode("overwrite").save()


def through(scan) -> None:
    """Read every partition of ``scan`` and keep nothing."""
    for pieces in scan.partitions:
        for _ in scan.read(pieces):
            pass


def timed(run: Callable[[], None]) -> float:
    """Seconds that ``run`` takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
