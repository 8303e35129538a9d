"""Averages of predictions against plain Python. Reading submissions is tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.ensemble import average_predictions, with_labels
from yt8m_spark.spark.evaluation import evaluate_predictions

LISTS = "video_id string, entities array<int>, scores array<float>"
LABELLED = "video_id string, labels array<int>, entities array<int>, scores array<float>"
SEGMENTS = "video_id string, segment_start_time int, entities array<int>, scores array<float>"


def make_lists(seed, n=30, k=5):
    rng = np.random.default_rng(seed)
    return [
        (f"v{v}", rng.choice(12, k, replace=False).tolist(), np.float32(rng.random(k)).tolist())
        for v in rng.permutation(n)
    ]


def mean_by_hand(lists, weights, k):
    """Best entities and scores of each video."""
    total = sum(weights)
    found = {}
    for rows, weight in zip(lists, weights, strict=True):
        for video_id, entities, scores in rows:
            sums = found.setdefault(video_id, {})
            for entity, score in zip(entities, scores, strict=True):
                sums[entity] = sums.get(entity, 0) + weight * score / total
    return {
        v: sorted(((np.float32(s), e) for e, s in sums.items()), key=lambda p: (-p[0], p[1]))[:k]
        for v, sums in found.items()
    }


def as_dict(table):
    return {r.video_id: list(zip(r.scores, r.entities, strict=True)) for r in table.collect()}


def fault(table):
    with pytest.raises(Exception) as error:  # noqa: PT011 - from a Spark task it is Spark's
        table.collect()
    return user_error(error.value)


@pytest.mark.parametrize("n_parts", [1, 4])
@pytest.mark.parametrize("weights", [(1, 1, 1), (0.2, 0.5, 0.3), (2, 0, 1)])
def test_it_is_the_weighted_mean(spark, weights, n_parts):
    lists = [make_lists(seed) for seed in range(3)]
    tables = {
        f"t{i}": spark.createDataFrame(rows, LISTS).repartition(n_parts)
        for i, rows in enumerate(lists)
    }
    average = average_predictions(tables, weights, k=8)
    assert average.columns == ["video_id", "labels", "entities", "scores"]
    found, expected = as_dict(average), mean_by_hand(lists, weights, 8)
    assert set(found) == set(expected)
    for video_id, pairs in expected.items():
        assert [e for _, e in found[video_id]] == [e for _, e in pairs]
        assert_allclose([s for s, _ in found[video_id]], [s for s, _ in pairs], rtol=1e-6)


def test_a_pair_that_one_does_not_list_counts_0_by_hand(spark):
    tables = {
        "a": spark.createDataFrame(
            [("v", [7], [1.0], [1])],
            "video_id string, labels array<int>, scores array<float>, entities array<int>",
        ),
        "b": spark.createDataFrame([("v", [2, 3], [0.5, 0.25])], LISTS),
    }
    row = average_predictions(tables, [3, 1]).collect()[0]
    assert row.labels == [7]
    assert row.entities == [1, 2, 3]
    assert row.scores == [0.75, 0.125, 0.0625]


def test_one_table_is_its_own_average(spark):
    rows = make_lists(0)
    average = average_predictions({"a": spark.createDataFrame(rows, LISTS)}, [0.3], k=12)
    assert as_dict(average) == {
        v: sorted(zip(map(np.float32, s), e, strict=True), key=lambda p: (-p[0], p[1]))
        for v, e, s in rows
    }


def test_segments_are_averaged_too(spark):
    a = spark.createDataFrame([("v", 0, [1], [1.0]), ("v", 5, [1], [0.5])], SEGMENTS)
    b = spark.createDataFrame([("v", 5, [1], [0.0]), ("v", 0, [2], [0.5])], SEGMENTS)
    rows = average_predictions({"a": a, "b": b}, [1, 1]).orderBy("segment_start_time").collect()
    assert [(r.segment_start_time, r.entities, r.scores) for r in rows] == [
        (0, [1, 2], [0.5, 0.25]),
        (5, [1], [0.25]),
    ]
    with pytest.raises(InputError, match="do not mix in b"):
        average_predictions({"a": a, "b": spark.createDataFrame(make_lists(0), LISTS)}, [1, 1])


def test_videos_that_differ_are_refused_unless_asked_for(spark):
    tables = {
        "a": spark.createDataFrame([("v", [1], [1.0]), ("w", [1], [0.5])], LISTS),
        "b.csv": spark.createDataFrame([("v", [1], [0.5])], LISTS),
    }
    line = fault(average_predictions(tables, [1, 1]))
    assert "no video 'w' in b.csv" in line
    found = as_dict(average_predictions(tables, [1, 1], allow_missing=True))
    assert found == {"v": [(0.75, 1)], "w": [(0.25, 1)]}


def test_bad_tables_and_weights_are_refused(spark):
    table = spark.createDataFrame([("v", [1], [1.0])], LISTS)
    twice = spark.createDataFrame([("v", [1], [1.0]), ("v", [1], [0.5])], LISTS)
    with pytest.raises(InputError, match="video_id 'v' comes twice in b"):
        average_predictions({"a": table, "b": twice}, [1, 1])
    for weights in ([1], [0, 0], [-1, 2], [float("nan"), 1]):
        with pytest.raises(ValueError, match="weight"):
            average_predictions({"a": table, "b": table}, weights)
    bad = spark.createDataFrame([("v", [1], [2.0])], LISTS)
    assert "score out of range in video 'v', entity 1" in fault(
        average_predictions({"a": bad}, [1])
    )


def test_labels_make_a_submission_fit_for_evaluation(spark):
    lists = spark.createDataFrame([("v", [1, 2], [0.9, 0.8]), ("w", [2], [0.7])], LISTS)
    truth = spark.createDataFrame([("w", [2]), ("v", [2])], "video_id string, labels array<int>")
    evaluation = evaluate_predictions(with_labels(lists, truth))
    assert evaluation.metrics["hit_at_1"] == 1 / 2


def test_labels_of_other_videos_are_refused_unless_asked_for(spark):
    lists = spark.createDataFrame([("v", [1], [0.9]), ("x", [2], [0.7])], LISTS)
    truth = spark.createDataFrame([("v", [1]), ("w", [2])], "video_id string, labels array<int>")
    line = fault(with_labels(lists, truth))
    assert "no video" in line
    found = with_labels(lists, truth, allow_missing=True).orderBy("video_id").collect()
    assert [tuple(row) for row in found] == [
        ("v", [1], [1], [pytest.approx(0.9)]),
        ("w", [2], [], []),
    ]
    both = truth.union(truth)
    with pytest.raises(InputError, match="comes twice in table of labels"):
        with_labels(lists, both)
