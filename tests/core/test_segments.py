"""AP of one entity's list. Which segments are in it is decided, and tested, in spark/segments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from yt8m_spark.core.segments import segment_average_precision


def test_by_hand():
    found = segment_average_precision(np.array([True, False, True]), 4)
    assert_allclose(found, (1 / 1 + 2 / 3) / 4)
    assert segment_average_precision(np.array([True, True]), 2) == 1
    assert segment_average_precision(np.array([], dtype=bool), 2) == 0
    assert segment_average_precision(np.array([False] * 5), 2) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_list_has_the_ap_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    is_positive = rng.random(50) < 0.3
    expected = average_precision_score(is_positive, -np.arange(50))
    assert_allclose(segment_average_precision(is_positive, is_positive.sum()), expected, rtol=1e-12)


def starter_ap(actuals, n_positives):
    """AveragePrecisionCalculator.ap_at_n of google/youtube-8m for n = None, ranks as given."""
    ap, positive_count = 0.0, 0.0
    for i, actual in enumerate(actuals):
        if actual > 0:
            positive_count += 1
            ap += positive_count / (i + 1) * (1.0 / n_positives)
    return ap


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_list_has_the_ap_of_the_starter_code(seed):
    rng = np.random.default_rng(seed)
    is_positive = rng.random(60) < 0.2
    n_positives = int(is_positive.sum()) + 7
    found = segment_average_precision(is_positive, n_positives)
    assert_allclose(found, starter_ap(is_positive, n_positives), rtol=1e-12)


def test_counts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="n_positives"):
        segment_average_precision(np.array([False]), 0)
    with pytest.raises(ValueError, match="2 listed"):
        segment_average_precision(np.array([True, True]), 1)
