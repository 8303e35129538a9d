"""PCA whitening in memory. Fitting it on a table is tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import apply_whitening, fit_whitening, l2_normalize


def make_rows(n=200, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3


def test_two_points_by_hand():
    # Variance 4 along the first axis, 0 along the second; one component, no ridge: 2 -> 1.
    rows = np.array([[-2.0, 5.0], [2.0, 5.0]])
    whitening = fit_whitening(moments_of(rows), 1, ridge=0)
    assert_allclose(apply_whitening(rows, whitening), [[-1], [1]])


def test_whitened_covariance_is_the_identity():
    rows = make_rows()
    whitened = apply_whitening(rows, fit_whitening(moments_of(rows), ridge=0))
    assert_allclose(whitened.mean(axis=0), 0, atol=1e-10)
    assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(5), atol=1e-10)


def test_equals_scikit_learn_up_to_sign():
    rows = make_rows()
    pca = PCA(3, whiten=True).fit(rows)
    ours = apply_whitening(rows, fit_whitening(moments_of(rows), 3, ridge=0))
    # scikit-learn divides the variance by n - 1, we by n.
    expected = pca.transform(rows) * np.sqrt(len(rows) / (len(rows) - 1))
    assert_allclose(np.abs(ours), np.abs(expected), rtol=1e-8)


def test_explained_variance_ratio_equals_scikit_learn():
    rows = make_rows()
    expected = PCA(2).fit(rows).explained_variance_ratio_.sum()
    ratio = fit_whitening(moments_of(rows), 2).explained_variance_ratio
    assert_allclose(ratio, expected)


def test_ridge_is_a_share_of_the_mean_variance():
    # Variances 4 and 0, mean 2: ridge 0.5 adds 1, so the first is divided by sqrt(5).
    rows = np.array([[-2.0, 5.0], [2.0, 5.0]])
    whitened = apply_whitening(rows, fit_whitening(moments_of(rows), ridge=0.5))
    assert_allclose(whitened, [[-2 / np.sqrt(5), 0], [2 / np.sqrt(5), 0]], atol=1e-12)


def test_a_direction_without_variance_maps_to_zero():
    rows = np.column_stack([make_rows(d=2), np.full(200, 7.0)])
    whitened = apply_whitening(rows, fit_whitening(moments_of(rows), ridge=0))
    assert np.isfinite(whitened).all()


def test_scaling_the_features_changes_nothing():
    rows = make_rows()
    one, other = (
        apply_whitening(r, fit_whitening(moments_of(r), ridge=0.3)) for r in (rows, rows * 1000)
    )
    assert_allclose(one, other, rtol=1e-8)


def test_l2_normalised_rows_have_length_one_and_zero_stays_zero():
    rows = l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert rows.dtype == np.float32
    assert_array_equal(rows, np.float32([[0.6, 0.8], [0, 0]]))


def test_digest_tells_fits_apart():
    a, b = (fit_whitening(moments_of(make_rows(seed=s))) for s in (0, 1))
    assert a.digest == fit_whitening(moments_of(make_rows(seed=0))).digest
    assert a.digest != b.digest


@pytest.mark.parametrize("n_components", [0, 6])
def test_components_out_of_range_are_refused(n_components):
    with pytest.raises(ValueError, match=f"1 to 5, got {n_components}"):
        fit_whitening(moments_of(make_rows()), n_components)


@pytest.mark.parametrize("ridge", [-1.0, float("nan")])
def test_a_negative_ridge_is_refused(ridge):
    with pytest.raises(ValueError, match="ridge must be at least 0"):
        fit_whitening(moments_of(make_rows()), ridge=ridge)


def test_rows_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="do not vary over 4 videos"):
        fit_whitening(moments_of(np.ones((4, 2))))


def test_another_width_is_refused():
    whitening = fit_whitening(moments_of(make_rows()))
    with pytest.raises(ValueError, match=r"must be \(V, 5\), got \(2, 4\)"):
        apply_whitening(np.ones((2, 4)), whitening)


def test_without_a_ridge_rounding_is_not_taken_for_variance():
    # Rank 4 of 30: the other 26 directions hold rounding, about 1e-32 of the variance.
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(60, 4)) @ rng.normal(size=(4, 30))) + 100
    whitening = fit_whitening(moments_of(rows), ridge=0)
    assert_array_equal(np.abs(whitening.projection).max(axis=0)[4:], 0)
    assert_allclose(apply_whitening(rows, whitening)[:, :4].std(axis=0), 1)
