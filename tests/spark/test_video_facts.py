"""Facts of single videos. Their sums are tested in the test_profile files.

Which features are odd is tested in tests/core/test_profile.py.
"""

import numpy as np
import pyarrow as pa
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import (
    FrameRecord,
    VideoRecord,
    encode_frames,
    encode_video,
)
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.spark.schemas import arrow_schema, frames_schema, videos_schema
from yt8m_spark.spark.splits import Source
from yt8m_spark.spark.video_facts import FACTS, facts_table, read_facts, video_facts


def frames_batch(rows):
    """Batch of (video_id, labels, rgb, audio, shard) of a frames table."""
    schema = arrow_schema(frames_schema(["rgb", "audio"]))
    columns = {name: [] for name in schema.names}
    for video_id, labels, rgb, audio, shard in rows:
        cells = (video_id, labels, bytes(rgb), bytes(audio), 99, shard)
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def facts_of(batch, widths, split=None):
    (found,) = video_facts([batch], widths=widths, split=split)
    assert found.schema == arrow_schema(FACTS)
    return found.to_pylist()


def test_facts_of_frames_by_hand():
    rows = [
        ("a", [1, 2], [1, 2, 3, 4], [5, 6], "train0.tfrecord"),
        ("b", None, [0, 0, 0, 0], [5], "test0.tfrecord"),
        ("c", [], [], [], "other.tfrecord"),
        ("d", [3], [1, 2, 1, 2], [], None),
    ]
    facts = facts_of(frames_batch(rows), {"rgb": 2, "audio": 1})
    none = ["empty_rgb", "empty_audio", "no_frames"]
    assert facts == [
        {"video_id": "a", "split": "train", "labels": [1, 2], "n_frames": 2, "n_bytes": 6}
        | {"flags": []},
        {"video_id": "b", "split": "test", "labels": None, "n_frames": 2, "n_bytes": 5}
        | {"flags": ["zero_rgb", "lists_differ"]},
        {"video_id": "c", "split": "all", "labels": [], "n_frames": 0, "n_bytes": 0}
        | {"flags": none},
        {"video_id": "d", "split": "all", "labels": [3], "n_frames": 2, "n_bytes": 4}
        | {"flags": ["constant_rgb", "empty_audio", "lists_differ"]},
    ]


def test_a_named_split_wins_over_the_shard():
    batch = frames_batch([("a", [1], [1, 2], [5], "train0.tfrecord")])
    assert facts_of(batch, {"rgb": 2}, split="mine")[0]["split"] == "mine"


def test_a_slice_of_a_batch_has_the_facts_of_its_own_rows():
    rows = [(str(i), [i], [i, i, i, i + 1], [i] * (i + 1), "train0") for i in range(6)]
    batch = frames_batch(rows)
    widths = {"rgb": 2, "audio": 1}
    assert facts_of(batch.slice(2, 3), widths) == facts_of(batch, widths)[2:5]


def videos_batch(rows):
    """Batch of (video_id, n_frames, mean_rgb) of a videos table."""
    schema = arrow_schema(videos_schema(["mean_rgb"]))
    ids, n_frames, vectors = zip(*rows, strict=True)
    columns = [ids, [[1]] * len(ids), n_frames, vectors]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def test_facts_of_vectors_by_hand():
    rows = [
        ("a", 7, [1, 2]),
        ("b", None, [0, 0]),
        ("c", None, [4, 4]),
        ("d", None, None),
        ("e", None, [1, None]),
    ]
    facts = facts_of(videos_batch(rows), {"mean_rgb": 0})
    flags = [[], ["zero_mean_rgb"], ["constant_mean_rgb"], ["empty_mean_rgb"]]
    assert [fact["flags"] for fact in facts] == [*flags, ["not_finite_mean_rgb"]]
    assert [fact["n_frames"] for fact in facts] == [7, None, None, None, None]
    assert [fact["n_bytes"] for fact in facts] == [8, 8, 8, 0, 8]
    assert {fact["split"] for fact in facts} == {"all"}
    assert facts_of(videos_batch(rows).slice(1, 2), {"mean_rgb": 0}) == facts[1:3]


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(InputError, match="null video_id"):
        facts_of(frames_batch([(None, [1], [1, 2], [], "")]), {"rgb": 2})
    with pytest.raises(InputError, match="null entity"):
        facts_of(frames_batch([("a", [None], [1, 2], [], "")]), {"rgb": 2})
    # Width 0: no frames were found in the table.
    for width, message in (
        (2, "'rgb' holds no whole number"),
        (0, "width of .*'rgb' is not known"),
    ):
        with pytest.raises(InputError, match=rf"{message}.*video b"):
            facts_of(frames_batch([("b", [1], [1, 2, 3], [], "")]), {"rgb": width})


def test_shards_of_either_level_are_told_apart_by_split(spark, tmp_path):
    for level in ("frame", "video"):
        (tmp_path / level).mkdir()
    for i, name in enumerate(("train0", "train1", "validate0", "spare")):
        codes = np.full((i + 1, 3), 9, np.uint8)
        frames = encode_frames(FrameRecord(f"v{i}", np.array([i]), {"rgb": codes}, None))
        write_records(str(tmp_path / "frame" / f"{name}.tfrecord"), [frames])
        vector = np.float32([0, i])
        video = encode_video(VideoRecord(f"v{i}", np.array([i]), {"mean_rgb": vector}))
        write_records(str(tmp_path / "video" / f"{name}.tfrecord"), [video])
    splits = {"v0": "train", "v1": "train", "v2": "validate", "v3": "all"}
    for level, n_frames, odd in (
        ("frame", [1, 2, 3, 4], [[], *[["constant_rgb"]] * 3]),
        ("video", [None] * 4, [["zero_mean_rgb"], [], [], []]),
    ):
        facts = read_facts(spark, [Source(str(tmp_path / level))])
        assert facts.schema == FACTS
        rows = facts.orderBy("video_id").collect()
        assert {row.video_id: row.split for row in rows} == splits
        assert [row.n_frames for row in rows] == n_frames
        assert [row.flags for row in rows] == odd
        assert [row.labels for row in rows] == [[0], [1], [2], [3]]


def test_a_frames_table_tells_splits_by_its_shards(spark, tmp_path):
    rows = [("a", [1], b"ab", 2, "test0.tfrecord"), ("b", [1], b"", 0, "train0.tfrecord")]
    table = spark.createDataFrame(rows, frames_schema({"rgb": 1}))
    table.write.parquet(str(tmp_path / "frames"))
    facts = read_facts(spark, [Source(str(tmp_path / "frames"), None)])
    assert {row.video_id: row.split for row in facts.collect()} == {"a": "test", "b": "train"}


def test_a_list_that_no_video_has_is_told_and_not_refused(spark):
    rows = [("a", [1], b"", b"ab", 2, "")]
    facts = facts_table(spark.createDataFrame(rows, frames_schema(["rgb", "audio"])))
    assert facts.collect()[0].flags == ["empty_rgb", "lists_differ"]


def test_a_table_without_labels_is_refused(spark):
    with pytest.raises(InputError, match="no column 'labels'"):
        facts_table(spark.sql("SELECT 'a' AS video_id"))
