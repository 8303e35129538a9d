"""The number of labels told from few videos: by hand, and on drawn ones."""

import numpy as np
import pytest

from yt8m_spark.core.unseen_labels import estimate_distinct


def test_the_estimate_by_hand():
    # 5 seen, 3 once, 1 twice: 3 * 2 / (2 * 2) = 1.5 unseen
    assert estimate_distinct([1, 1, 1, 2, 9]) == 5 + 1


def test_nothing_is_unseen_where_nothing_is_rare():
    assert estimate_distinct([2, 3, 40]) == 3
    assert estimate_distinct([]) == 0
    assert estimate_distinct([1]) == 1


@pytest.mark.parametrize("seed", range(5))
def test_it_is_nearer_to_the_truth_than_what_was_seen(seed):
    n_labels = 500
    drawn = np.random.default_rng(seed).integers(0, n_labels, 400)
    counts = np.bincount(drawn)
    seen = np.count_nonzero(counts)
    found = estimate_distinct(counts[counts > 0].tolist())
    assert seen < 0.6 * n_labels
    assert abs(found - n_labels) < 0.25 * n_labels
