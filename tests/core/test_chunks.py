"""Videos in memory taken by their rows. How shards are read is tested in spark/."""

import numpy as np
import pytest

from yt8m_spark.core.chunks import Chunk, take_labels, take_videos

LABELS = [[5, 2], [], [7], [], [1, 1, 9], []]


def make_chunk(labels=LABELS, d=3):
    features = np.arange(len(labels) * d, dtype=np.float32).reshape(len(labels), d)
    offsets = np.cumsum([0, *map(len, labels)])
    return Chunk(features, offsets, np.array([e for row in labels for e in row], np.int32))


def labels_of(chunk):
    pairs = zip(chunk.label_offsets[:-1], chunk.label_offsets[1:], strict=True)
    return [chunk.label_values[a:b].tolist() for a, b in pairs]


@pytest.mark.parametrize(
    "rows", [[0, 1, 2, 3, 4, 5], [4, 2, 0, 5, 1, 3], [4], [1, 3], [2, 2, 4, 4, 0], []]
)
def test_videos_come_with_their_labels_in_the_order_asked(rows):
    chunk = make_chunk()
    taken = take_videos(chunk, np.array(rows, np.int64))
    assert labels_of(taken) == [LABELS[row] for row in rows]
    assert taken.features.tolist() == [chunk.features[row].tolist() for row in rows]
    assert [array.dtype for array in taken] == [np.float32, np.int64, np.int32]


def test_random_rows_agree_with_a_loop():
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 99, rng.integers(0, 4)).tolist() for _ in range(200)]
    rows = rng.integers(0, 200, 500)
    assert labels_of(take_videos(make_chunk(labels), rows)) == [labels[row] for row in rows]


def test_what_is_taken_is_no_view():
    chunk = make_chunk()
    taken = take_videos(chunk, np.arange(6))
    taken.features[:], taken.label_values[:] = -1, -1
    assert chunk.features.min() == 0
    assert labels_of(chunk) == LABELS


@pytest.mark.parametrize("row", [-1, 6])
def test_a_row_that_is_not_there_is_refused(row):
    with pytest.raises(IndexError, match="rows must be 0 to 5"):
        take_videos(make_chunk(), np.array([0, row]))


def test_of_videos_without_labels_there_are_none():
    offsets, values = take_labels(np.zeros(4, np.int64), np.empty(0, np.int32), np.array([2, 0]))
    assert offsets.tolist() == [0, 0, 0]
    assert values.size == 0
