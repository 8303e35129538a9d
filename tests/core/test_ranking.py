"""Hit@k and PERR. How videos are put in order, and Spark, are tested elsewhere."""

import numpy as np
import pytest

from yt8m_spark.core.ranking import merge_ranking, n_ranks, ranking_counts, ranking_metrics
from yt8m_spark.core.scored import ScoredBatch, rank_scored

KEYS = ["hit_at_1", "hit_at_5", "perr", "starter_hit_at_1", "starter_perr"]


def batch_of(scores, label_lists, entities=None):
    offsets = np.cumsum([0, *map(len, label_lists)])
    labels = np.array([label for labels in label_lists for label in labels], dtype=np.int64)
    scores = np.array(scores, dtype=np.float32)
    entities = np.arange(scores.shape[1]) if entities is None else np.array(entities)
    ids = [f"v{i}" for i in range(len(scores))]
    return ScoredBatch(ids, offsets, labels, entities, scores)


def metrics_of(*batches, hit_at=(1, 5)):
    """Metrics of batches counted apart and added up."""
    counts = [
        ranking_counts(rank_scored(b, n_ranks(b.label_offsets, hit_at)), hit_at) for b in batches
    ]
    metrics = ranking_metrics(merge_ranking(counts), hit_at)
    return {name: float(value) for name, (value,) in metrics.items()}


def by_definition(scores, label_lists):
    """Eq. 11, PERR of §5.1 and google/youtube-8m's eval_util.py, a video at a time."""
    sums = dict.fromkeys(KEYS, 0.0)
    for row, labels in zip(scores, label_lists, strict=True):
        order = sorted(range(len(row)), key=lambda e: (-row[e], e))
        if not labels:
            continue
        top = order[: len(labels)]
        sums["hit_at_1"] += order[0] in labels
        sums["hit_at_5"] += any(e in labels for e in order[:5])
        sums["perr"] += sum(e in labels for e in top) / len(labels)
        sums["starter_hit_at_1"] += int(np.argmax(row)) in labels
        sums["starter_perr"] += sum(e in labels and row[e] > 0 for e in top) / len(labels)
    n_labelled = sum(map(bool, label_lists))
    return {k: v / (len(scores) if "starter" in k else n_labelled) for k, v in sums.items()}


def test_metrics_of_three_videos_by_hand():
    scores = [[0.9, 0.8, 0.1, 0, 0, 0, 0], [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0], [1, 0, 0, 0, 0, 0, 0]]
    metrics = metrics_of(batch_of(scores, [[0, 2], [4], []]))
    assert metrics == {
        "hit_at_1": 1 / 2,
        "hit_at_5": 2 / 2,  # entity 4 is at rank 5
        "perr": (1 / 2 + 0) / 2,
        "starter_hit_at_1": 1 / 3,
        "starter_perr": (1 / 2 + 0) / 3,
    }


def test_only_the_starter_perr_leaves_out_hits_of_score_zero():
    metrics = metrics_of(batch_of([[0.5, 0.0]], [[0, 1]]))
    assert metrics["perr"] == 2 / 2
    assert metrics["starter_perr"] == 1 / 2


def test_a_label_the_model_does_not_know_is_one_it_misses():
    metrics = metrics_of(batch_of([[0.5, 0.4]], [[3, 8]], entities=[3, 5]))
    assert metrics["hit_at_1"] == 1
    assert metrics["perr"] == 1 / 2


@pytest.mark.parametrize("n_levels", [1, 4, 10**6])
def test_random_videos_match_the_definitions_however_they_are_batched(n_levels):
    rng = np.random.default_rng(n_levels)
    scores = (rng.integers(0, n_levels + 1, (60, 30)) / n_levels).astype(np.float32)
    label_lists = [sorted(rng.choice(30, rng.integers(0, 26), replace=False)) for _ in scores]
    label_lists[0] = list(range(30))  # more labels than the 20 pooled
    label_lists[1] = []
    batches = [
        batch_of(scores[s], label_lists[s]) for s in (slice(0, 1), slice(1, 17), slice(17, 60))
    ]
    assert metrics_of(*batches) == pytest.approx(by_definition(scores, label_lists), rel=1e-12)


def test_videos_without_labels_alone_have_no_metrics():
    with pytest.raises(ValueError, match="labelled"):
        metrics_of(batch_of([[0.5]], [[]]))


def test_hits_at_any_number_of_ranks():
    batch = batch_of([[0.9, 0.8, 0.7, 0.6]], [[3]])
    found = metrics_of(batch, hit_at=(1, 3, 4, 100))
    assert [found[f"hit_at_{k}"] for k in (1, 3, 4, 100)] == [0, 0, 1, 1]


def test_groups_are_counted_apart_and_weighted():
    batch = batch_of([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]], [[0], [0], []])
    counts = ranking_counts(rank_scored(batch, 20), groups=np.array([0, 1, 1]))
    weights = np.array([[1.0, 2, 0], [1, 0, 2]])  # all; group 0 twice; group 1 twice
    found = ranking_metrics(counts, weights=weights)
    assert found["hit_at_1"].tolist() == [1 / 2, 2 / 2, 0 / 2]
    assert found["starter_hit_at_1"].tolist() == [1 / 3, 2 / 2, 0 / 4]


def test_a_replicate_without_labelled_videos_has_no_figure():
    batch = batch_of([[0.9], [0.9]], [[0], []])
    counts = ranking_counts(rank_scored(batch, 20), groups=np.array([0, 1]))
    found = ranking_metrics(counts, weights=np.array([[1.0, 0], [1, 2]]))
    assert np.isnan(found["hit_at_1"]).tolist() == [False, True]
