"""Triangles of symmetric matrices."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.triangles import mirror, pack, unpack


def make_symmetric(d):
    square = np.random.default_rng(0).normal(size=(d, d))
    return square + square.T


@pytest.mark.parametrize("d", [1, 3, 256, 300])
def test_the_lower_triangle_is_copied_up(d):
    square = make_symmetric(d)
    lower = np.asfortranarray(np.tril(square))
    mirror(lower)
    assert_array_equal(lower, square)


@pytest.mark.parametrize("d", [0, 1, 3, 300])
def test_what_is_packed_comes_back(d):
    square = make_symmetric(d)
    assert pack(square).shape == (d * (d + 1) // 2,)
    assert_array_equal(unpack(pack(square), d), square)
