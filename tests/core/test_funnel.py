"""Stages by hand. What the stages of a data set are is tested in tests/jobs."""

from yt8m_spark.core.funnel import Stage, add_stages, funnel_line


def test_each_stage_begins_with_what_the_last_one_left():
    funnel = add_stages([], {"first": {"a": 1, "b": 3, "c": 0}, "second": {}}, n_in=10)
    funnel = add_stages(funnel, {"third": {"d": 6}})
    assert funnel == [
        Stage("first", 10, 6, {"b": 3, "a": 1}),
        Stage("second", 6, 6, {}),
        Stage("third", 6, 0, {"d": 6}),
    ]
    assert list(funnel[0].reasons) == ["b", "a"]  # the most frequent first


def test_a_line_ends_with_the_stage_that_leaves_nothing():
    funnel = add_stages([], {"views": {"few": 1}, "length": {"short": 1234}, "x": {}}, n_in=1235)
    assert funnel_line(funnel[:1]) == "views 1,235 to 1,234 (few 1)"
    assert funnel_line(funnel) == ("views 1,235 to 1,234 (few 1); length 1,234 to 0 (short 1,234)")
