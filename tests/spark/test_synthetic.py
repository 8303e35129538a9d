"""Not tested here: what a video holds (tests/core/test_synthetic.py), and the job's contract."""

from __future__ import annotations

import csv
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.synthetic import SyntheticConfig, make_video, make_world, shards
from yt8m_spark.formats.examples import decode_frames, decode_video, detect_level
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.spark.synthetic import write_synthetic

CONFIG = SyntheticConfig(
    n_videos=120,
    n_entities=20,
    n_shards=6,
    rgb_dim=12,
    audio_dim=4,
    mean_frames=8,
    max_frames=20,
    label_recall=0.6,
    label_precision=0.7,
)


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    return folder, write_synthetic(spark, CONFIG, str(folder))


def digests(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def count_frames_of_file(path):
    """Count records by their lengths alone: 8 bytes of length, 4 of CRC, data, 4 of CRC."""
    data, position, n = path.read_bytes(), 0, 0
    while position < len(data):
        position += 16 + struct.unpack_from("<Q", data, position)[0]
        n += 1
    assert position == len(data)
    return n


def truth_of(folder):
    rows = []
    for shard in shards(CONFIG):
        with open(folder / "truth" / f"{shard.name}.csv", newline="") as file:
            rows += [(shard.split, row) for row in csv.DictReader(file)]
    return rows


def ids(text):
    return [int(word) for word in text.split()]


def test_the_files_are_laid_out_as_the_release(made):
    folder, _ = made
    names = ["train0000", "train0001", "train0002", "train0003", "validate0000", "test0000"]
    expected = {f"{level}/{name}.tfrecord" for level in ("frame", "video") for name in names}
    expected |= {f"truth/{name}.csv" for name in names} | {"vocabulary.csv"}
    assert set(digests(folder)) == expected


def test_shards_of_both_levels_hold_every_video_once(made):
    folder, metrics = made
    for level in ("frame", "video"):
        counts = {
            split: sum(map(count_frames_of_file, (folder / level).glob(f"{split}*.tfrecord")))
            for split in ("train", "validate", "test")
        }
        assert counts == {"train": 84, "validate": 24, "test": 12}
        assert counts == {split: metrics[f"n_videos_{split}"] for split in counts}
    assert metrics["n_videos"] == 120


def test_records_read_back_as_the_videos_that_were_made(made):
    folder, _ = made
    world = make_world(CONFIG)
    for shard in shards(CONFIG):
        frame, video = (
            [record.data for record in read_records(str(folder / level / f"{shard.name}.tfrecord"))]
            for level in ("frame", "video")
        )
        for index, of_frames, of_means in zip(
            range(shard.first, shard.last), frame, video, strict=True
        ):
            wanted = make_video(world, index)
            assert (detect_level(of_frames), detect_level(of_means)) == ("frame", "video")
            frames, means = decode_frames(of_frames), decode_video(of_means)
            assert frames.video_id == means.video_id == wanted.video_id
            assert_array_equal(frames.labels, wanted.labels)
            assert_array_equal(means.labels, wanted.labels)
            assert_array_equal(frames.features["rgb"], wanted.rgb)
            assert_array_equal(frames.features["audio"], wanted.audio)
            for name in ("rgb", "audio"):
                by_hand = (frames.features[name] * (4 / 255) + (4 / 512 - 2)).mean(axis=0)
                assert_allclose(means.features[f"mean_{name}"], by_hand, atol=1e-6)


@pytest.mark.parametrize("n_partitions", [1, 4])
def test_bytes_do_not_depend_on_the_number_of_tasks(spark, made, tmp_path, n_partitions):
    folder, metrics = made
    again = write_synthetic(spark, CONFIG, str(tmp_path), n_partitions=n_partitions)
    assert digests(tmp_path) == digests(folder)
    assert again == metrics


def test_another_seed_gives_other_bytes_in_every_shard(spark, made, tmp_path):
    folder, _ = made
    write_synthetic(spark, replace(CONFIG, seed=1), str(tmp_path))
    here, there = digests(folder), digests(tmp_path)
    assert here.keys() == there.keys()
    assert not set(here.values()) & set(there.values())


def test_truth_lies_beside_each_shard_and_gives_the_measures(made):
    folder, metrics = made
    rows = truth_of(folder)
    world = make_world(CONFIG)
    given = true = both = 0
    for index, (split, row) in enumerate(rows):
        video = make_video(world, index)
        assert (row["video_id"], split) == (video.video_id, video.split)
        assert ids(row["labels"]) == video.labels.tolist()
        assert ids(row["clean_labels"]) == video.clean_labels.tolist()
        given += len(ids(row["labels"]))
        true += len(ids(row["clean_labels"]))
        both += len(set(ids(row["labels"])) & set(ids(row["clean_labels"])))
    assert len(rows) == 120
    assert metrics["n_labels"] == given
    assert_allclose(metrics["mean_labels"], given / 120)
    assert_allclose(metrics["mean_clean_labels"], true / 120)
    assert_allclose(metrics["label_recall"], both / true)
    assert_allclose(metrics["label_precision"], both / given)


def test_vocabulary_names_every_entity_and_counts_its_training_videos(made):
    folder, _ = made
    counts = np.zeros(20, dtype=int)
    for split, row in truth_of(folder):
        if split == "train":
            counts[ids(row["labels"])] += 1
    with open(folder / "vocabulary.csv", newline="") as file:
        rows = {int(row["Index"]): row for row in csv.DictReader(file)}
    assert sorted(rows) == list(range(20))
    assert [int(rows[entity]["TrainVideoCount"]) for entity in range(20)] == counts.tolist()
    vocabulary = read_vocabulary(str(folder / "vocabulary.csv"))
    assert_array_equal(vocabulary.entities, np.arange(20))
    assert vocabulary.names[3] == "Peaks 3"


def test_labels_that_are_all_missing_leave_files_that_read(spark, tmp_path):
    config = replace(CONFIG, n_videos=9, n_shards=3, label_recall=0.0)
    metrics = write_synthetic(spark, config, str(tmp_path))
    assert metrics["n_labels"] == metrics["label_recall"] == 0
    assert metrics["label_precision"] == 1
    for record in read_records(str(tmp_path / "frame" / "train0000.tfrecord")):
        assert decode_frames(record.data).labels.size == 0
