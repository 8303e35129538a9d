"""Rates from the text of an option, and what options fit together. Losses: tests/core."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.errors import InputError
from yt8m_spark.label_rates import check_label_rate, rates_of_entities
from yt8m_spark.search_config import SearchConfig
from yt8m_spark.training_config import TrainingConfig, settings_of

ENTITIES = np.array([3, 5, 8])


def config(**options):
    return TrainingConfig(output="model", **options)


def test_a_number_is_the_same_for_all():
    assert_allclose(rates_of_entities("recall", "0.4", ENTITIES), [0.4] * 3)


def test_a_file_gives_entities_their_own_and_the_papers_to_the_others(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("entity,recall,precision\n5,0.3,1\n99,0.5,0.5\n")
    assert_allclose(rates_of_entities("recall", str(path), ENTITIES), [0.145, 0.3, 0.145])
    assert_allclose(rates_of_entities("precision", str(path), ENTITIES), [0.788, 1, 0.788])


@pytest.mark.parametrize(
    "text",
    [
        "entity,recall\n3",
        "entity,recall\n3,nan",
        "entity,recall\n-3,0.5",
        "entity,recall\n3,0",
        "entity,recall\n3,1.1",
        "entity,recall\nx,0.5",
        "id\n3",
    ],
)
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"not a recall of labels in .*rates\.csv, line 2"):
        rates_of_entities("recall", str(path), ENTITIES)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read the precision of labels"):
        rates_of_entities("precision", str(tmp_path / "rates.csv"), ENTITIES)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "1.01", "much"])
def test_an_option_that_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match=r"label_recall must be a number from 0\.0001 to 1"):
        check_label_rate("label_recall", text)


@pytest.mark.parametrize("text", ["1", "0.145", "rates.csv"])
def test_rates_and_files_are_taken(text):
    check_label_rate("label_recall", text)
    assert config(label_noise="missing", label_recall=text).label_recall == text


def test_options_reach_the_mapper():
    options = config(label_noise="bootstrap_hard", label_trust=0.7).training_options()
    assert (options.label_noise, options.trust) == ("bootstrap_hard", 0.7)
    assert config(label_noise="bootstrap_hard").training_options().trust == 0.8
    assert config(label_noise="bootstrap_soft").training_options().trust == 0.95
    assert config().training_options().label_noise == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_noise": "soft"}, "label_noise must be one of none, bootstrap_soft"),
        ({"label_noise": "bootstrap_soft", "label_trust": 1.1}, "label_trust must be 0 to 1"),
        ({"label_noise": "missing", "label_trust": 0.9}, "label_trust is of bootstrap_soft and"),
        ({"label_trust": 0.9}, "label_trust is of bootstrap_soft and bootstrap_hard alone"),
        ({"label_recall": "0.5"}, "label_recall is of label_noise missing alone"),
        ({"label_precision": "x.csv"}, "label_precision is of label_noise missing alone"),
        ({"label_noise": "missing", "label_precision": "2"}, "label_precision must be a number"),
    ],
)
def test_options_that_say_nothing_or_nonsense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_a_search_of_hinges_for_missing_labels_is_refused_at_once():
    with pytest.raises(InputError, match="hinge gives no probability"):
        SearchConfig(input="a", validate="b", output="c", loss="hinge", label_noise="missing")


def test_a_training_with_other_rates_is_another_one():
    first, other = (
        settings_of(config(label_noise="missing", label_recall=r), {}) for r in ("0.2", "0.3")
    )
    changed = [name for name in first if first[name] != other[name]]
    assert changed == ["--label-recall"]
    assert {"--label-noise", "--label-trust", "--label-precision"} <= set(first)
