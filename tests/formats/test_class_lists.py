"""Lists of classes. Vocabularies in CSV files are tested in test_vocabulary."""

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.class_lists import read_classes


def written(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    return str(path)


def test_names_without_numbers_are_numbered_by_line(tmp_path):
    assert read_classes(written(tmp_path, "boxing\n\nbowls\n")).names == {0: "boxing", 2: "bowls"}


def test_numbers_before_a_tab_are_taken(tmp_path):
    found = read_classes(written(tmp_path, "7\tArm wrestling\n3\tBMX\n"))
    assert found.names == {7: "Arm wrestling", 3: "BMX"}
    assert found.entities.tolist() == [3, 7]


def test_a_csv_is_a_vocabulary(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("Index,Name\n4,Game\n")
    assert read_classes(str(path)).names == {4: "Game"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "list of classes is empty"),
        ("x\ta\n", "bad class number in .*labels.txt, line 1"),
        ("0\ta\n1\t \n", "class without a name in .*labels.txt, line 2"),
        ("1\ta\n1\tb\n", "class 1 comes twice in .*labels.txt, line 2"),
        ("a\nb\na\n", "class 'a' comes twice in .*labels.txt, line 3, found line 1 as well"),
    ],
)
def test_a_list_that_would_be_read_wrongly_is_refused(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        read_classes(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"no such list of classes in nowhere\.txt"):
        read_classes("nowhere.txt")


def test_the_lists_of_sports1m_and_activitynet_are_read(shared_data):
    sports = read_classes(str(shared_data / "sports1m" / "labels.txt"))
    assert len(sports.entities) == 487  # §5.3
    assert sports.names[0] == "boomerang"
    activities = read_classes(str(shared_data / "activitynet" / "labels.txt"))
    assert activities.names[1] == "Applying sunscreen"
    assert len(activities.entities) == 201  # 200 activities and none
