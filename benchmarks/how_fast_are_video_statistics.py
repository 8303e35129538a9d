"""How fast do shards become video statistics, beside TensorFlow?

From TFRecord files to mean, standard deviation and top 5 of every feature list, on one thread:
`formats` and `core.statistics` against tf.data and tf.math, on the same files in one run. Prints
microseconds a video and the share of ours. Without TensorFlow ours is timed alone. CPU time, so
that other programs on the machine do not count, nor do helping threads come free.
The files are made here: 192 videos of 120-300 frames, rgb and audio; AudioSet's real clips (10
frames of 128) are timed too where ../shared/data holds them.
"""

from __future__ import annotations

import os

# All before NumPy and TensorFlow are imported: one thread each, no accelerator, no chatter.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from yt8m_spark.core.statistics import quantized_statistics
from yt8m_spark.formats.examples import FrameRecord, decode_frames, encode_frames
from yt8m_spark.formats.tfrecord import read_records, write_records

AUDIOSET = Path(__file__).parents[2] / "shared" / "data" / "audioset_frames" / "bal_train"
VIDEOS_AT_ONCE = 64
FRAMES_AT_ONCE = VIDEOS_AT_ONCE * 300
RUNS = 5

Statistics = dict[str, np.ndarray]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        compare("YouTube-8M", make_shards(Path(folder)), {"rgb": 1024, "audio": 128})
    clips = [str(path) for path in sorted(AUDIOSET.glob("*.tfrecord"))[:8]]
    if clips:
        compare("AudioSet", clips, {"audio_embedding": 128})


def compare(title: str, paths: list[str], widths: dict[str, int]) -> None:
    """Time every contender on ``paths``, in turns, and check that they agree."""
    contenders: dict[str, Callable[[], Iterator[Statistics]]] = {
        "reading and decoding": lambda: reading(paths),
        "ours": lambda: ours(paths, widths),
    }
    try:
        tensorflow = tensorflow_statistics(paths, widths)
    except ImportError:
        print("TensorFlow is not installed: ours alone")
    else:
        contenders["TensorFlow"] = tensorflow
        check_agreement(ours(paths, widths), tensorflow())
    n_videos = sum(1 for path in paths for _ in read_records(path))
    seconds = {name: [] for name in contenders}
    for _ in range(RUNS):  # in turns, so that a busy moment of the machine hits all of them
        for name, run in contenders.items():
            start = time.process_time()
            for _ in run():
                pass
            seconds[name].append(time.process_time() - start)
    cost = {name: min(times) / n_videos * 1e6 for name, times in seconds.items()}
    print(f"{title}, {n_videos} videos, {' and '.join(widths)}")
    for name, microseconds in cost.items():
        print(f"  {name:21} {microseconds:8.1f} µs a video, {microseconds / cost['ours']:5.2f}")


def make_shards(folder: Path) -> list[str]:
    """Two shards of random codes."""
    rng = np.random.default_rng(0)
    paths = []
    for shard in range(2):
        records = []
        for video in range(96):
            n_frames = int(rng.integers(120, 301))
            lists = {
                "rgb": rng.integers(0, 256, (n_frames, 1024), dtype=np.uint8),
                "audio": rng.integers(0, 256, (n_frames, 128), dtype=np.uint8),
            }
            labels = np.array([video % 7])
            records.append(encode_frames(FrameRecord(f"v{shard}-{video}", labels, lists, None)))
        paths.append(str(folder / f"train{shard:04}.tfrecord"))
        write_records(paths[-1], records)
    return paths


def reading(paths: list[str]) -> Iterator[FrameRecord]:
    """Records of ``paths``, checksums verified, decoded."""
    for path in paths:
        for record in read_records(path):
            yield decode_frames(record.data)


def ours(paths: list[str], widths: dict[str, int]) -> Iterator[Statistics]:
    """Statistics of batches of videos, whose frames are collected in memory that is kept."""
    collected = {d: np.empty((FRAMES_AT_ONCE, d), np.uint8) for d in widths.values()}
    records = reading(paths)
    while batch := collect(records, widths, collected):
        out = {}
        for name, width in widths.items():
            offsets = np.array(batch[name])
            found = quantized_statistics(collected[width][: offsets[-1]], offsets)
            out |= {f"{statistic}_{name}": values for statistic, values in found.items()}
        yield out


def collect(
    records: Iterator[FrameRecord], widths: dict[str, int], collected: dict[int, np.ndarray]
) -> dict[str, list[int]]:
    """Copy the frames of the next videos together; offsets of each list, empty at the end."""
    offsets: dict[str, list[int]] = {}
    for record in islice(records, VIDEOS_AT_ONCE):
        for name, width in widths.items():
            ends = offsets.setdefault(name, [0])
            frames = record.features[name]
            ends.append(ends[-1] + len(frames))
            collected[width][ends[-2] : ends[-1]] = frames
    return offsets


def tensorflow_statistics(
    paths: list[str], widths: dict[str, int]
) -> Callable[[], Iterator[Statistics]]:
    """The same in TensorFlow, inside one tf.data graph."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    specification = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in widths}

    def dequantized(codes):
        return tf.cast(codes, tf.float32) * (4 / 255) + (4 / 512 - 2)

    def statistics(record):
        # The fastest of several ways tried: one pass for both moments, top_k of the bytes.
        _, lists = tf.io.parse_single_sequence_example(record, None, specification)
        out = {}
        for name, width in widths.items():
            codes = tf.reshape(tf.io.decode_raw(lists[name], tf.uint8), [-1, width])
            mean, variance = tf.nn.moments(dequantized(codes), axes=[0])
            k = tf.minimum(5, tf.shape(codes)[0])
            best = tf.transpose(tf.math.top_k(tf.transpose(codes), k).values)
            ranked = tf.gather(best, tf.minimum(tf.range(5), k - 1))
            out[f"mean_{name}"], out[f"std_{name}"] = mean, tf.sqrt(variance)
            out[f"top5_{name}"] = tf.reshape(dequantized(ranked), [-1])
        return out

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    dataset = tf.data.TFRecordDataset(paths).map(statistics).batch(VIDEOS_AT_ONCE)
    dataset = dataset.with_options(options)
    return lambda: iter(dataset.as_numpy_iterator())


def check_agreement(mine: Iterator[Statistics], theirs: Iterator[Statistics]) -> None:
    """Fail if a statistic differs by more than float32 rounding."""
    for a, b in zip(mine, theirs, strict=True):
        for name, values in a.items():
            np.testing.assert_allclose(values, b[name], atol=1e-4)


if __name__ == "__main__":
    main()
