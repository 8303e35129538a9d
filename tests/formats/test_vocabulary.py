"""Vocabulary files. Labels outside a vocabulary are refused in tests/spark/test_source.py."""

import csv

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import read_vocabulary, write_vocabulary

HEADER = "Index,Name\n"


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_written_vocabulary_reads_back(tmp_path):
    path = str(tmp_path / "vocabulary.csv")
    names = {7: 'Car, "fast"', 0: "Spiel", 3: "Ünïcode\nline"}
    write_vocabulary(path, names, {7: 12})
    read = read_vocabulary(path)
    assert_array_equal(read.entities, np.array([0, 3, 7]))
    assert read.names == names
    with open(path, encoding="utf-8", newline="") as file:
        counts = {row["Index"]: row["TrainVideoCount"] for row in csv.DictReader(file)}
    assert counts == {"0": "0", "3": "0", "7": "12"}
    assert [file.name for file in tmp_path.iterdir()] == ["vocabulary.csv"]


def test_written_columns_are_those_of_the_release(tmp_path, shared_data):
    path = tmp_path / "vocabulary.csv"
    write_vocabulary(str(path), {0: "Game"}, {})
    release = shared_data / "yt8m_vocab" / "vocabulary_3862.csv"
    assert path.read_text().splitlines()[0] == release.read_text().splitlines()[0]


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_vocabulary(str(tmp_path / "vocabulary.csv"), {0: "\ud800"}, {})
    assert list(tmp_path.iterdir()) == []


def test_byte_order_mark_and_blank_lines_are_no_rows(tmp_path):
    path = write(tmp_path, HEADER + "\n2,b\n\n1,a\n", encoding="utf-8-sig")
    assert read_vocabulary(path).names == {1: "a", 2: "b"}


def test_entity_without_a_name_has_none(tmp_path):
    read = read_vocabulary(write(tmp_path, "Index\n4\n2\n"))
    assert_array_equal(read.entities, [2, 4])
    assert read.names == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a vocabulary"),
        ("video_id,labels\nx,1\n", "expected a column Index, found video_id, labels"),
        (HEADER, "has no entities"),
        (HEADER + "a,b\n", "row 1, expected a whole number"),
        (HEADER + "-1,b\n", "row 1, expected a whole number"),
        (HEADER + "1.0,b\n", "row 1, expected a whole number"),
        (HEADER + "²,b\n", "row 1, expected a whole number"),
        (HEADER + "2147483648,b\n", "row 1, expected a whole number"),
        (HEADER + "9" * 5000 + ",b\n", "row 1, expected a whole number"),
        (HEADER + "1,b\n1,c\n", "entity 1 comes twice in .*row 2"),
        (HEADER + "1,b\n2\n", "row 2, expected 2 columns, found 1"),
        (HEADER + '1,"b\n', "no CSV file"),
    ],
)
def test_malformed_vocabulary_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_vocabulary(write(tmp_path, text))


def test_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes(b"Index,Name\n0,\xff\xfe\n")
    with pytest.raises(InputError, match="no CSV file"):
        read_vocabulary(str(path))


def test_missing_vocabulary_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such vocabulary in .*nothing\.csv"):
        read_vocabulary(str(tmp_path / "nothing.csv"))
    with pytest.raises(InputError, match="cannot be read"):
        read_vocabulary(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "n_entities", "first_name"),
    [
        ("yt8m_vocab/vocabulary_3862.csv", 3862, "Game"),
        ("yt8m_vocab/label_names_4716.csv", 4716, "Games"),
        ("audioset_frames/class_labels_indices.csv", 527, "Speech"),
    ],
)
def test_released_vocabularies_are_read(shared_data, name, n_entities, first_name):
    read = read_vocabulary(str(shared_data / name))
    assert_array_equal(read.entities, np.arange(n_entities))
    assert read.names[0] == first_name
