"""Training shards on storage. Files, decoding and caching have tests of their own."""

import json
import os
from itertools import chain, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from yt8m_spark.core.codebooks import Codebook
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark import shards as module
from yt8m_spark.spark.codebooks import quantize_columns, save_codebooks
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.shards import label_counts, open_shards, write_shards

FRAMES = StructType([*FEATURES.fields, StructField("frame", IntegerType())])


def make_videos(n=23, d=4, seed=0):
    """Videos as (id, labels, features); every fifth has null labels, others none, one or two."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32).tolist()
    labels = [None if i % 5 == 4 else [i % 7, 20][: i % 3] for i in range(n)]
    return [(f"v{i:03d}", labels[i], features[i]) for i in range(n)]


def make_table(spark, videos, n_partitions=2, schema=FEATURES):
    return spark.createDataFrame(videos, schema).repartition(n_partitions)


def unpacked(shards):
    """Every shard as a list of (labels, features) of its videos, in their order."""
    out = []
    for chunk in map(shards.read, range(shards.n_shards)):
        assert [array.dtype for array in chunk] == [np.float32, np.int64, np.int32]
        labels = [chunk.label_values[a:b].tolist() for a, b in pairwise(chunk.label_offsets)]
        out.append(list(zip(labels, chunk.features.tolist(), strict=True)))
    return out


def places(shards, videos):
    """Numbers of the ``videos`` that each shard holds, in their order."""
    place = {tuple(features): i for i, (_, _, features) in enumerate(videos)}
    return [[place[tuple(features)] for _, features in shard] for shard in unpacked(shards)]


def files_of(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory):
    """23 videos in four shards; do not change them."""
    folder = tmp_path_factory.mktemp("shards")
    return write_shards(make_table(spark, make_videos()), str(folder), videos_a_shard=6)


def test_every_video_is_in_one_shard_with_its_labels(written):
    videos = make_videos()
    assert (written.n_shards, written.n_videos, written.n_features) == (4, 23, 4)
    assert sorted(chain(*places(written, videos))) == list(range(23))
    by_features = {tuple(features): labels or [] for _, labels, features in videos}
    for labels, features in chain(*unpacked(written)):
        assert labels == by_features[tuple(features)]


def test_shard_and_place_are_those_of_the_hash_of_id_and_seed(spark, written, tmp_path):
    ids = make_table(spark, make_videos())
    for seed, shards in ((0, written), (5, None)):
        if shards is None:
            shards = write_shards(ids, str(tmp_path), seed=seed, videos_a_shard=6)
        rows = ids.selectExpr(f"xxhash64(video_id, bigint({seed})) as hash", "video_id").collect()
        hashed = sorted((row.hash % 4, row.hash, int(row.video_id[1:])) for row in rows)
        expected = [[i for shard, _, i in hashed if shard == number] for number in range(4)]
        assert places(shards, make_videos()) == expected
        assert shards.sizes == tuple(map(len, expected))


@pytest.mark.parametrize("n_partitions", [1, 7, 25])  # of 25, some hold no video
def test_bytes_depend_neither_on_partitions_nor_on_row_order(
    spark, written, tmp_path, n_partitions
):
    videos = make_videos()
    shuffled = [videos[i] for i in np.random.default_rng(n_partitions).permutation(len(videos))]
    table = make_table(spark, shuffled, n_partitions)
    again = write_shards(table, str(tmp_path), videos_a_shard=6)
    assert files_of(tmp_path) == files_of(type(tmp_path)(written.folder))
    assert again.digest == written.digest


def test_a_shard_that_spans_arrow_batches_is_whole(spark, written, tmp_path):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 2)
    try:
        write_shards(make_table(spark, make_videos()), str(tmp_path), videos_a_shard=6)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert files_of(tmp_path) == files_of(type(tmp_path)(written.folder))


def test_the_digest_is_of_features_labels_and_ids(spark, written, tmp_path):
    first, *others = make_videos()
    changed = [(first[0], [6], first[2]), ("w", *first[1:]), (*first[:2], [0.0, *first[2][1:]])]
    digests = {written.digest}
    for i, one in enumerate(changed):
        table = make_table(spark, [one, *others])
        digests.add(write_shards(table, str(tmp_path / str(i)), videos_a_shard=6).digest)
    assert len(digests) == 4


def test_shards_that_no_video_falls_into_are_there_and_empty(spark, tmp_path):
    videos = make_videos(9)
    shards = write_shards(make_table(spark, videos), str(tmp_path), videos_a_shard=1)
    assert len(shards.sizes) == sum(shards.sizes) == 9
    assert 0 in shards.sizes
    assert [len(shard) for shard in places(open_shards(str(tmp_path)), videos)] == list(
        shards.sizes
    )
    assert shards.read(shards.sizes.index(0)).features.shape == (0, 4)


def test_wide_features_make_shards_of_fewer_videos(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BYTES_A_SHARD", 100)  # six videos of four float32
    shards = write_shards(make_table(spark, make_videos()), str(tmp_path))
    assert shards.n_shards == 4


def test_rows_are_read_in_the_order_asked(written):
    whole = written.read(1)
    rows = np.random.default_rng(0).permutation(written.sizes[1])
    chunk = written.read(1, rows)
    assert_array_equal(chunk.features, whole.features[rows])
    expected = [
        whole.label_values[slice(*whole.label_offsets[row : row + 2])].tolist() for row in rows
    ]
    cuts = pairwise(chunk.label_offsets)
    assert [chunk.label_values[a:b].tolist() for a, b in cuts] == expected


def test_shards_are_opened_as_they_were_written_and_the_folder_may_move(spark, tmp_path):
    shards = write_shards(make_table(spark, make_videos()), str(tmp_path / "a"), videos_a_shard=6)
    expected = unpacked(shards)
    os.rename(tmp_path / "a", tmp_path / "b")
    opened = open_shards(str(tmp_path / "b"))
    assert (opened.sizes, opened.digest) == (shards.sizes, shards.digest)
    assert unpacked(opened) == expected


def test_shards_are_read_from_the_cache_once_they_are_there(spark, tmp_path):
    folder, cache = tmp_path / "shards", str(tmp_path / "cache")
    shards = write_shards(make_table(spark, make_videos()), str(folder), videos_a_shard=6)
    opened = open_shards(str(folder), cache)
    opened.read(2)
    assert len(os.listdir(f"{cache}/{shards.digest}")) == 2  # nothing that was not asked for
    expected = unpacked(opened)
    for name in os.listdir(folder):
        os.remove(folder / name)
    assert unpacked(opened) == expected == unpacked(shards_in_place(opened, cache))


def shards_in_place(shards, cache):
    """The cached files as if they were the set's own."""
    return type(shards)(**{**shards.__dict__, "folder": f"{cache}/{shards.digest}", "cache": None})


