"""How far encodings are reduced. The pipeline itself is run in tests/jobs/test_encoding_jobs.py."""

from yt8m_spark.core.whitening_options import WhiteningOptions
from yt8m_spark.pipeline_encodings import reduced
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
    assert reduced(WhiteningOptions(), MEAN, 0, 1024) == (WhiteningOptions(), TASK_MEMORY)
