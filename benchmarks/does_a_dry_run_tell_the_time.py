"""Does --dry-run tell how long a job will take?

Every job of the line is asked for its plan and then run, on synthetic frames or on real shards of
videos (--shards), as a user runs it: a process of its own on the cores of this machine. The time is
that of the whole process. Prints a table in Markdown.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from yt8m_spark.markdown import markdown_table

JOBS = Path(__file__).resolve().parents[1] / "jobs"
OF_FRAMES = (
    "make_synthetic --n-videos {videos} --n-entities {entities} --mean-frames 60 --output data",
    "convert_tfrecords --input {shards} --output frames",
    "aggregate_videos --input {shards} --statistics mean,std,top5 --output videos",
)
OF_VIDEOS = (
    "fit_whitening --input {videos} --columns {columns} --output whitening",
    "normalize_videos --input {videos} --whitening whitening --output features",
    "train_entities --input features --loss logistic --output logistic",
    "train_entities --input features --loss moe --output moe",
    "predict --model moe --input features --output predictions",
    "evaluate --model moe --input features --output evaluation",
)
WHOLE = "run_pipeline --train {shards} --test {shards} --output results"
RECIPES = "--recipes logistic_mean,moe_mean"


def main() -> None:
    """Plan and run every job; print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shards", help="real video-level shards, in place of synthetic frames")
    parser.add_argument("--videos", type=int, default=8000)
    parser.add_argument("--entities", type=int, default=400)
    options = parser.parse_args()
    rows = [["job", "planned, s", "took, s", "took / planned"]]
    with tempfile.TemporaryDirectory() as folder:
        for command in commands(options):
            planned, took = plan_and_time(command, folder)
            row = [f"`{label(command)}`", f"{planned:.0f}", f"{took:.0f}", f"{took / planned:.2f}"]
            rows.append(row)
            print(*row, file=sys.stderr)
    print(markdown_table(rows))


def commands(options: argparse.Namespace) -> Iterator[list[str]]:
    """Command lines of the jobs, in an order in which each finds its inputs."""
    if options.shards:
        shards, columns = os.path.abspath(options.shards), "mean_rgb,mean_audio"
        texts = [
            "convert_tfrecords --input {shards} --output videos",
            *OF_VIDEOS,
            f"{WHOLE} {RECIPES}",
        ]
    else:
        shards, columns = "data/frame/train*.tfrecord", "mean_rgb,mean_audio,std_rgb,std_audio"
        texts = [*OF_FRAMES, *OF_VIDEOS, WHOLE]
    for text in texts:
        made = text.startswith("make_synthetic")
        yield text.format(
            videos=options.videos if made else "videos",
            entities=options.entities,
            shards=shards,
            columns=columns,
        ).split()


def label(command: list[str]) -> str:
    """The job, with the kind of its model."""
    return command[0] + (f" --loss {command[4]}" if "--loss" in command else "")


def plan_and_time(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds that the plan tells, and that the job takes."""
    planned = json.loads(run([*command, "--dry-run"], folder).splitlines()[-1])
    start = time.monotonic()
    run(command, folder)
    return float(planned["metrics"]["seconds"]), time.monotonic() - start


def run(command: list[str], folder: str) -> str:
    """Run a job; what it printed."""
    job, *arguments = command
    done = subprocess.run(
        [sys.executable, str(JOBS / f"{job}.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