def test_rows_of_frames_are_spread_each_by_its_own_hash(spark, tmp_path):
    rows = [("v", [1], [float(i), 0.0], i) for i in range(40)]
    table = make_table(spark, rows, schema=FRAMES)
    shards = write_shards(table, str(tmp_path / "a"), videos_a_shard=10)
    assert sorted(features[0] for _, features in chain(*unpacked(shards))) == list(range(40))
    assert min(shards.sizes) > 0
    write_shards(make_table(spark, rows[::-1], 3, FRAMES), str(tmp_path / "b"), videos_a_shard=10)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_float16_is_stored_in_half_and_read_as_the_nearest(spark, written, tmp_path):
    table = make_table(spark, make_videos())
    shards = write_shards(table, str(tmp_path), dtype="float16", videos_a_shard=6)
    assert shards.digest != written.digest
    for number in range(4):
        exact, found = written.read(number).features, shards.read(number).features
        assert_array_equal(found, exact.astype(np.float16).astype(np.float32))
        assert np.load(tmp_path / f"{number:05d}.features.npy").dtype == np.float16


def test_floats_are_coded_by_a_codebook_of_their_own(spark, written, tmp_path):
    table = make_table(spark, make_videos())
    shards = write_shards(table, str(tmp_path), dtype="uint8", videos_a_shard=6)
    for number in range(4):
        assert np.load(tmp_path / f"{number:05d}.features.npy").dtype == np.uint8
        # 23 values a feature have a level each, in a bin of a 2,048th of their range.
        exact = written.read(number).features
        assert_allclose(open_shards(str(tmp_path)).read(number).features, exact, atol=1e-5)
    assert shards.n_features == 4


