"""Rounds over a table against loops over dictionaries. The filters in memory: tests/core."""

import contextlib
import io

import candidate_videos as made
import numpy as np
import pytest

from yt8m_spark.spark.fixed_point import Round, fixed_point, settled

SCHEMA = "video_id string, labels array<int>, more double"


def table_of(spark, lists, n_partitions=1):
    rows = [(f"v{i}", found, i / 2) for i, found in enumerate(lists)]
    return spark.createDataFrame(rows, SCHEMA).repartition(n_partitions)


@pytest.mark.parametrize(("min_videos", "min_labels"), [(10, 1), (18, 3)])
def test_a_table_settles_as_brute_force_says(spark, min_videos, min_labels):
    rng = np.random.default_rng(min_videos)
    entities = np.array([3, 7, *range(100, 148)])  # an Index is not a place
    draws = [(rng.zipf(1.3, rng.integers(0, 6)) - 1).clip(max=49) for _ in range(300)]
    lists = [sorted(set(entities[draw].tolist())) for draw in draws]
    sizes = {"min_videos": min_videos, "min_labels": min_labels}
    left, counts = made.fixed_point({f"v{i}": found for i, found in enumerate(lists)}, **sizes)
    table = table_of(spark, lists, 2)
    told = []
    found = fixed_point(table, entities, told=told.append, **sizes)
    kept = found.removed_in == 0
    assert dict(zip(entities[kept].tolist(), found.n_videos[kept].tolist(), strict=True)) == counts
    assert 0 < kept.sum() < len(entities)
    assert told == found.rounds
    assert (found.n_videos[~kept] < min_videos).all()
    rows = settled(table, found, min_labels=min_labels).collect()
    assert {row.video_id: row.labels for row in rows if row.round == 0} == left
    assert found.rounds[-1] == Round(len(left), len(counts), 0)
    assert all(row.more == int(row.video_id[1:]) / 2 for row in rows)
    assert (max(found.removed_in) > 1) == (min_labels > 1)  # more than one round of work


def test_no_round_has_a_longer_plan_than_the_first(spark, tmp_path, monkeypatch):
    # A path of entities that leads into a triangle: each round takes one end off.
    lists = [*([i, i + 1] for i in range(11)), [11, 12], [12, 13], [11, 13]]
    table_of(spark, lists).write.parquet(str(tmp_path / "videos"))
    videos, plans = spark.read.parquet(str(tmp_path / "videos")), []
    collect = type(videos).toPandas

    def seen(table):
        with contextlib.redirect_stdout(io.StringIO()) as told:
            table.explain(extended=True)
        plans.append(told.getvalue().count("\n"))
        return collect(table)

    monkeypatch.setattr(type(videos), "toPandas", seen)
    found = fixed_point(videos, np.arange(14), min_videos=2, min_labels=2)
    assert found.removed_in.tolist() == [*range(1, 12), 0, 0, 0]
    assert found.rounds[7] == Round(14 - 7, 14 - 7, 1)
    assert len(plans) == len(found.rounds) == 12
    assert set(plans) == {plans[0]}


def test_a_table_without_videos_loses_all_entities(spark):
    found = fixed_point(table_of(spark, []), np.array([4, 5]), min_videos=1)
    assert found.rounds == [Round(0, 2, 2), Round(0, 0, 0)]
    assert found.removed_in.tolist() == [1, 1]
