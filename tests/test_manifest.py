"""The manifest of a table on storage. What fills it is tested with the conversion."""

import hashlib
import io
import json

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.manifest import ShardEntry, check_manifest, digest_of, load_manifest, save_manifest


def entry(name, part_bytes=3):
    return ShardEntry(f"/data/{name}.tfrecord", 10, "00", 4, 1, f"{name}.parquet", part_bytes, "11")


def test_what_is_saved_is_loaded(tmp_path):
    save_manifest(tmp_path, {"mode": "failfast"}, [entry("b"), entry("a")])
    manifest = load_manifest(tmp_path)
    assert manifest.options == {"mode": "failfast"}
    assert list(manifest.shards.values()) == [entry("a"), entry("b")]
    totals = json.loads((tmp_path / "_manifest.json").read_text())["totals"]
    assert totals == {"shards": 2, "bytes": 20, "records": 8, "bad_records": 2}


def test_a_table_without_a_manifest_has_none(tmp_path):
    assert load_manifest(tmp_path) is None
    check_manifest(tmp_path)


def test_a_part_of_another_size_is_refused(tmp_path):
    save_manifest(tmp_path, {}, [entry("a"), entry("b")])
    (tmp_path / "a.parquet").write_bytes(b"abc")
    (tmp_path / "b.parquet").write_bytes(b"ab")
    message = r"part of shard /data/b\.tfrecord .*b\.parquet, expected 3 bytes, found 2 bytes$"
    with pytest.raises(InputError, match=message):
        check_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a manifest"),
        ('{"format": 2, "options": {}, "shards": []}', "of another format .*expected 1, found 2"),
        ('{"format": 1, "options": {}, "shards": [{}]}', "not a manifest"),
        ('{"format": 1, "options": {}, "shards": 3}', "not a manifest"),
        ("[", "not a JSON file"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_manifest(tmp_path)


def test_the_digest_is_that_of_what_is_left_of_a_file():
    file = io.BytesIO(b"0123456789" * 300_000)
    file.read(10)
    expected = hashlib.sha256(b"0123456789" * 299_999).hexdigest()
    assert digest_of(file) == (expected, 2_999_990)
