"""The line an InputError is. What a job does with it is tested in test_job.py."""

import copy

import pytest

from yt8m_spark.errors import InputError


def test_the_line_says_what_where_what_was_expected_and_what_came():
    error = InputError("width is wrong", where="a.tfrecord, record 17", expected=1024, found=128)
    assert str(error) == "width is wrong in a.tfrecord, record 17, expected 1024, found 128"


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({}, "no"),
        ({"where": "x"}, "no in x"),
        ({"expected": "y"}, "no, expected y"),
        ({"found": 0}, "no, found 0"),
        ({"expected": False, "found": []}, "no, expected False, found []"),
    ],
)
def test_only_what_is_known_is_told(parts, line):
    assert str(InputError("no", **parts)) == line


def test_line_breaks_in_any_part_become_spaces():
    error = InputError("a\nb", where="c\r\nd", expected="e\n\n\tf", found="g\u2028h")
    assert str(error) == "a b in c d, expected e f, found g h"


def test_it_is_a_value_error():
    with pytest.raises(ValueError, match="no"):
        raise InputError("no")


def test_it_reaches_another_process_as_the_same_line():
    # copy makes the new one as pickle does, from __reduce__.
    error = InputError("width is wrong", where="a, b", expected=1, found=2)
    twice = copy.copy(copy.copy(error))
    assert type(twice) is InputError
    assert str(twice) == str(error)
