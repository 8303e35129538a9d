"""How long does building a vocabulary take, and how much memory?

5,000,000 candidate videos of 1 to 7 topics, 50,000 entities of 300 types with descriptions, 300,000
ratings, made up; the whole job as by the command line, on two cores. Seconds of the clock and of
the processors, and the peak memory of the driver's Python, of its JVM and of the largest worker; a
machine that does other work shows in the difference of the first two.

    python benchmarks/how_long_does_building_a_vocabulary_take.py [--quick]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_VIDEOS, N_ENTITIES, N_TYPES, N_RATERS = 5_000_000, 50_000, 300, 6
CHUNK = 250_000  # videos of a Parquet file
MOST_TOPICS = 7


def main() -> None:
    """Make the tables, build the vocabulary in a process of its own and print."""
    n_videos = N_VIDEOS // 20 if "--quick" in sys.argv else N_VIDEOS
    with tempfile.TemporaryDirectory() as folder:
        make_entities(Path(folder))
        make_videos(Path(folder) / "videos", n_videos)
        command = [sys.executable, __file__, folder]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        print(f"{n_videos:,} videos: {done.stdout.splitlines()[-1]}")


def make_entities(folder: Path) -> None:
    """Write entities, a hierarchy of types 6 deep and ratings."""
    rng = np.random.default_rng(0)
    parents = [-1, *(int(rng.integers(max(0, i - 60), i)) for i in range(1, N_TYPES))]
    with (folder / "types.csv").open("w", newline="") as file:
        rows = [(f"/t/{i}", f"/t/{p}" if p >= 0 else "", f"V{i}" if 1 <= i <= 24 else "")
                for i, p in enumerate(parents)]  # fmt: skip
        csv.writer(file).writerows([("type", "parent", "vertical"), *rows])
    with (folder / "entities.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "name", "types", "description"))
        for i in range(N_ENTITIES):
            types = "|".join(f"/t/{t}" for t in rng.integers(N_TYPES, size=rng.integers(1, 4)))
            writer.writerow((f"/m/{i:06x}", f"entity {i}", types, "What it is, in words. " * 20))
    with (folder / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("entity", "rater", "visualness"))
        means = rng.uniform(0.7, 3.5, N_ENTITIES)[:, None]
        scores = np.clip(np.rint(rng.normal(means, 0.6, (N_ENTITIES, N_RATERS))), 1, 5).astype(int)
        for i, of in enumerate(scores.tolist()):
            writer.writerows((f"/m/{i:06x}", f"r{(i + r) % 97}", s) for r, s in enumerate(of))


def make_videos(folder: Path, n_videos: int) -> None:
    """Write videos, whose topics are as frequent as entities of rank r are: about 1 / (r + 10)."""
    folder.mkdir()
    ids = pa.array([f"/m/{i:06x}" for i in range(N_ENTITIES + 1000)])  # a thousand are unknown
    weights = 1 / (np.arange(len(ids)) + 10)
    cumulative = np.cumsum(weights / weights.sum())
    for start in range(0, n_videos, CHUNK):
        rng = np.random.default_rng([1, start])
        n = min(CHUNK, n_videos - start)
        offsets = np.concatenate([[0], np.cumsum(rng.integers(1, MOST_TOPICS + 1, n))])
        ranks = np.searchsorted(cumulative, rng.random(offsets[-1]))
        # Ranks have nothing to do with ids.
        topics = ids.take(pa.array(ranks * 7919 % len(ids)))
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), topics)
        columns = {"video_id": [f"v{i:010x}" for i in range(start, start + n)], "topics": lists}
        columns |= {"views": rng.integers(0, 10**6, n), "duration": rng.uniform(60, 600, n)}
        pq.write_table(pa.table(columns), folder / f"{start:08}.parquet")


def build(folder: str) -> None:
    """Run the job as the command line does, but here, to see its processes."""
    os.chdir(folder)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))
    from build_vocabulary import main as build_vocabulary
    from evaluation_memory import cpu_seconds, peaks

    from yt8m_spark.session import get_spark
    from yt8m_spark.vocabulary_config import VocabularyConfig

    spark = get_spark("benchmark")
    config = VocabularyConfig(
        output="out", entities="entities.csv", types=("types.csv",), ratings="ratings.csv",
        videos="videos", whitelist=("/t/1", "/t/2", "/t/3"), blacklist=("/t/7",),
    )  # fmt: skip
    start, before = time.perf_counter(), cpu_seconds()
    result = build_vocabulary(config)
    seconds, of_cpu = time.perf_counter() - start, cpu_seconds() - before
    told = ", ".join(f"{name} {mib:,} MiB" for name, mib in peaks().items())
    counts = {n: result.metrics[n] for n in ("n_candidates", "n_entities")}
    print(f"{seconds:.0f} s, {of_cpu:.0f} s of processors, peaks: {told}; {json.dumps(counts)}")
    spark.stop()


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] != "--quick":
        build(sys.argv[1])
    else:
        main()
