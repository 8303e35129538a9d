"""How many components recipes keep. The pipeline itself is run in tests/jobs."""

import pytest

from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.errors import InputError
from yt8m_spark.pipeline_whitening import reduced
from yt8m_spark.recipes import parse_recipe
from yt8m_spark.spark.whitening import TASK_MEMORY

VLAD, MEAN = parse_recipe("logistic_vlad"), parse_recipe("logistic_mean")


def test_encodings_are_reduced_to_the_size_of_other_features():
    options, memory = reduced(WhiteningOptions(), VLAD, 8192, 1024)
    assert options == WhiteningOptions(n_components=1024)
    assert memory == TASK_MEMORY


def test_wider_ones_get_the_memory_that_their_components_take():
    _, memory = reduced(WhiteningOptions(), VLAD, 16384, 1024)
    assert memory == 48 * 16384 * 1024 > TASK_MEMORY


def test_narrow_encodings_keep_all_they_have():
    assert reduced(WhiteningOptions(), VLAD, 64, 1024)[0].n_components == 64


def test_what_is_said_of_all_features_holds_for_encodings():
    for said in (
        WhiteningOptions(n_components=7),
        WhiteningOptions(explained_variance=0.9),
        WhiteningOptions(method="none"),
    ):
        assert reduced(said, VLAD, 8192, 1024) == (said, TASK_MEMORY)


def test_other_features_are_left_alone():
    for width in (2896, 8064):
        assert reduced(WhiteningOptions(), MEAN, width, 1024) == (WhiteningOptions(), TASK_MEMORY)


def test_what_is_asked_of_wide_features_gets_the_memory_it_takes():
    said = WhiteningOptions(n_components=3000)
    assert reduced(said, MEAN, 8064, 1024) == (said, 48 * 8064 * 3000)


@pytest.mark.parametrize(("width", "asked"), [(1152, 1153), (8064, 9000), (65536, 65537)])
def test_more_components_than_features_are_refused(width, asked):
    message = rf"n_components must be 1 to {width}, got {asked} in recipe logistic_mean"
    with pytest.raises(InputError, match=message):
        reduced(WhiteningOptions(n_components=asked), MEAN, width, 1024)
