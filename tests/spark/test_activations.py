"""Activations as a features table. On classic and Connect alike: test_scoring_networks.py."""

import numpy as np
import pytest
from model_files import random_model, write_model
from network_files import WIDTHS, frame_codes, one_by_one, write_network
from networks_scenario import LABELS, frames_table
from numpy.testing import assert_allclose

from yt8m_spark.core.frame_sampling import FrameOptions
from yt8m_spark.errors import InputError
from yt8m_spark.spark.activations import export_activations
from yt8m_spark.spark.schemas import FEATURES


def test_features_are_activations_of_length_1_with_their_labels(spark, tmp_path):
    folder, network = write_network(tmp_path / "model", "lstm")
    table = export_activations(frames_table(spark), folder)
    assert table.schema == FEATURES
    rows = {row.video_id: row for row in table.collect()}
    expected = one_by_one(network, frame_codes(), "activations")
    assert rows.keys() == expected.keys()
    for video_id, row in rows.items():
        length = np.linalg.norm(expected[video_id])
        assert row.labels == LABELS.get(video_id, [20])
        if length:
            assert_allclose(row.features, expected[video_id] / length, rtol=1e-3, atol=1e-6)
        else:
            assert row.features == [0.0] * 12  # two layers of six cells


def test_a_model_of_single_entities_has_none(spark, tmp_path):
    frames = FrameOptions(WIDTHS).describe()
    model = write_model(tmp_path / "model", *random_model(1, 2, 5), [0, 1], frames=frames)
    with pytest.raises(InputError, match=r"model has no activations in .*train_deep"):
        export_activations(frames_table(spark), model)
