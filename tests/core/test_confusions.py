"""Which entity stands where a label should. Tables of them are tested with evaluations."""

import numpy as np
from numpy.testing import assert_array_equal

from yt8m_spark.core.confusions import confusions_of, most_confused
from yt8m_spark.core.ranking import hits
from yt8m_spark.core.scored import RankedBatch
from yt8m_spark.core.tallies import Confusions


def ranked(*videos):
    """Videos as (labels, entities best first, scores)."""
    labels, entities, scores = zip(*videos, strict=True)
    flat = [np.array([x for row in rows for x in row]) for rows in (labels, entities, scores)]
    ends = [np.cumsum([0, *map(len, rows)]) for rows in (labels, entities)]
    ids = [f"v{i}" for i in range(len(videos))]
    return RankedBatch(
        ids,
        ends[0],
        flat[0].astype(np.int64),
        ends[1],
        flat[1].astype(np.int64),
        np.float32(flat[2]),
    )


def pairs(batch):
    found = confusions_of(batch, hits(batch))
    assert_array_equal(found.n_videos, 1)
    return sorted(zip(found.entities.tolist(), found.confused_with.tolist(), strict=True))


def by_definition(labels, entities, scores):
    first = list(zip(entities, scores, strict=True))[: len(labels)]
    missed = [g for g in labels if g not in [e for e, _ in first]]
    return [(g, e) for g in missed for e, s in first if e not in labels and s > 0]


def test_every_missed_label_goes_with_every_wrong_entity():
    batch = ranked(
        ([1, 2, 3], [1, 8, 9, 2], [0.9, 0.8, 0.7, 0.6]),  # 2 and 3 missed for 8 and 9
        ([4], [4, 8], [0.9, 0.8]),  # nothing missed
        ([], [8], [0.9]),
        ([5, 6], [6, 7], [0.9, 0.0]),  # 7 scores 0: nothing stands there
        ([5], [], []),
    )
    assert pairs(batch) == [(2, 8), (2, 9), (3, 8), (3, 9)]


def test_random_videos_match_the_definition():
    rng = np.random.default_rng(0)
    videos = []
    for _ in range(50):
        n, k = rng.integers(0, 12), rng.integers(0, 12)
        scores = np.sort(rng.integers(0, 4, k) / 4)[::-1]
        videos.append(
            (rng.choice(15, n, False).tolist(), rng.choice(15, k, False).tolist(), scores)
        )
    expected = sorted(pair for video in videos for pair in by_definition(*video))
    assert pairs(ranked(*videos)) == expected


def test_the_ten_of_most_videos_are_kept_and_equal_ones_by_id():
    rows = [(1, e, 2 if e == 30 else 1) for e in range(40, 20, -1)] + [(1, 30, 1), (0, 5, 3)]
    found = most_confused(Confusions(*np.array(rows).T))
    assert_array_equal(found.entities, [0] + 10 * [1])
    assert_array_equal(found.confused_with, [5, 30, *range(21, 30)])
    assert_array_equal(found.n_videos, [3, 3] + 9 * [1])
