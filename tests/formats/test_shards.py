"""Patterns on a folder of empty files. What is in shards is tested elsewhere."""

import os

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.shards import match_shards, shard_name

FILES = (
    "train0000.tfrecord",
    "train0001.tfrecord",
    "train0010.tfrecord.gz",
    "test0000.tfrecord",
    ".train0002.tfrecord.1234.tmp",
    "_train0003.tfrecord",
    "vocabulary.csv",
    "sub/train0100.tfrecord",
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train*.tfrecord", ["train0000.tfrecord", "train0001.tfrecord"]),
        ("train*", ["train0000.tfrecord", "train0001.tfrecord", "train0010.tfrecord.gz"]),
        ("*0000.tfrecord", ["test0000.tfrecord", "train0000.tfrecord"]),
        ("train000?.tfrecord", ["train0000.tfrecord", "train0001.tfrecord"]),
        ("train000[1-9].tfrecord", ["train0001.tfrecord"]),
        ("train000[!1].tfrecord", ["train0000.tfrecord"]),
        ("train000[^1].tfrecord", ["train0000.tfrecord"]),
        ("{train,test}0000.tfrecord", ["test0000.tfrecord", "train0000.tfrecord"]),
        ("t{rain{0000,0001},est*}.tfrecord", ["test0000.tfrecord", *FILES[:2]]),
        ("{train0000,train*}.tfrecord", ["train0000.tfrecord", "train0001.tfrecord"]),
        ("**/train01*.tfrecord", ["sub/train0100.tfrecord"]),
        ("su*", ["sub/train0100.tfrecord"]),
        ("", ["test0000.tfrecord", *FILES[:3]]),
        ("train0001.tfrecord", ["train0001.tfrecord"]),
        ("_train0003.tfrecord", ["_train0003.tfrecord"]),
    ],
)
def test_pattern_matches_its_files_in_order(folder, pattern, expected):
    assert match_shards(os.path.join(folder, pattern)) == [str(folder / name) for name in expected]


def test_relative_pattern_gives_absolute_paths(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert match_shards("test*") == [str(folder / "test0000.tfrecord")]


@pytest.mark.parametrize("prefix", ["file:", "file://"])
def test_file_scheme_is_dropped(folder, prefix):
    assert match_shards(f"{prefix}{folder}/test*") == [str(folder / "test0000.tfrecord")]


def test_file_whose_name_looks_like_a_pattern_is_itself(folder):
    (folder / "train[0].tfrecord").touch()
    name = str(folder / "train[0].tfrecord")
    assert match_shards(name) == [name]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("none*.tfrecord", "no file matches the pattern in .*none"),
        ("none.tfrecord", "no such file or folder in .*none.tfrecord"),
        ("{a,b}.tfrecord", "no file matches"),
        ("empty", "folder holds no shards in .*empty"),
    ],
)
def test_pattern_without_a_match_is_refused(folder, pattern, message):
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        match_shards(os.path.join(folder, pattern))


def test_path_of_a_file_system_that_is_not_mounted_is_refused():
    with pytest.raises(InputError, match="mounted file system in s3://bucket/x"):
        match_shards("s3://bucket/x*.tfrecord")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/train?00.tfrecord", "train?00.tfrecord"),
        ("s3://bucket/a/train00.tfrecord", "train00.tfrecord"),
        ("https://host/a/train00.tfrecord?sig=x/y", "train00.tfrecord"),
    ],
)
def test_the_name_of_a_shard_holds_no_signature(path, name):
    assert shard_name(path) == name
