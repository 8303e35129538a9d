"""Decoding of stored features. How codebooks are fitted is tested in test_lloyd_max.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.codebooks import Codebook, decode, linear_code
from yt8m_spark.core.stored_features import decoder_of


def decoded(stored, dtype, codebook=None):
    out = np.full(stored.shape, np.nan, np.float32)
    decoder_of(dtype, codebook)(stored, out)
    return out


def made_codebook(levels):
    levels = np.asarray(levels, np.float32)
    middles = (levels[:, 1:].astype(float) + levels[:, :-1]) / 2
    return Codebook(levels, middles, levels[:, [0, -1]])


def made_codes(shape=(40, 5), n_levels=256):
    return np.random.default_rng(1).integers(0, n_levels, shape).astype(np.uint8)


def test_every_finite_float16_comes_out_to_the_bit():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)][None]
    expected = finite.astype(np.float32)  # NumPy's own cast
    assert_array_equal(decoded(finite, "float16").view(np.uint32), expected.view(np.uint32))


def test_float32_comes_out_as_it_is():
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    assert_array_equal(decoded(values, "float32"), values)


def test_uneven_levels_come_out_exactly_each_feature_of_its_own():
    rng = np.random.default_rng(0)
    book = made_codebook(np.sort(rng.normal(size=(5, 256)), axis=1))
    codes = made_codes()
    expected = [[book.levels[d, codes[v, d]] for d in range(5)] for v in range(40)]
    assert_array_equal(decoded(codes, "uint8", book), np.array(expected, np.float32))


def test_uneven_levels_for_all_features_come_out_exactly():
    book = made_codebook(np.geomspace(1, 9, 256)[None])
    codes = made_codes()
    assert_array_equal(decoded(codes, "uint8", book), book.levels[0][codes])


def test_fewer_than_256_levels_are_read_at_their_places():
    rng = np.random.default_rng(0)
    book = made_codebook(np.sort(rng.normal(size=(5, 7)), axis=1))
    codes = made_codes(n_levels=7)
    assert_array_equal(decoded(codes, "uint8", book), decode(codes, book))


def test_even_levels_are_low_and_steps():
    low, step = np.array([-3.0, 0.0, 10.0, -1e-3, 5.0]), np.array([0.5, 1.0, 0.25, 1e-5, 0.0])
    book = made_codebook(low[:, None] + step[:, None] * np.arange(256))
    codes = made_codes()
    expected = low + step * codes
    assert_allclose(decoded(codes, "uint8", book), expected, atol=1e-6 * np.abs(expected).max())
    assert_allclose(decoded(codes, "uint8", book)[:, 3], expected[:, 3], atol=3e-9)


def test_the_code_of_the_release_is_even():
    codes = np.arange(256, dtype=np.uint8)[None]
    expected = [q * 4 / 255 + (4 / 512 - 2) for q in range(256)]
    assert_allclose(decoded(codes, "uint8", linear_code())[0], expected, atol=2e-6)


def test_levels_that_are_nearly_even_are_not_taken_for_even():
    levels = np.arange(256, dtype=np.float32)[None] / 255
    levels[0, 100] += 1e-4
    codes = np.full((1, 1), 100, np.uint8)
    assert decoded(codes, "uint8", made_codebook(levels))[0, 0] == levels[0, 100]


@pytest.mark.parametrize(
    ("dtype", "message"), [("float64", "dtype must be one of"), ("uint8", "need a codebook")]
)
def test_types_that_are_not_stored_and_codes_without_codebook_are_refused(dtype, message):
    with pytest.raises(ValueError, match=message):
        decoder_of(dtype)
