"""Means over entities and the set of metrics. Where the counts come from is tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.metrics import entity_figures, evaluation_metrics
from yt8m_spark.core.ranking import RankingCounts


def test_an_entity_never_predicted_has_an_average_precision_of_zero_and_is_in_the_mean():
    figures = entity_figures({8: 2, 3: 4}, sums={3: 3.0, 77: 1.0}, starter_sums={3: 1.0, 8: 2.0})
    assert_array_equal(figures.entities, [3, 8])
    assert_array_equal(figures.n_positives, [4, 2])
    assert_allclose(figures.average_precision, [3 / 4, 0])
    assert_allclose(figures.starter_average_precision, [1 / 4, 1])


def test_all_metrics_by_hand():
    figures = entity_figures({8: 2, 3: 4}, sums={3: 3.0}, starter_sums={3: 1.0, 8: 2.0})
    # One video without labels, four with one (3 hits at 1), one with two (1 of 2 in the top 2).
    one_each = [0, 3, 1], [0, 4, 1], [0, 3, 1], [0, 2, 1]
    ranking = RankingCounts(*map(np.array, ([0, 1, 2], [1, 4, 1], *one_each)))
    metrics = evaluation_metrics(ranking, figures, pool_sum=4.5)
    assert metrics == pytest.approx(
        {
            "map": (3 / 4 + 0) / 2,
            "hit_at_1": 4 / 5,
            "hit_at_5": 5 / 5,
            "perr": (3 / 1 + 1 / 2) / 5,
            "gap_at_20": 4.5 / 6,
            "starter_map": (1 / 4 + 1) / 2,
            "starter_hit_at_1": 4 / 6,
            "starter_perr": (2 / 1 + 1 / 2) / 6,
            "starter_gap_at_20": 4.5 / 6,
        }
    )


def test_no_labelled_video_is_refused():
    figures = entity_figures({}, {}, {})
    ranking = RankingCounts(*np.array([[0], [3], [0], [0], [0], [0]]))
    with pytest.raises(ValueError, match="labelled"):
        evaluation_metrics(ranking, figures, pool_sum=0.0)
