"""The picture and the table of a search. That it is pleasant to look at is not tested."""

from math import nan

import pytest
from PIL import Image

from yt8m_spark.core.search import Ranges, grid_settings, random_settings, setting_names
from yt8m_spark.search_plot import draw_search, settings_table
from yt8m_spark.spark.search_figures import SettingFigures

RANGES = Ranges((0.1, 0.3, 1.0), (0.0, 1e-6, 1e-3), (32, 128), (1, 2, 4))


def figures_of(settings):
    return [SettingFigures(s, 0.3 / (1 + i), 0.01 * i, i) for i, s in enumerate(settings)]


@pytest.mark.parametrize(
    "settings",
    [
        grid_settings(RANGES),
        random_settings(RANGES, 40, seed=0),
        grid_settings(RANGES)[:1],
        grid_settings(Ranges((0.1, 1.0), (0.0,), (32,), (2,))),
    ],
    ids=["grid", "random", "one", "rates"],
)
@pytest.mark.parametrize("metric", ["map", "loss"])
def test_any_search_is_drawn(tmp_path, settings, metric):
    path = tmp_path / "search.png"
    draw_search(figures_of(settings), 0, metric, str(path))
    with Image.open(path) as image:
        assert image.size == (1125, 660)
        assert len(image.getcolors(maxcolors=1 << 20)) > 20, "not blank"


def test_settings_that_diverged_have_no_point(tmp_path):
    rows = [row._replace(validation_map=nan) for row in figures_of(grid_settings(RANGES)[:6])]
    draw_search(rows, 0, "map", str(tmp_path / "search.png"))
    assert (tmp_path / "search.png").exists()


def test_the_table_stars_the_best_on_the_whole():
    settings = grid_settings(Ranges((0.1, 1.0), (1e-5,), (32,), (2,)))
    rows = figures_of(settings)
    lines = settings_table(setting_names(settings), rows, 1).splitlines()
    assert lines[0].split() == ["setting", "mAP", "loss", "entities"]
    assert lines[2].split() == ["rate", "0.1", "30.00", "0.00000", "0"]
    assert lines[3].split() == ["rate", "1", "15.00*", "0.01000", "1"]
