"""Order of scores and the checks on them. What is counted from the order is tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.scored import (
    RankedBatch,
    ScoredBatch,
    check_scores,
    label_set,
    order_bits,
    rank_lists,
    rank_scored,
    restrict,
    slices,
    top_k,
)
from yt8m_spark.errors import InputError


def ints(*values):
    return np.array(values, dtype=np.int64)


def floats(values):
    return np.array(values, dtype=np.float32)


def two_videos():
    return ScoredBatch(
        video_ids=["a", "b"],
        label_offsets=ints(0, 2, 3),
        label_values=ints(7, 3, 9),
        entities=ints(3, 5, 7),
        scores=floats([[0.1, 0.9, 0.4], [0.5, 0.5, 0.6]]),
    )


def one_list(entities, scores, labels=()):
    return RankedBatch(
        ["a"],
        ints(0, len(labels)),
        ints(*labels),
        ints(0, len(entities)),
        ints(*entities),
        floats(scores),
    )


@pytest.mark.parametrize("k", [1, 3, 20, 40, 100])
@pytest.mark.parametrize("n_levels", [1, 3, 1000])
def test_top_k_is_the_stable_sort_by_descending_score(k, n_levels):
    rng = np.random.default_rng([k, n_levels])
    scores = floats(rng.integers(-n_levels, n_levels, (300, 40)) / n_levels)
    expected = [
        sorted(range(40), key=lambda column, row=row: (-row[column], column))[:k] for row in scores
    ]
    assert_array_equal(top_k(scores, k), expected)


def test_minus_zero_ties_with_zero():
    assert_array_equal(top_k(floats([[-0.0, 0.0, -0.0]]), 3), [[0, 1, 2]])


def test_top_k_of_no_entities_is_empty():
    assert top_k(np.empty((2, 0), dtype=np.float32), 5).shape == (2, 0)


def test_top_k_refuses_nan_and_k_of_zero():
    with pytest.raises(ValueError, match="NaN"):
        top_k(floats([[0.5, np.nan]]), 1)
    with pytest.raises(ValueError, match="k = 0"):
        top_k(floats([[0.5]]), 0)


def test_order_bits_ascend_with_the_scores():
    scores = floats(
        [-np.inf, -1, -1e-40, 0, 1e-45, 1e-40, 0.5, np.nextafter(0.5, 1, dtype="f4"), 1]
    )
    assert (np.diff(order_bits(scores).astype(np.int64)) > 0).all()


def test_labels_become_sets_of_each_video():
    offsets, values = label_set(ints(0, 3, 3, 5), ints(8, 2, 8, 5, -1))
    assert_array_equal(offsets, [0, 2, 2, 4])
    assert_array_equal(values, [2, 8, -1, 5])


def test_restricting_drops_labels_and_scores_of_other_entities():
    batch = restrict(two_videos(), ints(3, 7, 100))
    assert_array_equal(batch.entities, [3, 7])
    assert_array_equal(batch.scores, floats([[0.1, 0.4], [0.5, 0.6]]))
    assert_array_equal(batch.label_offsets, [0, 2, 2])
    assert_array_equal(batch.label_values, [3, 7])


def test_slices_put_together_are_the_batch():
    parts = list(slices(two_videos(), 1))
    assert [part.video_ids for part in parts] == [["a"], ["b"]]
    assert_array_equal(parts[1].label_offsets, [0, 1])
    assert_array_equal(parts[1].label_values, [9])
    assert_array_equal(parts[1].scores, two_videos().scores[1:])


def test_ranked_videos_list_their_best_entities_first():
    ranked = rank_scored(two_videos(), 2)
    assert_array_equal(ranked.offsets, [0, 2, 4])
    assert_array_equal(ranked.entities, [5, 7, 7, 3])  # 3 and 5 tie in video b
    assert_array_equal(ranked.scores, floats([0.9, 0.4, 0.6, 0.5]))


def test_lists_in_any_order_are_put_best_first_and_restricted():
    ranked = rank_lists(one_list([4, 9, 2, 1], [0.2, 0.7, 0.7, 0.1], labels=[9, 1]), ints(1, 2, 9))
    assert_array_equal(ranked.entities, [2, 9, 1])
    assert_array_equal(ranked.offsets, [0, 3])
    assert_array_equal(ranked.label_values, [1, 9])


def test_an_entity_listed_twice_is_refused_by_name():
    with pytest.raises(InputError, match="entity 4 is listed twice in predictions of video 'a'"):
        rank_lists(one_list([4, 9, 4], [0.2, 0.7, 0.1]))


@pytest.mark.parametrize("bad", [np.nan, -0.01, 1.01, np.inf])
def test_a_score_that_is_no_probability_is_refused_by_video_and_entity(bad):
    batch = two_videos()
    batch.scores[1, 2] = bad
    with pytest.raises(InputError, match="out of range in video 'b', entity 7, expected 0 to 1"):
        check_scores(batch)
    with pytest.raises(InputError, match="out of range in video 'a', entity 9"):
        check_scores(one_list([4, 9], [0.5, bad]))


def test_entities_out_of_order_and_shapes_that_disagree_are_refused():
    batch = two_videos()
    with pytest.raises(ValueError, match="ascending"):
        check_scores(batch._replace(entities=ints(3, 3, 7)))
    with pytest.raises(ValueError, match=r"must be \(2, 3\), got \(2, 2\)"):
        check_scores(batch._replace(scores=batch.scores[:, :2]))
