"""Videos of shards and the frames chosen of them. Batches of them are tested in test_feed."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frame_shards import (
    WIDTHS,
    frames_of,
    frames_table,
    make_videos,
    write_parquet,
    write_tfrecords,
)
from shard_files import flip, write

from yt8m_spark.deep.read_frames import (
    FrameKey,
    choose_stretch,
    choose_with_repeats,
    read_videos,
)
from yt8m_spark.deep.shard_index import Unit, index_shards
from yt8m_spark.errors import InputError

N = 7


def units_of(tmp_path, kind, videos):
    """One unit of ``videos``, of every kind."""
    if kind == "parquet":
        return index_shards(write_parquet(tmp_path / kind, videos, [len(videos)])).units[0]
    compress = kind == "zipped"
    folder = write_tfrecords(tmp_path / kind, videos, [len(videos)], compress=compress)
    return index_shards(folder).units[0]


def read(unit, start=0, stop=N, widths=WIDTHS):
    return list(read_videos(unit, start, stop, widths))


KINDS = pytest.mark.parametrize("kind", ["plain", "zipped", "parquet"])


@KINDS
@pytest.mark.parametrize(("start", "stop"), [(0, N), (0, 3), (2, 5), (4, N), (6, N)])
def test_a_piece_has_its_videos_with_their_frames(tmp_path, kind, start, stop):
    videos = make_videos(N)
    found = read(units_of(tmp_path, kind, videos), start, stop)
    assert [video.video_id for video in found] == [v.video_id for v in videos[start:stop]]
    for video, expected in zip(found, videos[start:stop], strict=True):
        frames = frames_of(expected)
        assert video.n_frames == len(frames)  # audio is a frame shorter than rgb
        joined = np.hstack([codes[: len(frames)] for codes in video.lists])
        np.testing.assert_array_equal(joined, frames)
        assert video.labels.tolist() == expected.labels.tolist()


@KINDS
def test_one_list_of_two_may_be_read(tmp_path, kind):
    videos = make_videos(N)
    for video, expected in zip(
        read(units_of(tmp_path, kind, videos), widths={"audio": 2}), videos, strict=True
    ):
        np.testing.assert_array_equal(video.lists[0], expected.features["audio"])


@KINDS
def test_a_list_that_is_empty_leaves_a_video_without_frames(tmp_path, kind):
    videos = make_videos(N)
    videos[3] = videos[3]._replace(
        features=videos[3].features | {"audio": np.empty((0, 2), np.uint8)}
    )
    counts = [video.n_frames for video in read(units_of(tmp_path, kind, videos))]
    assert counts == [0 if number == 3 else len(frames_of(v)) for number, v in enumerate(videos)]


def test_a_list_that_a_record_lacks_leaves_it_without_frames(tmp_path):
    video = make_videos(1)[0]
    path = write(tmp_path, "a.tfrecord", [video._replace(features={"rgb": video.features["rgb"]})])
    (found,) = read(Unit(path, -1, 1), stop=1)
    assert [len(codes) for codes in found.lists] == [len(video.features["rgb"]), 0]


@pytest.mark.parametrize("slices", [[(0, 4)], [(0, 2), (2, 4)]])
def test_rows_of_corrupt_records_are_videos_without_frames_and_labels(tmp_path, slices):
    videos = make_videos(4)
    rows = frames_table(videos).to_pylist()
    # The one as a conversion writes it; the other with leftovers, which are not to be believed.
    rows[1] = {"_corrupt_record": "a.tfrecord, record 1"}
    rows[3] |= {"_corrupt_record": "a.tfrecord, record 3"}
    schema = frames_table(videos).schema.append(pa.field("_corrupt_record", pa.string()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "a.parquet")
    unit = Unit(str(tmp_path / "a.parquet"), 0, 4)
    found = [video for start, stop in slices for video in read(unit, start=start, stop=stop)]
    assert [video.n_frames for video in found] == [
        len(frames_of(videos[0])), 0, len(frames_of(videos[2])), 0
    ]  # fmt: skip
    assert [video.labels.tolist() for video in found] == [[0], [], [2], []]
    np.testing.assert_array_equal(found[2].lists[0], videos[2].features["rgb"])


def test_a_null_id_in_a_table_that_tells_of_no_corrupt_records_is_refused(tmp_path):
    table = frames_table(make_videos(2))
    ids = pa.array(["a", None], pa.string())
    pq.write_table(table.set_column(0, "video_id", ids), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"null video_id.*row group 0"):
        read(Unit(str(tmp_path / "a.parquet"), 0, 2), stop=2)


def test_nulls_of_a_table_are_no_frames_and_no_labels(tmp_path):
    table = frames_table(make_videos(3))
    rows = [row | {"labels": None, "rgb": None} if i == 1 else row
            for i, row in enumerate(table.to_pylist())]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "a.parquet")
    found = read(Unit(str(tmp_path / "a.parquet"), 0, 3), stop=3)
    assert [video.n_frames > 0 for video in found] == [True, False, True]
    assert [video.labels.tolist() for video in found] == [[0], [], [2]]


def test_damaged_data_are_refused_with_file_and_record(tmp_path):
    path = write(tmp_path, "train00.tfrecord", make_videos(N))
    flip(path, os.path.getsize(path) - 5)  # the last byte of data of the last record
    unit = index_shards(path).units[0]
    assert len(read(unit, 0, N - 1)) == N - 1
    with pytest.raises(InputError, match=r"train00\.tfrecord, record 6, byte \d+"):
        read(unit)


def test_a_damaged_table_is_refused_with_file_and_row_group(tmp_path):
    folder = write_parquet(tmp_path / "frames", make_videos(N), [N])
    (unit,) = index_shards(folder).units
    with open(unit.path, "r+b") as file:
        file.seek(4)
        file.write(bytes(200))  # the first pages of the first column
    with pytest.raises(InputError, match=r"part-00000\.parquet, row group 0"):
        read(unit)


@pytest.mark.parametrize("kind", ["plain", "zipped"])
def test_a_shard_that_has_become_shorter_is_refused(tmp_path, kind):
    unit = units_of(tmp_path, kind, make_videos(N))
    write(tmp_path / kind, "train00.tfrecord", make_videos(5), compress=kind == "zipped")
    with pytest.raises(InputError, match=r"file has changed since .*videos 2 to 6, found 3"):
        read(unit, 2)


@KINDS
def test_a_list_of_another_width_is_refused(tmp_path, kind):
    unit = units_of(tmp_path, kind, make_videos(N, least=3, most=3))
    with pytest.raises(InputError, match=r"0\.(tfrecord|parquet).*(record|row) 0, expected"):
        read(unit, widths={"rgb": 5, "audio": 2})


def test_a_table_without_a_list_is_refused(tmp_path):
    unit = units_of(tmp_path, "parquet", make_videos(N))
    with pytest.raises(InputError, match=r"no column 'inc3' in .*part-00000\.parquet"):
        read(unit, widths={"inc3": 5})


def test_frames_are_chosen_without_replacement_and_in_their_order():
    chosen = choose_with_repeats(30, 20, FrameKey(0, 0, "v"))
    assert len(set(chosen.tolist())) == 20
    assert chosen.tolist() == sorted(chosen.tolist())
    assert 0 <= chosen.min() <= chosen.max() < 30


def test_few_frames_are_repeated_in_turn():
    assert choose_with_repeats(3, 8, FrameKey(0, 0, "v")).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert choose_with_repeats(3, 3, FrameKey(0, 0, "v")).tolist() == [0, 1, 2]


def test_every_frame_is_chosen_equally_often():
    keys = [FrameKey(1, epoch, f"v{video}") for epoch in range(20) for video in range(50)]
    chosen = np.concatenate([choose_with_repeats(10, 4, key) for key in keys])
    # Each of 10 frames is among 4 with p = 0.4: binomial, of 1,000 draws.
    assert np.abs(np.bincount(chosen) - 400).max() < 5 * np.sqrt(1000 * 0.4 * 0.6)


def test_a_stretch_starts_anywhere_and_is_all_of_a_short_video():
    starts = set()
    for video in range(200):
        chosen = choose_stretch(7, 5, FrameKey(0, 0, f"v{video}"))
        assert chosen.stop - chosen.start == 5
        starts.add(chosen.start)
    assert starts == {0, 1, 2}
    for n_frames in (0, 7, 9):
        assert choose_stretch(7, n_frames, FrameKey(0, 0, "v")) == slice(0, 7)


def test_what_is_chosen_depends_on_seed_epoch_and_video():
    keys = [FrameKey(0, 0, "v"), FrameKey(1, 0, "v"), FrameKey(0, 1, "v"), FrameKey(0, 0, "w")]
    assert len({tuple(choose_with_repeats(300, 20, key)) for key in keys}) == 4
