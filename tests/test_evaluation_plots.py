"""The pictures of an evaluation and of losses. That they are pleasant to look at is not tested."""

import numpy as np
import pyarrow as pa
import pytest
from evaluations import evaluation_of
from matplotlib.figure import Figure
from PIL import Image

from yt8m_spark.calibration_plot import draw_calibration
from yt8m_spark.core.bands import EntityFrequencies
from yt8m_spark.evaluation_plots import draw_pr_curves
from yt8m_spark.evaluation_report import named_entities, save_evaluation
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.frequency_plots import draw_ap_by_frequency, draw_entity_frequency
from yt8m_spark.loss_plot import draw_loss_by_pass, loss_histories
from yt8m_spark.plot_style import plain

PLOTS = ("pr_curves", "ap_by_frequency", "calibration", "entity_frequency")


def colours(path):
    with Image.open(path) as image:
        return len(image.getcolors(maxcolors=1 << 20))


def made(n_entities, seed=0):
    rng = np.random.default_rng(seed)
    n_positives = np.sort(rng.zipf(1.5, n_entities).clip(max=10_000))[::-1].tolist()
    return evaluation_of(list(range(n_entities)), n_positives, rng.random(n_entities).tolist())


@pytest.mark.parametrize("n_entities", [1, 3, 200])
def test_any_evaluation_is_drawn(tmp_path, n_entities):
    save_evaluation(str(tmp_path), made(n_entities))
    for name in PLOTS:
        assert colours(tmp_path / "plots" / f"{name}.png") > 20, f"{name} is blank"


def test_an_evaluation_that_predicts_nothing_is_drawn(tmp_path):
    evaluation = evaluation_of([4, 6], [2, 1], [0.0, 0.0])
    empty = pa.array([[], []], pa.list_(pa.float32()))
    ids = evaluation.curves["entity"]
    curves = pa.table({"entity": ids, "thresholds": empty, "precision": empty, "recall": empty})
    object.__setattr__(evaluation, "curves", curves)
    save_evaluation(str(tmp_path), evaluation)
    assert all((tmp_path / "plots" / f"{name}.png").exists() for name in PLOTS)


def test_names_are_drawn_as_they_stand(tmp_path):
    names = {0: "$\\frac{1}{0$", 1: "_hidden", 2: "<script>\n\t", 3: "日本語" * 30, 4: ""}
    save_evaluation(str(tmp_path), made(5), Vocabulary(np.arange(5), names))
    assert plain("$5 & $\n\\alpha$", 30) == r"\$5 & \$ \alpha\$"
    assert plain("abcdefgh", 5) == "abcd…"


def test_every_curve_is_in_the_legend():
    names = dict(enumerate(("_hidden", "", "Car", "$1")))
    table = named_entities(made(4).per_entity, Vocabulary(np.arange(4), names))
    table = table.append_column("band", pa.array(["head"] * 4))
    axes = draw_pr_curves(table, made(4).curves).axes[0]
    told = {text.get_text().split("\n")[0].strip() for text in axes.get_legend().texts}
    assert told == {"_hidden", "entity 1", "Car", r"\$1"}
    assert len(axes.lines) == 4


def test_the_medians_lie_over_entities_of_like_frequency():
    counts = np.array([1, 1, 1, 1000, 1000])
    frequencies = EntityFrequencies(np.arange(5), counts, "videos")
    figure = draw_ap_by_frequency(frequencies, np.arange(5), np.array([0.1, 0.2, 0.6, 0.5, 0.9]))
    median = figure.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(median.get_xdata(), [1, 1000])
    np.testing.assert_allclose(median.get_ydata(), [0.2, 0.7])
    assert figure.axes[0].get_xscale() == "log"


def test_entities_of_one_frequency_are_drawn():
    frequencies = EntityFrequencies(np.arange(3), np.array([30, 30, 30]), "videos")
    axes = draw_ap_by_frequency(frequencies, np.arange(3), np.array([0.1, 0.2, 0.6])).axes[0]
    assert axes.get_xlim()[0] < 30 < axes.get_xlim()[1]


def test_frequencies_are_drawn_by_rank():
    frequencies = EntityFrequencies(np.arange(4), np.array([5, 90, 0, 10]), "training videos")
    lines = draw_entity_frequency(frequencies, np.array([2, 3])).axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), [90, 10, 5])
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(lines[1].get_ydata(), [3, 2])


def test_the_reliability_diagram_has_a_point_for_each_bin_with_pairs():
    figure = draw_calibration(made(3).reliability)
    assert isinstance(figure, Figure)
    points = figure.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(points.get_ydata(), [1 / 1000, 9 / 100, *[5 / 10] * 12])
    assert points.get_xdata()[0] == 0.01


def test_losses_are_drawn_by_pass(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        "yt8m_spark.loss_plot.save_png", lambda figure, path: kept.update(figure=figure)
    )
    # The second stopped early and keeps its last loss; the third diverged.
    draw_loss_by_pass([[0.4, 0.2, 0.1], [0.2], [0.1, float("nan")]], "x.png")
    axes = kept["figure"].axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["mean"], [0.3, 0.2, 0.15])
    np.testing.assert_allclose(lines["median"], [0.3, 0.2, 0.15])
    assert axes.get_title(loc="left") == "2 entities, 1 that diverged left out"
    with pytest.raises(ValueError, match="no losses to draw"):
        draw_loss_by_pass([[]], "x.png")


def test_the_losses_of_a_model_are_read_from_its_folder(tmp_path):
    import pyarrow.parquet as pq

    (tmp_path / "entities").mkdir()
    histories = pa.array([[0.5, 0.25], [], None], pa.list_(pa.float32()))
    pq.write_table(pa.table({"loss_history": histories}), tmp_path / "entities" / "a.parquet")
    found = loss_histories(str(tmp_path))
    assert found == [[0.5, 0.25]]
    draw_loss_by_pass(found, str(tmp_path / "loss.png"))
    assert colours(tmp_path / "loss.png") > 20
