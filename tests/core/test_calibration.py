"""Maps from score to probability. Counting over partitions and folders are tested elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from yt8m_spark.core.calibration import (
    N_BUCKETS,
    Calibration,
    ScoreCounts,
    apply_calibration,
    bucket_scores,
    fit_isotonic,
    fit_platt,
    identity_map,
    map_scores,
    merge_counts,
    score_buckets,
)


def make_pairs(seed, n_pairs=3000, slope=0.7, intercept=-0.5):
    """Scores that stand exactly for their buckets, and labels as likely as a sigmoid says."""
    rng = np.random.default_rng(seed)
    scores = expit(rng.normal(-2, 2.5, n_pairs)).astype(np.float32)
    scores = bucket_scores(score_buckets(scores))
    return scores, rng.random(n_pairs) < expit(slope * logit(scores) + intercept)


def counts_of(scores, labels):
    buckets, place = np.unique(score_buckets(np.float32(scores)), return_inverse=True)
    hits = np.bincount(place, weights=labels).astype(np.int64)
    return ScoreCounts(buckets, hits, np.bincount(place).astype(np.int64))


def counts(buckets, hits, totals):
    return ScoreCounts(*(np.array(values, dtype=np.int64) for values in (buckets, hits, totals)))


def test_buckets_rise_with_the_score_and_are_narrow_at_both_ends():
    rng = np.random.default_rng(0)
    odds = np.concatenate([rng.uniform(-16, 16, 20_000), rng.normal(0, 0.1, 5000)])
    scores = np.sort(expit(odds)).astype(np.float32)
    buckets = score_buckets(scores)
    assert (np.diff(buckets) >= 0).all()
    middle = bucket_scores(buckets)
    exact = scores.astype(np.float64)
    distance = np.minimum(exact, 1 - exact)
    assert (np.abs(middle - exact) <= distance / 256 + 1e-15)[distance >= 2**-24].all()


def test_the_ends_and_the_middle_have_buckets_of_their_own():
    scores = np.float32([0, 1e-45, 2**-24, 0.5, 1 - 2**-24, 1])
    assert_array_equal(
        score_buckets(scores), [0, 0, 0, N_BUCKETS // 2, N_BUCKETS - 1, N_BUCKETS - 1]
    )
    middle = bucket_scores(np.arange(N_BUCKETS))
    assert (np.diff(middle) > 0).all()
    assert middle[N_BUCKETS // 2] == 0.5
    assert 0 < middle[0] < middle[-1] < 1
    assert_allclose(middle, 1 - middle[::-1], rtol=0, atol=1e-16)


@pytest.mark.parametrize("n_parts", [1, 2, 7])
def test_counts_merge_to_those_of_all_pairs(n_parts):
    scores, labels = make_pairs(1)
    parts = zip(np.array_split(scores, n_parts), np.array_split(labels, n_parts), strict=True)
    merged = merge_counts([counts_of(*part) for part in parts][::-1])
    for found, expected in zip(merged, counts_of(scores, labels), strict=True):
        assert_array_equal(found, expected)


@pytest.mark.parametrize(("seed", "slope"), [(0, 0.7), (1, 2.5), (2, 0.05)])
def test_platt_is_the_logistic_regression_of_smoothed_targets(seed, slope):
    scores, labels = make_pairs(seed, slope=slope)
    n_true, n_other = labels.sum(), (~labels).sum()
    high, low = (n_true + 1) / (n_true + 2), 1 / (n_other + 2)  # Platt (1999), §2.2
    target = np.where(labels, high, low)
    # A pair of target t is a true one of weight t and a false one of weight 1 - t.
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
        np.tile(logit(scores), 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    found = fit_platt(counts_of(scores, labels))
    assert_allclose(found[0], fitted.coef_[0], rtol=1e-4)
    assert_allclose(found[1], fitted.intercept_, rtol=1e-4)


def test_platt_of_scores_that_part_all_labels_is_finite():
    found = fit_platt(counts([100, N_BUCKETS - 100], [0, 5], [200, 5]))
    assert np.isfinite(found).all()
    # Two points and two parameters: the targets themselves, 6/7 and 1/202.
    at = bucket_scores(np.array([100, N_BUCKETS - 100]))
    assert_allclose(map_scores("platt", found, at), [1 / 202, 6 / 7], rtol=1e-6)


def test_scores_that_tell_the_reverse_keep_their_order_and_get_the_share_of_true_labels():
    scores, labels = make_pairs(3, slope=-1.0)
    slope, intercept = fit_platt(counts_of(scores, labels))
    assert slope == 1e-3
    found = map_scores("platt", (slope, intercept), scores)
    assert found.mean() == pytest.approx(labels.mean(), abs=1e-3)
    assert np.ptp(found) < 0.01


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_without_a_true_label_there_is_no_map(fit):
    assert fit(counts([50, 5000], [0, 0], [7, 9])) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_isotonic_is_scikit_learns_within_platts_targets(seed):
    scores, labels = make_pairs(seed)
    low, high = 1 / ((~labels).sum() + 2), (labels.sum() + 1) / (labels.sum() + 2)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    at = np.linspace(0, 1, 999)
    found = map_scores("isotonic", fit_isotonic(counts_of(scores, labels)), at)
    # Clipped steps are joined by lines that differ from clipped lines next to a bound.
    knots = np.clip(expected.y_thresholds_, low, high)
    assert_allclose(found, np.interp(at, expected.X_thresholds_, knots), atol=1e-12)


def test_isotonic_by_hand():
    # Shares 0/4, 2/2, 1/4, 3/4: the second and third are out of order and pool to 3/6.
    buckets = np.array([10, 3000, 6000, 9000])
    x, y = fit_isotonic(counts(buckets, [0, 2, 1, 3], [4, 2, 4, 4]))
    assert_allclose(x, bucket_scores(buckets))
    assert_allclose(y, [1 / (8 + 2), 3 / 6, 3 / 6, 3 / 4])


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_calibrated_scores_have_a_lower_loss_and_the_right_mean(fit):
    scores, labels = make_pairs(5, n_pairs=20_000)
    half = len(scores) // 2
    method = fit.__name__.removeprefix("fit_")
    fitted = fit(counts_of(scores[:half], labels[:half]))
    found = map_scores(method, fitted, scores[half:])
    rest = labels[half:]

    def loss(p):
        return -np.mean(np.where(rest, np.log(p), np.log1p(-p)))

    truth = expit(0.7 * logit(scores[half:]) - 0.5)
    assert loss(found) == pytest.approx(loss(truth), abs=0.002)
    assert loss(found) < loss(scores[half:]) - 0.01
    assert abs(found.mean() - rest.mean()) < 0.01


def joined(method, maps, chosen):
    lengths = [len(x) for x, _ in maps]
    return Calibration(
        method,
        np.arange(len(chosen)),
        np.array(chosen),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([x for x, _ in maps]),
        np.concatenate([y for _, y in maps]),
    )


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_each_column_is_mapped_by_its_own_map(fit):
    method = fit.__name__.removeprefix("fit_")
    maps = [fit(counts_of(*make_pairs(seed))) for seed in range(3)]
    chosen = [2, 0, 1, 0, 2]
    scores = np.random.default_rng(0).random((40, 5)).astype(np.float32)
    found = apply_calibration(joined(method, maps, chosen), scores)
    assert found.dtype == np.float32
    for column, m in enumerate(chosen):
        expected = map_scores(method, maps[m], scores[:, column].astype(np.float64))
        assert_allclose(found[:, column], expected, rtol=1e-6)
    assert joined(method, maps, chosen).n_pooled == 2
    with pytest.raises(ValueError, match=r"must be \(B, 5\), got \(40, 4\)"):
        apply_calibration(joined(method, maps, chosen), scores[:, :4])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_identity_changes_nothing(method):
    scores = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    found = apply_calibration(joined(method, [identity_map(method)], [0, 0]), scores)
    assert_allclose(found, scores, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["platt", "isotonic"]),
    st.integers(0, 10),
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=50),
)
def test_no_two_scores_of_an_entity_are_ever_reversed(method, seed, scores):
    fit = {"platt": fit_platt, "isotonic": fit_isotonic}[method]
    column = np.sort(np.float32(scores))[:, None]
    found = apply_calibration(joined(method, [fit(counts_of(*make_pairs(seed, 300)))], [0]), column)
    assert (np.diff(found[:, 0]) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize(
    ("scores", "hits", "totals"),
    [
        ([0.98], [10], [500]),
        ([0.9999], [20], [1000]),
        ([1e-4, 1.0], [5, 10], [900, 100]),
        ([0.0], [990], [1000]),
        ([0.0, 1.0], [0, 3], [10**6, 3]),
    ],
)
def test_scores_that_are_all_but_certain_do_not_lead_platts_map_astray(scores, hits, totals):
    # At the least loss over all maps, no other one may do better: neither a constant nor the
    # scores as they are, nor what a general minimiser finds.
    buckets = score_buckets(np.array(scores, dtype=np.float32))
    counts = ScoreCounts(buckets, np.array(hits), np.array(totals))
    n_true, n_other = sum(hits), sum(totals) - sum(hits)
    high, low = (n_true + 1) / (n_true + 2), 1 / (n_other + 2)
    z = logit(bucket_scores(buckets))
    target = np.array(hits) * high + (np.array(totals) - hits) * low

    def loss(at):
        t = at[0] * z + at[1]
        return float(np.logaddexp(0, t) @ totals - target @ t)

    (slope,), (intercept,) = fit_platt(counts)
    constant = logit(target.sum() / sum(totals))
    starts = [(1e-3, constant), (1.0, 0.0)]
    found = [
        minimize(loss, s, method="L-BFGS-B", bounds=[(1e-3, None), (None, None)]).fun
        for s in starts
    ]
    assert loss((slope, intercept)) <= min(found) * (1 + 1e-6)
