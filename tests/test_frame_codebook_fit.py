"""Codebooks fitted by scikit-learn. Sampling frames is in tests/spark/test_frame_codebook.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from yt8m_spark.core.frame_codebook import CodebookOptions
from yt8m_spark.core.quantization import dequantize
from yt8m_spark.core.vlad import nearest_centres
from yt8m_spark.errors import InputError
from yt8m_spark.frame_codebook_fit import fit_codebooks

MEANS = np.array([[40, 200, 120], [200, 40, 120], [120, 120, 30]])
SPREADS = np.array([[12, 20, 18], [18, 11, 25], [16, 16, 8]])
SHARES = np.array([0.5, 0.3, 0.2])


def make_codes(n=4000, seed=0):
    """Frames of three well separated Gaussians."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(3, n, p=SHARES)
    codes = MEANS[drawn] + SPREADS[drawn] * rng.normal(size=(n, 3))
    return np.clip(np.rint(codes), 0, 255).astype(np.uint8)


def in_order(book):
    """Order of a codebook's centres that is that of MEANS."""
    return nearest_centres(dequantize(MEANS.astype(np.uint8)), book.centres)


@pytest.fixture(scope="module")
def fitted():
    return fit_codebooks(make_codes(), ["kmeans", "gmm"], CodebookOptions(3, seed=1))


def test_k_means_ends_where_each_centre_is_the_mean_of_its_frames(fitted):
    book, shares, facts = fitted["kmeans"]
    values = dequantize(make_codes())
    nearest = nearest_centres(values, book.centres)
    for k, centre in enumerate(book.centres):
        assert_allclose(values[nearest == k].mean(axis=0), centre, atol=1e-4)
        assert shares[k] == pytest.approx((nearest == k).mean())
    squares = ((values - book.centres[nearest]) ** 2).sum(axis=1)
    assert facts["mean_squared_distance"] == pytest.approx(squares.mean(), rel=1e-4)


def test_em_finds_the_gaussians_that_frames_came_from(fitted):
    book = fitted["gmm"].codebook
    order = in_order(book)
    assert_allclose(book.weights[order], SHARES, atol=0.02)
    assert_allclose(book.centres[order], MEANS * 4 / 255 + 4 / 512 - 2, atol=0.02)
    assert_allclose(np.sqrt(book.variances[order]), SPREADS * 4 / 255, rtol=0.1)


def test_the_log_likelihood_told_is_that_of_the_mixture(fitted):
    book, _, facts = fitted["gmm"]
    values = dequantize(make_codes()).astype(float)
    deviations = np.sqrt(book.variances)
    joint = norm.logpdf(values[:, None], book.centres, deviations).sum(axis=2)
    expected = np.logaddexp.reduce(joint + np.log(book.weights), axis=1).mean()
    assert facts["log_likelihood"] == pytest.approx(expected, abs=1e-3)
    assert facts["converged"] == 1
    assert facts["raised_variances"] == 0


def test_the_same_seed_gives_the_same_codebooks_and_another_need_not():
    codes = make_codes()
    options = CodebookOptions(7, seed=3)
    first, again = (fit_codebooks(codes, ["gmm"], options)["gmm"].codebook for _ in range(2))
    assert first.digest == again.digest
    other = fit_codebooks(codes, ["gmm"], options._replace(seed=4))["gmm"].codebook
    assert other.digest != first.digest


def test_progress_counts_iterations():
    told = []
    found = fit_codebooks(make_codes(500), ["kmeans", "gmm"], CodebookOptions(3), told.append)
    done = sum(fitted.facts["n_iterations"] for fitted in found.values())
    assert sum(told) == done > 0


def test_a_pca_before_keeps_the_leading_directions():
    codes = make_codes()
    values = dequantize(codes).astype(float)
    book = fit_codebooks(codes, ["kmeans"], CodebookOptions(3, n_dimensions=2))["kmeans"].codebook
    _, vectors = np.linalg.eigh(np.cov(values.T))
    kept = vectors[:, :0:-1]
    assert_allclose(np.abs(book.projection.rows @ kept), np.eye(2), atol=1e-4)
    assert_allclose(book.projection.mean, values.mean(axis=0), atol=1e-5)
    assert book.centres.shape == (3, 2)


def test_frames_that_repeat_give_a_mixture_of_finite_numbers():
    # A third of all frames is one silent frame: a Gaussian falls on it, its variance to 0.
    codes = make_codes(600)
    codes[:200] = 128
    found = fit_codebooks(codes, ["gmm"], CodebookOptions(4, seed=2))["gmm"]
    assert found.facts["raised_variances"] > 0
    least = 0.01 * dequantize(codes).astype(float).var(axis=0)
    assert (found.codebook.variances >= least * (1 - 1e-5)).all()


def test_a_feature_that_never_varies_is_no_trouble():
    codes = make_codes(600)
    codes[:, 1] = 77
    for fitted in fit_codebooks(codes, ["kmeans", "gmm"], CodebookOptions(3)).values():
        assert_array_equal(
            fitted.codebook.centres[:, 1].round(3), dequantize(codes[:3, 1]).round(3)
        )


def test_more_centres_than_distinct_frames_are_refused():
    codes = np.repeat(make_codes(5), 100, axis=0)
    with pytest.raises(InputError, match=r"fewer distinct frames than centres.*found 5"):
        fit_codebooks(codes, ["kmeans"], CodebookOptions(6))
    assert fit_codebooks(codes, ["kmeans"], CodebookOptions(5))["kmeans"].codebook.n_centres == 5


def test_more_dimensions_than_features_are_refused():
    with pytest.raises(InputError, match=r"n_dimensions of at most 3, found 4"):
        fit_codebooks(make_codes(50), ["kmeans"], CodebookOptions(2, n_dimensions=4))
