"""Settings that a transfer is resumed by. Its options as such: tests/jobs/test_transfer.py."""

import os

import fsspec
import pytest

from yt8m_spark.config import load_config
from yt8m_spark.transfer_config import Config


def settings(*flags):
    return load_config(Config, ["--output=o", *flags], job="transfer").settings()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_remote_shards_that_are_rewritten_are_others(memory):
    flags = [f"--{split}=memory://box/{split}*.tfrecord" for split in ("train", "test")]
    memory.pipe({"/box/train0.tfrecord": b"one", "/box/test0.tfrecord": b"two"})
    before = settings(*flags)
    assert settings(*flags) == before
    memory.pipe("/box/train0.tfrecord", b"longer")
    assert changed(before, settings(*flags)) == {"the data of --train"}


def test_classes_that_are_rewritten_are_others_wherever_they_are(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\n")
    flags = ["--frames=memory://box/x.parquet", f"--labels={path}", "--vocabulary"]
    before = settings(*flags, str(path))
    assert settings(*flags, os.path.relpath(path)) == before
    (tmp_path / "other.txt").write_text("cat\n")
    after = settings(*flags, str(tmp_path / "other.txt"))
    assert changed(before, after) == {"the data of --vocabulary"}
