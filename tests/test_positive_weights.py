"""What positives count, from the text of an option. What it does to a step: tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.positive_weights import HEAVIEST, check_positive_weights, positive_weights

ENTITIES, COUNTS = np.array([3, 5, 8]), np.array([20, 50, 0])


def test_one_for_all_is_nothing_to_do():
    assert positive_weights("1", ENTITIES, COUNTS, 100) is None
    assert positive_weights("1.0", ENTITIES, COUNTS, 100) is None


def test_a_number_is_the_same_for_all():
    assert_allclose(positive_weights("2.5", ENTITIES, COUNTS, 100), [2.5] * 3)


def test_balanced_is_negatives_for_each_positive_within_bounds():
    assert_allclose(positive_weights("balanced", ENTITIES, COUNTS, 100), [4, 1, HEAVIEST])


def test_rare_entities_count_as_if_there_were_ten_positives_more():
    assert_allclose(positive_weights("rare", ENTITIES, COUNTS, 100), [30 / 20, 60 / 50, 11])


def test_a_file_gives_entities_their_own(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("weight,entity\n2,5\n0.5,99\n")
    assert_allclose(positive_weights(str(path), ENTITIES, COUNTS, 100), [1, 2, 1])


@pytest.mark.parametrize(
    "text", ["entity,weight\n3,-1\n", "entity,weight\n3,x\n", "id\n3\n", "entity,weight\n3\n"]
)
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"w\.csv, line 2"):
        positive_weights(str(path), ENTITIES, COUNTS, 100)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read positive weights"):
        positive_weights(str(tmp_path / "w.csv"), ENTITIES, COUNTS, 100)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "heavy", "Balanced"])
def test_an_option_of_another_kind_is_refused(text):
    with pytest.raises(ValueError, match="positive_weight must be a number above 0"):
        check_positive_weights(text)


@pytest.mark.parametrize("text", ["1", "0.5", "rare", "balanced", "somewhere.csv"])
def test_the_three_kinds_are_taken(text):
    check_positive_weights(text)
