"""Files that are huge, deep, binary or of absurd numbers, through the readers that people meet.

What the right files mean is tested with each reader; shards with absurd lengths in test_fuzz.
"""

import gzip
import io
import json
import tracemalloc
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from yt8m_spark.artifacts import load_arrays, load_json
from yt8m_spark.config import load_config, option
from yt8m_spark.errors import InputError
from yt8m_spark.explorer.vocabulary import read_entity_texts
from yt8m_spark.formats import small_text
from yt8m_spark.formats.class_lists import read_classes
from yt8m_spark.formats.pca_files import read_frame_pca
from yt8m_spark.formats.submissions import VIDEO_HEADER, read_video_submission
from yt8m_spark.formats.target_labels import read_target_labels
from yt8m_spark.formats.vocabulary import read_vocabulary
from yt8m_spark.manifest import load_manifest
from yt8m_spark.vocabulary_config import listed_types


@dataclass(frozen=True)
class Config:
    """Options of a job."""

    output: str = option("where to", "out")
    rate: float = option("how fast", 1.0)
    n: int = option("how many", 1)
    names: tuple[str, ...] = option("which", ())


def read_config(path):
    return load_config(Config, ["--config", path], job="some_job")


def read_labels(kind):
    return lambda path: list(read_target_labels([path], kind))


READERS = {
    "config.toml": read_config,
    "model.json": lambda path: load_json(Path(path)),
    "_manifest.json": lambda path: load_manifest(Path(path).parent),
    "activitynet.json": read_labels("activitynet"),
    "vocabulary.csv": read_vocabulary,
    "texts.csv": read_entity_texts,
    "classes.txt": read_classes,
    "train.txt": read_labels("sports1m"),
    "labels.csv": read_labels("table"),
    "types.txt": lambda path: listed_types([path]),
}
STRUCTURED = ("config.toml", "model.json", "_manifest.json", "activitynet.json")


def refusal(name, path):
    """The one line that refuses the file; the memory that it took must be bounded."""
    with pytest.raises(InputError) as refused:
        READERS[name](str(path))
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 500
    assert str(path) in line
    return line


@pytest.mark.parametrize("name", READERS)
def test_a_line_without_end_is_refused_before_it_fills_the_memory(name, tmp_path):
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"x")
        file.truncate(500 << 20)  # zeros, which take no place on the disk
    tracemalloc.start()
    line = refusal(name, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too long" in line
    assert peak < 3 * small_text.LARGEST_JSON


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"a = 'M\xfcnchen'\n", b"a\0b\n", "ab".encode("utf-16")])
def test_what_is_no_utf8_is_refused_by_its_name(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert "UTF-8" in refusal(name, tmp_path / name)


@pytest.mark.parametrize("name", STRUCTURED)
@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_nesting_without_end_is_refused(name, depth, tmp_path):
    key = "output = " if name.endswith(".toml") else '{"a": '
    for signs in ("[", '{"a": ' if name.endswith(".json") else "{a = "):
        (tmp_path / name).write_text(key + signs * depth)
        line = refusal(name, tmp_path / name)
        assert "not a " in line or "too long" in line


@pytest.mark.parametrize("name", STRUCTURED)
@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "9" * 5000])
def test_numbers_that_no_machine_holds_are_refused(name, number, tmp_path):
    is_toml = name.endswith(".toml")
    (tmp_path / name).write_text(f"rate = {number}" if is_toml else f'{{"a": [{number}]}}')
    line = refusal(name, tmp_path / name)
    assert "out of range" in line or "digits" in line


@pytest.mark.parametrize("number", ["1e999", "nan", "1" + "0" * 400, "9" * 5000])
def test_such_numbers_are_refused_on_the_command_line_too(number):
    for flag in ("--rate", "--n"):
        with pytest.raises(InputError, match="wrong value in " + flag):
            load_config(Config, [flag, number], job="some_job")


@pytest.mark.parametrize("text", ['output = "a\\u0000b"', 'names = ["a", "b\\u0000"]'])
def test_a_zero_byte_that_toml_spells_is_refused(text, tmp_path):
    (tmp_path / "config.toml").write_text(text)
    assert "expected no zero byte" in refusal("config.toml", tmp_path / "config.toml")


@pytest.mark.parametrize("name", STRUCTURED)
def test_a_key_that_comes_twice_is_refused(name, tmp_path):
    twice = "n = 1\nn = 2\n" if name.endswith(".toml") else '{"a": {"n": 1, "n": 2}}'
    (tmp_path / name).write_text(twice)
    line = refusal(name, tmp_path / name)
    assert "twice" in line or "overwrite" in line


def test_the_largest_numbers_and_the_rest_of_json_are_read(tmp_path):
    value = {
        "a": [
            2**64 - 1,
            -(2**63),
            1e308,
            None,
            True,
            "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        ]
    }
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(value), encoding="utf-8")
    assert load_json(tmp_path / "a.json") == value


def test_a_submission_that_unzips_to_one_line_without_end_is_refused():
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(f"{VIDEO_HEADER}\na,".encode())
        for _ in range(80):
            file.write(b"1" * (1 << 20))
    packed.seek(0)
    with pytest.raises(InputError, match=r"line is too long in a\.csv\.gz, line 2, expected at"):
        list(read_video_submission(packed, "a.csv.gz"))


def write_absurd_array(path, member):
    """An .npz of one array whose header promises 8 exabytes."""
    header = io.BytesIO()
    shape = (10**18,)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{member}.npy", header.getvalue() + b"\0" * 64)


def test_an_array_that_no_machine_holds_is_refused(tmp_path):
    write_absurd_array(tmp_path / "a.npz", "mean")
    with pytest.raises(InputError, match=r"not an \.npz file of arrays"):
        load_arrays(tmp_path / "a.npz", ["mean"])
    write_absurd_array(tmp_path / "pca.npz", "pca_means")
    with zipfile.ZipFile(tmp_path / "pca.npz", "a") as archive:
        archive.writestr("pca_eigen_vectors.npy", b"")
    with pytest.raises(InputError, match="not an archive of arrays"):
        read_frame_pca(str(tmp_path / "pca.npz"))
