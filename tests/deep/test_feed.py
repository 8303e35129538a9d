"""Batches against the videos that shards were made of; test_order has the order by brute force."""

import os
import re
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from frame_shards import WIDTHS, frames_of, make_videos, write_parquet, write_tfrecords
from shard_files import flip, make_frames

from yt8m_spark.deep.feed import Feed, FeedOptions
from yt8m_spark.deep.shard_index import index_shards
from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records

SIZES = [7, 4, 9, 3]
N = sum(SIZES)
VIDEOS = make_videos(N)


def options(**changes):
    return FeedOptions(**{"widths": WIDTHS, "batch_size": 6, "n_readers": 0, "seed": 3,
                          "shuffle_videos": 8, "n_frames": 5} | changes)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_tfrecords(tmp_path / "shards", VIDEOS, SIZES)


def make_feed(folder, *, rank=0, world_size=1, n_entities=N, **changes):
    index = index_shards(folder)
    return Feed(index, np.arange(n_entities), options(**changes), rank, world_size)


def plain(batch):
    """A batch as Python's own values, which compare."""
    return tuple(part.tolist() if isinstance(part, torch.Tensor) else part for part in batch)


def all_of(feed, epoch=0, step=0, n_epochs=2):
    return [plain(batch) for batch in feed.batches(epoch, step, n_epochs)]


def frames_by_video(batches):
    """Frames (F, D) of each video, by its number, which is its label."""
    found = {}
    for batch in batches:
        assert batch.label_rows.tolist() == list(range(len(batch.codes)))
        for row, number in enumerate(batch.label_columns.tolist()):
            assert number not in found
            found[number] = batch.codes[row, : batch.n_frames[row]].numpy()
    return found


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("rank_batch", [1, 2, 5, 30])
@pytest.mark.parametrize("shuffle_videos", [1, 8, 100])
def test_every_video_comes_once_an_epoch_over_all_ranks(
    folder, world_size, rank_batch, shuffle_videos
):
    feeds = [
        make_feed(
            folder,
            rank=rank,
            world_size=world_size,
            batch_size=rank_batch * world_size,
            shuffle_videos=shuffle_videos,
        )
        for rank in range(world_size)
    ]
    for epoch in range(2):
        of_ranks = [list(feed.batches(epoch, 0, epoch + 1)) for feed in feeds]
        assert {len(batches) for batches in of_ranks} == {feeds[0].n_steps}
        labels = [b.label_columns.tolist() for batches in of_ranks for b in batches]
        assert sorted(chain.from_iterable(labels)) == list(range(N))
        for step, batches in enumerate(zip(*of_ranks, strict=True)):
            n_videos = sum(len(batch.codes) for batch in batches)
            told = {(batch.epoch, batch.step, batch.n_videos_of_step) for batch in batches}
            assert told == {(epoch, step, n_videos)}


@pytest.mark.parametrize("sampling", ["random", "stretch", "all"])
def test_a_start_anywhere_gives_the_tail_of_an_undisturbed_run(folder, sampling):
    feed = make_feed(folder, rank=1, world_size=2, sampling=sampling)
    whole = all_of(feed, n_epochs=3)
    for place, batch in enumerate(whole):
        epoch, step = batch[4:6]
        assert all_of(make_feed(folder, rank=1, world_size=2, sampling=sampling),
                      epoch, step, 3) == whole[place:]  # fmt: skip
    assert all_of(feed, 1, feed.n_steps, 3) == all_of(feed, 2, 0, 3) == whole[2 * feed.n_steps :]
    assert all_of(feed, 3, 0, 3) == []


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("n_readers", [1, 2])
@pytest.mark.parametrize("kind", ["tfrecord", "parquet"])
def test_readers_give_the_same_batches_from_any_place(tmp_path, n_readers, kind):
    write_shards = write_tfrecords if kind == "tfrecord" else write_parquet
    folder = write_shards(tmp_path / kind, VIDEOS, SIZES)
    expected = all_of(make_feed(folder))
    feed = make_feed(folder, n_readers=n_readers)
    assert all_of(feed) == expected
    abandoned = feed.batches(0, 0, 2)
    next(abandoned)
    assert all_of(feed, 1, 2) == expected[feed.n_steps + 2 :]


