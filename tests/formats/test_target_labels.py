"""Files of labels of other datasets, row by row. Duplicates and frames: tests/spark."""

import json

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.target_labels import read_target_labels, split_name, video_of_url
from yt8m_spark.formats.vocabulary import Vocabulary

ID = "-a1B_c2D3e4"
CLASSES = Vocabulary(np.array([0, 1, 2]), {0: "none", 1: "Arm wrestling", 2: "BMX"})


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def rows(path, kind, classes=None):
    return [tuple(row)[:3] for row in read_target_labels([path], kind, classes)]


@pytest.mark.parametrize(
    "url",
    [
        f"https://www.youtube.com/watch?v={ID}",
        f"http://youtube.com/watch?feature=player&v={ID}",
        f"https://m.youtube.com/watch?v={ID}&t=3s",
        f"https://www.youtube.com/watch/?v={ID}#top",
        f"youtu.be/{ID}?t=3",
        f"https://www.youtube.com/embed/{ID}",
        f"https://www.youtube.com/v/{ID}?version=3",
        f"https://www.youtube.com/shorts/{ID}",
        ID,
    ],
)
def test_the_id_of_a_video_is_found_in_urls_of_all_forms(url):
    assert video_of_url(url) == ID


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=short",
        f"https://www.youtube.com/watch?v={ID}x",
        f"https://example.com/watch?v={ID}",
        f"https://www.youtube.com/watch?list={ID}",
        "",
    ],
)
def test_what_is_no_url_of_a_video_has_no_id(url):
    assert video_of_url(url) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [("training", "train"), ("Validation", "validate"), ("test", "test"), ("all", None)],
)
def test_splits_have_one_name(name, split):
    assert split_name(name) == split


def test_a_list_of_sports1m_is_read(tmp_path):
    text = f"https://www.youtube.com/watch?v={ID} 12,3,12\n\nyoutu.be/{ID[::-1]} 5\n{ID[:-1]}f\n"
    path = write(tmp_path, "test_partition.txt", text)
    assert rows(path, "sports1m") == [
        (ID, (3, 12), "test"),
        (ID[::-1], (5,), "test"),
        (f"{ID[:-1]}f", (), "test"),  # no label: told later
    ]
    found = list(read_target_labels([path], "sports1m"))
    assert found[1].place == f"{path}, line 3"


def test_the_json_of_activitynet_is_read(tmp_path):
    database = {
        "a": {"subset": "training", "annotations": [{"label": "BMX"}, {"label": "BMX"}]},
        "b": {"subset": "validation", "annotations": [{"label": "Arm wrestling"}]},
        "c": {"subset": "testing", "annotations": []},
    }
    path = write(tmp_path, "activity.json", {"database": database, "taxonomy": []})
    expected = [("a", (2,), "train"), ("b", (1,), "validate"), ("c", (), "test")]
    assert rows(path, "activitynet", CLASSES) == expected
    # Without a list of classes the names are numbered in their order.
    assert [row[1] for row in rows(path, "activitynet")] == [(1,), (0,), ()]


def test_a_csv_has_its_columns_in_any_order(tmp_path):
    path = write(tmp_path, "l.csv", "split,n,video_id,labels\nval,0,a,2|1\ntrain,0,b,BMX\n")
    assert rows(path, "table", CLASSES) == [("a", (1, 2), "validate"), ("b", (2,), "train")]
    path = write(tmp_path, "l.csv", "video_id,labels,split\na,7,test\n")
    assert rows(path, "table") == [("a", (7,), "test")]


@pytest.mark.parametrize(
    ("kind", "name", "content", "told"),
    [
        ("sports1m", "list.txt", "", "file's name does not tell the split in .*list.txt"),
        ("sports1m", "train_test.txt", "", "file's name does not tell the split"),
        ("sports1m", "train.txt", "http://x.com 3\n", "no video id in .*train.txt, line 1"),
        ("sports1m", "train.txt", f"{ID} 1,x\n", f"label of video {ID} in .*train.txt, line 1.*x"),
        ("sports1m", "train.txt", f"{ID} 9\n", f"video {ID} in .*, expected one of 3 classes"),
        ("sports1m", "train.txt", f"{ID} -1\n", "found -1"),
        ("activitynet", "a.json", "{", "not a JSON file in .*a.json"),
        ("activitynet", "a.json", [], "not ActivityNet's labels in .*a.json"),
        (
            *("activitynet", "a.json", {"database": {"a": {"subset": "all"}}}),
            "not a video of ActivityNet in .*a.json, video a",
        ),
        (
            *("activitynet", "a.json"),
            {"database": {"a": {"subset": "training", "annotations": [{"label": "Judo"}]}}},
            "unknown label of video a in .*a.json, video a, expected one of 3 classes, found Judo",
        ),
        ("table", "l.csv", "video_id,labels\n", "no column split in .*l.csv"),
        ("table", "l.csv", "video_id,labels,split\na,1\n", "malformed row in .*l.csv, row 1"),
        ("table", "l.csv", "video_id,labels,split\n,1,test\n", "no video id in .*l.csv, row 1"),
        ("table", "l.csv", "video_id,labels,split\na,1,x\n", "no such split in .*, row 1.*found x"),
        ("table", "l.csv", 'video_id,labels,split\na,"1,test\n', "labels cannot be read"),
    ],
)
def test_a_bad_file_is_told_with_its_line_and_video(tmp_path, kind, name, content, told):
    path = write(tmp_path, name, content)
    with pytest.raises(InputError, match=told):
        list(read_target_labels([path], kind, CLASSES))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"no such file of labels in train\.txt"):
        list(read_target_labels(["train.txt"], "sports1m"))


def test_names_of_several_files_need_a_list_of_classes(tmp_path):
    videos = {ID: {"subset": "training", "annotations": [{"label": "swim"}]}}
    paths = [write(tmp_path, f"{n}.json", json.dumps({"database": videos})) for n in (1, 2)]
    with pytest.raises(InputError, match="other numbers in each file"):
        list(read_target_labels(paths, "activitynet"))


def test_the_name_of_two_classes_is_refused_where_a_label_uses_it(tmp_path):
    classes = Vocabulary(np.array([0, 1, 2]), {0: "bat", 1: "bat", 2: "cat"})
    good = write(tmp_path, "good.csv", "video_id,labels,split\na,cat|0,train\n")
    assert rows(good, "table", classes) == [("a", (0, 2), "train")]
    bad = write(tmp_path, "bad.csv", "video_id,labels,split\nb,bat,train\n")
    with pytest.raises(InputError, match="video b is the name of two classes"):
        list(read_target_labels([bad], "table", classes))
