"""Codebooks of frames as values. Fitting them is tested in tests/test_frame_codebook_fit.py."""

from dataclasses import replace

import numpy as np
import pytest
from frame_codebooks import make_gmm, make_kmeans
from numpy.testing import assert_allclose

from yt8m_spark.core.frame_codebook import (
    CodebookOptions,
    FrameCodebook,
    FrameProjection,
    check_methods,
    descriptors,
    gmm_codebook,
)

ONE = np.ones((2, 3), np.float32)
HALVES = np.full(2, 0.5)


def make_projection(n_dimensions=3, d=5, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.linalg.qr(rng.normal(size=(d, d)))[0][:n_dimensions]
    return FrameProjection(rng.normal(size=d).astype(np.float32), rows.astype(np.float32))


def test_widths_are_k_d_and_twice_that():
    assert (make_kmeans(4, 3).method, make_kmeans(4, 3).width) == ("kmeans", 12)
    assert (make_gmm(4, 3).method, make_gmm(4, 3).width) == ("gmm", 24)


def test_a_projection_sets_what_frames_it_takes():
    book = make_kmeans(4, 3, projection=make_projection())
    assert (book.n_features, book.n_dimensions, book.width) == (5, 3, 12)
    frames = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    mean, rows = book.projection
    assert_allclose(descriptors(frames, book), (frames - mean) @ rows.T, rtol=1e-6)
    with pytest.raises(ValueError, match="5 features, got 3"):
        descriptors(frames[:, :3], book)


def test_narrow_variances_and_weights_are_raised():
    book = gmm_codebook(
        np.zeros((2, 2)),
        np.array([[0.5, 1e-9], [0.001, 2.0]]),
        np.array([1.0, 0.0]),
        frame_variances=np.array([1.0, 0.0]),
        n_frames=100,
        projection=None,
        options=CodebookOptions(power=0.7),
    )
    # 1 % of the variance of all frames, or that of a code: steps of 4/255.
    assert_allclose(book.variances, [[0.5, (4 / 255) ** 2 / 12], [0.01, 2]], rtol=1e-6)
    assert_allclose(book.weights, [100 / 101, 1 / 101])
    assert book.power == 0.7


def test_the_digest_tells_everything_that_encodings_depend_on():
    book = make_gmm()
    others = [
        make_gmm(seed=1),
        make_kmeans(),
        replace(book, power=1.0),
        replace(book, intra=True),
        replace(book, variances=book.variances * 2),
        replace(book, weights=np.full(4, 0.25)),
        replace(book, projection=make_projection()),
    ]
    assert len({book.digest, *(other.digest for other in others)}) == len(others) + 1
    assert make_gmm().digest == book.digest


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameCodebook(np.ones(3, np.float32)), "centres must be"),
        (lambda: FrameCodebook(np.full((2, 3), np.nan, np.float32)), "centres must be finite"),
        (lambda: FrameCodebook(np.ones((2, 3))), "centres must be finite float32"),
        (lambda: FrameCodebook(ONE, ONE), "one is missing"),
        (lambda: FrameCodebook(ONE, ONE[:1], HALVES), "variances must be"),
        (lambda: FrameCodebook(ONE, 0 * ONE, HALVES), "above 0"),
        (lambda: FrameCodebook(ONE, ONE * np.nan, HALVES), "above 0"),
        (lambda: FrameCodebook(ONE, ONE, HALVES * np.nan), "sum to 1"),
        (lambda: FrameCodebook(ONE, ONE, np.ones(2)), "sum to 1"),
        (lambda: FrameCodebook(ONE, projection=make_projection(2)), "projection must be"),
        (lambda: FrameCodebook(ONE, power=0.0), "power must be"),
        (lambda: CodebookOptions(n_centres=0).check(), "n_centres must be"),
        (lambda: CodebookOptions(n_sampled=3).check(), "sample must be at least n_centres, 64"),
        (lambda: CodebookOptions(n_dimensions=0).check(), "n_dimensions must be"),
        (lambda: CodebookOptions(power=2).check(), "power must be"),
        (lambda: CodebookOptions(seed=-1).check(), "seed must be"),
        (lambda: check_methods(["vlad"]), "method must be of kmeans, gmm, got vlad"),
        (lambda: check_methods([]), "got none"),
    ],
)
def test_what_is_no_codebook_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
