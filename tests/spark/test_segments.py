"""Segment MAP@K of tables against brute force. One list's AP is tested in tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.segments import evaluate_segments, rank_segments, rated_segments

FRAMES = (
    "video_id string, segment_start_times array<int>, segment_labels array<int>, "
    "segment_scores array<float>"
)
PREDICTIONS = "video_id string, segment_start_time int, entities array<int>, scores array<float>"
RANKED = "entity int, rank int, video_id string, segment_start_time int"
RATED = "entity int, video_id string, segment_start_time int, is_positive boolean"


def make_data(seed, n_videos=20, n_entities=6):
    """Frames rows with some segments rated, and predictions of all segments, scores with ties."""
    rng = np.random.default_rng(seed)
    frames, predictions = [], []
    for v in range(n_videos):
        starts = rng.choice(10, 4, replace=False) * 5
        labels = rng.integers(0, n_entities, 4)
        frames.append((f"v{v}", starts.tolist(), labels.tolist(), rng.integers(0, 2, 4).tolist()))
        for start in range(0, 50, 5):
            entities = rng.choice(n_entities - 1, 3, replace=False).tolist()  # the last: never
            predictions.append((f"v{v}", start, entities, (rng.integers(0, 9, 3) / 8).tolist()))
    frames = [(v, s, e, list(map(float, y))) for v, s, e, y in frames]
    return frames, predictions


def brute_force(frames, predictions, at_k, only=None):
    """MAP@K as the challenge defines it, in plain Python."""
    rated = {
        (e, v, s): y > 0 for v, *arrays in frames for s, e, y in zip(*arrays, strict=True)
    }  # fmt: skip
    aps = {}
    for entity in {e for e, *_ in rated} if only is None else only:
        n_positives = sum(y for (e, *_), y in rated.items() if e == entity)
        if not n_positives:
            continue
        ranked = sorted(
            (-score, v, s)
            for v, s, entities, scores in predictions
            for e, score in zip(entities, scores, strict=True)
            if e == entity
        )[:at_k]
        n_seen, n_hits, total = 0, 0, 0.0
        for _, v, s in ranked:
            if (entity, v, s) not in rated:
                continue
            n_seen += 1
            if rated[entity, v, s]:
                n_hits += 1
                total += n_hits / n_seen
        aps[entity] = total / n_positives
    return aps


@pytest.mark.parametrize("n_parts", [1, 7])
@pytest.mark.parametrize(("seed", "at_k"), [(0, 100_000), (1, 30), (2, 5)])
def test_it_is_the_definition(spark, seed, at_k, n_parts):
    frames, predictions = make_data(seed)
    expected = brute_force(frames, predictions, at_k)
    ranked = rank_segments(spark.createDataFrame(predictions, PREDICTIONS).repartition(n_parts))
    rated = rated_segments(spark.createDataFrame(frames, FRAMES).repartition(n_parts))
    found = evaluate_segments(ranked, rated, at_k=at_k)
    assert_allclose(found.map_at_k, np.mean(list(expected.values())), rtol=1e-12)
    table = found.per_entity.to_pylist()
    aps = {r["entity"]: r["average_precision"] for r in table if r["n_positives"]}
    assert aps == pytest.approx(expected, rel=1e-12)
    assert found.n_rated == sum(r["n_rated"] for r in table)


def test_unrated_segments_are_skipped_and_the_list_is_cut_before_by_hand(spark):
    listed = [(3, 1, "a", 0), (3, 2, "x", 0), (3, 3, "a", 5), (3, 4, "b", 0), (3, 5, "b", 5)]
    ratings = [
        (3, "a", 0, True),
        (3, "a", 5, False),
        (3, "b", 0, True),
        (3, "b", 5, True),
        (4, "a", 0, False),
    ]
    ranked, rated = spark.createDataFrame(listed, RANKED), spark.createDataFrame(ratings, RATED)
    # yes, (nobody rated x), no, yes, yes
    found = evaluate_segments(ranked, rated)
    assert_allclose(found.map_at_k, (1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert_allclose(evaluate_segments(ranked, rated, at_k=4).map_at_k, (1 / 1 + 2 / 3) / 3)
    assert found.per_entity.to_pylist()[1] == {
        "entity": 4, "n_rated": 1, "n_positives": 0, "n_listed": 0, "average_precision": None,
    }  # fmt: skip


def test_an_entity_that_is_not_listed_counts_0(spark):
    ranked = spark.createDataFrame([(3, 1, "a", 0)], RANKED)
    rated = spark.createDataFrame([(3, "a", 0, True), (4, "a", 0, True)], RATED)
    assert evaluate_segments(ranked, rated).map_at_k == 1 / 2
    assert evaluate_segments(ranked, rated, only=np.array([3, 9])).map_at_k == 1


def test_nothing_to_evaluate_is_told(spark):
    ranked = spark.createDataFrame([(3, 1, "a", 0)], RANKED)
    none = spark.createDataFrame([], RATED)
    negative = spark.createDataFrame([(3, "a", 0, False)], RATED)
    elsewhere = spark.createDataFrame([(3, "z", 0, True)], RATED)
    both = spark.createDataFrame([(3, "a", 0, False), (3, "a", 0, True)], RATED)
    with pytest.raises(InputError, match="no rated segments"):
        evaluate_segments(ranked, none)
    with pytest.raises(InputError, match="no rated segments"):
        evaluate_segments(ranked, negative, only=np.array([5]))
    with pytest.raises(InputError, match="no segment was rated positive"):
        evaluate_segments(ranked, negative)
    with pytest.raises(InputError, match="no listed segment is rated"):
        evaluate_segments(ranked, elsewhere)
    with pytest.raises(InputError, match=r"once yes and once no in video 'a', segment at 0 s"):
        evaluate_segments(ranked, both)


def test_ratings_of_frames_by_hand(spark):
    rows = [("a", [0, 5], [7, 7], [1.0, 0.0]), ("none", None, None, None), ("b", [], [], [])]
    found = rated_segments(spark.createDataFrame(rows, FRAMES)).collect()
    assert [tuple(row) for row in found] == [(7, "a", 0, True), (7, "a", 5, False)]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (("a", [0, 5], [7], [1.0, 0.0]), "segments do not fit together"),
        (("a", [0], [7], [1.0, 0.0]), "segments do not fit together"),
        (("a", [0], [7], [None]), "segment score is not a number"),
    ],
)
def test_arrays_that_do_not_fit_are_told_with_the_video(spark, row, word):
    frames = spark.createDataFrame([("fine", [0], [7], [1.0]), row], FRAMES)
    with pytest.raises(Exception) as error:  # noqa: PT011 - from a Spark task it is Spark's
        rated_segments(frames).collect()
    assert f"{word} in video 'a'" in user_error(error.value)


def test_frames_without_segments_are_refused(spark):
    frames = spark.createDataFrame([("a", [0])], "video_id string, labels array<int>")
    with pytest.raises(InputError, match="no column 'segment_start_times' in frames table"):
        rated_segments(frames)
