"""Bands and groups of entities. Where frequencies come from is tested elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.core.bands import BANDS, frequency_bands, group_by_name, group_figures


def bands_of(*frequencies):
    return [BANDS[b] for b in frequency_bands(np.array(frequencies, dtype=np.int64))]


def test_the_head_holds_half_of_all_labels_and_the_torso_up_to_nine_tenths():
    # 100 labels: 30 + 20 end at a half; 15, 15 and 10 reach 90; the last two hold the rest.
    assert bands_of(6, 30, 15, 4, 20, 15, 10) == [
        "tail", "head", "torso", "tail", "head", "torso", "torso",
    ]  # fmt: skip


def test_the_entity_that_crosses_a_border_is_above_it():
    # 49 of 100 are less than half, so the next one is of the head, though it ends at 89.
    assert bands_of(49, 40, 8, 3) == ["head", "head", "torso", "tail"]


def test_equal_frequencies_share_a_band_whatever_their_order():
    assert bands_of(*[1] * 10) == ["head"] * 10
    assert bands_of(2, 1, 1, 1, 1) == ["head", "head", "head", "head", "head"]
    assert bands_of(4, 1, 1, 1, 1) == ["head", "torso", "torso", "torso", "torso"]


def test_entities_without_labels_are_of_the_tail():
    assert bands_of(3, 0, 0) == ["head", "tail", "tail"]
    assert bands_of(0, 0) == ["tail", "tail"]
    assert bands_of() == []
    with pytest.raises(ValueError, match="negative, got -1"):
        bands_of(3, -1)


def test_an_entity_counts_in_each_of_its_groups_once():
    groups = group_by_name([("Games", "Arts"), (), ("Games", "Games"), ("Arts",)])
    assert list(groups) == ["Arts", "Games"]
    assert_array_equal(groups["Arts"], [0, 3])
    assert_array_equal(groups["Games"], [0, 2])
    nan = np.nan
    figures = {"map": np.array([0.5, 0.1, 0.25, 1.0]), "loss": np.array([nan, 1, nan, 3])}
    arts, games = group_figures(groups, np.array([10, 20, 30, 40]), figures)
    assert (arts.n_entities, arts.n_positives) == (2, 10 + 40)
    assert arts.means == {"map": (0.5 + 1.0) / 2, "loss": 3.0}
    assert games.means["map"] == (0.5 + 0.25) / 2
    assert np.isnan(games.means["loss"])
