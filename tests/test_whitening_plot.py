"""The picture of explained variance: that it is one. What is on it is for people to look at."""

import matplotlib.image
import numpy as np
import pytest

from yt8m_spark.whitening_plot import draw_explained_variance


@pytest.mark.parametrize(
    ("spectrum", "total", "n_kept"),
    [
        (1 / np.arange(1, 1025), None, 256),
        (1 / np.arange(1, 101), 10, 100),  # of a covariance whose small variances are not known
        (np.array([3.0, 1]), None, 1),
        (np.array([2.0]), None, 1),
    ],
)
def test_a_picture_is_drawn_of_any_spectrum(tmp_path, spectrum, total, n_kept):
    path = tmp_path / "plot.png"
    draw_explained_variance(spectrum, total or spectrum.sum(), n_kept, str(path))
    picture = matplotlib.image.imread(path)
    assert picture.shape[:2] == (660, 1050)
    assert picture[..., :3].std() > 0.05  # not blank
    assert [file.name for file in tmp_path.iterdir()] == ["plot.png"]
