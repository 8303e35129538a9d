"""Each reason by hand, at the bounds too. Files and repeated ids: test_candidates."""

import math

import pytest
from pyspark.sql import functions as F

from yt8m_spark.spark.collection import REASONS, SIFTED, Bounds, sift, stage_of

CANDIDATES = (
    "video_id string, views double, duration double, topics array<string>, bad_row boolean, "
    "is_conflicting boolean"
)
TOPICS = {"/m/a": 7, "7": 7, "/m/b": 3, "3": 3}
GOOD = ("v", 1000.0, 120.0, ["/m/a"], False, False)
BELOW = math.nextafter(120, 0)
ABOVE = math.nextafter(500, 1000)


def changed(**changes):
    names = ("video_id", "views", "duration", "topics", "bad_row", "is_conflicting")
    return tuple(changes.get(name, value) for name, value in zip(names, GOOD, strict=True))


def cases():
    """Rows, and the reason of each before the sample and at annotation."""
    nan, inf = math.nan, math.inf
    yield changed(), None, None
    yield changed(views=999.0), "too_few_views", None
    yield changed(views=0.0), "too_few_views", None
    yield changed(views=-1.0), "views_negative", None
    yield changed(views=None), "views_missing", None
    yield changed(views=nan, duration=nan), "views_no_number", None
    yield changed(duration=500.0), None, None
    yield changed(duration=BELOW), "too_short", None
    yield changed(duration=0.0), "too_short", None
    yield changed(duration=ABOVE), "too_long", None
    yield changed(duration=inf), "too_long", None
    yield changed(duration=-0.5), "duration_negative", None
    yield changed(duration=None), "duration_missing", None
    yield changed(duration=nan), "duration_no_number", None
    yield changed(topics=None), None, "topics_missing"
    yield changed(topics=[]), None, "no_topics"
    yield changed(topics=["/m/c", "8"]), None, "no_topic_in_vocabulary"
    yield changed(video_id=None), "no_video_id", None
    yield changed(video_id="", views=nan), "no_video_id", None
    yield changed(video_id=None, bad_row=True, views=None), "unreadable_row", None
    yield changed(is_conflicting=True, views=None), "conflicting_topics", None


@pytest.fixture(scope="module")
def sifted(spark):
    rows = [row for row, _, _ in cases()]
    return sift(spark.createDataFrame(rows, CANDIDATES).coalesce(1), TOPICS, Bounds())


def test_each_reason_by_hand_and_bounds_are_inclusive(sifted):
    found = sifted.collect()
    for row, (given, reason, annotation) in zip(found, cases(), strict=True):
        assert row.reason == reason, given
        if reason is None:
            assert row.annotation == annotation, given
            assert row.labels == ([] if annotation else [7])
    told = {r for _, reason, annotation in cases() for r in (reason, annotation) if r}
    # These three are not of one video alone.
    assert told == set(REASONS) - {"repeated_row", "not_sampled", "too_few_entities_left"}
    assert sifted.schema == SIFTED


def test_labels_are_entities_once_and_ascending_whatever_topics_call_them(spark):
    topics = [["/m/a", "3", "/m/b"], ["x", "/m/b", "7", "/m/a"], ["x"], ["/m/a"]]
    rows = [changed(topics=found) for found in topics]
    table = spark.createDataFrame(rows, CANDIDATES).coalesce(1)
    labels = [row.labels for row in sift(table, TOPICS, Bounds()).collect()]
    assert labels == [[3, 7], [3, 7], [], [7]]


def test_every_reason_has_its_stage(spark):
    table = spark.createDataFrame([(reason,) for reason in REASONS], "reason string")
    rows = table.select("reason", stage_of(F.col("reason")).alias("stage")).collect()
    assert {row.reason: row.stage for row in rows} == REASONS
