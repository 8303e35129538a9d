"""Candidates of every kind of file, and ids that come twice. How rows are parsed: text tables."""

import json
import math

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.candidates import (
    Repeated,
    count_repeated,
    each_once,
    find_repeated,
    read_candidates,
)

SCHEMA = "video_id string, views long, duration double, topics array<string>"
CANDIDATES = "video_id string, views double, duration double, topics array<string>, bad_row boolean"


def rows_of(table):
    """Rows by id, NaN as a word, for it equals nothing."""
    words = [
        tuple("nan" if isinstance(v, float) and math.isnan(v) else v for v in row)
        for row in table.collect()
    ]
    return sorted(words, key=repr)


def test_csv_json_lines_and_parquet_are_one(spark, tmp_path):
    (tmp_path / "c.csv").write_text(
        "more,video_id,views,duration,topics\n"
        "x, a ,1000,120.5,/m/b| /m/a |/m/b\n"
        "x,b,many,nan,\n"
        "x,c,,,7\n"
        "x,d,1000\n"
    )
    lines = [
        {"video_id": "a", "views": 1000, "duration": 120.5, "topics": ["/m/b", "/m/a", "/m/b"]},
        {"video_id": "b", "views": "many", "duration": "NaN"},
        {"video_id": "c", "topics": [7]},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"video_id": \n'
    (tmp_path / "c.jsonl").write_text(text)
    good = [("a", 1000.0, 120.5, ["/m/a", "/m/b"], False), ("b", "nan", "nan", None, False)]
    good.append(("c", None, None, ["7"], False))
    from_csv = rows_of(read_candidates(spark, str(tmp_path / "c.csv")))
    assert [row for row in from_csv if not row[-1]] == good
    assert sum(row[-1] for row in from_csv) == 1
    from_json = rows_of(read_candidates(spark, str(tmp_path / "c.jsonl")))
    assert [row for row in from_json if not row[-1]] == good
    assert sum(row[-1] for row in from_json) == 1

    rows = [("a\t", 1000, 120.5, ["/m/b", "/m/a", None, "/m/b"]), ("b", None, math.nan, [])]
    spark.createDataFrame(rows, SCHEMA).write.parquet(str(tmp_path / "c"))
    assert rows_of(read_candidates(spark, str(tmp_path / "c"))) == [
        ("a", 1000.0, 120.5, ["/m/a", "/m/b"], False),
        ("b", None, "nan", [], False),
    ]


def test_topics_may_be_numbers(spark, tmp_path):
    table = spark.createDataFrame([("a", 1, 2.0, [10, 9])], SCHEMA.replace("string>", "int>"))
    table.write.parquet(str(tmp_path / "c"))
    assert rows_of(read_candidates(spark, str(tmp_path / "c")))[0][3] == ["10", "9"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (SCHEMA.replace(", duration double", ""), ("no column 'duration'",)),
        (SCHEMA.replace("views long", "views date"), ("'views'", "date")),
        (SCHEMA.replace("array<string>", "array<double>"), ("'topics'", "array<double>")),
        (SCHEMA.replace("array<string>", "int"), ("'topics'", "whole numbers", "found int")),
        (SCHEMA.replace("video_id string", "video_id array<int>"), ("'video_id'",)),
    ],
)
def test_columns_of_no_use_are_refused(spark, tmp_path, schema, words):
    spark.createDataFrame([], schema).write.parquet(str(tmp_path / "c"))
    with pytest.raises(InputError) as error:
        read_candidates(spark, str(tmp_path / "c"))
    assert all(word in str(error.value) for word in (str(tmp_path / "c"), *words)), error.value


def test_of_repeated_ids_the_row_with_most_views_stays_and_conflicts_are_marked(spark):
    rows = [
        ("once", 5.0, 200.0, ["a"], False),
        ("same", 5.0, 200.0, ["a", "b"], False),
        ("same", 5.0, 200.0, ["a", "b"], False),
        ("grown", 7.0, 210.0, ["a"], False),
        ("grown", 9.0, 190.0, ["a"], False),
        ("grown", math.nan, 190.0, ["a"], False),
        ("grown", None, 190.0, ["a"], False),
        ("torn", 7.0, 200.0, ["a"], False),
        ("torn", 7.0, 200.0, ["b"], False),
        ("absent", 7.0, 200.0, [], False),
        ("absent", 7.0, 200.0, None, False),
        (None, 7.0, 200.0, ["a"], False),
        (None, 7.0, 200.0, ["b"], False),
        ("", 7.0, 200.0, ["b"], False),
        ("", 7.0, 200.0, ["c"], False),
    ]
    table = spark.createDataFrame(rows, CANDIDATES).repartition(3)
    repeated = find_repeated(table)
    assert rows_of(repeated) == [
        ("absent", 2, True),
        ("grown", 4, False),
        ("same", 2, False),
        ("torn", 2, True),
    ]
    assert count_repeated(repeated) == Repeated(4, 10, 2, "absent")
    once = rows_of(each_once(table, repeated))
    by_id = {row[0]: row[1:] for row in once if row[0]}
    assert len(once) == 4 + 1 + 4  # rows without an id are each one's own
    assert by_id["once"] == (5.0, 200.0, ["a"], False, False)
    assert by_id["same"] == (5.0, 200.0, ["a", "b"], False, False)
    assert by_id["grown"] == (9.0, 190.0, ["a"], False, False)
    assert by_id["torn"][-1] is True
    assert by_id["absent"][-1] is True


def test_no_repeated_ids_are_counted_as_none(spark):
    table = spark.createDataFrame([("a", 5.0, 200.0, ["a"], False)], CANDIDATES)
    assert count_repeated(find_repeated(table)) == Repeated(0, 0, 0, None)
