"""The target of a transfer from tables. Lists and whole jobs: tests/jobs/test_transfer.py."""

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.schemas import frames_schema
from yt8m_spark.transfer_target import LabelFiles, check_apart, lay_out_target


@pytest.fixture
def lay_out(spark, tmp_path):
    """Lay Parquet labels over the frames of videos; classes are 0 and 1."""
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    labels, frames = (str(tmp_path / f"{name}.parquet") for name in ("labels", "frames"))
    files = LabelFiles((labels,), "table", str(tmp_path / "classes.txt"), "refuse", "train", None)

    def lay(rows, video_ids):
        schema = "video_id string, labels array<int>, split string"
        spark.createDataFrame(rows, schema).write.parquet(labels)
        codes = np.zeros((2, 3), np.uint8).tobytes()
        videos = [(video_id, [], codes, 2, "shard") for video_id in video_ids]
        spark.createDataFrame(videos, frames_schema({"rgb": 3})).write.parquet(frames)
        return lay_out_target(spark, frames, files, str(tmp_path / "work"))

    return lay


def test_labels_and_frames_that_have_no_other_half_are_counted(lay_out):
    rows = [("a", [0], "train"), ("b", [1], "test"), ("d", [1], "train"), ("e", [0], "validate")]
    counts = lay_out(rows, "abc").counts
    assert (counts["n_train_videos"], counts["n_test_videos"]) == (1, 1)
    assert (counts["n_labels_without_frames"], counts["n_videos_unused"]) == (1, 1)


@pytest.mark.parametrize(
    ("label", "video_ids", "told"),
    [
        (2, "ab", r"unknown label of video b in .*labels\.parquet, expected one of 2 classes"),
        (1, "aba", r"video a comes 2 times in .*frames\.parquet"),
    ],
)
def test_an_unknown_label_and_frames_that_come_twice_are_refused(
    lay_out, tmp_path, label, video_ids, told
):
    with pytest.raises(InputError, match=told):
        lay_out([("a", [0], "train"), ("b", [label], "test")], video_ids)
    assert not list(tmp_path.glob("work/*"))


def test_a_video_to_learn_from_and_to_test_on_is_refused(spark, tmp_path):
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("one", "two", "three")}
    for ids, path in zip((["a", "b"], ["c"], ["c", "b"]), paths.values(), strict=True):
        spark.createDataFrame([(i,) for i in ids], "video_id string").write.parquet(path)
    check_apart(spark, paths["one"], paths["two"])
    with pytest.raises(InputError, match="video b is one to learn from and to test on"):
        check_apart(spark, paths["one"], paths["three"])
