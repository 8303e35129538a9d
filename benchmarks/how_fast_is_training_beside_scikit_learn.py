"""How many classifiers does a block train in the time of scikit-learn's SGDClassifier?

Contenders in turns on one thread, one pass each over the same float32 videos:
`core.training.BlockTrainer` as by default and with batches of 512, and
`SGDClassifier(loss="log_loss")` one-vs-rest, which goes example by example: as by default, with
the weights of the second half of the pass averaged (which ours does by default), and on the same
videos as float64. Prints examples times entities a second, how many times as fast ours is by
default, and the log-loss that each one's settings reach. CPU time, so that other programs count
less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np
from scipy.special import expit
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions

N_VIDEOS, N_FEATURES, N_ENTITIES, LABELS_A_VIDEO = 16384, 1024, 256, 3
N_OF_SCIKIT_LEARN = 4  # of the entities; its time is the same for each
TIMES = 5


def main() -> None:
    """Measure and print."""
    x, y = make_problem()
    few, wide = y[:, :N_OF_SCIKIT_LEARN], x.astype(np.float64)
    contenders: dict[str, Callable[[], np.ndarray]] = {
        "yt8m_spark": lambda: train_ours(x, y, 32),
        "yt8m_spark, batch 512": lambda: train_ours(x, y, 512),
        "scikit-learn": lambda: train_theirs(x, few, False),
        "scikit-learn, averaged": lambda: train_theirs(x, few, N_VIDEOS // 2),
        "scikit-learn, float64": lambda: train_theirs(wide, few, False),
    }
    seconds, losses = dict.fromkeys(contenders, np.inf), {}
    for _ in range(TIMES):
        for name, work in contenders.items():
            start = time.process_time()
            probabilities = work()
            seconds[name] = min(seconds[name], time.process_time() - start)
            losses[name] = mean_log_loss(few, probabilities)
    print(f"one pass over {N_VIDEOS} videos, D = {N_FEATURES}")
    ours = N_VIDEOS * N_ENTITIES / seconds["yt8m_spark"]
    for name, taken in seconds.items():
        n_entities = N_ENTITIES if name.startswith("yt8m") else N_OF_SCIKIT_LEARN
        rate = N_VIDEOS * n_entities / taken
        told = f"{rate / 1e6:6.2f} million a second, log-loss {losses[name]:.4f}"
        print(f"{name:22} {told}, ours is {ours / rate:4.1f}x")


def make_problem() -> tuple[np.ndarray, np.ndarray]:
    """Features (V, D) of length 1 and labels (V, E), some 3 a video, that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = x @ rng.normal(size=(N_FEATURES, N_ENTITIES)).astype(np.float32)
    return x, (z > np.quantile(z, 1 - LABELS_A_VIDEO / N_ENTITIES)).astype(np.float32)


def train_ours(x: np.ndarray, y: np.ndarray, batch_size: int) -> np.ndarray:
    """One pass; probabilities of the first entities."""
    family, options = loss_family("logistic"), TrainingOptions(n_epochs=1, batch_size=batch_size)
    prior = prior_probability(y.sum(axis=0, dtype=np.int64), len(x))
    state = initial_state(family, np.arange(N_ENTITIES), N_FEATURES, options, prior, len(x))
    trainer = BlockTrainer(state, family, options, len(x))
    trainer.feed(x, y)
    trainer.end_pass()
    weights = state.final_weights()[0, :N_OF_SCIKIT_LEARN]
    return np.asarray(expit(x @ weights[:, :-1].T + weights[:, -1]))


def train_theirs(x: np.ndarray, y: np.ndarray, average: int | bool) -> np.ndarray:
    """One pass; probabilities of the first entities."""
    sgd = SGDClassifier(loss="log_loss", max_iter=1, tol=None, average=average, random_state=0)
    return np.asarray(OneVsRestClassifier(sgd).fit(x, y).predict_proba(x))


def mean_log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Mean over videos and entities, on the videos that were trained on."""
    columns = zip(y.T, p.astype(np.float64).T, strict=True)
    return float(np.mean([log_loss(truth, guess) for truth, guess in columns]))


if __name__ == "__main__":
    main()