def made_codebook(folder, n_levels):
    """A codebook of four features with uneven levels, kept in ``folder``."""
    levels = np.sort(np.random.default_rng(0).normal(size=(4, n_levels)), axis=1).astype("f4")
    book = Codebook(levels, (levels[:, 1:].astype(float) + levels[:, :-1]) / 2, levels[:, [0, -1]])
    save_codebooks(folder, {"features": book})
    return book


def test_codes_are_kept_with_their_codebook(spark, written, tmp_path):
    folder = str(tmp_path / "book")
    book = made_codebook(folder, 5)
    coded = quantize_columns(make_table(spark, make_videos()), folder)
    for dtype in ("uint8", "float32"):
        target = str(tmp_path / dtype)
        shards = write_shards(coded, target, dtype=dtype, videos_a_shard=6, codebook=folder)
        for number in range(4):
            exact = written.read(number).features
            expected = [
                [
                    levels[np.abs(levels - x).argmin()]
                    for x, levels in zip(row, book.levels, strict=True)
                ]
                for row in exact
            ]
            assert_array_equal(shards.read(number).features, np.reshape(expected, exact.shape))
    assert np.load(tmp_path / "uint8" / "00000.features.npy").dtype == np.uint8


def test_codes_without_their_codebook_are_refused(spark, tmp_path):
    folder, other = str(tmp_path / "book"), str(tmp_path / "other")
    made_codebook(folder, 5)
    made_codebook(other, 6)
    coded, target = quantize_columns(make_table(spark, make_videos()), folder), str(tmp_path / "x")
    assert "features are codes in features table" in failure(lambda: write_shards(coded, target))
    message = failure(lambda: write_shards(coded, target, dtype="uint8", codebook=other))
    assert "written with another codebook" in message


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


def test_a_table_without_a_label_is_refused(spark, tmp_path):
    rows = [("a", [], [1.0]), ("b", None, [2.0])]
    message = failure(lambda: write_shards(make_table(spark, rows), str(tmp_path)))
    assert message == "no video has a label in features table"
    assert not (tmp_path / "shards.json").exists()


@pytest.mark.parametrize("name", ["video_id", "labels", "features"])
def test_a_missing_column_is_refused(spark, tmp_path, name):
    table = make_table(spark, make_videos(2)).drop(name)
    message = failure(lambda: write_shards(table, str(tmp_path)))
    assert f"no column '{name}' in features table" in message


def test_videos_that_are_there_twice_are_refused_by_name(spark, tmp_path):
    videos = make_videos()
    table = make_table(spark, [*videos, videos[3], videos[3], videos[9]], 3)
    message = failure(lambda: write_shards(table, str(tmp_path), videos_a_shard=6))
    assert message == (
        "video v003 is there more than once in features table, expected each video, or frame of "
        "one, in one row, found 3 rows too many"
    )


def test_frames_that_are_there_twice_are_refused_by_name(spark, tmp_path):
    rows = [("v", [1], [1.0], 0), ("v", [1], [2.0], 7), ("w", [1], [2.0], 7), ("v", [1], [3.0], 7)]
    message = failure(lambda: write_shards(make_table(spark, rows, schema=FRAMES), str(tmp_path)))
    assert message.startswith("video v, frame 7 is there more than once in features table")
    assert message.endswith("found 1 rows too many")


