"""The ranges of Fig. 4b by hand. Which entity is in which: tests/spark/test_vocabulary_stages."""

from fractions import Fraction

import pytest

from yt8m_spark.core.visualness import specificity_bounds


def test_the_papers_limit_is_cut_at_one_and_a_half_two_and_two_and_a_half():
    assert specificity_bounds(2.5) == (1.5, 2.0, 2.5)
    assert specificity_bounds(4.0) == (2.0, 3.0, 4.0)


@pytest.mark.parametrize("limit", ["1.3", "2.2", "2.4", "3.7", "4.6", "5"])
def test_a_mean_that_is_exactly_a_bound_compares_as_equal(limit):
    bounds = specificity_bounds(float(limit))
    for i, bound in enumerate(bounds, start=1):
        exact = 1 + (Fraction(limit) - 1) * i / 3
        # The mean of so many whole numbers, as a division of floating point numbers gives it.
        assert exact.numerator / exact.denominator == bound
    assert bounds[-1] == float(limit)


@pytest.mark.parametrize("limit", [1.0, 0.5, 5.1, float("nan")])
def test_limits_that_leave_no_range_are_refused(limit):
    with pytest.raises(ValueError, match="above 1, up to 5"):
        specificity_bounds(limit)