@pytest.mark.parametrize("n_readers", [0, 1])
def test_reading_leaves_the_generator_of_pytorch_alone(folder, n_readers):
    before = torch.get_rng_state()
    all_of(make_feed(folder, n_readers=n_readers))
    assert torch.equal(torch.get_rng_state(), before)


def test_all_frames_are_those_of_the_shards_and_padding_is_only_as_needed(folder):
    batches = list(make_feed(folder, sampling="all").batches(0, 0, 1))
    found = frames_by_video(batches)
    for number, video in enumerate(VIDEOS):
        np.testing.assert_array_equal(found[number], frames_of(video))
    for batch in batches:
        assert batch.codes.dtype == torch.uint8
        assert batch.codes.shape[1] == batch.n_frames.max()


def test_random_frames_are_of_the_video_in_order_and_repeat_where_it_has_few(folder):
    for number, frames in frames_by_video(make_feed(folder).batches(0, 0, 1)).items():
        own = frames_of(VIDEOS[number])
        assert frames.shape == (5, 5)
        if len(own) <= 5:
            np.testing.assert_array_equal(frames, own[np.arange(5) % len(own)])
        else:
            places = [np.flatnonzero((own == frame).all(axis=1))[0] for frame in frames]
            assert places == sorted(set(places))


def test_a_stretch_is_on_end(folder):
    feed = make_feed(folder, sampling="stretch")
    for number, frames in frames_by_video(feed.batches(0, 0, 1)).items():
        own = frames_of(VIDEOS[number])
        assert len(frames) == min(5, len(own))
        starts = range(len(own) - len(frames) + 1)
        assert any((own[start : start + len(frames)] == frames).all() for start in starts)


def test_frames_change_with_the_epoch_and_not_with_ranks_windows_or_kind_of_shard(folder, tmp_path):
    tables = write_parquet(tmp_path / "frames", VIDEOS, [10, 13], row_group_size=4)
    zipped = write_tfrecords(tmp_path / "zipped", VIDEOS, [12, 11], compress=True)
    expected = frames_by_video(make_feed(folder).batches(1, 0, 2))
    others = [
        make_feed(tables),
        make_feed(zipped, batch_size=4, shuffle_videos=3),
        *(make_feed(tables, rank=rank, world_size=2) for rank in range(2)),
    ]
    found = [frames_by_video(feed.batches(1, 0, 2)) for feed in others]
    for one in (found[0], found[1], found[2] | found[3]):
        assert sorted(one) == list(range(N))
        for number, frames in one.items():
            np.testing.assert_array_equal(frames, expected[number])
    before = frames_by_video(make_feed(folder).batches(0, 0, 1))
    assert any((before[number] != expected[number]).any() for number in range(N))


def test_videos_come_in_another_order_in_each_epoch(folder):
    feed = make_feed(folder, batch_size=N, shuffle_videos=N)
    orders = [batch.label_columns.tolist() for batch in feed.batches(0, 0, 3)]
    assert len({tuple(order) for order in orders}) == 3


def test_labels_of_other_entities_are_left_out(tmp_path):
    labels = [[5, 2, 9], [], [7], [3, 9], [2]]
    videos = [
        make_frames(number, labels=np.array(values, np.int64))
        for number, values in enumerate(labels)
    ]
    folder = write_tfrecords(tmp_path / "shards", videos, [5])
    feed = Feed(index_shards(folder), [2, 5, 9], options(batch_size=5, sampling="all"))
    (batch,) = feed.batches(0, 0, 1)
    rows = [frames_of(video).tolist() for video in videos]
    found = Counter(
        (rows.index(batch.codes[row].tolist()), column)
        for row, column in zip(batch.label_rows.tolist(), batch.label_columns.tolist(), strict=True)
    )
    # 2 is entity 0, 5 is 1, 9 is 2; 3 and 7 are none.
    assert found == Counter([(0, 1), (0, 0), (0, 2), (3, 2), (4, 0)])