@pytest.mark.parametrize("where", ["a shard", "two shards"])
def test_widths_that_differ_are_refused(spark, tmp_path, where):
    ids = ids_of_two_shards(spark) if where == "two shards" else ["v000", "v001", "v002"]
    rows = [(i, [1], [0.0] * d) for i, d in zip(ids, (4, 4, 3), strict=True)]
    most = 2 if where == "two shards" else 100
    message = failure(
        lambda: write_shards(make_table(spark, rows), str(tmp_path), videos_a_shard=most)
    )
    assert "feature widths differ in" in message
    assert "[3, 4]" in message or message.startswith("video v00")


def ids_of_two_shards(spark):
    """Three ids of which, where there are two shards, the last is in another than the rest."""
    ids = spark.range(50).select(F.col("id").cast("string"))
    rows = ids.selectExpr("id", "xxhash64(id, bigint(0)) as hash").collect()
    first = [row.id for row in rows if row.hash % 2 == 0]
    return [*first[:2], next(row.id for row in rows if row.hash % 2)]


@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        ([1], None, "video b: null row in column 'features'"),
        ([1], [1.0, float("inf")], "video b: value is not finite in column 'features', feature 1"),
        ([1, None], [1.0, 2.0], "null entity id"),
    ],
)
def test_nulls_and_infinity_fail_the_task_with_the_video(
    spark, tmp_path, labels, features, message
):
    table = make_table(spark, [("a", [], [1.0, 2.0]), ("b", labels, features)], 1)
    assert message in failure(lambda: write_shards(table, str(tmp_path)))


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"videos_a_shard": 0}])
def test_options_out_of_range_are_refused(spark, tmp_path, options):
    with pytest.raises(ValueError, match="dtype must be float32, float16 or uint8"):
        write_shards(make_table(spark, make_videos(2)), str(tmp_path), **options)


def test_labels_are_counted_once_a_video(spark):
    rows = [("a", [7, 3, 7], []), ("b", [3], []), ("c", [], []), ("d", None, [])]
    entities, counts = label_counts(make_table(spark, rows))
    assert entities.tolist() == [3, 7]
    assert counts.tolist() == [2, 1]
    assert entities.dtype == counts.dtype == np.int64


def test_labels_of_another_type_are_refused_in_one_line(spark):
    table = spark.createDataFrame([("a", ["x"])], "video_id string, labels array<string>")
    with pytest.raises(InputError, match=r"labels.*expected array<int>, found array<string>"):
        label_counts(table)


def test_a_table_without_labels_has_no_entities(spark):
    entities, counts = label_counts(make_table(spark, [("a", [], [])]))
    assert len(entities) == len(counts) == 0


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*shards\.json"):
        open_shards(str(tmp_path))


def test_a_set_that_is_written_anew_is_unfinished_until_its_end(spark, tmp_path):
    write_shards(make_table(spark, make_videos(3)), str(tmp_path))
    failure(lambda: write_shards(make_table(spark, [("a", [1], None)]), str(tmp_path)))
    with pytest.raises(InputError, match=r"no such file in .*shards\.json"):
        open_shards(str(tmp_path))


@pytest.fixture
def three_videos(spark, tmp_path):
    return write_shards(make_table(spark, make_videos(3)), str(tmp_path))


@pytest.mark.parametrize("name", ["00000.features.npy", "00000.labels.npy"])
@pytest.mark.parametrize("damage", ["cut", "longer", "removed"])
def test_a_file_that_is_not_as_it_was_written_is_refused(three_videos, tmp_path, name, damage):
    path = tmp_path / name
    content = path.read_bytes()
    path.write_bytes(content[:-4] if damage == "cut" else content + b"x")
    found = f"{path.stat().st_size} bytes"
    if damage == "removed":
        path.unlink()
        found = "no file"
    with pytest.raises(InputError, match=f"{name}, expected {len(content)} bytes, found {found}"):
        open_shards(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "not shards of this version"),
        ({"sizes": 3}, "not a description of shards"),
        ({"file_bytes": [[1]]}, "not a description of shards"),
    ],
)
def test_a_description_of_another_kind_is_refused(three_videos, tmp_path, change, message):
    path = tmp_path / "shards.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        open_shards(str(tmp_path))
