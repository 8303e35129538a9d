"""Figures of one entity. Its histogram and tables of entities are tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import precision_recall_curve

from yt8m_spark.core.entity_report import calibration_error, report_entity


def rows_of(scores, labels):
    """(thresholds, hits, totals) of scores in whole 1 / 10000, those of 0 left out."""
    thresholds = np.unique(scores[scores > 0])[::-1]
    hits = np.array([labels[scores == t].sum() for t in thresholds], dtype=np.int64)
    totals = np.array([(scores == t).sum() for t in thresholds], dtype=np.int64)
    return thresholds, hits, totals


def make_pairs(seed, n_pairs, n_levels=10_000):
    rng = np.random.default_rng(seed)
    scores = np.rint(rng.beta(0.3, 2, n_pairs) * n_levels).astype(np.int64) * (10_000 // n_levels)
    labels = (rng.random(n_pairs) < scores / 10_000).astype(np.int64)
    labels[rng.integers(n_pairs)] = 1
    return scores, labels


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_figures_by_hand():
    # 4 positives, one of them scored 0. Precision 1/1, 1/3, 3/5; recall 1/4, 1/4, 3/4.
    report = report_entity(ints(9000, 5000, 1000), ints(1, 0, 2), ints(1, 2, 2), 4)
    assert report.best_threshold == 0.1
    assert report.best_f1 == 2 * 3 / (5 + 4)
    assert_array_equal(report.precision_at_recall, [1, 3 / 5, np.nan])
    assert_array_equal(report.curve_thresholds, [0.9, 0.5, 0.1])
    assert_array_equal(report.curve_precision, [1, 1 / 3, 3 / 5])
    assert_array_equal(report.curve_recall, [1 / 4, 1 / 4, 3 / 4])
    # 0.1 lies in [1, 2) / 15, 0.5 in [7, 8) / 15 and 0.9 in [13, 14) / 15.
    assert_array_equal(np.flatnonzero(report.bin_totals), [1, 7, 13])
    assert_array_equal(report.bin_hits[[1, 7, 13]], [2, 0, 1])
    assert_allclose(report.bin_score_sums[[1, 7, 13]], [2 * 0.1, 2 * 0.5, 0.9])


def test_of_equal_f1_the_highest_threshold_is_best():
    # 2 * 1 / (1 + 3) = 2 * 2 / (5 + 3) = 2 * 3 / (9 + 3) = 1/2.
    report = report_entity(ints(8000, 6000, 4000), ints(1, 1, 1), ints(1, 4, 4), 3)
    assert (report.best_threshold, report.best_f1) == (0.8, 1 / 2)


def test_a_recall_that_is_just_reached_is_reached():
    # 3 of 15 are a recall of 0.2, though 0.2 * 15 > 3 or not is a matter of rounding; 12 are 0.8.
    report = report_entity(ints(9, 8, 7), ints(3, 0, 9), ints(4, 2, 9), 15)
    assert_array_equal(report.precision_at_recall, [12 / 15, 12 / 15, 12 / 15])
    report = report_entity(ints(9, 8), ints(3, 9), ints(3, 12), 15)
    assert_array_equal(report.precision_at_recall, [1, 12 / 15, 12 / 15])


def test_an_entity_that_is_never_predicted_has_no_threshold():
    nothing = ints()
    report = report_entity(nothing, nothing, nothing, 7)
    assert np.isnan(report.best_threshold)
    assert report.best_f1 == 0
    assert np.isnan(report.precision_at_recall).all()
    assert report.bin_totals.sum() == 0
    assert len(report.curve_recall) == 0
    missed = report_entity(ints(400, 3), ints(0, 0), ints(1, 5), 7)
    assert np.isnan(missed.best_threshold)
    assert_array_equal(missed.curve_precision, [0, 0])


@pytest.mark.parametrize(("seed", "n_levels"), [(0, 10_000), (1, 20), (2, 1000)])
def test_figures_match_scikit_learn(seed, n_levels):
    scores, labels = make_pairs(seed, 3000, n_levels)
    report = report_entity(*rows_of(scores, labels), int(labels.sum()))
    # Without its last point, a recall of 0 that is made up, and without what scores 0.
    precision, recall, taus = precision_recall_curve(labels, scores)
    precision, recall = precision[:-1][taus > 0], recall[:-1][taus > 0]
    taus = taus[taus > 0]
    f1 = np.where(recall > 0, 2 * precision * recall / np.maximum(precision + recall, 1e-9), 0)
    assert_allclose(report.best_f1, f1.max(), rtol=1e-12)
    assert_allclose(report.best_threshold, taus[f1 > f1.max() - 1e-12].max() / 10_000)
    for found, wanted in zip(report.precision_at_recall, (0.2, 0.5, 0.8), strict=True):
        reached = precision[recall >= wanted]
        assert_allclose(found, reached.max() if len(reached) else np.nan, rtol=1e-12)


def test_bins_hold_the_pairs_between_their_edges():
    scores, labels = make_pairs(3, 5000)
    scores[:3] = 10_000, 666, 667  # the last bin is closed; 1/15 lies between the others
    report = report_entity(*rows_of(scores, labels), int(labels.sum()))
    for b in range(15):
        inside = (scores > 0) & (15 * scores >= 10_000 * b)
        inside &= (15 * scores < 10_000 * (b + 1)) | (b == 14)
        assert report.bin_totals[b] == inside.sum()
        assert report.bin_hits[b] == labels[inside].sum()
        assert_allclose(report.bin_score_sums[b], scores[inside].sum() / 10_000)


@pytest.mark.parametrize("seed", [0, 5])
def test_a_thinned_curve_keeps_its_ends_and_its_shape(seed):
    scores, labels = make_pairs(seed, 20_000)
    rows, n_positives = rows_of(scores, labels), int(labels.sum()) + 3
    report = report_entity(*rows, n_positives)
    hits, totals = np.cumsum(rows[1]), np.cumsum(rows[2])
    assert 40 <= len(report.curve_recall) <= 50
    assert (np.diff(report.curve_thresholds) < 0).all()
    # Each point is one of the whole curve.
    places = np.searchsorted(-rows[0], np.rint(-10_000 * report.curve_thresholds))
    assert_allclose(report.curve_precision, (hits / totals)[places])
    assert_allclose(report.curve_recall, hits[places] / n_positives)
    assert places[0] == 0
    assert places[-1] == len(hits) - 1
    # The whole curve, where something is hit, lies near the line through the points.
    at = rows[1] > 0
    line = np.interp(hits[at] / n_positives, report.curve_recall, report.curve_precision)
    assert np.abs(line - (hits / totals)[at])[10:].max() < 0.05


def test_a_curve_that_does_not_move_is_its_ends():
    n_rows = 200
    none = np.zeros(n_rows, dtype=np.int64)
    report = report_entity(np.arange(n_rows, 0, -1), none, none + 1, 5)
    assert_array_equal(report.curve_thresholds, [0.02, 0.0001])


def test_calibration_error_by_hand():
    # Bin 0: 10 pairs, mean score 0.1, share 0.3; bin 14: 30 pairs, mean score 1, share 0.9.
    hits, totals, sums = np.zeros(15, int), np.zeros(15, int), np.zeros(15)
    hits[[0, 14]], totals[[0, 14]], sums[[0, 14]] = (3, 27), (10, 30), (1.0, 30.0)
    assert_allclose(calibration_error(hits, totals, sums), (10 * 0.2 + 30 * 0.1) / 40)
    assert np.isnan(calibration_error(0 * hits, 0 * totals, 0 * sums))


def test_rows_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="one length"):
        report_entity(ints(2, 1), ints(1), ints(1, 1), 5)
    for thresholds in (ints(1, 2), ints(2, 2), ints(2, 0), ints(10_001, 2)):
        with pytest.raises(ValueError, match=r"must descend within 1\.\.10000"):
            report_entity(thresholds, ints(1, 1), ints(1, 1), 5)
    with pytest.raises(ValueError, match="2 hits of 1 positives"):
        report_entity(ints(2, 1), ints(1, 1), ints(1, 1), 1)
