"""Groups, draws and intervals. That replicates equal evaluations: test_evaluation_local."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.bootstrap import centred, interval, replicate_weights, video_hashes


def test_hashes_are_the_same_in_every_process_and_differ_by_seed():
    code = "from yt8m_spark.core.bootstrap import video_hashes as h; print(*h(['a', 'é'], 7))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert found == [str(value) for value in video_hashes(["a", "é"], 7)]
    assert (video_hashes(["a", "é"], 8) != video_hashes(["a", "é"], 7)).all()


def test_groups_are_of_about_one_size():
    ids = [f"v{i}" for i in range(20_000)]
    counts = np.bincount((video_hashes(ids, 0) % np.uint64(100)).astype(int))
    # Poisson of mean 200: the chi-squared statistic of 99 degrees has deviation 14.
    assert abs(((counts - 200) ** 2 / 200).sum() - 99) < 4 * 14


def test_a_replicate_draws_as_many_groups_as_there_are():
    weights = replicate_weights(5000, 100, seed=4)
    assert_array_equal(weights[:, 0], 1)
    assert_array_equal(weights.sum(axis=0), 100)
    # Multinomial: mean 1, variance 1 - 1/100.
    assert_allclose(weights[:, 1:].var(axis=1).mean(), 0.99, rtol=0.01)
    assert_array_equal(weights[:, :11], replicate_weights(10, 100, seed=4))


def test_replicates_keep_their_spread_and_get_the_figure_as_mean():
    moved = centred(np.array([0.5, 0.7, np.nan]), 0.2)
    assert_allclose(moved, [0.1, 0.3, np.nan])
    assert interval(moved, level=0.5) == pytest.approx((0.15, 0.25))
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_an_interval_of_normal_replicates_is_two_deviations_wide():
    low, high = interval(np.random.default_rng(0).normal(3, 0.5, 100_000))
    assert (low, high) == pytest.approx((3 - 1.96 * 0.5, 3 + 1.96 * 0.5), abs=0.02)
