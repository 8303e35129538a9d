"""CRC-32C against published values and google_crc32c. Its use in files is tested elsewhere."""

import google_crc32c
import numpy as np
import pytest

from yt8m_spark.formats.crc32c import (
    crc32c,
    mask_crc32c,
    masked_crc32c,
    masked_crc32c_at,
    table_crc32c,
)

# RFC 3720, appendix B.4, and the check value of the CRC catalogue.
KNOWN = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
]


@pytest.mark.parametrize("function", [crc32c, table_crc32c])
@pytest.mark.parametrize(("data", "expected"), KNOWN)
def test_crc_has_the_published_values(function, data, expected):
    assert function(data) == expected


@pytest.mark.parametrize("size", [1, 7, 8, 255, 4096])
def test_table_agrees_with_google_crc32c(size):
    data = np.random.default_rng(size).bytes(size)
    assert table_crc32c(data) == google_crc32c.value(data) == crc32c(data)


def test_mask_can_be_undone_as_tensorflow_undoes_it():
    # tensorflow/core/lib/hash/crc32c.h: Unmask rotates left by 15 after taking off the delta.
    for data, crc in KNOWN:
        rotated = (masked_crc32c(data) - 0xA282EAD8) % 2**32
        assert (rotated >> 17 | rotated << 15) % 2**32 == crc


@pytest.mark.parametrize("function", [crc32c, table_crc32c])
def test_crc_goes_on_from_that_of_the_bytes_before(function):
    data = np.random.default_rng(0).bytes(100)
    for cut in (0, 1, 50, 100):
        assert function(data[cut:], function(data[:cut])) == google_crc32c.value(data)


@pytest.mark.parametrize("n_zeros", [0, 1, 4])
@pytest.mark.parametrize("size", [1, 8, 13])
def test_crcs_of_many_places_are_those_of_each(size, n_zeros):
    data = np.random.default_rng(size).integers(0, 256, 500, np.uint8)
    starts = np.array([0, 1, 7, 100, 500 - size])
    expected = [masked_crc32c(data[at : at + size].tobytes() + bytes(n_zeros)) for at in starts]
    assert masked_crc32c_at(data, starts, size, n_zeros=n_zeros).tolist() == expected


def test_masking_a_crc_is_the_same_as_masking_at_once():
    for data, crc in KNOWN:
        assert mask_crc32c(crc) == masked_crc32c(data)
