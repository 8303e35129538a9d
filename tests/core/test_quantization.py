"""The uniform 8-bit code. Its use on frames is tested in test_statistics."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.quantization import dequantize, quantize

ALL_CODES = np.arange(256, dtype=np.uint8)


def test_ends_of_the_released_code():
    # design: q * 4/255 + (4/512 - 2): 0 -> -1.9921875, 255 -> 2.0078125.
    assert_array_equal(
        dequantize(np.array([0, 255], np.uint8)), np.float32([-1.9921875, 2.0078125])
    )


def test_every_code_is_the_nearest_of_its_value():
    assert_array_equal(quantize(dequantize(ALL_CODES)), ALL_CODES)


def test_rounding_loses_at_most_half_a_step():
    values = np.random.default_rng(0).uniform(-1.99, 2.0, 1000)
    assert np.abs(dequantize(quantize(values)) - values).max() <= 2 / 255 + 1e-6


def test_values_out_of_range_take_the_end_codes():
    assert_array_equal(quantize(np.array([-9.0, 9.0, np.inf])), [0, 255, 255])


def test_codes_of_another_type_are_refused():
    with pytest.raises(ValueError, match="must be uint8, got float32"):
        dequantize(np.ones(3, np.float32))


def test_nan_has_no_code():
    with pytest.raises(ValueError, match="NaN"):
        quantize(np.array([np.nan]))


def test_dequantized_values_are_evenly_spaced():
    assert_allclose(np.diff(dequantize(ALL_CODES).astype(float)), 4 / 255, rtol=1e-4)
