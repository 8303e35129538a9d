"""All stages on random candidates against plain Python. Bounds are tested in test_collection."""

import candidate_videos as made
import numpy as np
import pytest
from pyspark.sql import functions as F

from yt8m_spark.core.split_hash import Shares
from yt8m_spark.formats.examples import decode_video
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.formats.vocabulary_topics import read_vocabulary_topics
from yt8m_spark.spark.candidates import read_candidates
from yt8m_spark.spark.collection import Bounds, sift
from yt8m_spark.spark.fixed_point import fixed_point
from yt8m_spark.spark.selection import chosen, count_reasons, draw_sample, excluded, kept_videos

TOPICS = {f"/m/{i}": i for i in range(0, 120, 2)}
NAMES = [f"/m/{i}" for i in range(80)]  # half of them are not in the vocabulary


@pytest.fixture
def collected(spark, tmp_path):
    """Run all stages but those of repeated rows; rows of the data set and of the audit."""

    def run(rows, topics, *, sample, min_videos, min_labels=1, seed=0):
        path = str(tmp_path / f"{len(rows)}-{seed}")
        spark.createDataFrame(made.table_of(rows)).write.parquet(path)
        candidates = read_candidates(spark, path).withColumn("is_conflicting", F.lit(False))
        sift(candidates, topics, Bounds(), seed=seed).write.parquet(path + "s")
        sifted = spark.read.parquet(path + "s")
        drawn = draw_sample(sifted, count_reasons(sifted, "reason")[None], sample)
        videos, entities = chosen(sifted, drawn), np.array(sorted(set(topics.values())))
        found = fixed_point(videos, entities, min_videos=min_videos, min_labels=min_labels)
        kept = kept_videos(videos, found, Shares(), min_labels=min_labels, seed=seed)
        gone = excluded(sifted, drawn, found, min_labels=min_labels)
        return kept.collect(), gone.collect(), found

    return run


def check(found, expected):
    """What Spark finds is what plain Python finds."""
    kept, gone, fixed = found
    assert len(kept) == len(expected.labels)
    assert {row.video_id: row.labels for row in kept} == expected.labels
    assert {row.video_id: row.split for row in kept} == expected.splits
    assert len(gone) == len(expected.reasons)
    assert {row.video_id: row.reason for row in gone} == expected.reasons
    stay = fixed.removed_in == 0
    n_videos = dict(zip(fixed.entities[stay].tolist(), fixed.n_videos[stay].tolist(), strict=True))
    assert n_videos == expected.n_videos
    assert {row.stage for row in gone if row.round is not None} == {"fixed_point"}


@pytest.mark.parametrize(
    "options",
    [
        {"sample": 200, "min_videos": 12},
        {"sample": 10**7, "min_videos": 25, "min_labels": 2, "seed": 4},
    ],
)
def test_random_candidates_become_what_brute_force_makes_of_them(collected, options):
    rows = made.make_candidates(900, NAMES, seed=options["min_videos"])
    expected = made.collect(rows, TOPICS, **options)
    assert 50 < len(expected.labels) <= min(options["sample"], 900)
    check(collected(rows, TOPICS, **options), expected)


def test_when_videos_are_added_none_changes_its_split_and_few_leave_the_sample(collected):
    options = {"sample": 200, "min_videos": 1}
    rows = made.make_candidates(700, NAMES)
    more = [row._replace(video_id=f"new{i}") for i, row in enumerate(rows[:70])]
    before = {row.video_id: row.split for row in collected(rows, TOPICS, **options)[0]}
    after = {row.video_id: row.split for row in collected(rows + more, TOPICS, **options)[0]}
    both = before.keys() & after.keys()
    assert {v: before[v] for v in both} == {v: after[v] for v in both}
    entered = [v for v in after if v.startswith("new")]
    assert 0 < len(entered) <= 70
    # A video leaves only for one that enters; both may be without an entity.
    assert len(before) - len(both) < 200 * 70 / 770 * 2


def test_topics_of_the_real_vocabulary_give_known_answers(collected, shared_data):
    path = shared_data / "yt8m_vocab" / "vocabulary_3862.csv"
    vocabulary = read_vocabulary_topics(str(path))
    names = [row["KnowledgeGraphId"] for row in vocabulary.rows.values()]
    weights = [int(row["TrainVideoCount"]) for row in vocabulary.rows.values()]
    rows = made.draw_topics(20_000, names, weights)
    options = {"sample": 15_000, "min_videos": 20}
    expected = made.collect(rows, vocabulary.topics, **options)
    assert 100 < len(expected.n_videos) < 3862
    check(collected(rows, vocabulary.topics, **options), expected)


def test_real_videos_as_candidates_give_what_brute_force_gives(collected, shared_data):
    rows = []
    for path in sorted((shared_data / "yt8m_video").glob("*.tfrecord")):
        for record in (decode_video(r.data, features=()) for r in read_records(str(path))):
            i = len(rows)
            topics = [str(e) for e in record.labels.tolist()]
            # Views and durations are made up; some are out of bounds at either end.
            rows.append(made.Candidate(record.video_id, 900.0 + i, 100.0 + i % 420, topics))
    assert len(rows) == 13_998
    path = shared_data / "yt8m_vocab" / "vocabulary_3862.csv"
    topics = {str(e): e for e in read_vocabulary(str(path)).entities.tolist()}
    options = {"sample": 10_000, "min_videos": 50}
    expected = made.collect(rows, topics, **options)
    assert len(expected.n_videos) > 50
    check(collected(rows, topics, **options), expected)
