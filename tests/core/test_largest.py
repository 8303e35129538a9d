"""The sorting networks, against numpy.sort. Videos and codes are tested in test_statistics."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.largest import LargestValues, _sorting_network, _valley_network


def largest(blocks, k):
    n_columns = sum(block.shape[1] for block in blocks)
    values = LargestValues(k, max(map(len, blocks)), n_columns, blocks[0].dtype.type)
    for block in blocks:
        values.add(block)
    return values.result()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 9, 100])
@pytest.mark.parametrize("n_rows", [1, 2, 4, 5, 7, 8, 9, 31, 64, 214])
def test_the_first_ranks_are_those_of_a_full_sort(n_rows, k, dtype):
    rows = np.random.default_rng(n_rows).integers(0, 256, (n_rows, 37)).astype(dtype)
    before = rows.copy()
    found = largest([rows], k)
    assert found.shape == (k, 37)
    assert_array_equal(found[:n_rows], np.sort(rows, axis=0)[::-1][:k])
    assert_array_equal(rows, before)


@pytest.mark.parametrize(("dtype", "least"), [(np.uint8, 0), (np.float32, -np.inf)])
def test_ranks_beyond_the_rows_are_the_least_value(dtype, least):
    found = largest([np.full((2, 3), 7, dtype)], 5)
    assert_array_equal(found[2:], np.full((3, 3), least, dtype))


def test_blocks_of_unequal_height_do_not_mix():
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, w)) for n, w in ((300, 5), (3, 2), (47, 11), (1, 1))]
    found = largest(blocks, 5)
    start = 0
    for block in blocks:
        ranked = np.sort(block, axis=0)[::-1][:5]
        assert_array_equal(found[: len(ranked), start : start + block.shape[1]], ranked)
        start += block.shape[1]


def test_what_one_call_leaves_behind_does_not_reach_the_next():
    largest([np.full((300, 50), 255, np.uint8)], 5)
    assert_array_equal(largest([np.ones((11, 50), np.uint8)], 5), np.ones((5, 50), np.uint8))


@pytest.mark.parametrize("keep", [2, 3, 5, 8])
def test_the_sorting_network_sorts_every_row_of_zeros_and_ones(keep):
    # Knuth's 0-1 principle: a network that sorts these sorts everything.
    n = 1 << (keep - 1).bit_length()
    first_layer = [(i, i + 1) for i in range(0, n, 2)]
    for bits in itertools.product((0, 1), repeat=n):
        values = list(bits)
        exchange(values, [*first_layer, *_sorting_network(keep)])
        assert values[:keep] == sorted(bits, reverse=True)[:keep]


@pytest.mark.parametrize("n", range(1, 18))
def test_the_valley_network_sorts_every_valley_of_zeros_and_ones(n):
    network, order = _valley_network(n)
    for first, last in itertools.combinations(range(n + 1), 2):
        for inside in (0, 1):  # a descending list is one as well: its valley is at the end
            values = [inside if first <= i < last else 1 - inside for i in range(n)]
            if inside == 1 and first > 0:
                continue  # a hill
            expected = sorted(values, reverse=True)
            exchange(values, network)
            assert [values[i] for i in order] == expected


def exchange(values, network):
    for i, j in network:
        values[i], values[j] = max(values[i], values[j]), min(values[i], values[j])


@pytest.mark.parametrize(("k", "n_rows"), [(0, 3), (5, 0)])
def test_nothing_to_rank_is_refused(k, n_rows):
    with pytest.raises(ValueError, match=f"at least 1, got {k} and {n_rows}"):
        LargestValues(k, n_rows, 4, np.uint8)
