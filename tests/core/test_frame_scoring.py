"""Eq. 1 against a loop over frames. Which frames a table has: tests/spark/test_scoring.py."""

import numpy as np
import pytest
from model_files import probabilities, random_model
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core import frame_scoring
from yt8m_spark.core.frame_sampling import FrameLists
from yt8m_spark.core.frame_scoring import score_frames
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import Scorer

LENGTHS = [0, 1, 3, 0, 40, 2, 0]
N_ENTITIES = 6


def make_problem(loss="logistic", lengths=LENGTHS, audio_lengths=None):
    rng = np.random.default_rng(0)
    both = [lengths, audio_lengths or lengths]
    codes = [
        rng.integers(0, 256, size=(sum(n), d), dtype=np.uint8)
        for n, d in zip(both, (4, 2), strict=True)
    ]
    family = loss_family(loss, 2)
    scorer = Scorer(family, np.arange(N_ENTITIES), *random_model(family.n_rows, N_ENTITIES, 6))
    return scorer, FrameLists(codes, [np.cumsum([0, *n]) for n in both])


def by_frame(scorer, lists, video, loss, *, normalize):
    """The mean of Eq. 1, one frame at a time; 0 without frames."""
    parts = [
        codes[offsets[video] : offsets[video + 1]]
        for codes, offsets in zip(lists.codes, lists.offsets, strict=True)
    ]
    total, n_frames = np.zeros(N_ENTITIES), min(map(len, parts))
    for frame in range(n_frames):
        x = np.concatenate([part[frame].astype(float) * 4 / 255 + (4 / 512 - 2) for part in parts])
        x = x / np.linalg.norm(x) if normalize else x
        total += probabilities(x[None], scorer.weights, scorer.bias, loss)[0]
    return total / max(n_frames, 1)


@pytest.mark.parametrize("at_once", [512, 7, 1])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("loss", ["logistic", "moe"])
def test_a_score_is_the_mean_over_all_frames(monkeypatch, loss, normalize, at_once):
    monkeypatch.setattr(frame_scoring, "_FRAMES_AT_ONCE", at_once)
    scorer, lists = make_problem(loss)
    scores = score_frames(scorer, lists, normalize=normalize)
    for video in range(len(LENGTHS)):
        expected = by_frame(scorer, lists, video, loss, normalize=normalize)
        assert_allclose(scores[video], expected, rtol=1e-5, atol=1e-7)


def test_lists_of_different_lengths_are_scored_where_both_are():
    scorer, lists = make_problem(lengths=[4, 0, 2, 5], audio_lengths=[3, 1, 2, 7])
    scores = score_frames(scorer, lists, normalize=True)
    for video in range(4):
        expected = by_frame(scorer, lists, video, "logistic", normalize=True)
        assert_allclose(scores[video], expected, rtol=1e-5)


def test_no_videos_and_no_frames_score_nothing():
    scorer, lists = make_problem(lengths=[])
    assert score_frames(scorer, lists, normalize=True).shape == (0, N_ENTITIES)
    scorer, lists = make_problem(lengths=[0, 0])
    assert_array_equal(score_frames(scorer, lists, normalize=True), np.zeros((2, N_ENTITIES)))


def test_no_more_frames_are_decoded_at_once_than_stated(monkeypatch):
    scorer, lists = make_problem(lengths=[5000])
    seen = []

    class Watched(FrameLists):
        def vectors(self, videos, frames, *, normalize):
            seen.append(len(frames))
            return super().vectors(videos, frames, normalize=normalize)

    score_frames(scorer, Watched(*lists), normalize=True)
    assert sum(seen) == 5000
    assert max(seen) == 512
