"""Topics of vocabularies of several kinds. What `read_vocabulary` refuses is tested there."""

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.vocabulary_topics import read_vocabulary_topics

HEAD = "Index,TrainVideoCount,KnowledgeGraphId,Name,More\n"


def written(folder, text):
    (folder / "v.csv").write_text(text, encoding="utf-8")
    return str(folder / "v.csv")


def test_a_topic_is_a_knowledge_graph_id_or_an_index(tmp_path):
    path = written(tmp_path, "\ufeff" + HEAD + '7,5,/m/a,"Game, a",x\n\n03,,,Car,y\n')
    found = read_vocabulary_topics(path)
    assert found.entities.tolist() == [3, 7]
    assert found.topics == {"7": 7, "/m/a": 7, "3": 3}
    assert found.rows == {
        7: {"Index": "7", "TrainVideoCount": "5", "KnowledgeGraphId": "/m/a", "Name": "Game, a"},
        3: {"Index": "3", "TrainVideoCount": "", "KnowledgeGraphId": "", "Name": "Car"},
    }


def test_audiosets_list_has_topics_too(tmp_path):
    found = read_vocabulary_topics(written(tmp_path, "index,mid,display_name\n0,/m/09x0r,Speech\n"))
    assert found.topics == {"0": 0, "/m/09x0r": 0}
    assert found.rows[0] == {"Index": "0", "KnowledgeGraphId": "/m/09x0r", "Name": "Speech"}


def test_the_released_vocabulary_is_read_whole(shared_data):
    found = read_vocabulary_topics(str(shared_data / "yt8m_vocab" / "vocabulary_3862.csv"))
    assert len(found.entities) == len(found.rows) == 3862
    assert len(found.topics) == 2 * 3862
    assert found.topics["/m/03bt1gh"] == 0
    assert found.rows[0]["Name"] == "Game"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0,,/m/a,A,\n1,,/m/a,B,\n", ("row 2", "'/m/a'", "entity 0")),
        ("0,,1,A,\n1,,2,B,\n", ("row 1", "'1'", "entity 1")),
    ],
)
def test_a_topic_of_two_entities_is_refused(tmp_path, rows, words):
    path = written(tmp_path, HEAD + rows)
    with pytest.raises(InputError) as error:
        read_vocabulary_topics(path)
    assert all(word in str(error.value) for word in ("ambiguous", path, *words)), error.value
