"""Eq. 8-10 and the sums behind every average precision. Means over entities: test_metrics."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score

from yt8m_spark.core.average_precision import (
    pool_parts,
    precision_sums,
    run_starts,
    thresholds,
)
from yt8m_spark.core.dense_tally import tally_dense
from yt8m_spark.core.entity_figures import EntityRows, entity_figures
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.core.tallies import Cells, Confusions, Hits, TopRows, sum_rows


def batch_of(scores, truth):
    """Entities are 0, 2, 4, ..., so that ids and columns differ."""
    scores = np.array(scores, dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.sum(truth, axis=1))])
    entities = np.arange(scores.shape[1]) * 2
    ids = [f"v{i}" for i in range(len(scores))]
    return ScoredBatch(ids, offsets, np.nonzero(truth)[1] * 2, entities, scores)


def random_problem(n_levels, seed=0, n_videos=50, n_entities=6):
    rng = np.random.default_rng([n_levels, seed])
    scores = rng.integers(0, n_levels + 1, (n_videos, n_entities)) / n_levels
    truth = rng.random((n_videos, n_entities)) < 0.3
    return scores.astype(np.float32), truth


def average_precisions(batch):
    """Average precision of each column, from what is counted of each entity."""
    parts, sums = tally_dense(batch, np.zeros(len(batch.video_ids), np.int64), 1)
    tallies = list(parts)
    cells, hits = (
        kind(*map(np.concatenate, zip(*(getattr(t, name) for t in tallies), strict=True)))
        for kind, name in ((Cells, "cells"), (Hits, "hits"))
    )
    nothing = [np.empty(0, np.int64)] * 5
    rows = EntityRows(cells, hits, sum_rows(sums), TopRows(*nothing), Confusions(*nothing[:3]))
    figures, _, _ = entity_figures(rows, np.ones((1, 1)))
    assert_array_equal(figures.entities, np.unique(batch.label_values))
    return figures.average_precision


def by_equations(scores, truth):
    """Eq. 8-10 as they stand, for one entity: every threshold, precision and recall."""
    rounded = [round(float(s), 4) for s in scores]
    n_positives = sum(truth)

    def precision_recall(j):
        chosen = [g for s, g in zip(rounded, truth, strict=True) if s >= j / 10_000]
        return (sum(chosen) / len(chosen) if chosen else 0.0), sum(chosen) / n_positives

    points = [precision_recall(j) for j in range(1, 10_002)]
    return sum(p * (r - points[j + 1][1]) for j, (p, r) in enumerate(points[:-1]))


def test_average_precision_by_hand():
    # tau = .9: P 1, R 1/2. tau = .5: two videos tie, P 2/3, R 1. tau = .1: R stays 1.
    scores, truth = [[0.9], [0.5], [0.5], [0.1]], np.array([[1], [0], [1], [0]])
    assert_allclose(average_precisions(batch_of(scores, truth)), [1 * 1 / 2 + 2 / 3 * 1 / 2])


def test_a_positive_that_rounds_to_zero_is_recall_never_reached():
    scores, truth = [[0.9], [0.00004], [0.0]], np.array([[1], [1], [1]])
    assert_allclose(average_precisions(batch_of(scores, truth)), [1 / 3])


def test_scores_that_round_to_one_threshold_tie():
    scores, truth = [[0.50004], [0.49996]], np.array([[0], [1]])
    assert_allclose(average_precisions(batch_of(scores, truth)), [1 / 2])


def test_the_first_threshold_takes_scores_from_half_of_it():
    # The label rounds to the first threshold, as the other does not: alone, it is at rank 1.
    scores, truth = [[0.000051], [0.000049]], np.array([[1], [0]])
    assert_allclose(average_precisions(batch_of(scores, truth)), [1])
    assert_allclose(average_precisions(batch_of(scores, 1 - truth)), [0])


def test_rounding_is_that_of_python_halves_included():
    scores = np.float32([0, 1 / 32, 3 / 32, 0.00005, 0.00004999, 0.99995, 1])  # 1/32 = 312.5e-4
    assert_array_equal(thresholds(scores), [round(float(s), 4) * 10_000 for s in scores.tolist()])


@pytest.mark.parametrize("n_levels", [3, 997, 10**6])
def test_random_scores_match_the_equations_over_all_thresholds(n_levels):
    scores, truth = random_problem(n_levels, n_videos=25, n_entities=2)
    expected = [by_equations(scores[:, e].tolist(), truth[:, e].tolist()) for e in range(2)]
    assert_allclose(average_precisions(batch_of(scores, truth)), expected)


@pytest.mark.parametrize("n_levels", [4, 10_000])
def test_scores_on_the_thresholds_give_what_scikit_learn_gives(n_levels):
    scores, truth = random_problem(n_levels, n_videos=200)
    scores = np.maximum(scores, np.float32(1e-4))  # scikit-learn counts zero scores too
    expected = [average_precision_score(truth[:, e], scores[:, e]) for e in range(6)]
    assert_allclose(average_precisions(batch_of(scores, truth)), expected)


@pytest.mark.parametrize("cut", [1, 3, 5, 8])
def test_a_run_cut_in_two_goes_on_where_it_stopped(cut):
    groups = np.array([4, 4, 4, 4, 4, 1, 1, 1, 9])
    hits, totals = np.array([1, 0, 2, 1, 0, 0, 1, 1, 1]), np.array([1, 1, 4, 2, 1, 3, 1, 1, 1])

    def sums(part, before):
        first = run_starts(groups[part])
        befores = np.zeros((len(first), 2), dtype=np.int64)
        befores[0] = before
        return precision_sums(first, hits[part], totals[part], befores)

    whole, _ = sums(slice(None), (0, 0))
    # Group 4: 1 * 1/1 + 2 * 3/6 + 1 * 4/8; group 1: 1 * 1/4 + 1 * 2/5; group 9: 1 * 1/1.
    assert_allclose(whole, [1 + 2 * 3 / 6 + 4 / 8, 1 / 4 + 2 / 5, 1])
    head, after = sums(slice(0, cut), (0, 0))
    goes_on = groups[cut] == groups[cut - 1]
    tail, _ = sums(slice(cut, None), after[-1] if goes_on else (0, 0))
    joined = [*head[:-1], head[-1] + tail[0], *tail[1:]] if goes_on else [*head, *tail]
    assert_allclose(joined, whole)


def test_parts_of_the_pool_keep_the_order_of_scores_and_are_few():
    rng = np.random.default_rng(0)
    uniform = rng.random(5000)
    scores = np.sort(np.float32(np.concatenate([uniform, uniform * 1e-6, [0, 1, 1e-45]])))
    parts = pool_parts(scores)
    assert (np.diff(parts) >= 0).all()
    assert parts[0] == 0
    assert parts[-1] == 0x3F8  # the upper bits of 0x3F800000, those of 1.0
    within = pool_parts(np.float32([0.5, 0.5624, 0.5626, 0.999, 1.0]))
    assert_array_equal(within - within[0], [0, 0, 1, 7, 8])  # eight for each halving
