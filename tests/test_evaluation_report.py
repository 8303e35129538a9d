"""The folder of an evaluation, and its summary. The figures themselves are tested elsewhere."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluations import DOUBLES, evaluation_of
from model_files import random_model, write_model

from yt8m_spark.evaluation_report import model_frequencies, report_evaluation, save_evaluation
from yt8m_spark.evaluation_summary import evaluation_summary
from yt8m_spark.formats.vocabulary import Vocabulary
from yt8m_spark.formats.vocabulary_details import VocabularyDetails

# Of 100 training videos 1 has a half, and 3 and 7 up to nine tenths; 9 is not evaluated.
COUNTS = {1: 50, 3: 30, 7: 10, 9: 10}
DETAILS = VocabularyDetails(
    np.array([1, 3, 7, 9]),
    {1: "Game", 3: "Car", 7: "<script>"},
    COUNTS,
    {1: ("Games",), 3: ("Autos", "Games"), 9: ("Autos",)},
)


def make_evaluation(**changes):
    return evaluation_of([1, 3, 5, 7], [4, 3, 2, 1], [0.8, 0.4, 0.2, 0.1], **changes)


def test_every_file_of_the_folder_is_there(tmp_path):
    save_evaluation(str(tmp_path / "e"), make_evaluation(), DETAILS)
    found = sorted(str(p.relative_to(tmp_path / "e")) for p in (tmp_path / "e").rglob("*.*"))
    assert found == [
        "confusions.parquet",
        "curves.parquet",
        "groups.parquet",
        "metrics.json",
        "per_entity.parquet",
        "plots/ap_by_frequency.png",
        "plots/calibration.png",
        "plots/entity_frequency.png",
        "plots/pr_curves.png",
        "reliability.parquet",
    ]
    metrics = json.loads((tmp_path / "e/metrics.json").read_text())
    sizes = {"n_videos": 100, "n_labelled_videos": 90, "n_entities": 4}
    assert metrics == {**make_evaluation().metrics, **sizes}


def test_a_bootstrap_has_its_intervals_and_replicates(tmp_path):
    intervals = {"level": 0.95, "intervals": {"map": [0.1, 0.9]}}
    replicates = pa.table({"map": [0.1, 0.5, 0.9]})
    made = make_evaluation(intervals=intervals, replicates=replicates)
    save_evaluation(str(tmp_path), made)
    assert json.loads((tmp_path / "intervals.json").read_text()) == intervals
    assert pq.read_table(tmp_path / "replicates.parquet") == replicates


def test_entities_have_names_verticals_and_bands(tmp_path):
    save_evaluation(str(tmp_path), make_evaluation(), DETAILS)
    table = pq.read_table(tmp_path / "per_entity.parquet")
    assert table.column_names == [
        "entity",
        "name",
        "verticals",
        "n_positives",
        *DOUBLES[:5],
        "band",
        *DOUBLES[5:],
    ]
    assert table["name"].to_pylist() == ["Game", "Car", "", "<script>"]
    assert table["verticals"].to_pylist() == [["Games"], ["Autos", "Games"], [], []]
    # 5 is not in the vocabulary; 7 stands where the labels of 1 and 3 end, at 80 of 100.
    assert table["band"].to_pylist() == ["head", "torso", "tail", "torso"]
    assert table["best_threshold"].null_count == 4, "NaN is null"


def test_bands_are_taken_from_the_first_that_knows_an_entity():
    def bands(*arguments, **more):
        report = report_evaluation(make_evaluation(), *arguments, **more)
        return report.per_entity["band"].to_pylist(), report.frequencies.source

    # 4 + 3 + 2 + 1: half of 10 is passed at 3, nine tenths are reached at 2.
    assert bands() == (["head", "head", "torso", "tail"], "evaluated videos")
    names = Vocabulary(DETAILS.entities, DETAILS.names)
    of_model = {1: 1, 3: 1, 5: 98, 11: 800}  # 11 holds more than half, and less than nine tenths
    expected = ["tail", "tail", "torso", "tail"], "training videos, by the model"
    assert bands(names, frequencies=of_model) == expected
    assert bands(frequencies=of_model) == expected
    assert bands(DETAILS, frequencies=of_model)[1] == "training videos, by the vocabulary"
    strangers = DETAILS._replace(video_counts={77: 5})
    assert bands(strangers, frequencies={78: 5})[1] == "evaluated videos"


def test_groups_are_means_over_their_entities():
    losses, errors = [0.1, 0.2, 0.3, 0.4], [0.01, float("nan"), 0.03, 0.04]
    made = make_evaluation(loss=losses, calibration_error=errors)
    groups = {
        (row["kind"], row["name"]): row
        for row in report_evaluation(made, DETAILS).groups.to_pylist()
    }
    assert list(groups) == [
        ("band", "head"),
        ("band", "torso"),
        ("band", "tail"),
        ("vertical", "Autos"),
        ("vertical", "Games"),
    ]
    games = groups["vertical", "Games"]
    assert (games["n_entities"], games["n_positives"]) == (2, 4 + 3)
    assert games["map"] == pytest.approx((0.8 + 0.4) / 2)
    assert games["starter_map"] == 0.5
    assert games["loss"] == pytest.approx((0.1 + 0.2) / 2)
    assert games["calibration_error"] == pytest.approx(0.01)
    assert groups["vertical", "Autos"]["calibration_error"] is None
    assert groups["band", "torso"]["map"] == pytest.approx((0.4 + 0.1) / 2)


def test_without_a_vocabulary_there_are_no_names(tmp_path):
    report = save_evaluation(str(tmp_path), make_evaluation())
    assert report.per_entity.column_names[:2] == ["entity", "n_positives"]
    assert set(report.groups["kind"].to_pylist()) == {"band"}
    names = Vocabulary(DETAILS.entities, DETAILS.names)
    report = save_evaluation(str(tmp_path), make_evaluation(), names)
    assert report.per_entity.column_names[:3] == ["entity", "name", "n_positives"]


def test_frequencies_of_a_model_are_its_training_videos(tmp_path):
    folder = write_model(tmp_path / "m", *random_model(1, 3, 2), [2, 5, 7], n_files=2)
    assert model_frequencies(folder) == {2: 1, 5: 1, 7: 1}


def test_the_summary_tells_of_bands_and_of_the_best_and_worst_entities():
    entities = list(range(40))
    n_positives = [100 - e if e < 30 else 9 for e in entities]
    precision = [0.99 if e >= 30 else e / 40 for e in entities]
    text = evaluation_summary(report_evaluation(evaluation_of(entities, n_positives, precision)))
    lines = text.splitlines()
    assert lines[0] == "100 videos, 90 labelled, with 40 entities"
    assert lines[1].split() == ["mAP", "Hit@1", "GAP@20"]
    assert lines[2].split()[1:] == ["50.00", "25.00"]
    best = lines[lines.index("best entities, of at least 10 videos") + 2 :]
    assert [line.split() for line in best[:2]] == [["72.50", "71", "29"], ["70.00", "72", "28"]]
    worst = lines[lines.index("worst entities, of at least 10 videos") + 2 :]
    assert [line.split() for line in worst[:2]] == [["0.00", "100", "0"], ["2.50", "99", "1"]]


def test_the_summary_of_few_entities_lists_each_once_and_prints_names_as_text():
    names = Vocabulary(np.array([1]), {1: "a\x1b[2J\nb"})
    text = evaluation_summary(report_evaluation(make_evaluation(), names))
    assert "best entities, of all" in text
    assert "worst" not in text
    assert "1 a[2Jb" in text