@pytest.mark.parametrize("n_readers", [0, 1])
def test_a_video_without_frames_is_refused_with_its_place(tmp_path, n_readers):
    videos = [*VIDEOS[:3], make_frames(3, n_frames=1), VIDEOS[4]]
    folder = write_tfrecords(tmp_path / "shards", videos, [5])
    where = re.escape(os.path.join(folder, "train00.tfrecord")) + ", record 3, video v003"
    with pytest.raises(InputError, match=f"^video without frames in {where}, expected one at"):
        all_of(make_feed(folder, n_readers=n_readers))


@pytest.mark.parametrize("sampling", ["random", "stretch", "all"])
def test_a_video_without_frames_may_be_kept_with_none(tmp_path, sampling):
    videos = [*VIDEOS[:3], make_frames(3, n_frames=1, labels=np.array([3])), VIDEOS[4]]
    folder = write_tfrecords(tmp_path / "shards", videos, [5])
    feed = make_feed(folder, sampling=sampling, without_frames="skip", batch_size=2)
    lengths = {
        number: len(frames) for number, frames in frames_by_video(feed.batches(0, 0, 1)).items()
    }
    known = {
        "random": dict.fromkeys(range(5), 5),
        "stretch": {number: min(len(frames_of(VIDEOS[number])), 5) for number in range(5)},
        "all": {number: len(frames_of(VIDEOS[number])) for number in range(5)},
    }
    assert lengths == known[sampling] | {3: 0}


def test_a_batch_of_videos_without_frames_has_room_for_one(tmp_path):
    videos = [make_frames(number, n_frames=1) for number in range(2)]
    folder = write_tfrecords(tmp_path / "shards", videos, [2])
    feed = make_feed(folder, sampling="all", without_frames="skip")
    assert [batch.codes.shape for batch in feed.batches(0, 0, 1)] == [(2, 1, 5)]


@pytest.mark.parametrize("n_readers", [0, 1])
def test_a_damaged_record_is_told_in_a_line(folder, n_readers):
    path = os.path.join(folder, "train02.tfrecord")
    flip(path, os.path.getsize(path) - 5)  # data of the last record
    with pytest.raises(InputError, match=r"^.*train02\.tfrecord, record 8, byte \d+[^\n]*$"):
        all_of(make_feed(folder, n_readers=n_readers))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("widths", {}),
        ("widths", {"rgb": 0}),
        ("sampling", "some"),
        ("n_frames", 0),
        ("batch_size", 0),
        ("shuffle_videos", 0),
        ("n_readers", -1),
        ("seed", -1),
        ("without_frames", "drop"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"wrong {name} in the feed, expected "):
        options(**{name: value})


def test_ranks_that_cannot_share_and_entities_out_of_order_are_refused(folder):
    with pytest.raises(InputError, match="fewer shards than ranks"):
        make_feed(folder, world_size=5, batch_size=5)
    with pytest.raises(InputError, match="wrong batch size"):
        make_feed(folder, world_size=4)
    for entities in ([], [2, 1], [1, 1]):
        with pytest.raises(InputError, match="ids that ascend"):
            Feed(index_shards(folder), entities, options())
    with pytest.raises(ValueError, match="step must be 0 to 4"):
        next(make_feed(folder).batches(0, 5, 1))


def test_real_shards_give_every_clip_once(shared_data):
    pattern = f"{shared_data}/audioset_frames/bal_train/bal_train0[01].tfrecord"
    index = index_shards(pattern)
    expected = Counter()
    for unit in index.units:
        for record in read_records(unit.path):
            codes = decode_frames(record.data).features["audio_embedding"]
            expected[codes.tobytes()] += 1
    known = options(widths={"audio_embedding": 128}, sampling="all", batch_size=64)
    found = Counter()
    for rank in range(2):
        for batch in Feed(index, np.arange(527), known, rank, 2).batches(0, 0, 1):
            for codes, n_frames in zip(batch.codes, batch.n_frames.tolist(), strict=True):
                found[codes[:n_frames].numpy().tobytes()] += 1
    assert found == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_batches_for_a_gpu_are_in_pinned_memory(folder):
    feed = Feed(index_shards(folder), np.arange(N), options(n_readers=1), pin_memory=True)
    for batch, expected in zip(feed.batches(0, 0, 1), all_of(make_feed(folder)), strict=False):
        assert batch.codes.is_pinned()
        assert plain(batch) == expected
