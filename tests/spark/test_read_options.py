"""Options of the reader. What they do is tested with the source."""

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.record_types import Keys
from yt8m_spark.spark.read_options import parse_features, read_options


def test_names_are_read_in_any_case_as_spark_has_them():
    options = read_options({"PATH": "x", "idkey": "key", "LabelsKey": "tags", "MODE": "Permissive"})
    assert options.keys == Keys(("key",), "tags")
    assert (options.path, options.mode) == ("x", "permissive")


def test_features_have_names_and_perhaps_widths():
    assert parse_features("rgb:1024, audio:128") == {"rgb": 1024, "audio": 128}
    assert parse_features("inc3") == {"inc3": 0}


@pytest.mark.parametrize("text", ["", "rgb,", "rgb:0", "rgb:-1", "rgb:x", "rgb,rgb", "rgb:1:2"])
def test_what_is_no_list_of_features_is_refused(text):
    with pytest.raises(InputError, match="option 'features' is no list of features"):
        parse_features(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "lenient"}, "unknown mode, expected failfast or dropmalformed or permissive"),
        ({"level": "clip"}, "unknown level, expected auto or frame or video, found clip"),
        ({"partitionBytes": "0"}, "'partitionBytes' is no size, expected bytes, at least 1"),
        ({"partitionBytes": "1 MB"}, "'partitionBytes' is no size"),
        ({"statistics": "mean,median"}, "statistics must be of mean, std, top5"),
        ({"pca": "folder"}, "option 'pca' goes with 'statistics'"),
        ({"feature": "rgb"}, "unknown option 'feature' of format yt8m"),
    ],
)
def test_options_that_mean_nothing_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        read_options({"path": "x", **given})
