"""Not tested here: the files (tests/spark), how each kind shows (test_synthetic_kinds.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare

from yt8m_spark.core.synthetic import (
    SPLITS,
    Kind,
    SyntheticConfig,
    entity_names,
    make_video,
    make_world,
    mean_features,
    shards,
)

SMALL = SyntheticConfig(n_videos=100, n_entities=24, rgb_dim=24, audio_dim=8, mean_frames=40)
# Labels alone: as little to draw in the frames as there can be.
LABELS = replace(SMALL, rgb_dim=1, audio_dim=1, mean_frames=5, max_frames=5, n_videos=3000)


def videos_of(config):
    world = make_world(config)
    return world, [make_video(world, index) for index in range(config.n_videos)]


def frames_of(video):
    """(F, D) float64, by the formula of the release."""
    return np.hstack([video.rgb, video.audio]) * (4 / 255) + (4 / 512 - 2)


# Determinism


def test_a_video_is_the_same_whoever_makes_it_and_in_whatever_order():
    _, forwards = videos_of(replace(SMALL, n_videos=10))
    world = make_world(replace(SMALL, n_videos=10))
    for index in reversed(range(10)):
        again = make_video(world, index)
        assert again.video_id == forwards[index].video_id
        for name in ("rgb", "audio", "labels", "clean_labels"):
            assert_array_equal(getattr(again, name), getattr(forwards[index], name))


def test_another_seed_makes_another_video():
    a, b = (make_video(make_world(replace(SMALL, seed=seed)), 0) for seed in (0, 1))
    assert a.video_id != b.video_id
    assert a.rgb.tobytes() != b.rgb.tobytes()


def test_spoiling_labels_leaves_frames_and_clean_labels_alone():
    _, clean = videos_of(replace(SMALL, n_videos=20))
    _, spoilt = videos_of(replace(SMALL, n_videos=20, label_recall=0.3, label_precision=0.5))
    assert [v.rgb.tobytes() for v in clean] == [v.rgb.tobytes() for v in spoilt]
    assert [v.clean_labels.tolist() for v in clean] == [v.clean_labels.tolist() for v in spoilt]
    assert [v.labels.tolist() for v in clean] != [v.labels.tolist() for v in spoilt]


# Splits, shards and ids


def test_shards_of_a_hundred_videos_by_hand():
    sizes = {split: [] for split in SPLITS}
    for shard in shards(SMALL):
        sizes[shard.split].append(shard.last - shard.first)
    assert sizes == {"train": [10] * 7, "validate": [10] * 2, "test": [10]}
    names = [shard.name for shard in shards(SMALL)]
    assert names[0] == "train0000"
    assert names[-2:] == ["validate0001", "test0000"]


@pytest.mark.parametrize("n_shards", [3, 4, 7, 10, 11, 26])
def test_every_video_is_in_one_shard_and_no_shard_is_empty(n_shards):
    for n_videos in range(n_shards, n_shards + 40):
        config = replace(SMALL, n_videos=n_videos, n_shards=n_shards)
        found = shards(config)
        ranges = [range(shard.first, shard.last) for shard in found]
        assert all(ranges)
        assert [index for part in ranges for index in part] == list(range(n_videos))
        assert len(found) == n_shards
        assert {shard.split for shard in found} == set(SPLITS)


def test_a_video_knows_the_split_of_its_shard():
    world, videos = videos_of(replace(LABELS, n_videos=37, n_shards=5))
    for shard in shards(world.config):
        assert {v.split for v in videos[shard.first : shard.last]} == {shard.split}


def test_video_ids_are_unique_and_six_letters_or_digits():
    _, videos = videos_of(LABELS)
    ids = {video.video_id for video in videos}
    assert len(ids) == LABELS.n_videos
    assert all(len(i) == 6 and i.isascii() and i.isalnum() for i in ids)


def test_an_index_outside_the_data_set_is_refused():
    with pytest.raises(ValueError, match=r"index must be in \[0, 100\), got 100"):
        make_video(make_world(SMALL), 100)


# Labels


@pytest.mark.parametrize("exponent", [0.7, 1.0])
def test_frequencies_follow_the_zipf_law(exponent):
    world, videos = videos_of(replace(LABELS, labels_per_video=1.0, zipf_exponent=exponent))
    counts = np.bincount([int(v.labels[0]) for v in videos], minlength=24)
    expected = np.arange(1, 25) ** -exponent
    expected *= counts.sum() / expected.sum()
    assert chisquare(counts, expected).pvalue > 1e-3
    assert chisquare(counts, np.full(24, counts.mean())).pvalue < 1e-9
    assert_allclose(world.frequencies.sum(), 1)


def test_mean_number_of_labels_is_as_configured_and_none_is_without():
    _, videos = videos_of(replace(LABELS, n_entities=200))
    n = np.array([len(video.labels) for video in videos])
    # 1 + Poisson(2) has variance 2.
    assert abs(n.mean() - 3.0) < 4 * np.sqrt(2 / len(n))
    assert n.min() == 1


def test_labels_are_ascending_entities_of_the_world():
    _, videos = videos_of(replace(LABELS, label_recall=0.8, label_precision=0.5))
    for video in videos:
        for labels in (video.labels, video.clean_labels):
            assert labels.dtype == np.int64
            assert (np.diff(labels) > 0).all()
            assert set(labels.tolist()) <= set(range(24))


def test_entities_of_one_topic_are_found_together():
    world, videos = videos_of(replace(LABELS, n_entities=100))
    topics = [world.topics[video.labels] for video in videos if len(video.labels) == 2]
    first, second = np.array(topics).T
    together = (first == second).mean()
    shuffled = (first == np.random.default_rng(0).permutation(second)).mean()
    assert together > shuffled + 0.2


def test_the_two_of_a_pair_are_never_in_one_video():
    world, videos = videos_of(replace(LABELS, labels_per_video=6.0))
    paired = np.flatnonzero(world.partners >= 0)
    assert_array_equal(world.partners[world.partners[paired]], paired)
    assert {world.kinds[entity] for entity in paired} == {Kind.PEAKS, Kind.ORDER}
    assert_array_equal(world.dims[world.partners[paired]], world.dims[paired])
    for video in videos:
        assert not set(world.partners[video.clean_labels].tolist()) & set(video.clean_labels)


@pytest.mark.parametrize(("recall", "precision"), [(0.145, 0.788), (0.6, 0.5), (1.0, 0.9)])
def test_recall_and_precision_come_out_as_configured(recall, precision):
    config = replace(LABELS, n_entities=200, label_recall=recall, label_precision=precision)
    _, videos = videos_of(config)
    true = sum(len(v.clean_labels) for v in videos)
    given = sum(len(v.labels) for v in videos)
    both = sum(len(np.intersect1d(v.labels, v.clean_labels)) for v in videos)
    # Four standard deviations of a binomial share; wrong labels are Poisson, a little wider.
    assert abs(both / true - recall) <= 4 * np.sqrt(recall * (1 - recall) / true)
    assert abs(both / given - precision) <= 6 * np.sqrt(precision * (1 - precision) / given)


def test_perfect_labels_are_the_clean_ones():
    _, videos = videos_of(LABELS)
    assert all(np.array_equal(v.labels, v.clean_labels) for v in videos)


def test_names_tell_the_kind_and_are_unique():
    names = entity_names(make_world(SMALL))
    assert sorted(names) == list(range(24))
    assert len(set(names.values())) == 24
    assert names[3] == "Peaks 3"


# Frames


def test_lengths_vary_about_the_mean_within_their_limits():
    config = replace(LABELS, n_videos=2000, mean_frames=40.0, max_frames=300)
    _, videos = videos_of(config)
    lengths = np.array([len(video.rgb) for video in videos])
    assert abs(lengths.mean() - 40) < 4 * lengths.std() / np.sqrt(len(lengths))
    assert lengths.std() > 10
    cut = np.array([len(v.rgb) for v in videos_of(replace(config, max_frames=41))[1]])
    assert_array_equal(cut, lengths.clip(5, 41))


def test_frames_are_bytes_of_the_configured_widths_and_rarely_at_the_ends():
    _, videos = videos_of(SMALL)
    for video in videos:
        assert video.rgb.dtype == video.audio.dtype == np.uint8
        assert video.rgb.shape == (len(video.audio), 24)
        assert video.audio.shape[1] == 8
    codes = np.concatenate([video.rgb.ravel() for video in videos])
    assert np.isin(codes, (0, 255)).mean() < 0.01


def test_mean_features_are_means_of_dequantized_frames():
    video = make_video(make_world(SMALL), 0)
    means = mean_features(video)
    assert list(means) == ["mean_rgb", "mean_audio"]
    assert all(values.dtype == np.float32 for values in means.values())
    assert_allclose(np.hstack(list(means.values())), frames_of(video).mean(axis=0), atol=1e-6)


# Configuration


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_shards", 2, "n_shards must be a whole number of at least 3, got 2"),
        ("n_videos", 9, r"n_videos must be a whole number of at least 10 \(n_shards\), got 9"),
        ("n_videos", 20.5, "n_videos must be a whole number of at least 10"),
        ("n_entities", 1, "n_entities must be a whole number of at least 2, got 1"),
        ("seed", -1, "seed must be a whole number of at least 0, got -1"),
        ("rgb_dim", 0, "rgb_dim must be a whole number of at least 1, got 0"),
        ("audio_dim", True, "audio_dim must be a whole number of at least 1, got True"),
        ("max_frames", 4, "max_frames must be a whole number of at least 5, got 4"),
        ("mean_frames", 301.0, r"mean_frames must be in \[5, 300\], got 301.0"),
        ("labels_per_video", 0.5, r"labels_per_video must be in \[1, 24\], got 0.5"),
        ("zipf_exponent", -0.1, r"zipf_exponent must be in \[0, 10\], got -0.1"),
        ("label_recall", 1.1, r"label_recall must be in \[0, 1\], got 1.1"),
        ("label_precision", 0.0, r"label_precision must be in \[0.01, 1\], got 0.0"),
        ("label_recall", float("nan"), r"label_recall must be in \[0, 1\], got nan"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name_and_range(field, value, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **{field: value})


@pytest.mark.parametrize("n_entities", [2, 4, 5, 10])
def test_few_entities_and_one_feature_make_a_data_set_too(n_entities):
    config = replace(LABELS, n_entities=n_entities, labels_per_video=2.0, n_videos=30)
    _, videos = videos_of(config)
    assert all(1 <= len(video.labels) <= n_entities for video in videos)
