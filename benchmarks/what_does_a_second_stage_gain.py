"""What does a second stage on the scores of a first gain on real videos, and where?

`jobs/train_stack.py` with its defaults on the shards 0000 to 0039 of YouTube-8M (2018, 48 shards),
centred and L2-normalised mean features, beside its own first stage, on the shards 0040 to 0047:
logistic and MoE-2. For each, what stacking gains over the first stage in mAP, Hit@1, PERR and
GAP@20, with 95 % intervals of the paired difference (1,000 replicates of one bootstrap over
videos), and in mean average precision of head, torso and tail.

A control tells how much of it any second opinion would gain: the first stage averaged, in the same
way, with one that was trained from another seed.

    python benchmarks/what_does_a_second_stage_gain.py [--data FOLDER] [--losses logistic,moe]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit, logit

from yt8m_spark.comparison import compare
from yt8m_spark.core.scoring import score_videos
from yt8m_spark.scorer import read_scorer

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "yt8m_video"
SPLITS = {"train": "*00[0-3]?.tfrecord", "test": "*004[0-7].tfrecord"}
METRICS = ("map", "hit_at_1", "perr", "gap_at_20")
REPLICATES = "1000"


def main() -> None:
    """Train, evaluate, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA, help="folder of video-level shards")
    parser.add_argument("--losses", default="logistic,moe", help="families of both stages")
    given = parser.parse_args()
    data = given.data.resolve()
    if not data.is_dir():
        print(f"skipped: there is no {data}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        make_features(data, folder)
        for loss in given.losses.split(","):
            measure(folder, loss)


def make_features(data: Path, folder: Path) -> None:
    """Features tables of both splits."""
    whitening = ["--output", str(folder / "whitening"), "--method", "none"]
    run_job("fit_whitening", "--input", str(data / SPLITS["train"]), *whitening)
    for split, pattern in SPLITS.items():
        shards = ["--input", str(data / pattern), "--whitening", str(folder / "whitening")]
        run_job("normalize_videos", *shards, "--output", str(folder / split))


def measure(folder: Path, loss: str) -> None:
    """Rows of one family."""
    train = ["--input", str(folder / "train"), "--loss", loss]
    model, other = str(folder / loss), str(folder / f"{loss} of another seed")
    start = time.perf_counter()
    run_job("train_stack", *train, "--output", model)
    print(f"\n{loss}: the stack was trained in {time.perf_counter() - start:.0f} s")
    run_job("train_entities", *train, "--output", other, "--seed", "1")
    two = str(folder / f"{loss} two seeds")
    average_two(f"{model}/first", other, folder / "test", Path(two))
    test = ["--input", str(folder / "test")]
    runs = []
    for name, source in (
        ("first", ["--model", f"{model}/first", *test]),
        ("stack", ["--model", model, *test]),
        ("two seeds", ["--predictions", two]),
    ):
        output = str(folder / f"evaluation of {loss} {name}")
        run_job("evaluate", *source, "--output", output, "--bootstrap", REPLICATES)
        runs.append(f"{name}={output}")
    tell(runs)


def average_two(first: str, second: str, features: Path, target: Path) -> None:
    """Predictions table, all entities kept, of two models whose log-odds are averaged by thirds."""
    table = pq.read_table(features)
    x = np.array(table["features"].to_pylist(), dtype=np.float32)
    models = read_scorer(first), read_scorer(second)
    a, b = (logit(score_videos(m, x).astype(np.float64).clip(1e-7, 1 - 1e-7)) for m in models)
    scores = expit(a * 2 / 3 + b / 3).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    entities = models[0].entities[order].astype(np.int32)
    columns = {
        "video_id": table["video_id"],
        "labels": table["labels"],
        "entities": pa.array(list(entities), pa.list_(pa.int32())),
        "scores": pa.array(list(ranked), pa.list_(pa.float32())),
    }
    target.mkdir()
    pq.write_table(pa.table(columns), target / "part.parquet")


def tell(runs: list[str]) -> None:
    """Print figures, paired differences to the first run, and bands."""
    comparison = compare(runs, metrics=METRICS)
    first, *others = comparison.runs
    print("first       " + "  ".join(f"{m} {100 * first.metrics[m]:.2f}" for m in METRICS))
    for run in others:
        for metric in METRICS:
            found = comparison.differences[run.name][metric]
            ends = found.interval
            told = f"{100 * ends.low:+.2f} to {100 * ends.high:+.2f}" if ends else "no interval"
            figure = f"{100 * run.metrics[metric]:6.2f}  {100 * found.value:+.2f} ({told})"
            print(f"{run.name:11} {metric:10} {figure}")
        for group in comparison.by_entity[run.name].groups:
            if group.kind == "band":
                gained = 100 * (group.figure - group.baseline)
                print(
                    f"{run.name:11} AP of {group.name:6} {gained:+.2f}, {group.n_entities} entities"
                )


def run_job(name: str, *arguments: str) -> None:
    """Run job ``name``."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    json.loads(done.stdout.splitlines()[-1])  # whole


if __name__ == "__main__":
    main()
