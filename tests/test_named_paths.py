"""Names in options. Paths are looked for by the jobs."""

import pytest

from yt8m_spark.named_paths import named_paths


def test_names_keep_their_order_and_paths_their_equals_signs():
    assert named_paths(["b=x/y", "a.1-2=z=3"]) == {"b": "x/y", "a.1-2": "z=3"}
    assert list(named_paths(["b=x", "a=y"])) == ["b", "a"]


@pytest.mark.parametrize("part", ["path", "=path", "a=", "a b=path", "a@1=path"])
def test_parts_that_are_no_pair_are_refused(part):
    with pytest.raises(ValueError, match="want name=path"):
        named_paths([part])


def test_a_name_given_twice_is_refused():
    with pytest.raises(ValueError, match="'a' is given twice"):
        named_paths(["a=x", "a=y"])
