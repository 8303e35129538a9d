"""How each kind of entity shows, one at a time. Not tested here: what classifiers make of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from yt8m_spark.core.synthetic import Kind, SyntheticConfig, make_video, make_world

STEP = 4 / 255  # of the 8-bit code
SMALL = SyntheticConfig(n_videos=100, n_entities=24, rgb_dim=24, audio_dim=8, mean_frames=40)


def frames_of(video):
    """(F, D) float64, by the formula of the release."""
    return np.hstack([video.rgb, video.audio]) * (4 / 255) + (4 / 512 - 2)


def world_of(kind, sign, **changes):
    """A world in which every entity is of ``kind``, and each video has one."""
    config = replace(SMALL, labels_per_video=1.0, **changes)
    kinds, signs = (kind,) * config.n_entities, (sign,) * config.n_entities
    return replace(make_world(config), kinds=kinds, signs=signs)


def pair_of_videos(kind, index=3):
    """Return one video as the two entities of a pair would show in it, and its features."""
    up, down = (make_video(world_of(kind, sign), index) for sign in (1, -1))
    dims = world_of(kind, 1).dims[up.clean_labels[0]]
    return frames_of(up), frames_of(down), dims


# What each kind can and cannot be seen in. The last bit of a code may differ: atol is its step.


def test_a_pair_of_order_has_the_same_frames_the_other_way_round():
    up, down, dims = pair_of_videos(Kind.ORDER)
    common = (up + down) / 2
    assert_allclose((up - common)[::-1], down - common, atol=STEP)
    assert ((up - down)[-1, dims] > 0.5).all()
    assert ((up - down)[0, dims] < -0.5).all()


def test_a_pair_of_peaks_has_one_mean_and_one_shows_in_the_top_five():
    up, down, dims = pair_of_videos(Kind.PEAKS)
    assert_allclose(up.mean(axis=0), down.mean(axis=0), atol=STEP)
    top_up, top_down = (np.sort(frames[:, dims], axis=0)[-5:].mean() for frames in (up, down))
    assert top_up > top_down + 0.3


def test_only_the_features_of_the_entity_move_for_kinds_of_few_features():
    for kind in (Kind.PEAKS, Kind.ORDER):
        up, down, dims = pair_of_videos(kind)
        others = np.setdiff1d(np.arange(32), dims)
        assert_array_equal(up[:, others], down[:, others])


def test_spread_leaves_the_mean_alone():
    spread = world_of(Kind.SPREAD, 1)
    nothing = replace(
        world_of(Kind.MEAN, 1), directions=np.zeros((24, 32), np.float32), dims=spread.dims
    )
    shown, hidden = (frames_of(make_video(world, 5)) for world in (spread, nothing))
    dims = spread.dims[make_video(spread, 5).clean_labels[0]]
    assert_allclose(shown.mean(axis=0), hidden.mean(axis=0), atol=STEP)
    assert (shown.std(axis=0)[dims] > hidden.std(axis=0)[dims]).all()


def separation(kind, statistic, n_videos=300):
    """Area under the ROC of ``statistic`` (frames, dims, direction) for `+` against `-` or none.

    For the pairs the other side is the partner; else it is a video without the entity.
    """
    if kind in (Kind.PEAKS, Kind.ORDER):
        worlds = [world_of(kind, sign, n_videos=2 * n_videos) for sign in (1, -1)]
    else:
        shown = world_of(kind, 1, n_videos=2 * n_videos)
        worlds = [shown, replace(shown, kinds=(Kind.ORDER,) * 24)]
        worlds[1] = replace(worlds[1], signs=(0,) * 24)  # an order of size 0: nothing
    scores, truth = [], []
    for side, world in enumerate(worlds):
        for index in range(side * n_videos, (side + 1) * n_videos):
            video = make_video(world, index)
            entity = video.clean_labels[0]
            direction = world.directions[entity]
            scores.append(statistic(frames_of(video), world.dims[entity], direction))
            truth.append(side == 0)
    return roc_auc_score(truth, scores)


def along(frames, dims, direction):
    return float(frames.mean(axis=0) @ direction)


def spread_of(frames, dims, direction):
    return float(frames[:, dims].std(axis=0).mean())


def mean_of(frames, dims, direction):
    return float(frames[:, dims].mean())


def top_five(frames, dims, direction):
    return float(np.sort(frames[:, dims], axis=0)[-5:].mean())


def rise(frames, dims, direction):
    half = len(frames) // 2
    return float(frames[-half:, dims].mean() - frames[:half, dims].mean())


CHANCE = pytest.approx(0.5, abs=0.1)  # four standard deviations at 300 against 300


def test_an_entity_of_mean_is_linear_in_the_mean():
    assert separation(Kind.MEAN, along) > 0.9


def test_an_entity_of_modes_is_seen_on_both_sides_of_the_mean_only():
    assert separation(Kind.MODES, along) == CHANCE
    assert separation(Kind.MODES, lambda *args: abs(along(*args))) > 0.85


def test_an_entity_of_spread_is_seen_in_the_standard_deviation_only():
    assert separation(Kind.SPREAD, mean_of) == CHANCE
    assert separation(Kind.SPREAD, spread_of) > 0.85


def test_a_pair_of_peaks_is_told_apart_by_top_five_only():
    assert separation(Kind.PEAKS, mean_of) == CHANCE
    assert separation(Kind.PEAKS, spread_of) == CHANCE
    assert separation(Kind.PEAKS, top_five) > 0.85


def test_a_pair_of_order_is_told_apart_by_order_only():
    for statistic in (mean_of, spread_of, top_five):
        assert separation(Kind.ORDER, statistic) == CHANCE
    assert separation(Kind.ORDER, rise) > 0.95
