"""Errors of a code against sums taken one value at a time. Spark: tests/spark."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.codebooks import Codebook, linear_code
from yt8m_spark.core.distortion import distortion_of, merge_distortions

# Cells below and above 1, read as 0 and 3; made for values in [-1, 4].
BY_HAND = Codebook(np.float32([[0, 3]]), np.array([[1.0]]), np.array([[-1, 4]], dtype=np.float32))


def test_figures_by_hand():
    values = np.float32([[-2, 0.5], [1, 4]])  # read as 0, 0, 3 and 3
    errors = [2, -0.5, 2, -1]
    found = distortion_of(values, BY_HAND)
    assert_allclose(found.mse, sum(e * e for e in errors) / 4)
    assert_allclose(found.bias, sum(errors) / 4)
    assert found.largest_error == 2
    assert found.clipped == 1 / 4
    power = (4 + 0.25 + 1 + 16) / 4
    assert_allclose(found.snr_db, 10 * math.log10(power / found.mse))
    assert_array_equal(found.squared, [4 + 4, 0.25 + 1])


def test_parts_merge_to_the_whole():
    values = np.random.default_rng(0).normal(0, 1.5, size=(40, 3)).astype(np.float32)
    whole = distortion_of(values, linear_code())
    parts = [distortion_of(part, linear_code()) for part in (values[:7], values[7:])]
    for found, expected in zip(merge_distortions(*parts), whole, strict=True):
        assert_allclose(found, expected, rtol=1e-12)
    assert whole.clipped == (np.abs(values) > 2).mean()


def test_no_error_is_an_infinite_ratio():
    exact = np.float32([[0, 3]])
    assert distortion_of(exact, BY_HAND).snr_db == math.inf
    assert distortion_of(np.float32([[0]]), linear_code()).snr_db == -math.inf


def test_empty_values_and_widths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"got \(0, 3\)"):
        distortion_of(np.empty((0, 3), np.float32), BY_HAND)
    a, b = (distortion_of(np.zeros((1, width), np.float32), BY_HAND) for width in (1, 2))
    with pytest.raises(ValueError, match="widths 1 and 2"):
        merge_distortions(a, b)
