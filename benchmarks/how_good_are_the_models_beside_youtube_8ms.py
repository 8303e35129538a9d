"""How good are the models beside google/youtube-8m's own, on the same real videos?

Theirs are LogisticModel and MoeModel (`youtube_8m_models`), on L2-normalised features, in batches
of 1,024 (their default) and 128, after 5 and 20 passes. Ours are what `jobs/train_entities.py`
makes in 5 passes by default, hinge, logistic and MoE-2, on features that are centred and
L2-normalised, and on whitened ones (§4.2.2). All learn from the shards 0000 to 0039 and are tested
on 0040 to 0047 of 48 shards of YouTube-8M (2018).

Prints percent: the mAP of the paper (Eq. 8-10) and of the starter code, both means over the
entities that label a test video, Hit@1, PERR and GAP@20. Seconds are of training alone, on one
thread; ours are those of the whole job, Spark's start included.

    python benchmarks/how_good_are_the_models_beside_youtube_8ms.py [--data FOLDER] [--quick]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from youtube_8m_models import LogisticModel, MoeModel, metrics_of, read_videos, scores_of, train

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "yt8m_video"
SPLITS = {"train": "*00[0-3]?.tfrecord", "test": "*004[0-7].tfrecord"}
N_FEATURES, N_ENTITIES = 1152, 3862
THEIRS = {"their LogisticModel": LogisticModel, "their MoeModel, H = 2": MoeModel}
# What fit_whitening does to the features, and which families are trained on them.
FEATURES = {
    "centred + L2": (["--method", "none"], ["hinge", "logistic", "moe"]),
    "whitened + L2": ([], ["hinge", "logistic", "moe"]),
}
FIGURES = {
    "map": "mAP",
    "starter_map": "mAP (starter)",
    "hit_at_1": "Hit@1",
    "perr": "PERR",
    "gap_at_20": "GAP@20",
}


def main() -> None:
    """Train, evaluate and print a row at a time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA, help="folder of video-level shards")
    parser.add_argument("--quick", action="store_true", help="leave the rows of 20 passes out")
    given = parser.parse_args()
    data = given.data.resolve()
    if not data.is_dir():
        print(f"skipped: there is no {data}")
        return
    torch.set_num_threads(1)
    print(f"{'':22} {'setting':26} passes {'s':>5} ", *FIGURES.values(), sep="  ")
    measure_theirs(data, [5] if given.quick else [5, 20])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for name, (options, losses) in FEATURES.items():
            measure_ours(data, Path(folder) / name.split()[0], name, options, losses)


def measure_theirs(data: Path, passes: list[int]) -> None:
    """Rows of google/youtube-8m's models."""
    videos = {
        split: read_videos(map(str, sorted(data.glob(pattern))))
        for split, pattern in SPLITS.items()
    }
    for name, make_model in THEIRS.items():
        for batch_size in (1024, 128):
            torch.manual_seed(0)
            model = make_model(N_FEATURES, N_ENTITIES)
            training = train(
                model, videos["train"], n_entities=N_ENTITIES, batch_size=batch_size, passes=passes
            )
            for done, seconds in timed(training):
                figures = metrics_of(scores_of(model, videos["test"].features), videos["test"])
                print_row(name, f"batch {batch_size}", done, seconds, figures)


def timed(training: Iterator[int]) -> Iterator[tuple[int, float]]:
    """What ``training`` gives, with the seconds it has taken so far."""
    seconds, start = 0.0, time.perf_counter()
    for done in training:
        seconds += time.perf_counter() - start
        yield done, seconds
        start = time.perf_counter()


def measure_ours(
    data: Path, folder: Path, name: str, options: list[str], losses: list[str]
) -> None:
    """Rows of ours on one kind of features."""
    whitening, features = str(folder / "whitening"), folder / "features"
    folder.mkdir()
    train_shards = str(data / SPLITS["train"])
    run_job("fit_whitening", "--input", train_shards, "--output", whitening, *options)
    for split, pattern in SPLITS.items():
        shards = ["--input", str(data / pattern), "--whitening", whitening]
        run_job("normalize_videos", *shards, "--output", str(features / split))
    for loss in losses:
        model = str(folder / loss)
        start = time.perf_counter()
        run_job(
            "train_entities",
            *("--input", str(features / "train"), "--output", model),
            *("--loss", loss, "--epochs", "5"),
        )
        seconds = time.perf_counter() - start
        figures = run_job(
            "evaluate",
            *("--model", model, "--input", str(features / "test")),
            *("--output", str(folder / f"{loss} evaluation")),
        )
        print_row(f"our {loss}", name, 5, seconds, figures)


def run_job(name: str, *arguments: str) -> dict[str, float]:
    """Run job ``name`` on one core and return its metrics."""
    environment = os.environ | {
        "PYSPARK_SUBMIT_ARGS": "--master local[1] pyspark-shell",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    metrics: dict[str, float] = json.loads(done.stdout.splitlines()[-1])["metrics"]
    return metrics


def print_row(
    name: str, setting: str, passes: int, seconds: float, figures: dict[str, float]
) -> None:
    """Print one model's figures, in percent."""
    values = "  ".join(f"{100 * figures[k]:{len(v)}.1f}" for k, v in FIGURES.items())
    print(f"{name:22} {setting:26} {passes:6} {seconds:5.0f}   {values}", flush=True)


if __name__ == "__main__":
    main()
