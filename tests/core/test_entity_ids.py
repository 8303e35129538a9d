"""Sets of ids as text. Their use by the job is tested in tests/jobs."""

import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.entity_ids import parse_entities


def test_ids_and_ranges_come_ascending_and_once():
    assert_array_equal(parse_entities("305, 0-3,2"), [0, 1, 2, 3, 305])


@pytest.mark.parametrize("text", ["", "a", "5-", "-5", "1,,2", "9-3", "0-99999999999"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="entit"):
        parse_entities(text)
