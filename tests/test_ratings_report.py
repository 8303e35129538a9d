"""What is told of a rated evaluation. The figures themselves are tested in tests/core and spark."""

import json
import math

import numpy as np
from numpy.testing import assert_allclose

from yt8m_spark.core.agreement import Agreement, Share
from yt8m_spark.ratings_report import rating_figures, rating_page, save_figures
from yt8m_spark.spark.ratings import LabelQuality, RatedModel

QUALITY = LabelQuality(Share(0.788, 0.77, 0.8), Share(0.145, 0.13, 0.16), 1000, 160, 870, 126)
RATERS = Agreement(0.9, 0.75, 1000)


def model(hit_at_1, perr, hit_at_5, machine):
    human = {"hit_at_1": hit_at_1, "perr": perr, "hit_at_5": hit_at_5, "map": 0.1}
    return RatedModel(human, {name: value * machine for name, value in human.items()})


def test_figures_are_flat_and_the_orders_by_hand():
    models = {
        "a": model(0.6, 0.5, 0.9, 1),
        "b": model(0.5, 0.4, 0.8, 1.5),
        "c": model(0.1, 0.45, 0.7, 1),
    }
    figures = rating_figures(QUALITY, RATERS, models)
    assert figures["label_recall"] == 0.145
    assert figures["label_precision_high"] == 0.8
    assert figures["b.human.hit_at_5"] == 0.8
    assert_allclose(figures["b.machine.perr"], 0.6)
    # Hit@1: 3 2 1 by human, 2 3 1 by machine labels: one pair of three is the other way round.
    assert_allclose(figures["kendall_hit_at_1"], (2 - 1) / 3)
    assert_allclose(figures["spearman_hit_at_1"], 1 - 6 * 2 / (3 * 8))
    assert not any(name.startswith("a.human.map") for name in figures)


def test_one_model_has_no_order():
    figures = rating_figures(QUALITY, RATERS, {"a": model(0.6, 0.5, 0.9, 1)})
    assert not any(name.startswith(("spearman", "kendall")) for name in figures)
    assert "Spearman" not in rating_page(figures, {"a": model(0.6, 0.5, 0.9, 1)})


def test_the_page_has_a_table_like_table_4():
    models = {"a": model(0.6, 0.5, 0.9, 1), "b": model(0.5, 0.4, 0.8, 0.5)}
    page = rating_page(rating_figures(QUALITY, RATERS, models), models)
    for line in (
        "| precision of machine labels | 78.8 | 77.0 to 80.0 |",
        "| recall of machine labels | 14.5 | 13.0 to 16.0 |",
        "| model | Hit@1, human | PERR, human | Hit@5, human | Hit@1, machine | PERR, machine "
        "| Hit@5, machine |",
        "| b | 50.0 | 40.0 | 80.0 | 25.0 | 20.0 | 40.0 |",
        "| Hit@1 | 1.000 | 1.000 |",
    ):
        assert line in page.splitlines()


def test_what_is_not_defined_is_null_and_a_dash(tmp_path):
    nothing = QUALITY._replace(precision=Share(*[math.nan] * 3))
    figures = rating_figures(nothing, Agreement(math.nan, math.nan, 0), {})
    page = rating_page(figures, {})
    save_figures(tmp_path, figures, page)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["label_precision"] is None
    assert stored["fleiss_kappa"] is None
    assert stored["label_recall"] == 0.145
    assert "| precision of machine labels | - | - to - |" in (tmp_path / "report.md").read_text()
    assert np.isnan(figures["percent_agreement"])
