"""How near is scoring with the 20 best entities of a video to its bare matrix product?

Contenders in one run on one thread: `top_k_videos` and `score_videos` of `core.scoring` with 4,800
entities, the product x @ W.T of all videos and weights with nothing after it, and what a plain
program would do: that product in blocks of 1,024 videos, the scores, and a full sort of each row.
Prints each one's share of the speed of the bare product; 1 would be the limit.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import numpy as np

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import Scorer, score_videos, top_k_videos

N_VIDEOS, N_FEATURES, N_ENTITIES, K = 2048, 1024, 4800, 20
TIMES = 5


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_VIDEOS, N_FEATURES)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    print(f"{N_VIDEOS} videos, {N_FEATURES} features, {N_ENTITIES} entities, {K} best, one thread")
    for name in ("logistic", "moe"):
        scorer = make_scorer(name, rng)
        flat = scorer.weights.reshape(-1, N_FEATURES)
        contenders = {
            "bare product": lambda flat=flat: features @ flat.T,
            "score_videos": lambda scorer=scorer: score_videos(scorer, features),
            "top_k_videos": lambda scorer=scorer: top_k_videos(scorer, features, K),
            "full sort": lambda scorer=scorer: sort_all(scorer, features),
        }
        seconds = fastest(contenders)
        gflop = 2 * N_VIDEOS * flat.size / 1e9
        for contender, taken in seconds.items():
            share = seconds["bare product"] / taken
            rate = f"{gflop / taken:6.1f} Gflop/s, {N_VIDEOS / taken:7.0f} videos/s"
            print(f"{name:9} {contender:13} {taken:6.3f} s, {rate}, share {share:.2f}")


def make_scorer(name: str, rng: np.random.Generator) -> Scorer:
    """Random weights; few entities score high, as in real models."""
    family = loss_family(name, 2)
    weights = rng.normal(0, 2, size=(family.n_rows, N_ENTITIES, N_FEATURES)).astype(np.float32)
    bias = np.full((family.n_rows, N_ENTITIES), -4, np.float32)
    return Scorer(family, np.arange(N_ENTITIES), weights, bias)


def sort_all(scorer: Scorer, features: np.ndarray) -> None:
    """What a plain program does."""
    flat = scorer.weights.reshape(-1, N_FEATURES)
    for start in range(0, len(features), 1024):
        part = features[start : start + 1024]
        z = (part @ flat.T).reshape(len(part), *scorer.bias.shape) + scorer.bias
        np.argsort(-scorer.family.score(z), axis=1, kind="stable")[:, :K]


def fastest(contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest of a few rounds; a round runs each once, so all see the same load."""
    seconds = dict.fromkeys(contenders, np.inf)
    for _ in range(TIMES):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
