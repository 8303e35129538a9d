"""Entities, types, ratings and videos as read. Formats of files are tested in test_text_tables."""

import pytest
from knowledge_graph import write_csv, write_json_lines

from yt8m_spark.errors import InputError
from yt8m_spark.spark.vocabulary_input import (
    count_topics,
    read_entities,
    read_scores,
    read_type_tree,
    read_videos,
)

ENTITY = ("id", "name", "types", "description")
RATING = ("entity", "rater", "visualness")


@pytest.fixture
def table(tmp_path):
    """Write a CSV table; its path."""

    def write(head, *rows, name="table.csv"):
        write_csv(tmp_path / name, head, rows)
        return str(tmp_path / name)

    return write


@pytest.fixture
def work(tmp_path):
    return str(tmp_path / "work")


def test_rows_that_say_the_same_are_one_entity(spark, table, work):
    path = table(
        ENTITY,
        ("a", "A", " x |y", "long,\ntext"), ("a ", " A", "y|x|x", "long,\ntext "),
        ("b", "", "", ""), ("c", "C", "x", ""), ("c", "C", "z", ""), ("c", "C", "x", ""),
    )  # fmt: skip
    found = read_entities(spark, path, work, duplicates="exclude").orderBy("entity").collect()
    assert [tuple(row) for row in found] == [
        ("a", "A", ["x", "y"], "long,\ntext", "", 2, False),
        ("b", "", [], "", "", 1, False),
        ("c", "C", ["x"], "", "", 3, True),
    ]
    with pytest.raises(InputError, match=r"1 ids have rows that differ in .*table.csv.*'c'"):
        read_entities(spark, path, work)


def test_an_entity_needs_an_id(spark, table, work):
    path = table(ENTITY, ("a", "A", "x", ""), (" ", "B", "x", "what it is"))
    with pytest.raises(InputError, match=r"entity without an id in .* found name 'B', description"):
        read_entities(spark, path, work)


def test_types_of_several_tables_are_one_tree(spark, table):
    first = table(
        ("type", "parent", "vertical"), ("top", "", " V "), ("a", " top", ""), name="1.csv"
    )
    second = table(("type", "parent"), ("b", "a"), ("b", "top"), name="2.csv")
    tree = read_type_tree(spark, (first, second))
    assert tree.parents == {"top": (), "a": ("top",), "b": ("a", "top")}
    assert tree.verticals == {"top": "V"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", "b"), ("b", "a")], r"lie below themselves: a < b < a in .*table.csv"),
        ([("a", "none")], "parent 'none' of type 'a' has no row of its own in .*table.csv"),
        ([("a", ""), (" ", "a")], "row without a type in .*table.csv.* parent 'a'"),
    ],
)
def test_a_hierarchy_at_fault_is_told(spark, table, rows, words):
    with pytest.raises(InputError, match=words):
        read_type_tree(spark, (table(("type", "parent"), *rows),))


def test_ratings_of_one_rater_that_come_again_count_once(spark, table, work):
    path = table(
        RATING,
        ("a", "r", "1"),
        ("a", " r ", "1.0"),
        ("a", "s", "2"),
        ("b", "r", " 5 "),
        ("a", "t", 2),
    )
    scores = read_scores(spark, path, work)
    assert (scores.n_ratings, scores.n_repeated) == (4, 1)
    found = {row.entity: (row.n_raters, row.visualness) for row in scores.table.collect()}
    assert found == {"a": (3, 5 / 3), "b": (1, 5.0)}


def test_a_rating_is_a_whole_number_of_1_to_5(spark, table, work):
    bad = ["0", "6", "1.5", "NaN", "x", "", "-1", "3d", "1e0", "33"]
    path = table(RATING, ("a", "r", "3"), *((f"b{i}", "s", rating) for i, rating in enumerate(bad)))
    words = r"bad rating in .*1, 2, 3, 4 or 5.*entity 'b0', rater 's', visualness '0' and 9 more"
    with pytest.raises(InputError, match=words):
        read_scores(spark, path, work)


def test_ratings_in_json_may_be_numbers_or_missing(spark, tmp_path, work):
    path = str(tmp_path / "r.jsonl")
    rows = [{"entity": "a", "rater": r, "visualness": s} for r, s in enumerate((1, "2", 3.0))]
    write_json_lines(path, rows)
    assert [tuple(r) for r in read_scores(spark, path, work).table.collect()] == [("a", 3, 2.0)]
    write_json_lines(path, [*rows, {"entity": "b", "rater": 1, "visualness": None}])
    with pytest.raises(InputError, match=r"bad rating in .*entity 'b', rater '1', visualness ''"):
        read_scores(spark, path, work)


def test_ratings_at_fault_are_told(spark, table, work):
    second = [("a", "r", "1"), ("a", "r", "2"), ("b", "r", "4"), ("b", "r", "5")]
    for rows, words in (
        ([("", "r", "1")], "rating without an entity"),
        ([("a", "", "1")], "rating without a rater"),
        (second, "twice, differently in .*'a', rater 'r', visualness 1 and 2, and 1 more"),
        ([], "table has no rows"),
    ):
        with pytest.raises(InputError, match=words):
            read_scores(spark, table(RATING, *rows), work)


def test_a_video_counts_once_for_a_topic_however_often_it_comes(spark, tmp_path, work):
    path = str(tmp_path / "videos.jsonl")
    rows = [
        ("v", ["a", "b", "a"]), ("v", ["a", "c"]), ("w", ["a "]), ("x", []), ("y", None),
        (None, ["a"]), (" ", ["b"]),
    ]  # fmt: skip
    write_json_lines(path, [{"video_id": v, "topics": t, "views": 1} for v, t in rows])
    videos = read_videos(spark, path)
    assert videos[1:] == (7, 2, 2)
    found = {row.topic: row.n_videos for row in count_topics(videos, work).collect()}
    assert found == {"a": 2, "b": 1, "c": 1}
