"""Arrow columns to arrays and back. No Spark here: what tasks do with them is tested elsewhere."""

import re

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import float_lists, ragged, ragged_lists, to_matrix, typed_batch

FLOATS = pa.list_(pa.float32())
INTS = pa.list_(pa.int32())


def test_a_column_is_the_matrix_of_its_rows():
    matrix = to_matrix(pa.array([[1, 2, 3], [4, 5, 6]], FLOATS), "x")
    assert matrix.dtype == np.float32
    assert_array_equal(matrix, [[1, 2, 3], [4, 5, 6]])


def test_a_slice_of_a_column_is_only_its_own_rows():
    column = pa.array([[1, 2], [3, 4], [5, 6], [7, 8]], FLOATS)
    assert_array_equal(to_matrix(column.slice(1, 2), "x"), [[3, 4], [5, 6]])


def test_no_rows_give_a_matrix_of_no_rows():
    assert to_matrix(pa.array([], FLOATS), "x", width=7).shape == (0, 7)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0], None], "null row in column 'x', row 1 of a batch"),
        ([[1.0, 2.0], [3.0]], "feature widths differ in column 'x', expected 2, found 1"),
        ([[1.0, None]], "null value in column 'x', expected finite numbers"),
        ([[1, 2], [3, np.nan]], "not finite in column 'x', feature 1, expected .*, found nan"),
        ([[-np.inf, 2]], "not finite in column 'x', feature 0, expected .*, found -inf"),
    ],
)
def test_what_would_spread_silently_is_refused(rows, message):
    with pytest.raises(InputError, match=message):
        to_matrix(pa.array(rows, FLOATS), "x")


def test_a_width_that_was_promised_is_checked():
    with pytest.raises(InputError, match="expected 3, found 2"):
        to_matrix(pa.array([[1, 2], [3, 4]], FLOATS), "x", width=3)


def test_what_lies_outside_a_slice_does_not_count():
    column = pa.array([[np.nan], [1], [2, 3], None], FLOATS)
    assert_array_equal(to_matrix(column.slice(1, 1), "x"), [[1]])


def test_ragged_rows_by_hand():
    offsets, values = ragged(pa.array([[4], [], None, [1, 2]], INTS))
    assert_array_equal(offsets, [0, 1, 1, 1, 3])
    assert_array_equal(values, [4, 1, 2])
    assert offsets.dtype == values.dtype == np.int64


def test_ragged_of_a_slice_starts_at_zero():
    offsets, values = ragged(pa.array([[9, 9], None, [1], [2, 3], [9]], INTS).slice(1, 3))
    assert_array_equal(offsets, [0, 0, 1, 3])
    assert_array_equal(values, [1, 2, 3])


def test_a_null_id_is_refused():
    with pytest.raises(InputError, match="null entity id"):
        ragged(pa.array([[1], [2, None]], INTS))


def test_ragged_lists_undo_ragged():
    rows = [[4], [], [1, 2], []]
    offsets, values = ragged(pa.array(rows, INTS))
    assert ragged_lists(offsets, pa.array(values, pa.int32())).to_pylist() == rows


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 4), (3, 0)])
def test_float_lists_undo_to_matrix(shape):
    matrix = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    column = float_lists(matrix)
    assert column.type == FLOATS
    assert column.to_pylist() == matrix.tolist()


def test_float_lists_take_a_matrix_that_does_not_lie_row_by_row():
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert float_lists(matrix).to_pylist() == [[0, 3], [1, 4], [2, 5]]


def test_messages_are_one_line():
    with pytest.raises(InputError) as caught:
        to_matrix(pa.array([[1.0], None], FLOATS), "x")
    assert not re.search(r"\n", str(caught.value))


def test_columns_of_either_kind_become_a_batch_of_the_wanted_types():
    wanted = pa.schema([("n", pa.int32()), ("x", pa.float64())])
    batch = typed_batch([pa.array([1, None]), np.array([1, 2], np.float32)], wanted)
    assert batch.schema == wanted
    assert batch.to_pylist() == [{"n": 1, "x": 1.0}, {"n": None, "x": 2.0}]
    with pytest.raises(ValueError, match="longer"):
        typed_batch([pa.array([1])], wanted)
