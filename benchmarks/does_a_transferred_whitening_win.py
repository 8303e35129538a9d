"""Does a whitening learned on much other data win over one learned on a small target (Table 5b)?

Two targets of a few hundred videos, of labels that no video of the source has: 50 classes of
AudioSet (mean of 128 audio features; the source is the other 20,000 clips of bal_train, the test
the clips of eval), and entities of YouTube-8M (mean of 1,152 features; the source is some 12,000
videos). Each draw takes other labels, another source and another target. Both whitenings have all
components and one ridge: none, as in the paper; the default; or what two-fold cross-validation on
the target's own videos chooses for each. Prints mAP and Hit@1 in percent, the mean of the draws,
and the difference with its 95 % interval: Student's t over the draws, which share videos and the
pool of their tests, so that it is a little narrow.

``--networks`` runs the jobs instead, on one draw of AudioSet: a whitening and a small LSTM are
learned on the source, and `jobs/transfer.py` makes all rows.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from transfer_targets import (
    AUDIOSET,
    DATA,
    SIZES,
    Draw,
    Videos,
    audioset_draws,
    cut_audioset,
    yt8m_draws,
)

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.core.scoring import Scorer, score_videos
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.core.whitening import Whitening, apply_whitening, fit_whitening, l2_normalize
from yt8m_spark.spark.evaluation_local import evaluate_batches

ROOT = Path(__file__).resolve().parents[1]
RIDGES = (0.0, 0.1, 1.0, 10.0, 100.0)  # cross-validation chooses among them
OPTIONS = TrainingOptions(n_epochs=20)
METRICS = {"map": "mAP", "hit_at_1": "Hit@1"}
NETWORKS = """
optimizer = "adamw"
learning_rate = 1e-3
weight_decay = 0.05
clip = 5.0
normalize = false
layers = 2
cells = 128
batch_size = 32
epochs = {epochs}
"""


def main() -> None:
    """Print a table a target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--networks", action="store_true", help="run the jobs instead")
    parser.add_argument("--target", choices=("audioset", "yt8m"), help="one of the two alone")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: there is no {DATA}")
    elif given.networks:
        with tempfile.TemporaryDirectory() as folder:
            run_jobs(Path(folder))
    else:
        for name, draws in {"audioset": audioset_draws, "yt8m": yt8m_draws}.items():
            if given.target in (None, name):
                compare(name, draws, given.draws)


def compare(name: str, make_draws: Callable[[], Iterator[Draw]], n_draws: int) -> None:
    """Print a row for each size and ridge: own, transferred, their difference."""
    found: dict[tuple[int, str, str], list[tuple[dict[str, float], dict[str, float]]]] = {}
    for seed, draw in zip(range(n_draws), make_draws(), strict=False):
        if seed == 0:
            n_tested, n_entities = draw.test.labels.shape
            print(f"\n{name}: source {draw.n_source}, test {n_tested}, {n_entities} entities")
        for size in SIZES:
            rng = np.random.default_rng([seed, size])
            target = draw.pool.take(rng.permutation(len(draw.pool.features))[:size])
            for loss in ("logistic", "moe"):
                for ridge in ("0", "10", "chosen"):
                    pair = rows_of(draw.source, target, draw.test, loss, ridge)
                    found.setdefault((size, loss, ridge), []).append(pair)
        print(f"draw {seed + 1} of {n_draws} done", file=sys.stderr, flush=True)
    print(f"{'videos':>6} {'classifier':>10} {'ridge':>7}", end="")
    for head in METRICS.values():
        print(f" {head + ' own':>10} {'transf.':>8} {'difference':>22}", end="")
    print()
    for (size, loss, ridge), pairs in found.items():
        print(f"{size:6} {loss:>10} {ridge:>7}", end="")
        for metric in METRICS:
            own, transferred = (
                np.array([100 * row[metric] for row in side]) for side in zip(*pairs, strict=True)
            )
            low, high = interval(transferred - own)
            difference = f"{(transferred - own).mean():+.1f} ({low:+.1f} to {high:+.1f})"
            print(f" {own.mean():10.1f} {transferred.mean():8.1f} {difference:>22}", end="")
        print()


