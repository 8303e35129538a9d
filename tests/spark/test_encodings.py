"""VLAD and Fisher vectors as columns. The encoders themselves are tested in tests/core."""

import numpy as np
import pytest
from frame_codebooks import brute_fisher_gradients, brute_vlad, make_gmm, make_kmeans, normalized
from numpy.testing import assert_allclose
from pyspark.errors import PySparkException
from shard_files import make_frames as make_record
from shard_files import read_in_process, write

from yt8m_spark.core.quantization import dequantize
from yt8m_spark.errors import InputError
from yt8m_spark.frame_codebook_files import save_codebooks
from yt8m_spark.job import user_error
from yt8m_spark.ml import VideoStatistics
from yt8m_spark.spark import encodings
from yt8m_spark.spark.schemas import videos_schema
from yt8m_spark.spark.source import read_shards
from yt8m_spark.spark.statistics import aggregate_videos, plan_aggregation

WIDTHS = {"audio": 2, "rgb": 3}
BOTH = ("mean", "vlad", "fisher")


def save(folder, seed=0, widths=WIDTHS, methods=("kmeans", "gmm")):
    makers = {"kmeans": make_kmeans, "gmm": make_gmm}
    books = {m: {name: makers[m](4, d, seed) for name, d in widths.items()} for m in methods}
    save_codebooks(str(folder), books, {})
    return books


@pytest.fixture
def codebook(tmp_path):
    return str(tmp_path / "codebook"), save(tmp_path / "codebook")


@pytest.fixture
def records():
    return [make_record(number, n_frames=number % 4 * 3) for number in range(13)]


@pytest.fixture
def shards(tmp_path, records):
    write(tmp_path, "train00.tfrecord", records[:6])
    write(tmp_path, "train01.tfrecord", records[6:])
    return str(tmp_path / "train*.tfrecord")


def check(row, record, books):
    for name in WIDTHS:
        values = dequantize(record.features[name])
        offsets = np.array([0, len(values)])
        vlad, fisher = row[f"vlad_{name}"], row[f"fisher_{name}"]
        if not len(values):
            assert vlad is fisher is row[f"mean_{name}"] is None
            continue
        kmeans, gmm = books["kmeans"][name], books["gmm"][name]
        assert_allclose(vlad, brute_vlad(values, offsets, kmeans)[0], rtol=1e-4, atol=1e-5)
        gradients = brute_fisher_gradients(values, offsets, gmm)[0]
        # Posteriors below 1e-6 count as 0; the square root makes 1e-3 of them.
        assert_allclose(fisher, normalized(gradients, gmm.power), atol=1e-3)
        assert_allclose(row[f"mean_{name}"], values.mean(axis=0), rtol=1e-5, atol=1e-6)


def test_shards_in_one_pass_give_the_encodings_of_their_frames(shards, records, codebook):
    folder, books = codebook
    batches = read_in_process(shards, statistics=",".join(BOTH), codebook=folder)
    rows = {row["video_id"]: row for batch in batches for row in batch.to_pylist()}
    for record in records:
        check(rows[record.video_id], record, books)


def test_a_frames_table_gives_what_shards_give(spark, shards, records, codebook):
    folder, books = codebook
    frames = read_shards(spark, shards)
    table = aggregate_videos(frames, WIDTHS, BOTH, codebook=folder)
    columns = [f"{s}_{name}" for name in WIDTHS for s in BOTH]
    assert table.schema == videos_schema(columns)
    for row, record in zip(table.orderBy("video_id").collect(), records, strict=True):
        check(row, record, books)
    of_stage = VideoStatistics(statistics=list(BOTH), codebook=folder, features=list(WIDTHS))
    assert of_stage.transform(frames).schema == table.schema


def test_wide_encodings_go_in_small_batches(shards, codebook, monkeypatch):
    expected = read_in_process(shards, statistics="fisher", codebook=codebook[0])
    monkeypatch.setattr(encodings, "_NUMBERS_AT_ONCE", 100)  # of 40 a video
    found = read_in_process(shards, statistics="fisher", codebook=codebook[0])
    assert max(batch.num_rows for batch in found) == 2
    rows = [[row for batch in some for row in batch.to_pylist()] for some in (expected, found)]
    assert rows[0] == rows[1]


def test_columns_asked_for_are_all_that_is_made(shards, codebook):
    schema = videos_schema(["vlad_audio"])
    options = {"statistics": "vlad,fisher", "codebook": codebook[0]}
    batch = read_in_process(shards, schema=schema, **options)[0]
    assert batch.schema.names == schema.names


def test_the_bias_of_the_decoder_does_not_matter(shards, codebook):
    tables = [
        read_in_process(shards, statistics="vlad", codebook=codebook[0], unbiased=unbiased)
        for unbiased in ("true", "false")
    ]
    assert tables[0] == tables[1]


def failure(call):
    with pytest.raises((InputError, ValueError, PySparkException)) as caught:
        call()
    return user_error(caught.value) or str(caught.value)


def test_codebooks_that_do_not_fit_are_refused(tmp_path, codebook):
    folder = codebook[0]

    def plan(statistics, features=WIDTHS, codebook=folder):
        return failure(lambda: plan_aggregation(features, statistics, codebook=codebook))

    assert "statistic vlad needs a codebook" in plan(["mean", "vlad"], codebook=None)
    assert "codebook goes with vlad or fisher" in plan(["mean"])
    assert "vlad, fisher, top1 to top100, each once, got vald" in plan(["vald"])
    assert "no codebook of feature list 'video'" in plan(["vlad"], {"video": 3})
    found = plan(["fisher"], {"audio": 3})
    assert "feature list 'audio' has not the width of its codebook" in found
    assert "expected 2, found 3" in found
    save(tmp_path / "kmeans", methods=["kmeans"])
    assert "fisher needs a codebook of method gmm" in plan(["fisher"], codebook=tmp_path / "kmeans")
    assert "no such file" in plan(["vlad"], codebook=str(tmp_path / "nowhere"))


def test_options_of_the_data_source_go_together(shards, codebook):
    folder = codebook[0]
    with pytest.raises(InputError, match="needs a codebook"):
        read_in_process(shards, statistics="vlad")
    with pytest.raises(InputError, match="option 'codebook' goes with 'statistics'"):
        read_in_process(shards, codebook=folder)
    with pytest.raises(InputError, match="a codebook goes with vlad or fisher"):
        read_in_process(shards, statistics="mean", codebook=folder)


def test_frames_of_another_width_than_was_known_are_refused(tmp_path, codebook):
    # No frame of audio is known when the reading is planned; then one of 4 features comes.
    plan = plan_aggregation({"audio": 0}, ["vlad"], codebook=codebook[0])
    codes, offsets = np.zeros((2, 4), np.uint8), np.array([0, 2])
    message = failure(
        lambda: encodings.encode_frames(["vlad"], "audio", codes, offsets, plan.encodings)
    )
    assert "expected 2, found 4" in message


def test_codebooks_replaced_meanwhile_are_refused(tmp_path, codebook):
    plan = plan_aggregation(WIDTHS, ["vlad"], codebook=codebook[0])
    save(tmp_path / "codebook", seed=1)
    codes, offsets = np.zeros((2, 2), np.uint8), np.array([0, 2])
    message = failure(
        lambda: encodings.encode_frames(["vlad"], "audio", codes, offsets, plan.encodings)
    )
    assert "codebooks were replaced" in message
