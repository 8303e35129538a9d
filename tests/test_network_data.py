"""What is counted of the videos before a network learns. The index is tested in tests/deep."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frame_shards import frames_table
from shard_files import make_frames, write

pytest.importorskip("torch")

from yt8m_spark.deep.shard_index import load_index
from yt8m_spark.errors import InputError
from yt8m_spark.network_data import prepare_videos


@pytest.fixture
def source(tmp_path):
    """Videos 0-8 with labels 0 .. n % 3 - 1, one of them twice; 0 and 1 lack frames of audio."""
    videos = [make_frames(n, n_frames=1 if n < 2 else 3) for n in range(8)]
    videos.append(make_frames(8, labels=np.array([7, 7])))
    write(tmp_path, "a.tfrecord", videos[:5])
    write(tmp_path, "b.tfrecord", videos[5:])
    return str(tmp_path / "*.tfrecord")


def test_entities_are_the_labels_and_a_label_that_is_there_twice_counts_once(
    spark, source, tmp_path
):
    data = prepare_videos(spark, source, tmp_path / "work", ("rgb",))
    assert data.widths == {"rgb": 3}
    assert (data.n_entities, data.n_without_frames) == (3, 0)
    # n % 3 labels each: 1, 2, 4, 5 and 7 have entity 0; 2 and 5 have 1; 8 has 7.
    counted = pq.read_table(tmp_path / "work/entities.parquet").to_pydict()
    assert counted == {"entity": [0, 1, 7], "n_positives": [5, 2, 1]}


def test_a_video_that_lacks_frames_of_one_list_has_none(spark, source, tmp_path):
    with pytest.raises(InputError, match=r"2 of 9 videos have no frames.*none in video v000"):
        prepare_videos(spark, source, tmp_path / "work")
    assert not (tmp_path / "work/videos.json").exists()
    data = prepare_videos(spark, source, tmp_path / "work", skip=True)
    assert data.n_without_frames == 2
    assert data.widths == {"audio": 2, "rgb": 3}
    # What is there is not counted again.
    assert prepare_videos(spark, "elsewhere", tmp_path / "work") == data


def test_labels_that_the_vocabulary_does_not_name_are_refused(spark, source, tmp_path):
    (tmp_path / "v.csv").write_text("Index,Name\n0,a\n1,b\n")
    with pytest.raises(InputError, match=r"1 entities are not in the vocabulary.*found 7$"):
        prepare_videos(
            spark, source, tmp_path / "work", ("rgb",), vocabulary=str(tmp_path / "v.csv")
        )


def test_videos_without_any_label_are_refused(spark, tmp_path):
    write(tmp_path, "c.tfrecord", [make_frames(1, labels=np.array([], np.int64))])
    with pytest.raises(InputError, match="no video has a label"):
        prepare_videos(spark, str(tmp_path / "c.tfrecord"), tmp_path / "work", ("rgb",))


def test_corrupt_records_of_a_table_are_counted_as_videos_without_frames(spark, tmp_path):
    table = frames_table([make_frames(n) for n in range(5)])
    rows = [*table.to_pylist(), {"_corrupt_record": "a.tfrecord, record 5"}]
    schema = table.schema.append(pa.field("_corrupt_record", pa.string()))
    (tmp_path / "t").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "t/part-0.parquet")
    data = prepare_videos(spark, str(tmp_path / "t"), tmp_path / "work")
    assert data.n_without_frames == 1
    assert load_index(tmp_path / "work/index.json").n_videos == 6
