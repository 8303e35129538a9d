"""Encoding and decoding with a given codebook. How one is fitted: test_lloyd_max.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from yt8m_spark.core.codebooks import Codebook, code_name, decode, encode, linear_code
from yt8m_spark.core.quantization import dequantize, quantize


def make_codebook(width, n_levels=5, seed=0):
    levels = np.sort(np.random.default_rng(seed).normal(size=(width, n_levels)), axis=1)
    levels = levels.astype(np.float32)
    thresholds = (levels[:, 1:].astype(float) + levels[:, :-1]) / 2
    return Codebook(levels, thresholds, levels[:, [0, -1]])


def nearest(value, levels):
    """Index of the level nearest to ``value``, the higher of two as near, one by one."""
    distances = [abs(float(value) - float(level)) for level in levels]
    return max(i for i, distance in enumerate(distances) if distance == min(distances))


@pytest.mark.parametrize("shared", [True, False])
def test_every_value_takes_the_code_of_the_nearest_level(shared):
    values = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    codebook = make_codebook(1 if shared else 3)
    codes = encode(values, codebook)
    assert codes.dtype == np.uint8
    read = decode(codes, codebook)
    assert read.dtype == np.float32
    for feature in range(3):
        levels = codebook.levels[0 if shared else feature]
        expected = [nearest(value, levels) for value in values[:, feature]]
        assert_array_equal(codes[:, feature], expected)
        assert_array_equal(read[:, feature], levels[expected])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30))
def test_order_statistics_can_be_taken_of_the_codes(seed, n):
    values = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    codebook = make_codebook(3, seed=seed)
    codes = encode(values, codebook)
    assert_array_equal(
        decode(np.sort(codes, axis=0), codebook), np.sort(decode(codes, codebook), axis=0)
    )
    assert_array_equal(np.sort(codes, axis=0), encode(np.sort(values, axis=0), codebook))


@pytest.mark.parametrize("unbiased", [True, False])
def test_the_linear_code_is_the_releases(unbiased):
    codebook = linear_code(unbiased=unbiased)
    special = np.float32([[-np.inf, -2, 0, 2, np.inf, -0.0, 1e-30, -1e-7]])
    values = np.random.default_rng(0).normal(0, 1.2, size=(2000, 8)).astype(np.float32)
    for rows in (special, values):
        assert_array_equal(encode(rows, codebook), quantize(rows))
    codes = np.arange(256, dtype=np.uint8).reshape(2, 128)
    assert_array_equal(decode(codes, codebook), dequantize(codes, unbiased=unbiased))


def test_codes_go_by_their_names():
    assert code_name(linear_code()) == "released"
    assert code_name(linear_code(unbiased=True)) == "unbiased"
    assert code_name(make_codebook(1)) == "lloyd_max"


def test_the_digest_changes_with_every_array():
    one = make_codebook(2)
    changed = [
        Codebook(one.levels + 1, one.thresholds, one.bounds),
        Codebook(one.levels, one.thresholds + 1, one.bounds),
        Codebook(one.levels, one.thresholds, one.bounds + 1),
    ]
    assert len({codebook.digest for codebook in [one, *changed]}) == 4
    assert make_codebook(2).digest == one.digest


def test_what_has_no_code_or_level_is_refused():
    codebook = make_codebook(3)
    with pytest.raises(ValueError, match="NaN"):
        encode(np.float32([[0, np.nan, 0]]), codebook)
    for rows in (np.zeros((2, 4), np.float32), np.zeros(3, np.float32)):
        with pytest.raises(ValueError, match=r"must be \(V, 3\), got"):
            encode(rows, codebook)
    with pytest.raises(ValueError, match=r"must be \(V, 3\), got"):
        decode(np.zeros((2, 4), np.uint8), codebook)
    with pytest.raises(ValueError, match="must be uint8, got int64"):
        decode(np.zeros((2, 3), np.int64), codebook)
    with pytest.raises(ValueError, match="below 5, got 5"):
        decode(np.full((2, 3), 5, np.uint8), codebook)
