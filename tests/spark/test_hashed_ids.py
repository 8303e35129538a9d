"""Numbers of ids in columns against `hashlib` in plain Python; the N least against a sort."""

import candidate_videos as made
import pytest

from yt8m_spark.core.split_hash import SAMPLE, SPLIT, Shares, split_name
from yt8m_spark.spark.hashed_ids import Last, at_most, hash_column, nth_least, split_column

IDS = ["", "v", "-_dQw4w9WgXcQ", "ü", "視頻", *(f"v{i}" for i in range(500))]


@pytest.fixture(scope="module")
def ids(spark):
    return spark.createDataFrame([(v,) for v in IDS], "video_id string").repartition(3)


def test_columns_are_what_the_definition_says(ids):
    columns = [hash_column(purpose, seed) for purpose in (SAMPLE, SPLIT) for seed in (0, 3)]
    shares = Shares(0.5, 0.25, 0.25)
    rows = ids.select("video_id", *columns, split_column(Shares(), 0), split_column(shares, 3))
    found = {row[0]: tuple(row)[1:] for row in rows.collect()}
    for v in IDS:
        numbers = [made.number(v, p, s) for p in ("sample", "split") for s in (0, 3)]
        splits = [made.split_of(v), split_name(v, shares, 3)]
        assert found[v] == (*numbers, *splits), v


def test_the_nth_least_is_that_of_a_sort_and_ties_go_by_id(spark):
    rows = [(f"v{i}", (i * 7919 % 400) << 47) for i in range(1000)]  # numbers come twice or more
    rows += [(f"w{i}", 5) for i in range(20)]
    table = spark.createDataFrame(rows, "video_id string, number long")
    ordered = sorted((number, v) for v, number in rows)
    for n in (1, 15, 500, 1020):
        last = nth_least(table, n, "number")
        assert last == Last(*ordered[n - 1])
        found = {row[0] for row in table.where(at_most(last, "number")).collect()}
        assert found == {v for _, v in ordered[:n]}
    for n in (0, 1021):
        with pytest.raises(ValueError, match=r"n must be in 1 \.\. 1020"):
            nth_least(table, n, "number")
