"""Submissions as tables and back. The format's own faults are tested in tests/formats."""

import gzip

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark.schemas import FLOATS, INTS
from yt8m_spark.spark.submissions import (
    is_submission,
    read_segments,
    read_submission,
    write_segment_submission,
    write_video_submission,
)

SCHEMA = "video_id string, labels array<int>, entities array<int>, scores array<float>"
SEGMENTS = "video_id string, segment_start_time int, entities array<int>, scores array<float>"


def make_rows(n=50, seed=0, k=7):
    rng = np.random.default_rng(seed)
    rows = []
    for v in rng.permutation(n):
        scores = (rng.integers(0, 5, k) / 4).tolist()  # many ties
        rows.append((f"v{v:02d}", [1], rng.choice(100, k, replace=False).tolist(), scores))
    return rows


def expected_lines(rows, k, only=None):
    """Lines of a submission in plain Python."""
    lines = []
    for video_id, _, entities, scores in sorted(rows):
        pairs = [p for p in zip(entities, scores, strict=True) if only is None or p[0] in only]
        pairs.sort(key=lambda pair: (-pair[1], pair[0]))
        lines.append(f"{video_id}," + " ".join(f"{e} {s:g}" for e, s in pairs[:k]))
    return lines


def written(path):
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode().splitlines()


def fault(action):
    """The one line that a job would print of what ``action`` raises."""
    with pytest.raises(Exception) as error:  # noqa: PT011 - from a Spark task it is Spark's
        action()
    return user_error(error.value)


@pytest.mark.parametrize(("n_parts", "name"), [(1, "a.csv"), (3, "a.csv.gz"), (9, "b.csv")])
def test_a_video_submission_is_the_same_for_any_partitioning(spark, tmp_path, n_parts, name):
    rows = make_rows()
    table = spark.createDataFrame(rows, SCHEMA).repartition(n_parts)
    assert write_video_submission(table, str(tmp_path / name), k=4) == 50
    lines = ["VideoId,LabelConfidencePairs", *expected_lines(rows, 4)]
    assert written(tmp_path / name) == lines
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_the_entities_asked_for_are_listed(spark, tmp_path):
    rows, only = make_rows(), np.arange(0, 100, 3)
    table = spark.createDataFrame(rows, SCHEMA)
    write_video_submission(table, str(tmp_path / "a.csv"), k=2, only=only)
    assert written(tmp_path / "a.csv")[1:] == expected_lines(rows, 2, set(only.tolist()))


def test_what_was_written_is_read_back(spark, tmp_path):
    rng = np.random.default_rng(1)
    rows = [(f"v{i}", [5, 3, 9], np.float32(rng.random(3)).tolist()) for i in range(20)]
    table = spark.createDataFrame(rows, "video_id string, entities array<int>, scores array<float>")
    path = str(tmp_path / "a.csv.gz")
    write_video_submission(table, path, digits=9)
    read = read_submission(spark, path)
    assert [field.dataType for field in read.schema][1:] == [INTS, FLOATS]
    found = {
        row.video_id: dict(zip(row.entities, row.scores, strict=True)) for row in read.collect()
    }
    assert found == {v: dict(zip(e, s, strict=True)) for v, e, s in rows}
    for row in read.collect():
        assert row.scores == sorted(row.scores, reverse=True)


def test_long_files_and_empty_lists_are_read(spark, tmp_path):
    path = tmp_path / "a.csv"
    lines = "".join(f"v{i},{i} 0.5 3 0.75\n" for i in range(10, 5010)) + "last,\n"
    path.write_text("VideoId,LabelConfidencePairs\n" + lines)
    rows = read_submission(spark, str(path)).collect()
    assert len(rows) == 5001  # more than a batch
    assert rows[0].asDict() == {"video_id": "v10", "entities": [3, 10], "scores": [0.75, 0.5]}
    assert rows[-1].asDict() == {"video_id": "last", "entities": [], "scores": []}


