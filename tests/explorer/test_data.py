"""The data of the page. Its parts are read and chosen elsewhere."""

import json

import numpy as np
import pyarrow as pa
import pytest
from explored import VIDEOS, N, make_evaluation, make_explored, make_shown

from yt8m_spark.errors import InputError
from yt8m_spark.explorer.data import explorer_data, nearest_of_table
from yt8m_spark.explorer.evaluation import no_evaluation
from yt8m_spark.formats.vocabulary_details import VocabularyDetails


def test_every_entity_of_the_vocabulary_is_told_of():
    entities = explorer_data(make_explored())["entities"]
    assert [entity["id"] for entity in entities] == list(range(N + 1))
    assert entities[1] == {
        "id": 1, "name": "Guitar", "mid": "/m/01", "verticals": ["Arts & Entertainment", "Games"],
        "n_train": 5000, "n_videos": 2, "n_positives": 4, "average_precision": 1 - 1 / 40,
        "best_threshold": 0.5, "best_f1": 0.66,
    }  # fmt: skip
    assert entities[N] == {"id": N, "verticals": [], "n_videos": 0}


def test_details_leave_out_what_is_not_known():
    details = explorer_data(make_explored())["details"]
    assert details[str(N)] == {}
    guitar = details["1"]
    assert guitar["nearest"] == [[2, 0.8], [0, 0.1]]
    assert guitar["confused"] == [[2, 3, 0.5], [6, 1, 0.2]]
    assert guitar["best"] == [["abcd", 0.9], ["dQw4w9WgXcQ", 0.8]]
    assert guitar["unlabelled"] == [["ijkl", 0.3]]
    assert "missed" not in guitar
    assert details["2"]["missed"] == [["efgh", None]]


def test_videos_are_in_the_order_of_the_choice_with_scores_of_four_decimals():
    videos = explorer_data(make_explored())["videos"]
    assert [tuple(video.values()) for video in videos] == VIDEOS


def test_verticals_are_counted_most_entities_first_and_once_an_entity():
    site = explorer_data(make_explored())["site"]
    counts = {v["name"]: v["n_entities"] for v in site["verticals"]}
    assert counts == {
        "Games": N,
        "Arts & Entertainment": len(range(1, N, 3)),
        "<b>Food</b>": len(range(2, N, 3)),
    }
    assert next(iter(counts)) == "Games"
    assert (site["n_videos"], site["n_shown_videos"]) == (20, len(VIDEOS))


def test_means_of_verticals_stand_in_for_missing_groups():
    evaluation = make_evaluation()._replace(groups=[])
    groups = explorer_data(make_explored(evaluation=evaluation))["site"]["groups"]
    found = {group["name"]: group for group in groups}
    expected = np.mean([1 - e / 40 for e in (1, 4, 7)])
    assert found["Arts & Entertainment"]["map"] == pytest.approx(expected, rel=1e-3)
    assert found["Arts & Entertainment"]["n_entities"] == 3
    assert found["Games"]["n_positives"] == 40


def test_without_an_evaluation_there_are_no_figures():
    data = explorer_data(make_explored(evaluation=no_evaluation()))
    assert data["site"]["metrics"] == {}
    assert data["site"]["groups"] == []
    assert not any("average_precision" in entity for entity in data["entities"])


def test_a_video_with_predictions_of_nothing():
    shown = make_shown(videos=[("a", [], [], [])])
    videos = explorer_data(make_explored(shown=shown))["videos"]
    assert videos == [{"id": "a", "labels": [], "entities": [], "scores": []}]


def test_an_evaluation_of_other_entities_is_refused():
    vocabulary = VocabularyDetails(np.arange(3), {}, {}, {})
    with pytest.raises(InputError, match="not in the vocabulary in evaluation, expected 3 ent"):
        explorer_data(make_explored(vocabulary=vocabulary))


def test_data_are_of_jsons_types_alone():
    data = explorer_data(make_explored())
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_rows_of_similar_labels_become_lists():
    rows = pa.table({"entity": [1, 1, 2], "other": [2, 3, 1], "similarity": [0.5, 0.25, 0.5]})
    assert nearest_of_table(rows) == {1: [(2, 0.5), (3, 0.25)], 2: [(1, 0.5)]}
