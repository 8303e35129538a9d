"""Feature lists of splits. Planning and writing videos tables: tests/jobs."""

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.video_tables import PlannedVideos, check_same_lists


def test_a_split_with_other_feature_lists_is_named():
    lists = {"train": ["rgb", "audio"], "test": ["rgb"]}
    planned = {split: PlannedVideos(names, print) for split, names in lists.items()}
    told = r"feature lists differ .* in t\.parquet, expected rgb, audio, found rgb$"
    with pytest.raises(InputError, match=told):
        check_same_lists(planned, {"train": "x.parquet", "test": "t.parquet"})
    check_same_lists(planned | {"test": planned["train"]}, {})
