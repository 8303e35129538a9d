"""Both filters in memory against loops over dictionaries. The passes of Spark: tests/spark."""

import candidate_videos as made
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.coverage import covered_videos, kept_labels, removal_rounds

BY_HAND = [[0, 1], [0], [1, 2], []]  # labels of four videos


def ragged(lists):
    offsets = np.cumsum([0, *map(len, lists)])
    return offsets, np.array([e for found in lists for e in found], dtype=np.int64)


def rounds_of(lists, n_entities, *, min_videos, min_labels):
    """The rounds of `spark.fixed_point` without Spark."""
    removed_in = np.zeros(n_entities, dtype=np.int64)
    number = 0
    while True:
        number += 1
        alive = removed_in == 0
        counts, _ = covered_videos(*ragged(lists), alive, min_labels=min_labels)
        few = alive & (counts < min_videos)
        if not few.any():
            return removed_in, counts
        removed_in[few] = number


def chain(n):
    """Entities 0 .. n - 1 that go one a round, n .. n + 2 that stay; a video has two of them.

    With two videos an entity and two entities a video: a path on its way into a triangle.
    """
    path = [[i, i + 1] for i in range(n)]
    return [*path, [n, n + 1], [n + 1, n + 2], [n, n + 2]]


def test_counts_by_hand():
    offsets, places = ragged(BY_HAND)
    counts, n_videos = covered_videos(offsets, places, np.array([True, True, True]))
    assert_array_equal(counts, [2, 2, 1])
    assert n_videos == 3
    counts, n_videos = covered_videos(offsets, places, np.array([True, True, False]), min_labels=2)
    assert_array_equal(counts, [1, 1, 0])  # the first video alone has two that live
    assert n_videos == 1


def test_rounds_and_labels_by_hand():
    offsets, places = ragged(BY_HAND)
    removed_in = np.array([3, 0, 1])
    assert_array_equal(removal_rounds(offsets, places, removed_in), [0, 3, 0, 1])
    assert_array_equal(removal_rounds(offsets, places, removed_in, min_labels=2), [3, 1, 1, 1])
    kept = kept_labels(offsets, places, removed_in == 0)
    assert [found.tolist() for found in kept] == [[0, 1, 1, 2, 2], [1, 1]]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("min_labels", [1, 2, 3])
def test_the_fixed_point_is_that_of_brute_force(seed, min_labels):
    rng = np.random.default_rng([seed, min_labels])
    n_entities = int(rng.integers(1, 12))
    lists = [
        sorted(rng.choice(n_entities, rng.integers(0, n_entities + 1), replace=False).tolist())
        for _ in range(int(rng.integers(0, 25)))
    ]
    min_videos = int(rng.integers(1, 8))
    sizes = {"min_videos": min_videos, "min_labels": min_labels}
    removed_in, counts = rounds_of(lists, n_entities, **sizes)
    left, expected = made.fixed_point(dict(enumerate(lists)), **sizes)
    assert {e: n for e, n in enumerate(counts.tolist()) if n} == expected
    rounds = removal_rounds(*ragged(lists), removed_in, min_labels=min_labels)
    offsets, places = kept_labels(*ragged(lists), removed_in == 0)
    found = {
        video: places[offsets[video] : offsets[video + 1]].tolist()
        for video in np.flatnonzero(rounds == 0).tolist()
    }
    assert found == left


@pytest.mark.parametrize("seed", range(10))
def test_with_one_entity_a_video_the_first_round_ends_it(seed):
    rng = np.random.default_rng(seed)
    lists = [sorted(set(rng.zipf(1.5, 4).clip(max=30) - 1)) for _ in range(60)]
    removed_in, _ = rounds_of(lists, 30, min_videos=5, min_labels=1)
    assert removed_in.max() == 1


def test_a_chain_loses_one_entity_a_round():
    removed_in, counts = rounds_of(chain(50), 53, min_videos=2, min_labels=2)
    assert removed_in.tolist() == [*range(1, 51), 0, 0, 0]
    assert counts[50:].tolist() == [2, 2, 2]
    rounds = removal_rounds(*ragged(chain(50)), removed_in, min_labels=2)
    assert rounds.tolist() == [*range(1, 51), 0, 0, 0]
