"""Small shards of frames for tests: video ``n`` has the label ``n`` and random frames."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shard_files import make_frames, write

WIDTHS = {"rgb": 3, "audio": 2}


def make_videos(n_videos, *, least=1, most=12):
    """Videos whose ``audio`` is a frame shorter than their ``rgb``, of ``least`` to ``most``."""
    lengths = np.random.default_rng(n_videos).integers(least, most + 1, n_videos)
    return [
        make_frames(number, n_frames=int(length) + 1, labels=np.array([number]))
        for number, length in enumerate(lengths)
    ]


def frames_of(video, widths=WIDTHS):
    """Frames (F, D) of a video, a second after the other, by hand."""
    lists = [video.features[name] for name in widths]
    n_frames = min(len(codes) for codes in lists)
    rows = [np.concatenate([codes[frame] for codes in lists]) for frame in range(n_frames)]
    return np.array(rows, np.uint8).reshape(n_frames, sum(widths.values()))


def write_tfrecords(folder, videos, sizes, *, compress=False):
    """TFRecord files of ``sizes`` videos each; returns the folder."""
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(_cut(videos, sizes)):
        write(folder, f"train{number:02}.tfrecord", part, compress=compress)
    return str(folder)


def write_parquet(folder, videos, sizes, *, row_group_size=None):
    """A frames table of files of ``sizes`` videos each; returns the folder."""
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(_cut(videos, sizes)):
        path = folder / f"part-{number:05}.parquet"
        pq.write_table(frames_table(part), path, row_group_size=row_group_size)
    return str(folder)


def frames_table(videos, names=("audio", "rgb")):
    """Frames table, as the design has it."""
    columns = {
        "video_id": pa.array([video.video_id for video in videos], pa.string()),
        "labels": pa.array([video.labels.tolist() for video in videos], pa.list_(pa.int32())),
    }
    for name in names:
        stored = [video.features[name].tobytes() for video in videos]
        columns[name] = pa.array(stored, pa.binary())
    counts = [max(map(len, video.features.values())) for video in videos]
    return pa.table(columns | {"n_frames": pa.array(counts, pa.int32())})


def _cut(videos, sizes):
    ends = np.cumsum(sizes)
    assert ends[-1] == len(videos)
    return [videos[end - size : end] for end, size in zip(ends, sizes, strict=True)]
