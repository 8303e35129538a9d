"""The hierarchy of types by hand and against search by brute force. Its file: tests/spark."""

import sys

import numpy as np
import pytest

from yt8m_spark.core.type_tree import build_type_tree, nearest_verticals, types_below


def tree_of(*rows):
    """Tree of rows ``"type parent vertical"``, ``-`` for what is empty."""
    cells = [[*row.split(), "-", "-"][:3] for row in rows]
    return build_type_tree([tuple(c.replace("-", "") for c in row) for row in cells])


DIAMOND = ("top", "left top", "right top", "bottom left", "bottom right", "leaf bottom")


def test_a_listed_type_stands_for_all_below_it():
    tree = tree_of(*DIAMOND, "alone")
    assert types_below(tree, ["left"]) == dict.fromkeys(["left", "bottom", "leaf"], "left")
    assert types_below(tree, []) == {}
    assert set(types_below(tree, ["top"])) == {"top", "left", "right", "bottom", "leaf"}


def test_the_nearest_listed_type_is_named():
    found = types_below(tree_of(*DIAMOND), ["top", "bottom"])
    assert found == dict.fromkeys(["top", "left", "right"], "top") | dict.fromkeys(
        ["bottom", "leaf"], "bottom"
    )


def test_order_of_rows_does_not_matter():
    rows = [*DIAMOND, "left - A", "right - B"]
    trees = [tree_of(*rows), tree_of(*rows[::-1])]
    assert types_below(trees[0], ["left", "right"]) == types_below(trees[1], ["right", "left"])
    assert nearest_verticals(trees[0]) == nearest_verticals(trees[1])


def test_the_first_vertical_on_each_way_up_hides_those_above_it():
    tree = tree_of(
        "top - T", "left top", "right top R", "bottom left", "bottom right", "leaf bottom"
    )
    found = nearest_verticals(tree)
    assert found["top"] == {"T": 0}
    assert found["right"] == {"R": 0}
    assert found["bottom"] == {"R": 1, "T": 2}
    assert found["leaf"] == {"R": 2, "T": 3}


def test_a_diamond_has_its_vertical_once_at_the_shorter_distance():
    tree = tree_of("top - T", "way top", "wayside way", "bottom wayside", "bottom top")
    assert nearest_verticals(tree)["bottom"] == {"T": 1}


def test_a_type_without_a_vertical_above_it_has_none():
    assert nearest_verticals(tree_of("a", "b a")) == {"a": {}, "b": {}}


def test_ten_thousand_levels_need_no_recursion():
    depth = 10 * sys.getrecursionlimit()
    tree = build_type_tree([("0", "", "V"), *((str(i), str(i - 1), "") for i in range(1, depth))])
    assert nearest_verticals(tree)[str(depth - 1)] == {"V": depth - 1}
    assert len(types_below(tree, ["1"])) == depth - 1


@pytest.mark.parametrize(
    ("rows", "cycle"),
    [
        (["a a"], "a < a"),
        (["root", "c a", "a b", "b c", "b root"], "a < b < c < a"),
        # Nothing is below the root of a cycle, and something hangs below it.
        (["x y", "y x", "leaf x"], "x < y < x"),
    ],
)
def test_a_cycle_is_shown(rows, cycle):
    with pytest.raises(ValueError, match=f"below themselves: {cycle}$"):
        tree_of(*rows)


def test_a_long_cycle_is_cut():
    with pytest.raises(ValueError, match=r"00 < 01 .* < \.\.\. 50 types \.\.\. < .* < 49 < 00$"):
        tree_of(*(f"{i:02} {(i + 1) % 50:02}" for i in range(50)))


def test_parents_must_be_types_and_a_type_has_one_vertical():
    with pytest.raises(ValueError, match="parent 'nowhere' of type 'b' has no row"):
        tree_of("a", "b nowhere")
    with pytest.raises(ValueError, match="type 'a' has two verticals, 'X' and 'Y'"):
        tree_of("a - X", "a - Y")
    with pytest.raises(ValueError, match="type 'c' is not in the tree"):
        types_below(tree_of("a"), ["a", "c"])
    with pytest.raises(ValueError, match="no types"):
        build_type_tree([])


def test_rows_that_say_the_same_are_one():
    assert tree_of("a - V", "a - V", "b a", "b a") == tree_of("a - V", "b a")


def ways_up(parents, name):
    """All ways from ``name`` to a root, by recursion."""
    above = parents[name]
    return [[name]] if not above else [[name, *way] for p in above for way in ways_up(parents, p)]


@pytest.mark.parametrize("seed", range(20))
def test_random_hierarchies_agree_with_all_ways_up(seed):
    rng = np.random.default_rng(seed)
    names = rng.permutation(12).astype(str)
    parents = {
        name: [str(p) for p in rng.choice(names[:i], min(i, rng.integers(3)), replace=False)]
        for i, name in enumerate(names)
    }
    verticals = {str(n): "VWX"[rng.integers(3)] for n in rng.choice(names, 4, replace=False)}
    rows = [(n, p, verticals.get(n, "")) for n, above in parents.items() for p in above or [""]]
    tree = build_type_tree([rows[i] for i in rng.permutation(len(rows))])
    listed = rng.choice(names, 2, replace=False).tolist()
    below, nearest = types_below(tree, listed), nearest_verticals(tree)
    for name in parents:
        ways = ways_up(parents, name)
        assert (name in below) == any(set(way) & set(listed) for way in ways)
        if name in below:
            assert any(below[name] in way for way in ways)
        expected = {}
        for way in ways:
            first = next((i for i, n in enumerate(way) if n in verticals), None)
            if first is not None:
                vertical = verticals[way[first]]
                expected[vertical] = min(first, expected.get(vertical, first))
        assert nearest[name] == expected
