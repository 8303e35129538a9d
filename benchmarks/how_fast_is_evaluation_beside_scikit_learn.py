"""How fast is the evaluation of a model beside scikit-learn, and in how much memory?

13,998 real videos of YouTube-8M (2018), 1,152 whitened features, a logistic model of 3,862
entities. Contenders in turns:

- ours: `evaluate_model` on local[2] as a job calls it, from features and model on storage, with
  all metrics and tables; one BLAS thread a task. The session is up before the clock starts; the
  first run pays for the start of Python workers.
- scikit-learn: one process that reads the same files, scores with NumPy, whose BLAS may take both
  cores, and calls `average_precision_score` for each entity with positives; nothing else.

Prints seconds and CPU time of each round, the ratio of the medians, peak memory, and both mean
average precisions. Other programs on the machine take more from two processes than from one: look
at the load that is printed, too.

    python benchmarks/how_fast_is_evaluation_beside_scikit_learn.py [--features F --model M]

``--features`` and ``--model`` are made by normalize_videos and train_entities; without them they
are made first, from the shards in ``--data``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "yt8m_video"
ROUNDS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA, help="folder of video-level shards")
    parser.add_argument("--features", type=Path)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    if given.features is None and not given.data.is_dir():
        print(f"skipped: there is no {given.data}")
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.features is None:
            given.features, given.model = make(given.data.resolve(), folder)
        compare(str(given.features.resolve()), str(given.model.resolve()))


def make(data: Path, folder: str) -> tuple[Path, Path]:
    """Features and a model of the shards in ``data``, as anyone makes them."""
    jobs = {
        "convert_tfrecords": [f"--input={data}/validate*.tfrecord", "--output=videos"],
        "fit_whitening": ["--input=videos", "--output=w", "--columns=mean_rgb,mean_audio"],
        "normalize_videos": ["--input=videos", "--whitening=w", "--output=features"],
        "train_entities": ["--input=features", "--output=model", "--entities=0-3861"],
    }
    for name, options in jobs.items():
        command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *options]
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return Path(folder, "features"), Path(folder, "model")


def compare(features: str, model: str) -> None:
    """Run both in turns."""
    from evaluation_memory import cpu_seconds, peaks

    from yt8m_spark.session import get_spark
    from yt8m_spark.spark.scoring import evaluate_model

    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of workers
    spark = get_spark("benchmark")
    ours, theirs = [], []
    for number in range(ROUNDS + 1):
        start, cpu = time.perf_counter(), cpu_seconds()
        evaluated = evaluate_model(spark.read.parquet(features), model)
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
        if not number:
            print(f"first run, with the start of workers: {seconds:.1f} s")
            continue
        ours.append(seconds)
        theirs.append(in_process(features, model))
        told = f"ours {seconds:5.2f} s (CPU {cpu:5.2f}), scikit-learn "
        told += f"{theirs[-1]['seconds']:5.2f} s (CPU {theirs[-1]['cpu']:5.2f})"
        print(f"round {number}: {told}, load {os.getloadavg()[0]:.1f}", flush=True)
    ratio = median(t["seconds"] for t in theirs) / median(ours)
    print(f"ours is {ratio:.1f}x as fast (medians of {ROUNDS} rounds)")
    print("peak memory, MiB:", peaks(), f"scikit-learn's process {theirs[0]['mib']:.0f}")
    print(f"mean AP: scikit-learn {theirs[0]['map']:.6f}, paper's {evaluated.metrics['map']:.6f}")
    spark.stop()


def in_process(features: str, model: str) -> dict[str, float]:
    """What `alone` measures, in a process of its own with two BLAS threads."""
    command = [sys.executable, __file__, "--alone", features, model]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout))


def alone(features: str, model: str) -> None:
    """Read, score, and take the average precision of each entity; the clock leaves imports out."""
    import resource

    import numpy as np
    import pyarrow.parquet as pq
    from scipy.special import expit
    from sklearn.metrics import average_precision_score

    from yt8m_spark.scorer import load_scorer

    start, cpu = time.perf_counter(), time.process_time()
    table = pq.read_table(features, columns=["labels", "features"])
    x = table["features"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    scorer = load_scorer(model)
    scores = x @ scorer.weights[0].T
    scores += scorer.bias[0]
    expit(scores, out=scores)
    truth = np.zeros(scores.shape, dtype=np.int8)
    for row, labels in enumerate(table["labels"].to_pylist()):
        truth[row, labels] = 1  # the model's entities are 0 .. E - 1
    figures = [
        average_precision_score(truth[:, e], scores[:, e])
        for e in np.flatnonzero(truth.any(axis=0))
    ]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "map": float(np.mean(figures)), "mib": mib}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        alone(*sys.argv[2:])
    else:
        main()
