"""Paths that lead elsewhere: names in files, and outputs that are links.

Odd names of inputs and outputs are tested in tests/jobs/test_odd_names.py; files of weights that a
network names in tests/video.
"""

import json
import os

import pytest

from yt8m_spark.artifacts import check_output_free, staged_output
from yt8m_spark.errors import InputError
from yt8m_spark.formats.inner_names import file_inside
from yt8m_spark.manifest import MANIFEST, ShardEntry, load_manifest, save_manifest
from yt8m_spark.pending import send_folder

ELSEWHERE = [
    "../secret",
    "/etc/passwd",
    "a/../../secret",
    "..",
    "",
    ".",
    "..\\secret",
    "C:\\x",
    "a\0b",
]


@pytest.fixture
def folder(tmp_path):
    """A folder beside a file that is none of its business."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder" / "files").mkdir(parents=True)
    (tmp_path / "folder" / "files" / "mine").write_text("mine")
    return tmp_path / "folder"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_leads_out_of_its_folder_is_refused(folder, name):
    with pytest.raises(InputError, match=r"name leads elsewhere in list\.json, expected a file in"):
        file_inside(folder, name, "list.json")


def test_links_in_a_circle_and_signs_that_no_file_has_are_refused(folder):
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    for name in ("a/x", "\ud800"):
        with pytest.raises(InputError, match="name leads elsewhere"):
            file_inside(folder, name, "model.json")


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(folder):
    (folder / "out").symlink_to("../secret")
    (folder / "away").symlink_to("..")
    (folder / "in").symlink_to("files/mine")
    for name in ("out", "away/secret"):
        with pytest.raises(InputError, match="by way of a link"):
            file_inside(folder, name, "list.json")
    for name in ("in", "files/mine", "..mine", "a..b", "not there yet"):
        assert file_inside(folder, name, "list.json") == folder / name


def test_a_folder_that_is_reached_by_a_link_is_a_folder_like_any(folder):
    (folder.parent / "link").symlink_to("folder")
    found = file_inside(folder.parent / "link", "files/mine", "list.json")
    assert found.read_text() == "mine"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "linked"])
def test_a_manifest_cannot_name_other_files_as_parts(folder, name):
    (folder / "linked").symlink_to("../secret")
    entry = ShardEntry("/data/a.tfrecord", 10, "00", 4, 0, name, 6, "11")
    save_manifest(folder, {}, [entry])
    with pytest.raises(InputError, match="name leads elsewhere") as refused:
        load_manifest(folder)
    assert str(folder / MANIFEST) in str(refused.value)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "linked"])
def test_what_waits_for_mlflow_cannot_name_other_files_to_send(folder, name):
    (folder / "linked").symlink_to("../secret")
    new = {"name": "a", "experiment": "e", "parent": None, "tags": {}, "start_time": 1}
    run = {"tracking_uri": "sqlite:///nowhere.db", "run_id": "0" * 32, "new": None, "n_sent": 0}
    del new
    (folder / "run.json").write_text(json.dumps(run))
    entry = {"kind": "artifact", "files": {"file": name}, "folder": None, "is_table": False}
    (folder / "entries.jsonl").write_text(json.dumps(entry) + "\n")
    with pytest.raises(InputError, match="name leads elsewhere"):
        send_folder(str(folder), f"sqlite:///{folder.parent}/mlflow.db")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("written", ["link", "link/", "./link", "dangling"])
def test_an_output_that_is_a_link_is_refused_and_what_it_leads_to_stays(
    folder, monkeypatch, overwrite, written
):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to("folder")
    (folder.parent / "dangling").symlink_to("nothing")
    with pytest.raises(
        InputError, match=r"output is a link in .*, expected the path that it leads"
    ):
        check_output_free(written, overwrite=overwrite)
    assert (folder / "files" / "mine").read_text() == "mine"
    assert os.readlink("link") == "folder"


def test_an_output_below_a_link_is_written_where_the_link_leads(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to("folder")
    check_output_free("link/new", overwrite=False)
    with staged_output("link/new") as staged:
        os.mkdir(staged)
    assert sorted(os.listdir(folder)) == ["files", "new"]


def test_a_link_in_an_old_output_is_removed_and_what_it_leads_to_stays(folder):
    old = folder.parent / "old"
    old.mkdir()
    (old / "link").symlink_to("../folder")
    check_output_free(str(old), overwrite=True)
    with staged_output(str(old), overwrite=True) as staged:
        os.mkdir(staged)
    assert os.listdir(old) == []
    assert (folder / "files" / "mine").read_text() == "mine"