def test_a_bad_line_is_told_in_one_line(spark, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("VideoId,LabelConfidencePairs\na,1 0.5\nb,1 NaN\n")
    line = fault(read_submission(spark, str(path)).collect)
    assert "a.csv, line 3" in line
    assert "'NaN'" in line
    assert "no such file" in fault(read_submission(spark, str(tmp_path / "absent.csv")).collect)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("v", [1], [1, 1], [0.5, 0.4]), ("entity 1 is listed twice", "'v'")),
        (("v", [1], [1, 2], [0.5]), ("differ in number", "v")),
        (("v", [1], [1], [float("nan")]), ("score out of range", "'v'")),
        (("v", [1], [1], [1.5]), ("score out of range", "1.5")),
        (("v", [1], [1], [None]), ("score out of range", "'v'")),
        ((None, [1], [1], [0.5]), ("null video_id",)),
        (("v w", [1], [1], [0.5]), ("'v w'",)),
        (("a", [1], [1], [0.5]), ("video_id 'a' comes twice",)),
    ],
)
def test_bad_predictions_leave_no_file(spark, tmp_path, row, words):
    table = spark.createDataFrame([("a", [1], [1], [0.5]), row], SCHEMA)
    line = fault(lambda: write_video_submission(table, str(tmp_path / "a.csv")))
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_another_kind_are_refused(spark, tmp_path):
    videos = spark.createDataFrame(make_rows(3), SCHEMA)
    segments = spark.createDataFrame([("a", 0, [1], [0.5])], SEGMENTS)
    with pytest.raises(InputError, match="of segments"):
        write_video_submission(segments, str(tmp_path / "a.csv"))
    with pytest.raises(InputError, match="of whole videos"):
        write_segment_submission(videos, str(tmp_path / "a.csv"))
    with pytest.raises(InputError, match="no predictions to submit"):
        write_video_submission(videos.limit(0), str(tmp_path / "a.csv"))
    with pytest.raises(InputError, match="no column 'scores'"):
        write_video_submission(videos.drop("scores"), str(tmp_path / "a.csv"))


@pytest.mark.parametrize("n_parts", [1, 5])
def test_segments_are_listed_best_first(spark, tmp_path, n_parts):
    rng = np.random.default_rng(2)
    rows = []
    for i in rng.permutation(60).tolist():
        entities = rng.choice(6, 4, replace=False).tolist()
        rows.append((f"v{i % 12:02d}", i // 12 * 5, entities, (rng.integers(0, 4, 4) / 4).tolist()))
    table = spark.createDataFrame(rows, SEGMENTS).repartition(n_parts)
    path = tmp_path / "s.csv"
    assert write_segment_submission(table, str(path), k=3, at_most=9) == 6
    lists = {}
    for video_id, start, entities, scores in rows:
        pairs = sorted(zip(entities, scores, strict=True), key=lambda p: (-p[1], p[0]))
        for entity, score in pairs[:3]:
            lists.setdefault(entity, []).append((-score, video_id, start))
    lines = [
        f"{entity}," + " ".join(f"{v}:{s}" for _, v, s in sorted(lists[entity])[:9])
        for entity in sorted(lists)
    ]
    assert written(path) == ["Class,Segments", *lines]

    read = read_segments(spark, str(path)).collect()
    again = {}
    for row in read:
        again.setdefault(row.entity, []).append((row["rank"], row.video_id, row.segment_start_time))
    assert again == {
        e: [(i, v, s) for i, (_, v, s) in enumerate(sorted(lists[e])[:9], start=1)] for e in lists
    }


def test_a_segment_that_stands_twice_is_refused(spark, tmp_path):
    table = spark.createDataFrame([("a", 5, [1], [0.5]), ("a", 5, [2], [0.5])], SEGMENTS)
    with pytest.raises(InputError, match="video_id 'a', segment_start_time 5 comes twice"):
        write_segment_submission(table, str(tmp_path / "s.csv"))


def test_submissions_are_told_by_their_names():
    assert all(is_submission(name) for name in ("a.csv", "x/b.CSV.gz"))
    assert not any(is_submission(name) for name in ("table", "a.parquet", "a.csv/part"))
