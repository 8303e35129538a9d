"""Local and remote files, and one job that reads from S3.

S3 is a real server of its protocol on this machine; other schemes go through fsspec in memory.
The oracle of patterns is Python's glob on the same tree of local files.
"""

import logging
import os
import sys
from operator import itemgetter
from pathlib import Path

import fsspec
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from shard_files import make_frames, rows, write

from yt8m_spark.errors import InputError
from yt8m_spark.formats.shards import match_shards
from yt8m_spark.formats.tfrecord import Record, scan_records, write_records
from yt8m_spark.spark.storage import (
    ShardFile,
    absolute,
    is_folder,
    is_remote,
    match_files,
    open_file,
    read_whole,
)

TREE = [
    "train0000.tfrecord",
    "train0001.tfrecord.gz",
    "_train0002.tfrecord",
    ".hidden.tfrecord",
    "notes.txt",
    "a b[1]/train0000.tfrecord",
    "frame/train/train0000.tfrecord",
    "frame/train/train00a1.tfrecord",
    "frame/train/.tmp/train0009.tfrecord",
    "frame/test/test0000.tfrecord",
    "frame/test/_SUCCESS",
    "video/train/100%/train0000.tfrecord",
]
PATTERNS = [
    "",
    "train0000.tfrecord",
    "train*",
    "*",
    "frame",
    "frame/train",
    "frame/train/",
    "*/train",
    "*/*",
    "frame/t*/*.tfrecord",
    "frame/{train,test}/*0000*",
    "{frame/train,video}/**/*.tfrecord",
    "**/*.tfrecord",
    "**",
    "frame/**",
    "frame/train/train000[0-9].tfrecord",
    "frame/train/train00[!0]?.tfrecord",
    "frame/train/train00[^0]?.tfrecord",
    "a b[1]/train0000.tfrecord",
    "a b[1]",
    "video/*/100%/*",
    ".hidden.tfrecord",
    "_train0002.tfrecord",
    "**/test/*",
]


@pytest.fixture(scope="module")
def local_tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for name in TREE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return str(root)


