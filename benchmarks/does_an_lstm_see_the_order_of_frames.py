"""Does an LSTM see what a bag of frames cannot: the order of the frames?

Synthetic videos of 12 entities, each as frequent as the others and one a video. Two of them differ
in nothing but order: the same features rise through the video or fall. A bag of frames (DBoF), and
a classifier of single frames, can only toss a coin between the two; an LSTM need not. Trains all
three by `run_pipeline` and prints average precision by kind of entity, and Hit@1, in percent.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from yt8m_spark.core.synthetic import make_world
from yt8m_spark.core.synthetic_config import SyntheticConfig

JOBS = Path(__file__).parents[1] / "jobs"
RECIPES = ("logistic_frames", "dbof", "lstm")
MADE = SyntheticConfig(
    n_videos=6000,
    n_entities=12,
    seed=5,  # the two are of one topic: no scene around them tells which
    rgb_dim=48,
    audio_dim=16,
    mean_frames=20,
    max_frames=40,
    labels_per_video=1,
    zipf_exponent=0,
)
NETWORKS = """
optimizer = "adamw"
learning_rate = 2e-3
weight_decay = 0.05
clip = 5.0
normalize = false
units = 1024
hidden = 256
cells = 128
batch_size = 64
epochs = 15
"""


def main() -> None:
    """Make the videos, train, print."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "networks.toml").write_text(NETWORKS)
        given = {name: getattr(MADE, name) for name in vars(MADE)}
        run("make_synthetic", root, output=root / "made", **given)
        run(
            "run_pipeline",
            root,
            train=root / "made/frame/train*.tfrecord",
            test=root / "made/frame/test*.tfrecord",
            output=root / "results",
            recipes=",".join(RECIPES),
            networks=root / "networks.toml",
        )
        report(root / "results/evaluation")


def run(job: str, folder: Path, **options: object) -> None:
    """Run a job as a user does."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    program = [sys.executable, str(JOBS / f"{job}.py"), *flags]
    subprocess.run(program, cwd=folder, check=True, capture_output=True)


def report(folder: Path) -> None:
    """Print a row a recipe."""
    kinds = np.array([kind.value for kind in make_world(MADE).kinds])
    names = sorted(set(kinds))
    print(f"{'':16}{'Hit@1':>8}" + "".join(f"{name:>8}" for name in names))
    for recipe in RECIPES:
        hit = json.loads((folder / recipe / "metrics.json").read_text())["hit_at_1"]
        table = pq.read_table(folder / recipe / "per_entity.parquet")
        found = kinds[table["entity"].to_numpy()]
        precision = table["average_precision"].to_numpy()
        by_kind = [100 * precision[found == name].mean() for name in names]
        print(f"{recipe:16}{100 * hit:8.1f}" + "".join(f"{value:8.1f}" for value in by_kind))


if __name__ == "__main__":
    main()
