"""Local copies of files. That shards are read through them is tested in test_shards.py."""

import errno
import os
import shutil
import threading
import time

import pytest

from yt8m_spark.spark import shard_cache as module
from yt8m_spark.spark.shard_cache import cached_file, local_cache_for, prepare_cache

MOUNTS = r"""
server:/data /mnt/data nfs4 rw 0 0
/dev/vdb /mnt/data/scratch xfs rw 0 0
//server/share /mnt/my\040share cifs rw 0 0
goofys /mnt/bucket fuse.goofys rw 0 0
/dev/fuse /mnt/plain fuseblk rw 0 0
/dev/vdc /twice ext4 rw 0 0
server:/b /twice nfs rw 0 0
/dev/vda1 / ext4 rw 0 0
broken
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source" / "00000.features.npy"
    path.parent.mkdir()
    path.write_bytes(b"features" * 100)
    return path


@pytest.mark.parametrize(
    "folder",
    [
        "/mnt/data",
        "/mnt/data/shards",
        "/mnt/my share/x",
        "/mnt/bucket/a",
        "/twice/a",  # the later mount hides the earlier
        "/Volumes/catalog/schema/volume/shards",
        "/dbfs/shards",
    ],
)
def test_folders_on_a_network_are_cached_below_the_temporary_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    cache = local_cache_for(folder, MOUNTS)
    assert cache is not None
    assert os.path.dirname(cache) == str(tmp_path)


@pytest.mark.parametrize(
    "folder", ["/home/x", "/mnt/data/scratch/x", "/mnt/database", "/mnt", "/mnt/plain/x"]
)
def test_local_folders_are_not_cached(folder):
    assert local_cache_for(folder, MOUNTS) is None


def test_nothing_is_cached_where_the_temporary_folder_is_on_a_network_too(monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", "/mnt/bucket/tmp")
    assert local_cache_for("/mnt/data/shards", MOUNTS) is None


def test_a_machine_without_proc_has_no_network_mounts(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_mounts", lambda: "")
    assert local_cache_for(str(tmp_path)) is None


def test_a_file_is_copied_once_and_read_from_the_copy(source, tmp_path):
    folder, size = tmp_path / "cache" / "digest", source.stat().st_size
    copy = cached_file(source, folder, size)
    assert copy == folder / source.name
    assert copy.read_bytes() == source.read_bytes()
    source.unlink()
    assert cached_file(source, folder, size) == copy


def test_a_copy_of_another_size_is_made_again(source, tmp_path):
    folder = tmp_path / "cache" / "digest"
    folder.mkdir(parents=True)
    (folder / source.name).write_bytes(b"cut")
    copy = cached_file(source, folder, source.stat().st_size)
    assert copy.read_bytes() == source.read_bytes()


def test_tasks_that_copy_at_once_all_read_the_whole_file(source, tmp_path):
    source.write_bytes(os.urandom(3_000_000))
    expected, size = source.read_bytes(), source.stat().st_size
    found, start = [], threading.Barrier(8)

    def task():
        start.wait()
        found.append(cached_file(source, tmp_path / "cache" / "digest", size).read_bytes())

    tasks = [threading.Thread(target=task) for _ in range(8)]
    for one in tasks:
        one.start()
    for one in tasks:
        one.join()
    assert found == [expected] * 8
    assert os.listdir(tmp_path / "cache" / "digest") == [source.name]


def test_a_full_disk_is_told_of_once_and_the_source_is_read(source, tmp_path, monkeypatch, capsys):
    def full(_source, copy):
        copy.write_bytes(b"a part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.shutil, "copyfile", full)
    folder = tmp_path / "full" / "digest"
    for _ in range(3):
        assert cached_file(source, folder, source.stat().st_size) == source
    assert os.listdir(folder) == []
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "No space left on device" in told[0]


def test_the_last_of_the_disk_is_left(source, tmp_path, monkeypatch, capsys):
    free = 4 * 2**30 + source.stat().st_size
    folder = tmp_path / "nearly" / "digest"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    assert cached_file(source, folder, source.stat().st_size + 1) == source
    assert "nearly full" in capsys.readouterr().err
    assert cached_file(source, folder, source.stat().st_size) == folder / source.name


def test_a_cache_that_cannot_be_made_is_done_without(source, tmp_path, capsys):
    (tmp_path / "a file").write_text("")
    prepare_cache(str(tmp_path / "a file"), "digest")
    folder = tmp_path / "a file" / "digest"
    assert cached_file(source, folder, source.stat().st_size) == source
    assert "a file" in capsys.readouterr().err


def test_a_missing_source_is_left_to_its_reader(tmp_path):
    missing = tmp_path / "x.npy"
    assert cached_file(missing, tmp_path / "cache", 10) == missing


def test_sets_that_were_not_opened_for_a_week_are_removed(tmp_path):
    old, young, mine = (letter * 64 for letter in "abc")
    for name, days in ((old, 8), (young, 6), (mine, 8), ("somebody's", 800)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00000.features.npy").write_bytes(b"x")
        os.utime(tmp_path / name, (0, time.time() - days * 24 * 3600))
    prepare_cache(str(tmp_path), mine)
    assert sorted(os.listdir(tmp_path)) == [young, mine, "somebody's"]