def rows_of(
    source: Whitening, target: Videos, test: Videos, loss: str, ridge: str
) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics under the own whitening and under that of the ``source``."""
    metrics = []
    for known in (None, source):
        chosen = choose_ridge(target, known, loss) if ridge == "chosen" else float(ridge)
        whitening = known or fit_whitening(moments_of(target.features))
        metrics.append(learn(target, test, with_ridge(whitening, chosen), loss))
    return metrics[0], metrics[1]


def choose_ridge(target: Videos, known: Whitening | None, loss: str) -> float:
    """Ridge of the best mAP in two-fold cross-validation; without ``known``, of own whitenings."""
    first = np.arange(len(target.features)) % 2 == 0
    scores = dict.fromkeys(RIDGES, 0.0)
    for half in (first, ~first):
        train, test = target.take(half), target.take(~half)
        whitening = known or fit_whitening(moments_of(train.features))
        for ridge in RIDGES:
            scores[ridge] += learn(train, test, with_ridge(whitening, ridge), loss)["map"]
    return max(scores, key=scores.__getitem__)


def with_ridge(known: Whitening, ridge: float) -> Whitening:
    """The same components with another ridge."""
    return Whitening(known.mean, known.components, known.eigenvalues, ridge, known.total_variance)


def learn(train: Videos, test: Videos, whitening: Whitening, loss: str) -> dict[str, float]:
    """Metrics on ``test`` of classifiers learned on ``train``."""
    family = loss_family(loss, 2)
    x = l2_normalize(apply_whitening(train.features, whitening))
    n_videos, n_features = x.shape
    entities = np.arange(train.labels.shape[1])
    prior = prior_probability(train.labels.sum(axis=0).astype(np.int64), n_videos)
    state = initial_state(family, entities, n_features, OPTIONS, prior, n_videos)
    trainer = BlockTrainer(state, family, OPTIONS, n_videos)
    while not trainer.done:
        order = np.random.default_rng([OPTIONS.seed, trainer.epoch]).permutation(n_videos)
        trainer.feed(x[order], train.labels[order])
        trainer.end_pass()
    weights = trainer.state.final_weights()
    scorer = Scorer(family, entities, np.ascontiguousarray(weights[:, :, :-1]), weights[:, :, -1])
    tested = l2_normalize(apply_whitening(test.features, whitening))
    ids = [f"{number:06}" for number in range(len(tested))]
    offsets = np.concatenate([[0], np.cumsum(test.labels.sum(axis=1))]).astype(np.int64)
    values = np.nonzero(test.labels)[1].astype(np.int64)
    batch = ScoredBatch(ids, offsets, values, entities, score_videos(scorer, tested))
    return evaluate_batches([batch]).metrics


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean of ``differences``, by Student's t."""
    n = len(differences)
    half = student.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return differences.mean() - half, differences.mean() + half


def run_jobs(folder: Path, n_target: int = 800) -> None:
    """All rows of `jobs/transfer.py` on one draw of AudioSet, and those of videos at two ridges."""
    cut_audioset(folder, n_target)
    for name, epochs in (("source", 4), ("target", 20)):
        (folder / f"{name}.toml").write_text(NETWORKS.format(epochs=epochs))
    source, statistics = str(folder / "source" / "*.tfrecord"), ("mean", "std", "top5")
    run(folder, "aggregate_videos", input=source, output="videos", statistics=",".join(statistics))
    for taken in (("mean",), statistics):
        columns = ",".join(f"{name}_audio_embedding" for name in taken)
        whitening = {"columns": columns, "output": "_".join(taken), "ridge": 0}
        run(folder, "fit_whitening", input="videos", **whitening)
    run(folder, "train_deep", config="source.toml", model="lstm", input=source, output="lstm")
    classes = str(AUDIOSET / "class_labels_indices.csv")
    flags = {"frames": str(folder / "target" / "*.tfrecord"), "labels": "labels.csv"}
    flags |= {"vocabulary": classes, "whitening": "mean,mean_std_top5"}
    networks = {"network": "lstm", "networks": "target.toml"}
    for ridge, more in ((0, {}), (10, networks)):
        output = f"ridge_{ridge}"
        given = flags | more
        run(folder, "transfer", **given, epochs=20, bootstrap=500, ridge=ridge, output=output)
        print(f"\nridge {ridge}\n\n{(folder / output / 'table.md').read_text()}", flush=True)
        compared = (folder / output / "comparison" / "comparison.md").read_text()
        print(compared.partition("## ")[0], flush=True)  # differences to the first row


def run(folder: Path, job: str, **options: object) -> dict[str, float]:
    """Run a job as a user does; its metrics."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    program = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *flags]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stderr[-3000:]}")
    metrics: dict[str, float] = json.loads(done.stdout.splitlines()[-1])["metrics"]
    return metrics


if __name__ == "__main__":
    main()
