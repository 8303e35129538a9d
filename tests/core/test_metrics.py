"""Means over entities and the set of metrics. Where the counts come from is tested elsewhere."""

import numpy as np
import pytest

from yt8m_spark.core.entity_figures import EntityFigures, EntityTotals
from yt8m_spark.core.metrics import evaluation_metrics, tie_metrics
from yt8m_spark.core.ranking import RankingCounts


def ranking():
    """One video without labels, four with one (3 hits at 1), one with two (1 of 2 in the top 2)."""
    columns = [0, 1, 2], [0, 0, 0], [1, 4, 1], [0, 3, 1], [0, 2, 1], [[0, 0], [3, 4], [1, 1]]
    return RankingCounts(*map(np.array, columns))


def totals(**changed):
    """Sums over two entities of three that are predicted."""
    sums = {
        "n_entities": 2.0,
        "average_precision": 3 / 4,
        "starter_average_precision": 1 / 4 + 1,
        "loss": 1.5,
        "starter_loss": 2.5,
        "n_scored": 7.0,
        "n_present": 3.0,
    } | changed
    return EntityTotals(**{name: np.atleast_1d(value) for name, value in sums.items()})


def test_all_metrics_by_hand():
    metrics = evaluation_metrics(ranking(), totals(), np.array([4.5]), np.ones((1, 1)), (1, 5))
    assert {name: value.item() for name, value in metrics.items()} == pytest.approx(
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
            "loss": 1.5 / 2 / 6,
            # 6 videos x 3 entities less the 7 pairs scored are at 0, each with -log(1 + 1e-5).
            "starter_loss": (2.5 - (6 * 3 - 7) * np.log1p(1e-5)) / 6,
        }
    )


def test_a_replicate_that_drew_no_labelled_video_has_no_figure():
    two = totals(n_entities=[2.0, 0.0], average_precision=[1.0, 0.0])
    metrics = evaluation_metrics(ranking(), two, np.zeros(2), np.array([[1.0, 0.0]]), (1, 5))
    assert np.isnan([metrics[n][1] for n in ("map", "hit_at_1", "gap_at_20", "loss")]).all()
    assert metrics["map"][0] == 1 / 2


def test_no_labelled_video_is_refused():
    counts = RankingCounts(*map(np.array, ([0], [0], [3], [0], [0], [[0, 0]])))
    with pytest.raises(ValueError, match="labelled"):
        evaluation_metrics(counts, totals(), np.zeros(1), np.ones((1, 1)), (1, 5))


def test_bounds_are_given_where_they_differ_from_the_figure():
    columns = dict.fromkeys(EntityFigures._fields, np.zeros(2))
    columns["bounds"] = np.array([[0.8, 0.4], [0.6, 0.2]])
    columns["starter_bounds"] = np.array([[0.5, 0.5], [0.5, 0.5]])
    metrics = {"map": 0.6, "gap_at_20": 0.5, "starter_map": 0.5}
    found = tie_metrics(metrics, EntityFigures(**columns), np.array([3.0, 2.0]), n_labels=4)
    assert found == pytest.approx({"map_best": 0.7, "map_worst": 0.3, "gap_at_20_best": 3 / 4})
