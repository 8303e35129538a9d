"""Lists of a batch. Through Spark they are tested with submissions and ensembles."""

import numpy as np
import pyarrow as pa
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.prediction_lists import best, listed, ranked_lists


def batch(rows, **columns):
    ids, entities, scores = zip(*rows, strict=True)
    arrays = {
        "video_id": pa.array(ids, pa.string()),
        "entities": pa.array(entities, pa.list_(pa.int32())),
        "scores": pa.array(scores, pa.list_(pa.float32())),
    }
    return pa.RecordBatch.from_pydict({**arrays, **columns})


ROWS = [("a", [5, 2, 9], [0.25, 0.5, 0.5]), ("b", None, None), ("c", [], []), ("d", [1], [1.0])]


def test_lists_are_put_in_order_and_cut():
    ranked = ranked_lists(batch(ROWS))
    assert list(listed(ranked)) == [
        ([2, 9, 5], [0.5, 0.5, 0.25]), ([], []), ([], []), ([1], [1.0]),
    ]  # fmt: skip
    cut = best(ranked, 2)
    assert list(listed(cut)) == [([2, 9], [0.5, 0.5]), ([], []), ([], []), ([1], [1.0])]
    assert list(listed(ranked_lists(batch(ROWS), only=np.array([1, 5])))) == [
        ([5], [0.25]), ([], []), ([], []), ([1], [1.0]),
    ]  # fmt: skip


def test_a_part_of_a_batch_has_its_own_lists():
    assert list(listed(ranked_lists(batch(ROWS).slice(3)))) == [([1], [1.0])]


def test_a_null_list_beside_a_full_one_is_refused():
    with pytest.raises(InputError, match="differ in number in predictions of b"):
        ranked_lists(batch([("a", [1], [0.5]), ("b", [1], None)]))


@pytest.mark.parametrize("start", [None, -5])
def test_bad_start_times_are_refused(start):
    starts = pa.array([0, start], pa.int32())
    rows = batch([("a", [1], [0.5]), ("b", [1], [0.5])], segment_start_time=starts)
    with pytest.raises(InputError, match="bad segment_start_time"):
        ranked_lists(rows)