@pytest.fixture(scope="module")
def s3():
    """Address of a server with the bucket ``shards``, and an own client of it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        client = pafs.S3FileSystem(
            access_key="key",
            secret_key="secret",  # noqa: S106 - of a server that asks for none
            endpoint_override=f"{host}:{port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        client.create_dir("shards")
        yield client
    server.stop()


@pytest.fixture(scope="module")
def s3_tree(s3):
    for name in TREE:
        with s3.open_output_stream(f"shards/tree/{name}", compression=None) as file:
            file.write(name.encode())
    return "s3a://shards/tree"


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture
def memory_tree(memory):
    for name in TREE:
        memory.pipe(f"/box/tree/{name}", name.encode())
    return "memory://box/tree"


def found_at(root, pattern):
    """Files below ``root``, or the start of the error."""
    try:
        files = match_files(f"{root}/{pattern}")
    except InputError as error:
        return str(error).partition(" in ")[0]
    assert all(file.size == len(file.path.removeprefix(f"{root}/")) for file in files)
    return [file.path.removeprefix(f"{root}/") for file in files]


@pytest.mark.parametrize(
    "pattern", [*PATTERNS, ".hidden*", "_*", "none", "none/*", "frame/*.gz", "train0000.tfrecord/*"]
)
@pytest.mark.parametrize("tree", ["s3_tree", "memory_tree"])
def test_patterns_mean_the_same_everywhere(request, local_tree, tree, pattern):
    root = request.getfixturevalue(tree)
    assert found_at(root, pattern) == found_at(local_tree, pattern)


def test_every_file_is_found_by_some_pattern(local_tree):
    matches = (found_at(local_tree, pattern) for pattern in PATTERNS)
    found = {name for names in matches if isinstance(names, list) for name in names}
    assert found == set(TREE) - {"frame/train/.tmp/train0009.tfrecord", "frame/test/_SUCCESS"}


def test_local_files_are_those_of_match_shards(local_tree, monkeypatch):
    monkeypatch.chdir(local_tree)
    paths = match_shards("frame/*/*")
    assert match_files("file:frame/*/*") == [ShardFile(p, os.path.getsize(p)) for p in paths]


@pytest.fixture
def shard(tmp_path):
    """A shard of 9 MB: several requests of 4 MiB."""
    records = [bytes([number]) * 1_000_000 for number in range(9)]
    write_records(str(tmp_path / "x.tfrecord"), records)
    content = (tmp_path / "x.tfrecord").read_bytes()
    expected = [Record(n, data, n * 1_000_016) for n, data in enumerate(records)]
    return content, expected


def test_shards_on_s3_are_read_record_by_record(s3, shard):
    content, expected = shard
    with s3.open_output_stream("shards/big/x.tfrecord") as file:
        file.write(content)
    for scheme in ("s3", "s3a", "s3n"):
        (found,) = match_files(f"{scheme}://shards/big/*.tfrecord")
        assert found == ShardFile(f"{scheme}://shards/big/x.tfrecord", len(content))
    s3.create_dir("top")
    s3.copy_file("shards/big/x.tfrecord", "top/y.tfrecord")
    assert match_files("s3://top") == [ShardFile("s3://top/y.tfrecord", len(content))]
    with open_file(found.path) as file:
        assert list(scan_records(file, found.path)) == expected
    with open_file(found.path) as file:
        assert list(scan_records(file, found.path, start=5_000_080, first_number=5)) == expected[5:]


def test_shards_in_memory_are_read_record_by_record(memory, shard):
    content, expected = shard
    memory.pipe("/box/x.tfrecord", content)
    assert match_files("memory://box") == [ShardFile("memory://box/x.tfrecord", len(content))]
    with open_file("memory://box/x.tfrecord") as file:
        assert list(scan_records(file, "x")) == expected


class Counted:
    """An open file that counts its reads."""

    def __init__(self, file):
        self._file = file
        self.n_reads = 0

    def read(self, size):
        self.n_reads += 1
        return self._file.read(size)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_remote_file_is_read_in_requests_of_megabytes(memory, tmp_path, monkeypatch):
    path = tmp_path / "x.tfrecord"
    write_records(str(path), [bytes(100)] * 100_000)
    memory.pipe("/box/x.tfrecord", path.read_bytes())
    opened = []
    real_open = type(memory).open

    def counting_open(self, *arguments):
        opened.append(Counted(real_open(self, *arguments)))
        return opened[0]

    monkeypatch.setattr(type(memory), "open", counting_open)
    with open_file("memory://box/x.tfrecord") as file:
        assert sum(1 for _ in scan_records(file, "x")) == 100_000
    assert opened[0].n_reads < 11_600_000 / 2**21


def test_read_whole_and_is_folder_see_all_storage(local_tree, s3_tree, memory_tree):
    for root in (local_tree, f"file://{local_tree}", s3_tree, memory_tree):
        assert read_whole(f"{root}/notes.txt") == b"notes.txt"
        assert is_folder(f"{root}/frame")
        assert is_folder(f"{root}/frame/")
        assert not is_folder(f"{root}/notes.txt")
        assert not is_folder(f"{root}/none")
        with pytest.raises(InputError, match=f"^no such file in {root}/none$"):
            read_whole(f"{root}/none")
    with pytest.raises(InputError, match="cannot be read"):
        read_whole(local_tree)


def test_remote_is_what_has_a_scheme_and_is_not_mounted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [is_remote(path) for path in ("s3://b/x", "abfss://c@a/x", "memory://x")] == [True] * 3
    for path in ("x", "/x", "file:///x", "file:x", "dbfs:/x", "FILE:/x", "C://x", "a:b"):
        assert not is_remote(path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "x").touch()
    assert not is_remote("s3://x")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/*.tfrecord", "{cwd}/data/*.tfrecord"),
        ("/data/x", "/data/x"),
        ("file:data", "{cwd}/data"),
        ("file:///data/x", "/data/x"),
        ("file:/data/x", "/data/x"),
        ("dbfs:/Volumes/main/x", "/Volumes/main/x"),
        ("dbfs:/data/x", "/dbfs/data/x"),
        ("s3a://b/x", "s3a://b/x"),
    ],
)
def test_absolute_path_does_not_depend_on_the_working_folder(tmp_path, monkeypatch, path, expected):
    monkeypatch.chdir(tmp_path)
    assert absolute(path) == expected.format(cwd=tmp_path)


def one_line(action, *arguments):
    with pytest.raises(InputError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_on_s3_is_told_in_one_line(s3_tree):
    assert one_line(match_files, "s3://none/x*").startswith("cannot be listed")
    assert "NO_SUCH_BUCKET" in one_line(match_files, "s3://none/x*")
    assert one_line(match_files, "s3://none/x") == "no such file or folder in s3://none/x"
    assert one_line(open_file, "s3://none/x") == "no such file in s3://none/x"
    assert one_line(open_file, f"{s3_tree}/none") == f"no such file in {s3_tree}/none"
    for pattern in ("*.zip", "none/*", "{a,b}"):
        message = one_line(match_files, f"{s3_tree}/{pattern}")
        assert message == f"no file matches the pattern in {s3_tree}/{pattern}"
    message = one_line(match_files, f"{s3_tree}/video")
    assert message.startswith(f"folder holds no shards in {s3_tree}/video")


def test_server_that_is_not_there_is_told_in_one_line(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    message = one_line(match_files, "s3://shards/x")
    assert message.startswith("cannot be reached")
    assert message.endswith("in s3://shards/x")


def test_bytes_that_stop_coming_are_told_in_one_line(memory, monkeypatch):
    memory.pipe("/box/x", b"content")

    def fail(*arguments):
        raise RuntimeError("connection lost\nand no more")

    with open_file("memory://box/x") as file:
        monkeypatch.setattr(type(memory.store["/box/x"]), "read", fail)
        message = one_line(file.read)
    assert message == "cannot be read (connection lost and no more) in memory://box/x"


def test_unknown_scheme_is_refused(monkeypatch):
    assert one_line(match_files, "nowhere://x/y*").startswith(
        "cannot be reached (Protocol not known"
    )
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert "needs the package fsspec in memory://x" in one_line(open_file, "memory://x")


@pytest.mark.classic("has the keys of the storage in its environment; a server has keys of its own")
def test_a_job_reads_shards_from_s3_as_a_user_runs_it(s3, run_job, tmp_path):
    expected = []
    for shard in range(2):
        path = write(tmp_path, "x.tfrecord", [make_frames(n) for n in range(shard, 6, 2)])
        expected += rows(path)
        with s3.open_output_stream(f"shards/frames/train{shard}.tfrecord") as file:
            file.write(Path(path).read_bytes())
    pattern = "s3a://shards/frames/train*.tfrecord"
    finished = run_job("convert_tfrecords", "--input", pattern, "--output", "out")
    assert finished.returncode == 0, finished.stderr
    found = pq.read_table(tmp_path / "out").drop(["shard"]).to_pylist()
    expected = [{k: v for k, v in row.items() if k != "shard"} for row in expected]
    assert sorted(found, key=itemgetter("video_id")) == sorted(expected, key=itemgetter("video_id"))
    missing = run_job("convert_tfrecords", "--input", "s3a://none/x.tfrecord", "--output", "b")
    assert missing.returncode == 2
    assert "s3a://none/x.tfrecord" in missing.stderr.splitlines()[-1]
