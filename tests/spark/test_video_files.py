"""Videos found in folders, by patterns, in tables. Whether they are any is tested elsewhere."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.video_files import find_videos, with_labels


@pytest.fixture
def folder(tmp_path):
    """A folder of files that end as videos do, with others beside them."""
    folder = tmp_path / "my [vidéos] *"
    (folder / "deeper").mkdir(parents=True)
    for name in ("a.mp4", "b b.MKV", "deeper/c.tar.webm", "notes.txt", ".hidden.mp4"):
        (folder / name).write_bytes(b"")
    return folder


def found(spark, source, tmp_path):
    rows = find_videos(spark, str(source), str(tmp_path)).collect()
    return {row.video_id: (row.path, row.labels) for row in rows}


def refused(spark, source, tmp_path):
    with pytest.raises(InputError) as refusal:
        find_videos(spark, str(source), str(tmp_path))
    return str(refusal.value)


def test_a_folder_gives_its_videos_and_a_pattern_all_it_matches(spark, folder, tmp_path):
    wanted = {"a": "a.mp4", "b b": "b b.MKV", "c.tar": "deeper/c.tar.webm"}
    whole = {name: (str(folder / path), None) for name, path in wanted.items()}
    assert found(spark, folder, tmp_path) == whole
    pattern = f"{tmp_path}/my ?vid*/../my*/[an]*.{{mp4,txt}}"
    assert set(found(spark, pattern, tmp_path)) == {"a", "notes"}


def test_a_table_gives_ids_paths_and_labels(spark, folder, tmp_path):
    csv = folder / "list.csv"
    csv.write_text('video_id,path,labels\nx,a.mp4,3|1\n"y, z",/else where/b.mp4,\n')
    wanted = {"x": (str(folder / "a.mp4"), [1, 3]), "y, z": ("/else where/b.mp4", [])}
    assert found(spark, csv, tmp_path) == wanted
    rows = {"video_id": ["x"], "path": ["s3://bucket/a.mp4"], "labels": [[2, 1]]}
    table = pa.table({**rows, "labels": pa.array([[2, 1]], pa.list_(pa.int32()))})
    pq.write_table(table, folder / "list.parquet")
    assert found(spark, folder / "list.parquet", tmp_path) == {"x": ("s3://bucket/a.mp4", [1, 2])}


def test_labels_of_a_table_of_their_own_are_joined(spark, folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,labels\na,7\nelsewhere,8\n")
    videos = find_videos(spark, str(folder), str(tmp_path))
    rows = with_labels(videos, str(labels)).collect()
    assert {row.video_id: row.labels for row in rows} == {"a": [7], "b b": None, "c.tar": None}
    labels.write_text("video_id,labels\nelsewhere,8\n")
    with pytest.raises(InputError, match=r"no video has a row.*expected 'a', say"):
        with_labels(videos, str(labels))
    labels.write_text("video_id,labels\na,8\na,9\n")
    with pytest.raises(InputError, match="'a' is there 2 times"):
        with_labels(videos, str(labels))


def test_two_videos_of_one_id_are_refused(spark, folder, tmp_path):
    (folder / "deeper" / "a.webm").write_bytes(b"")
    message = refused(spark, folder, tmp_path)
    assert message.startswith("video id 'a' is there 2 times")
    assert message.endswith(f"found {folder}/a.mp4 and {folder}/deeper/a.webm")


def test_a_folder_without_videos_is_refused(spark, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "folder holds no videos" in refused(spark, tmp_path / "empty", tmp_path)
    (tmp_path / "empty" / "notes.txt").write_bytes(b"")
    assert "folder holds no videos" in refused(spark, tmp_path / "empty", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,path\nx,\n", "row without path"),
        ("video_id,path\n,a.mp4\n", "row without video_id"),
        ("video_id\nx\n", "no column 'path'"),
        ("video_id,path,labels\nx,a.mp4,1|cat\n", "labels that are none"),
        ("video_id,path,labels\nx,a.mp4,-1\n", "labels that are none"),
        ("video_id,path\n", "table has no rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(spark, tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    assert message in refused(spark, tmp_path / "list.csv", tmp_path)
