"""Training shards on storage. What mappers make of them is tested in test_training.py."""

import os
from itertools import chain
from unittest.mock import patch

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark import shards as module
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.shards import label_counts, open_shards, write_shards


def make_videos(n=23, d=4, seed=0):
    """Videos as (id, labels, features); every fifth has null labels, others none, one or two."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32).tolist()
    labels = [None if i % 5 == 4 else [i % 7, 20][: i % 3] for i in range(n)]
    return [(f"v{i:03d}", labels[i], features[i]) for i in range(n)]


def make_table(spark, videos, n_partitions=2):
    return spark.createDataFrame(videos, FEATURES).repartition(n_partitions)


def few_videos_a_shard(n):
    return patch.object(module, "VIDEOS_A_SHARD", n)


def unpacked(shards):
    """Every shard as a list of (labels, features) of its videos, in their order."""
    out = []
    for number, chunk in shards.chunks():
        assert number == len(out)
        assert chunk.features.dtype == np.float32
        cuts = np.split(chunk.label_values, chunk.label_offsets[1:-1])
        rows = zip(cuts, chunk.features, strict=True) if len(chunk.features) else ()
        out.append([(labels.tolist(), row.tolist()) for labels, row in rows])
    return out


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder) if name != "x"}


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


def test_every_video_is_in_one_shard_in_the_order_of_ids(spark, tmp_path):
    videos = make_videos()
    with few_videos_a_shard(6):
        shards = write_shards(make_table(spark, videos), str(tmp_path))
    assert (shards.n_shards, shards.n_videos, shards.n_features) == (4, 23, 4)
    place = {tuple(features): i for i, (_, _, features) in enumerate(videos)}
    found = [[place[tuple(features)] for _, features in shard] for shard in unpacked(shards)]
    assert sorted(chain(*found)) == list(range(23))
    assert all(order == sorted(order) for order in found)
    for labels, features in chain(*unpacked(shards)):
        assert labels == (videos[place[tuple(features)]][1] or [])


def test_the_shard_of_a_video_is_the_hash_of_its_id(spark, tmp_path):
    videos = make_videos()
    table = make_table(spark, videos)
    with few_videos_a_shard(6):
        found = [len(shard) for shard in unpacked(write_shards(table, str(tmp_path)))]
    hashes = [row.h for row in table.select(F.xxhash64("video_id").alias("h")).collect()]
    assert found == np.bincount(np.array(hashes) % 4, minlength=4).tolist()


@pytest.mark.parametrize("n_partitions", [1, 7, 25])  # of 25, some hold no video
def test_bytes_depend_neither_on_partitions_nor_on_row_order(spark, tmp_path, n_partitions):
    videos = make_videos()
    shuffled = [videos[i] for i in np.random.default_rng(n_partitions).permutation(len(videos))]
    with few_videos_a_shard(6):
        write_shards(make_table(spark, videos, 3), str(tmp_path / "a"))
        write_shards(make_table(spark, shuffled, n_partitions), str(tmp_path / "b"))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_shard_that_spans_arrow_batches_is_whole(spark, tmp_path):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 4)
    try:
        with few_videos_a_shard(12):
            write_shards(make_table(spark, make_videos()), str(tmp_path / "a"))
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    with few_videos_a_shard(12):
        write_shards(make_table(spark, make_videos()), str(tmp_path / "b"))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_shards_that_no_video_falls_into_are_there_and_empty(spark, tmp_path):
    with few_videos_a_shard(1):
        shards = write_shards(make_table(spark, make_videos(9)), str(tmp_path))
    sizes = [len(chunk.features) for _, chunk in shards.chunks()]
    assert len(sizes) == 9
    assert sum(sizes) == 9
    assert 0 in sizes
    for _, chunk in shards.chunks():
        assert chunk.features.shape[1] == 4
        assert len(chunk.label_offsets) == len(chunk.features) + 1


def test_one_video_is_one_shard(spark, tmp_path):
    shards = write_shards(make_table(spark, [("v", [3, 5], [0.5, -1.0])]), str(tmp_path))
    assert unpacked(shards) == [[([3, 5], [0.5, -1.0])]]


def test_shards_are_opened_as_they_were_written_and_the_folder_may_move(spark, tmp_path):
    with few_videos_a_shard(6):
        written = write_shards(make_table(spark, make_videos()), str(tmp_path / "a"))
    expected = unpacked(written)
    os.rename(tmp_path / "a", tmp_path / "b")
    opened = open_shards(str(tmp_path / "b"))
    assert opened == written._replace(folder=str(tmp_path / "b"))
    assert unpacked(opened) == expected


def test_chunks_come_in_the_order_asked(spark, tmp_path):
    with few_videos_a_shard(6):
        shards = write_shards(make_table(spark, make_videos()), str(tmp_path))
    assert [number for number, _ in shards.chunks(np.array([2, 0, 3]))] == [2, 0, 3]


def test_features_are_mapped_not_read(spark, tmp_path):
    shards = write_shards(make_table(spark, make_videos()), str(tmp_path))
    _, chunk = next(shards.chunks())
    assert isinstance(chunk.features, np.memmap)


def test_vectors_and_doubles_give_the_same_shards(spark, tmp_path):
    videos = make_videos(5)
    write_shards(make_table(spark, videos), str(tmp_path / "floats"))
    vectors = [(i, labels, Vectors.dense(features)) for i, labels, features in videos]
    schema = StructType([*FEATURES.fields[:2]]).add("features", VectorUDT())
    write_shards(spark.createDataFrame(vectors, schema), str(tmp_path / "vectors"))
    doubles = "video_id string, labels array<int>, features array<double>"
    write_shards(spark.createDataFrame(videos, doubles), str(tmp_path / "doubles"))
    expected = files_of(tmp_path / "floats")
    assert files_of(tmp_path / "vectors") == files_of(tmp_path / "doubles") == expected


def test_an_empty_table_is_refused(spark, tmp_path):
    message = failure(lambda: write_shards(make_table(spark, []), str(tmp_path)))
    assert message == "no videos to train on in features table"


@pytest.mark.parametrize("name", ["video_id", "labels", "features"])
def test_a_missing_column_is_refused(spark, tmp_path, name):
    table = make_table(spark, make_videos(2)).drop(name)
    message = failure(lambda: write_shards(table, str(tmp_path)))
    assert f"no column '{name}' in features table" in message


@pytest.mark.parametrize(
    ("videos_a_shard", "records_a_batch", "message"),
    [
        (100, 10_000, "feature widths differ in column 'features', expected 4, found 3"),
        (100, 1, "feature widths differ in column 'features', expected 4, found 3"),
        (2, 10_000, "feature widths differ in features table, found [3, 4]"),
    ],
)
def test_widths_that_differ_in_a_batch_a_shard_or_between_are_refused(
    spark, tmp_path, videos_a_shard, records_a_batch, message
):
    ids = ids_of_two_shards(spark) if videos_a_shard == 2 else ["v000", "v001", "v002"]
    rows = [(i, [], [0.0] * d) for i, d in zip(ids, (4, 4, 3), strict=True)]
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", records_a_batch)
    try:
        with few_videos_a_shard(videos_a_shard):
            assert message in failure(lambda: write_shards(make_table(spark, rows), str(tmp_path)))
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


def ids_of_two_shards(spark):
    """Three ids of which, where there are two shards, the last is in another than the rest."""
    ids = spark.range(50).select(F.col("id").cast("string"))
    rows = ids.select("id", F.xxhash64("id").alias("hash")).collect()
    first = [row.id for row in rows if row.hash % 2 == 0]
    return [*first[:2], next(row.id for row in rows if row.hash % 2)]


@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        ([1], None, "null row in column 'features'"),
        ([1], [1.0, None], "null value in column 'features'"),
        ([1], [1.0, float("inf")], "value is not finite in column 'features', feature 1"),
        ([1, None], [1.0, 2.0], "null entity id"),
    ],
)
def test_nulls_and_infinity_fail_the_task_with_the_column(
    spark, tmp_path, labels, features, message
):
    table = make_table(spark, [("a", [], [1.0, 2.0]), ("b", labels, features)], 1)
    assert message in failure(lambda: write_shards(table, str(tmp_path)))


def test_labels_are_counted_once_a_video(spark):
    rows = [("a", [7, 3, 7], []), ("b", [3], []), ("c", [], []), ("d", None, [])]
    entities, counts = label_counts(make_table(spark, rows))
    assert entities.tolist() == [3, 7]
    assert counts.tolist() == [2, 1]
    assert entities.dtype == counts.dtype == np.int64


def test_a_table_without_labels_has_no_entities(spark):
    entities, counts = label_counts(make_table(spark, [("a", [], [])]))
    assert len(entities) == len(counts) == 0


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*shards\.json"):
        open_shards(str(tmp_path))


def test_a_damaged_shard_is_refused(spark, tmp_path):
    shards = write_shards(make_table(spark, make_videos(3)), str(tmp_path))
    with open(tmp_path / "00000.labels.npz", "r+b") as file:
        file.truncate(50)
    with pytest.raises(InputError, match=r"00000\.labels\.npz"):
        list(shards.chunks())
