"""How much faster is each stage on two workers than on one?

Each stage of the line runs on a standalone cluster of this machine with one worker of one core, and
with two. Each worker, with its executor's Java and its Python, is kept to a core of its own: left
free, one worker of "one core" has Java read and write on one core while Python works on another.
Seconds are those of the job in an application that is up already: its tasks, its planning and its
bookkeeping, without the start of Spark. Efficiency is t1 / (2 t2): 1 is ideal. What is not shared,
2 t2 - t1, stays while the rest grows with the data, and efficiency with it. The driver is beside
the workers: on a machine of two cores it takes from two workers what it does not from one.
Prints a table in Markdown. Needs taskset.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import argparse
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))  # for its cluster

from cluster.standalone import Cluster, standalone_cluster  # noqa: E402

from yt8m_spark.markdown import markdown_table  # noqa: E402

STAGES = (
    ("convert", "convert_tfrecords --input {data}/frame/train*.tfrecord --output frames"),
    ("aggregate", "aggregate_videos --input {data}/frame/train*.tfrecord --output videos"),
    ("whitening", "fit_whitening --input videos --output whitening --columns mean_rgb,std_rgb"),
    ("normalize", "normalize_videos --input videos --whitening whitening --output features"),
    ("train", "train_entities --input features --output model --loss moe --block-size {block}"),
    ("predict", "predict --model model --input features --output predictions"),
    ("evaluate", "evaluate --model model --input features --output evaluation"),
)
SETTINGS = {"spark.sql.files.maxPartitionBytes": "16m", "spark.default.parallelism": "2"}


def main() -> None:
    """Make data, run all stages on both clusters and print."""
    options = parse()
    if options.inside:
        time_stages(options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_data(folder, options)
        runs = {n: dict(run_on(n, folder, options)) for n in (1, 2)}
        times = {n: best(of_n) for n, of_n in runs.items()}
    head = ["stage", "1 worker, s", "2 workers, s", "efficiency", "not shared, s"]
    print(markdown_table([head, *(line(stage, times) for stage, _ in STAGES)]))


def line(stage: str, times: dict[int, dict[str, float]]) -> list[str]:
    """What a stage took, as a row of the table."""
    one, two = times[1][stage], times[2][stage]
    # Of t(n) = a + b / n: what stays the same however many workers there are.
    figures = [f"{one:.1f}", f"{two:.1f}", f"{one / (2 * two):.2f}", f"{2 * two - one:.1f}"]
    return [stage, *figures]


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--videos", type=int, default=20_000)
    parser.add_argument("--entities", type=int, default=400)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60, help="mean length of a video")
    parser.add_argument("--times", type=int, default=2, help="runs, of which the fastest counts")
    parser.add_argument("--memory", default="6g", help="of a worker's executor")
    parser.add_argument("--folder", help="where to put all files (default: the temporary one)")
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # under spark-submit: the data
    return parser.parse_args()


def make_data(folder: Path, options: argparse.Namespace) -> None:
    """Synthetic videos in the true format."""
    given = [f"--n-videos={options.videos}", f"--n-entities={options.entities}"]
    given += [f"--n-shards={options.shards}", f"--mean-frames={options.seconds}", "--output=data"]
    with standalone_cluster(folder / "makers", memory=options.memory) as cluster:
        finish(cluster, "make_synthetic", *given, cwd=folder)


def run_on(
    n_workers: int, folder: Path, options: argparse.Namespace
) -> Iterator[tuple[int, dict[str, float]]]:
    """Seconds by stage of each run on ``n_workers``."""
    with standalone_cluster(
        folder / f"cluster-{n_workers}", n_workers=n_workers, memory=options.memory, pinned=True
    ) as cluster:
        for number in range(options.times):
            work = folder / f"run-{n_workers}-{number}"
            work.mkdir()
            given = [f"--inside={folder / 'data'}", f"--entities={options.entities}"]
            finish(cluster, Path(__file__).resolve(), *given, cwd=work)
            seconds = json.loads((work / "seconds.json").read_text())
            print(f"{n_workers} worker(s): {seconds}", file=sys.stderr, flush=True)
            yield number, seconds


def best(runs: dict[int, dict[str, float]]) -> dict[str, float]:
    """The fastest of each stage."""
    return {stage: min(seconds[stage] for seconds in runs.values()) for stage, _ in STAGES}


def finish(cluster: Cluster, script: str | Path, *options: str, cwd: Path) -> None:
    """Submit and wait; stop all if it fails."""
    job = cluster.submit(script, *options, cwd=cwd, settings=SETTINGS)
    if job.wait(24 * 3600):
        raise SystemExit(job.text[-4000:])


def time_stages(options: argparse.Namespace) -> None:
    """Run all stages here, in the application that spark-submit has started."""
    from yt8m_spark.session import spark_session

    seconds = {}
    with spark_session("how_do_stages_scale") as spark:
        # Executors and their Python are up before the first stage.
        spark.range(0, 8, 1, 8).mapInArrow(as_it_is, "id bigint").count()
        for stage, command in STAGES:
            name, *given = command.split()
            values = {"data": options.inside, "block": max(1, options.entities // 16)}
            sys.argv = [f"{name}.py", *(part.format(**values) for part in given)]
            start = time.monotonic()
            run_job(name)
            seconds[stage] = time.monotonic() - start
    Path("seconds.json").write_text(json.dumps(seconds))


def as_it_is(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A task that needs Python and does nothing."""
    yield from batches


def run_job(name: str) -> None:
    """Run jobs/``name``.py in this process."""
    try:
        runpy.run_path(str(PROJECT / "jobs" / f"{name}.py"), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise


if __name__ == "__main__":
    main()
