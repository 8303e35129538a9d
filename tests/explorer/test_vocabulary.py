"""Texts of a vocabulary. That the file is one, read_vocabulary_details checks."""

import csv

from yt8m_spark.explorer.vocabulary import EntityTexts, cut, read_entity_texts


def write(path, rows, header=("Index", "KnowledgeGraphId", "Name", "WikiUrl", "WikiDescription")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def test_texts_are_read_and_cut(tmp_path):
    rows = [
        [3, "/m/03", "Game", "https://en.wikipedia.org/wiki/Game", "A game is a structured form"],
        [1, "", "No words", "", ""],
    ]
    texts = read_entity_texts(write(tmp_path / "v.csv", rows), n_characters=13)
    expected = EntityTexts("/m/03", "https://en.wikipedia.org/wiki/Game", "A game is a …")
    assert texts == {3: expected}


def test_only_web_addresses_become_links(tmp_path):
    rows = [[i, "m", "n", url, "d"] for i, url in enumerate(
        ["javascript:alert(1)", "data:text/html,x", " https://a.b ", "HTTP://a.b", "//a.b"]
    )]  # fmt: skip
    texts = read_entity_texts(write(tmp_path / "v.csv", rows))
    assert [t.wiki_url for t in texts.values()] == [None, None, "https://a.b", "HTTP://a.b", None]


def test_a_list_without_texts_has_none(tmp_path):
    path = write(tmp_path / "v.csv", [[0, "Speech"]], ("label_id", "label_name"))
    assert read_entity_texts(path) == {}


def test_cutting_keeps_whole_words():
    assert cut("one two", 7) == "one two"
    assert cut("one, two three", 8) == "one …"
    assert cut("x" * 10, 4) == "xxxx …"
