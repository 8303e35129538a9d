"""How long does it take to build a data set of 5,000,000 candidates, and in how much memory?

Candidates are made first: 10,000 entities that follow Zipf's law, three topics a video on average,
views and durations of which half pass, one id in a hundred twice. The job runs as it is, on this
machine's cores, with all that pass and then with a sample of a tenth as many as there are rows.
Prints seconds, seconds of CPU time (without that of workers that ended before), and the most that
the driver, its JVM and a Python worker have had, in MiB.

    python benchmarks/how_long_does_building_a_dataset_take.py [N]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import runpy
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from evaluation_memory import cpu_seconds, peaks

from yt8m_spark.dataset_config import DatasetConfig
from yt8m_spark.formats.vocabulary import write_vocabulary_rows
from yt8m_spark.session import spark_session

N_CANDIDATES, N_ENTITIES = 5_000_000, 10_000
CHUNK = 250_000  # candidates of a file
JOB = Path(__file__).parents[1] / "jobs" / "build_dataset.py"


def main(n: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"/m/{entity:05x}" for entity in range(N_ENTITIES)]
        rows = [{"Index": i, "KnowledgeGraphId": topic} for i, topic in enumerate(names)]
        write_vocabulary_rows(str(folder / "vocabulary.csv"), rows)
        (folder / "candidates").mkdir()
        for number, start in enumerate(range(0, n, CHUNK)):
            table = candidates(start, min(CHUNK, n - start), names)
            pq.write_table(table, folder / "candidates" / f"part-{number:04}.parquet")
        size = sum(path.stat().st_size for path in (folder / "candidates").iterdir())
        print(f"{n:,} candidates, {size / 1e6:,.0f} MB of Parquet, {os.cpu_count()} cores")
        with spark_session("benchmark"):
            for sample in (n, n // 10):
                measure(folder, sample)


def candidates(start: int, n: int, names: list[str]) -> pa.Table:
    """Rows ``start`` and on; the last in a hundred of them repeat the first ones."""
    rng = np.random.default_rng([0, start])
    weights = 1 / np.arange(1, len(names) + 1)
    ends = np.cumsum(weights) / weights.sum()
    n_topics = rng.poisson(3, size=n)
    offsets = np.concatenate([[0], np.cumsum(n_topics)])
    drawn = np.searchsorted(ends, rng.random(offsets[-1]))
    topics = pa.DictionaryArray.from_arrays(pa.array(drawn, pa.int32()), pa.array(names))
    columns = {
        "video_id": [f"v{i:010}" for i in range(start, start + n)],
        "views": rng.lognormal(8, 2, size=n).astype(np.int64),
        "duration": rng.lognormal(5.3, 0.6, size=n),
        "topics": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), topics.cast(pa.string())),
    }
    table = pa.table(columns)
    return pa.concat_tables([table.slice(0, n - n // 100), table.slice(0, n // 100)])


def measure(folder: Path, sample: int) -> None:
    """Run the job once and print what it took."""
    config = DatasetConfig(
        candidates=str(folder / "candidates"),
        vocabulary=str(folder / "vocabulary.csv"),
        output=str(folder / "dataset"),
        overwrite=True,
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        sample=sample,
    )
    highest: dict[str, int] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(1.0):  # workers that are idle end
            highest.update({k: max(v, highest.get(k, 0)) for k, v in peaks().items()})

    thread = threading.Thread(target=look)
    thread.start()
    began, before = time.perf_counter(), cpu_seconds()
    result = runpy.run_path(str(JOB))["main"](config)
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - before
    done.set()
    thread.join()
    of = ", ".join(f"{name} {mib:,} MiB" for name, mib in highest.items())
    n_videos = int(result.metrics["n_videos"])
    print(f"sample {sample:,}: {n_videos:,} videos in {seconds:.0f} s ({cpu:.0f} s of CPU time)")
    print(f"    at most {of}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_CANDIDATES)
