"""PCA whitening in memory. Fitting it on a table is tested in tests/spark."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import apply_whitening, fit_whitening, l2_normalize
from yt8m_spark.core.whitening_options import METHODS


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


def test_zca_is_the_whitening_nearest_to_the_features():
    # Of all whitenings W, the symmetric one has the largest correlation with the features.
    rows = make_rows()
    whitening = fit_whitening(moments_of(rows), ridge=0, method="zca")
    assert_allclose(whitening.projection, whitening.projection.T, atol=1e-12)
    whitened = apply_whitening(rows, whitening)
    assert_allclose(np.cov(whitened, rowvar=False, bias=True), np.eye(5), atol=1e-10)
    covariance = np.cov(rows, rowvar=False, bias=True)
    assert_allclose(np.linalg.inv(whitening.projection @ whitening.projection), covariance)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4])  # 1 and 2: in two products
def test_truncated_zca_is_truncated_pca_turned_back(n_components):
    rows = make_rows()
    pca = fit_whitening(moments_of(rows), n_components, ridge=0.1)
    zca = fit_whitening(moments_of(rows), n_components, ridge=0.1, method="zca")
    expected = apply_whitening(rows, pca) @ pca.components
    assert zca.output_width == expected.shape[1] == 5
    assert zca.n_components == n_components
    assert_allclose(apply_whitening(rows, zca), expected, atol=1e-12)
    assert_allclose((rows - rows.mean(axis=0)) @ zca.projection, expected, atol=1e-12)


def test_without_a_method_only_the_mean_goes():
    rows = make_rows()
    whitening = fit_whitening(moments_of(rows), method="none")
    assert_allclose(apply_whitening(rows, whitening), rows - rows.mean(axis=0), atol=1e-12)
    assert (whitening.n_components, whitening.output_width) == (5, 5)
    assert whitening.explained_variance_ratio == 1
    assert_array_equal(whitening.projection, np.eye(5))


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999, 1.0])
def test_a_share_of_the_variance_keeps_as_many_as_scikit_learn(share):
    rows = make_rows()
    ratios = PCA().fit(rows).explained_variance_ratio_
    expected = 5 if share == 1 else PCA(share).fit(rows).n_components_
    whitening = fit_whitening(moments_of(rows), explained_variance=share)
    assert whitening.n_components == expected
    assert_allclose(whitening.spectrum / whitening.total_variance, ratios)


@pytest.mark.parametrize("method", METHODS)
def test_float32_rows_far_from_zero_give_what_float64_gives(method):
    # At mean 100 float32 holds the mean to 4e-6, which is 4e-4 of these deviations.
    rng = np.random.default_rng(3)
    rows = (100 + 0.01 * make_rows(500, 30) + rng.normal(0, 1e-3, (500, 30))).astype(np.float32)
    whitening = fit_whitening(moments_of(rows.astype(np.float64)), method=method, ridge=0.01)
    exact = (rows - whitening.mean) @ whitening.projection
    found = apply_whitening(rows, whitening)
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < 2e-6 * exact.std() * np.sqrt(30)


def test_many_rows_go_piece_by_piece(monkeypatch):
    rows = make_rows(100).astype(np.float32)
    whitening = fit_whitening(moments_of(rows), 3)
    whole = apply_whitening(rows, whitening)
    monkeypatch.setattr("yt8m_spark.core.whitening._CENTRED_BYTES", 7 * 4 * 5)
    assert_allclose(apply_whitening(rows, whitening), whole, rtol=1e-5, atol=1e-6)


def test_a_row_too_long_for_its_length_is_refused():
    rows = np.array([[1, 0], [3e30, 0]], np.float32)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="row 1 has no finite length"):
        l2_normalize(rows)


def test_l2_normalised_rows_have_length_one_and_zero_stays_zero():
    rows = l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert rows.dtype == np.float32
    assert_array_equal(rows, np.float32([[0.6, 0.8], [0, 0]]))


def test_digest_tells_fits_apart():
    a, b = (fit_whitening(moments_of(make_rows(seed=s))) for s in (0, 1))
    assert a.digest == fit_whitening(moments_of(make_rows(seed=0))).digest
    assert a.digest != b.digest


def test_digest_tells_methods_apart_and_keeps_that_of_older_versions():
    moments = moments_of(make_rows())
    digests = {
        fit_whitening(moments, method=method, l2_normalize=l2).digest
        for method in METHODS
        for l2 in (True, False)
    }
    assert len(digests) == 6
    # As it was made before there were methods.
    pca = fit_whitening(moments)
    parts = (pca.mean, pca.components, pca.eigenvalues, np.float64(pca.ridge))
    assert pca.digest == hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explained_variance": 0.0}, "above 0 and at most 1, got 0.0"),
        ({"explained_variance": 1.1}, "above 0 and at most 1, got 1.1"),
        ({"explained_variance": 0.9, "n_components": 2}, "not both"),
        ({"method": "none", "n_components": 2}, "method none keeps all features"),
        ({"method": "ica"}, "one of pca, zca, none, got ica"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fit_whitening(moments_of(make_rows()), **options)


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
