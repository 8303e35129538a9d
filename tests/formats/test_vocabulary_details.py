"""Counts and verticals of a vocabulary. Ids, names and broken CSV are test_vocabulary.py's."""

import csv

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary import write_vocabulary
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details

HEADER = "Index,TrainVideoCount,KnowledgeGraphId,Name,Vertical1,Vertical2,Vertical3\n"


def written(folder, text):
    path = folder / "vocabulary.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_counts_and_verticals_of_each_entity(tmp_path):
    rows = '3,20,/m/c,"Fish, fried",Food,Pets,Food\n\n1,100,/m/a,Game,Games,,\n2,,/m/b,,,,\n'
    details = read_vocabulary_details(written(tmp_path, HEADER + rows))
    assert details.entities.tolist() == [1, 2, 3]
    assert details.names == {1: "Game", 3: "Fish, fried"}
    assert details.video_counts == {1: 100, 3: 20}
    assert details.verticals == {1: ("Games",), 3: ("Food", "Pets")}


@pytest.mark.parametrize(
    "text",
    ['index,mid,display_name\n0,/m/09x0r,"Speech"\n', "label_id,label_name\n0,Speech\n"],
    ids=["AudioSet", "2017"],
)
def test_lists_without_counts_and_verticals(tmp_path, text):
    details = read_vocabulary_details(written(tmp_path, text))
    assert details.names == {0: "Speech"}
    assert details.video_counts == details.verticals == {}


def test_our_own_vocabulary_has_counts(tmp_path):
    path = str(tmp_path / "v.csv")
    write_vocabulary(path, {0: "a", 4: "b"}, {0: 7})
    details = read_vocabulary_details(path)
    assert details.video_counts == {0: 7, 4: 0}
    assert details.verticals == {}


@pytest.mark.parametrize("count", ["-1", "1.5", "many", "1e3", "9" * 20])
def test_a_count_that_is_none_is_refused(tmp_path, count):
    path = written(tmp_path, HEADER + f"0,5,,,,,\n1,{count},,,,,\n")
    with pytest.raises(InputError, match=r"TrainVideoCount in .*vocabulary.csv, row 2"):
        read_vocabulary_details(path)


def test_what_is_no_vocabulary_is_refused_as_ever(tmp_path):
    with pytest.raises(InputError, match="no such vocabulary"):
        read_vocabulary_details(str(tmp_path / "absent.csv"))
    with pytest.raises(InputError, match="comes twice"):
        read_vocabulary_details(written(tmp_path, HEADER + "1,1,,,,,\n1,1,,,,,\n"))


def test_the_released_vocabulary(shared_data):
    path = shared_data / "yt8m_vocab" / "vocabulary_3862.csv"
    details = read_vocabulary_details(str(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert details.video_counts == {int(r["Index"]): int(r["TrainVideoCount"]) for r in rows}
    for row in rows:
        found = {row[f"Vertical{i}"] for i in (1, 2, 3)} - {""}
        assert set(details.verticals.get(int(row["Index"]), ())) == found
