"""The release's linear code. Fitted codes: test_codebooks.py; on frames: test_statistics.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.quantization import BIAS, LEVELS, UNBIASED_LEVELS, dequantize, quantize

ALL_CODES = np.arange(256, dtype=np.uint8)


def evenly(n):
    """``n`` values spread over [-2, 2], none of them halfway between two levels."""
    return np.linspace(-2, 2, n)


def test_ends_of_the_released_code():
    # design: q * 4/255 + (4/512 - 2): 0 -> -1.9921875, 255 -> 2.0078125.
    ends = np.array([0, 255], np.uint8)
    assert_array_equal(dequantize(ends), np.float32([-1.9921875, 2.0078125]))
    assert_array_equal(dequantize(ends, unbiased=True), np.float32([-2, 2]))
    assert_array_equal(LEVELS, dequantize(ALL_CODES))
    assert_array_equal(UNBIASED_LEVELS, dequantize(ALL_CODES, unbiased=True))


def test_codes_are_those_of_the_releases_writer():
    # One value at a time, as its Python does: int(round((clip(x, -2, 2) + 2) * 255 / 4)).
    values = np.random.default_rng(0).normal(0, 1.2, 2000).astype(np.float32)
    expected = [round((min(max(float(x), -2.0), 2.0) + 2) * 255 / 4) for x in values]
    assert_array_equal(quantize(values), expected)
    # 127.5 is the one half that float32 reaches; halves go to the even code.
    assert_array_equal(quantize(np.float32([-2, 0, 2])), [0, 128, 255])


@pytest.mark.parametrize("unbiased", [False, True])
def test_codes_that_were_read_are_written_as_they_were(unbiased):
    assert_array_equal(quantize(dequantize(ALL_CODES, unbiased=unbiased)), ALL_CODES)


def test_the_releases_reader_is_a_128th_above_what_was_written():
    values = evenly(1_000_001)
    error = dequantize(quantize(values)) - values
    assert pytest.approx(1 / 128) == BIAS
    assert_allclose(error.mean(), 1 / 128, rtol=1e-3)
    # A bias and the variance of a uniform error of one step, 4 / 255.
    assert_allclose((error**2).mean(), (1 / 128) ** 2 + (4 / 255) ** 2 / 12, rtol=1e-2)
    assert np.abs(error).max() <= 1 / 128 + 2 / 255 + 1e-6


def test_unbiased_levels_are_within_half_a_step_and_without_bias():
    values = evenly(1_000_001)
    error = dequantize(quantize(values), unbiased=True) - values
    assert abs(error.mean()) < 1e-6
    assert_allclose((error**2).mean(), (4 / 255) ** 2 / 12, rtol=1e-2)
    assert np.abs(error).max() <= 2 / 255 + 1e-6


def test_values_out_of_range_take_the_end_codes():
    assert_array_equal(quantize(np.array([-np.inf, -9.0, 9.0, np.inf])), [0, 0, 255, 255])


def test_codes_of_another_type_are_refused():
    with pytest.raises(ValueError, match="must be uint8, got float32"):
        dequantize(np.ones(3, np.float32))


def test_nan_has_no_code():
    with pytest.raises(ValueError, match="NaN"):
        quantize(np.array([np.nan]))


def test_levels_are_evenly_spaced():
    for levels in (LEVELS, UNBIASED_LEVELS):
        assert_allclose(np.diff(levels.astype(float)), 4 / 255, rtol=1e-4)
