"""Ratings against plain Python and against data made with known errors. Kappa: tests/core."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.spark.ratings import (
    RatedModel,
    evaluate_rated,
    human_labels,
    label_quality,
    machine_labels,
    majority_ratings,
    rater_agreement,
    read_ratings,
    relabelled,
)

LABELLED = "video_id string, labels array<int>"
HEADER = "video_id,entity,rater,rating\n"


def written(folder, text, name="ratings.csv"):
    (folder / name).write_text(text)
    return str(folder / name)


def lines(rows):
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


def rows_of(table):
    return [tuple(row) for row in table.collect()]


def test_all_ways_to_say_yes_and_no_are_read(spark, tmp_path):
    words = ["yes", "No", "TRUE", "false", "1", "0"]
    path = written(tmp_path, lines(("v", 3, f"r{i}", word) for i, word in enumerate(words)))
    ratings = read_ratings(spark, path)
    assert ratings.columns == ["video_id", "entity", "rater", "is_yes"]
    assert [row.is_yes for row in ratings.orderBy("rater").collect()] == [True, False] * 3


def test_tables_with_booleans_and_numbers_are_read(spark, tmp_path):
    schema = "more int, rating boolean, entity long, rater int, video_id string"
    table = spark.createDataFrame([(1, True, 3, 7, "v"), (1, False, 3, 8, "v")], schema)
    table.write.parquet(str(tmp_path / "a [1]"))
    assert sorted(rows_of(read_ratings(spark, str(tmp_path / "a [1]")))) == [
        ("v", 3, "7", True),
        ("v", 3, "8", False),
    ]
    numbers = table.withColumn("rating", table.rating.cast("int"))
    numbers.write.parquet(str(tmp_path / "b"))
    assert read_ratings(spark, str(tmp_path / "b")).where("is_yes").count() == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, ("no ratings",)),
        ("video_id,entity,rater\nv,1,a\n", ("no column 'rating'",)),
        (HEADER + "v,1,a,yes\nw,2,b,maybe\n", ("bad rating", "w, entity 2, rater b", "maybe")),
        (HEADER + "v,1,a,\n", ("bad rating", "rating null")),
        (HEADER + "v,x,a,yes\n", ("bad entity id", "entity x")),
        (HEADER + "v,-1,a,yes\n", ("bad entity id", "entity -1")),
        (HEADER + "v,2147483648,a,yes\n", ("bad entity id",)),
        (HEADER + ",1,a,yes\n", ("without a video",)),
        (HEADER + "v,1,,yes\n", ("without a rater",)),
        (HEADER + "v,9,a,yes\n", ("not in the vocabulary", "entity 9")),
        (HEADER + "v,1,a,yes\nv,2,a,no\nv,1,a,no\n", ("'v', entity 1, rater 'a' comes twice",)),
    ],
)
def test_bad_ratings_are_told_in_one_line(spark, tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_ratings(spark, path, [1, 2])
    assert all(word in str(error.value) for word in (path, *words)), error.value


def test_ratings_that_are_no_utf8_are_refused(spark, tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(HEADER.encode() + b"v,1,J\xfcrg,yes\n")
    with pytest.raises(InputError, match=r"rating is no text .*expected UTF-8, found .*rater J"):
        read_ratings(spark, str(path), [1])


def test_majority_by_hand_a_tie_is_a_no(spark, tmp_path):
    rows = [
        ("v", 1, "a", 1), ("v", 1, "b", 1), ("v", 1, "c", 0),
        ("v", 2, "a", 1), ("v", 2, "b", 0),
        ("w", 1, "a", 0),
    ]  # fmt: skip
    majority = majority_ratings(read_ratings(spark, written(tmp_path, lines(rows))))
    assert rows_of(majority) == [("v", 1, 2, 3, True), ("v", 2, 1, 2, False), ("w", 1, 0, 1, False)]
    assert sorted(rows_of(human_labels(majority))) == [("v", [1]), ("w", [])]
    found = rater_agreement(majority)
    q = 3 / 5
    chance = q**2 + (1 - q) ** 2
    assert_allclose(found, ((1 / 3 + 0) / 2, (1 / 6 - chance) / (1 - chance), 2))

    labelled = spark.createDataFrame([("v", [2, 1]), ("w", None), ("x", [1])], LABELLED)
    machine = machine_labels(majority, labelled, "videos")
    quality = label_quality(majority, machine)
    assert quality[2:] == (3, 2, 1, 1)
    assert (quality.precision.value, quality.recall.value) == (1 / 2, 1)


def test_pairs_that_nobody_rated_count_for_nothing(spark, tmp_path):
    rows = [("v", 1, "a", "yes"), ("v", 2, "a", "no")]
    majority = majority_ratings(read_ratings(spark, written(tmp_path, lines(rows))))
    few = spark.createDataFrame([("v", [1])], LABELLED)
    many = spark.createDataFrame([("v", [1, 3, 4, 5])], LABELLED)
    assert label_quality(majority, few) == label_quality(majority, many)
    none = spark.createDataFrame([("v", [])], LABELLED)
    quality = label_quality(majority, none)
    assert math.isnan(quality.precision.value)
    assert quality.recall.value == 0


def test_rated_videos_must_be_there_once(spark, tmp_path):
    path = written(tmp_path, lines([("v", 1, "a", "yes"), ("w", 1, "a", "yes")]))
    majority = majority_ratings(read_ratings(spark, path))
    labelled = spark.createDataFrame([("v", [1])], LABELLED)
    with pytest.raises(InputError, match=r"missing in videos.*1 rated videos, the first 'w'"):
        machine_labels(majority, labelled, "videos")
    with pytest.raises(InputError, match="'v' comes twice in videos"):
        machine_labels(majority, labelled.union(labelled), "videos")
    with pytest.raises(InputError, match="missing in table"):
        relabelled(labelled, human_labels(majority), "table")


def test_a_table_gets_other_labels_and_loses_other_videos(spark):
    table = spark.createDataFrame([("v", [1], 7), ("x", [2], 8)], f"{LABELLED}, more int")
    labels = spark.createDataFrame([("v", [5, 6])], LABELLED)
    rows = relabelled(table, labels, "table").select("video_id", "labels", "more").collect()
    assert [tuple(row) for row in rows] == [("v", [5, 6], 7)]


def test_a_model_is_evaluated_by_both_kinds_of_labels(spark):
    table = spark.createDataFrame([("v", [1])], LABELLED)
    human, machine = (spark.createDataFrame([("v", [e])], LABELLED) for e in (4, 5))

    class Labels:
        def __init__(self, rows):
            self.metrics = {"first": rows.collect()[0].labels[0]}

    found = evaluate_rated(table, (human, machine), "table", Labels)
    assert found == RatedModel({"first": 4}, {"first": 5})


def simulated(n_videos, error, seed=0):
    """Ratings by three raters who err with probability ``error``, and noisy machine labels.

    Each of 10 entities is true with probability 0.4; a true one is a label with probability 0.3,
    a false one with probability 0.05.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random((n_videos, 10)) < 0.4
    labels = rng.random(truth.shape) < np.where(truth, 0.3, 0.05)
    ratings = truth[..., None] ^ (rng.random((n_videos, 10, 3)) < error)
    rows = [
        (f"v{v}", e, r, int(ratings[v, e, r]))
        for v in range(n_videos) for e in range(10) for r in range(3)
    ]  # fmt: skip
    return rows, [(f"v{v}", np.flatnonzero(row).tolist()) for v, row in enumerate(labels)]


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_precision_and_recall_of_simulated_labels_are_found(spark, tmp_path, error):
    rows, labels = simulated(300, error)
    majority = majority_ratings(read_ratings(spark, written(tmp_path, lines(rows)))).cache()
    machine = machine_labels(majority, spark.createDataFrame(labels, LABELLED), "videos")
    quality = label_quality(majority, machine, level=0.999)
    # Two of three must err for the majority to.
    wrong = 3 * error**2 * (1 - error) + error**3
    seen = {1: 0.4 * (1 - wrong), 0: 0.6 * wrong}  # majority yes, by truth
    both = seen[1] * 0.3 + seen[0] * 0.05
    recall, precision = both / (seen[1] + seen[0]), both / (0.4 * 0.3 + 0.6 * 0.05)
    assert quality.recall.low < recall < quality.recall.high
    assert quality.precision.low < precision < quality.precision.high
    # Two raters agree where both are right or both err.
    expected = (1 - error) ** 2 + error**2
    assert_allclose(rater_agreement(majority).percent, expected, atol=0.02)
    majority.unpersist()
