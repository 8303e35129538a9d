"""What is told of a data set without videos. How one is built: tests/jobs/test_build_dataset.py."""

import pytest

from yt8m_spark.core.funnel import add_stages
from yt8m_spark.dataset_build import require_left
from yt8m_spark.errors import InputError


def test_an_empty_funnel_is_told_in_one_line_by_the_stage_that_emptied_it():
    funnel = add_stages([], {"views": {"few": 1}, "length": {"short": 1234}, "x": {}}, n_in=1235)
    with pytest.raises(InputError) as error:
        require_left(funnel, "table")
    assert str(error.value) == (
        "no video is left after the stage 'length' in table, found "
        "views 1,235 to 1,234 (few 1); length 1,234 to 0 (short 1,234)"
    )
    require_left(funnel[:1], "table")


def test_no_rows_at_all_are_told_of_the_first_stage():
    with pytest.raises(InputError, match="after the stage 'rows' in t, found rows 0 to 0"):
        require_left(add_stages([], {"rows": {}, "views": {}}, n_in=0), "t")
