"""How fast are frame-level shards parsed, beside TensorFlow?

Files to arrays of labels and frames on one thread, all checksums verified: `formats` against
tf.data with parse_single_sequence_example and decode_raw, on the same files in one run.
TensorFlow counts the records inside its graph, so that it pays for no trip into Python. Prints
MB/s and the ratio. The files are made here; AudioSet's real clips are parsed too where
../shared/data holds them.
"""

from __future__ import annotations

import os

# All before NumPy and TensorFlow are imported: one thread each, no accelerator, no chatter.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from made_shards import WIDTHS, make_shards

from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records

AUDIOSET = Path(__file__).parents[2] / "shared" / "data" / "audioset_frames" / "bal_train"
RUNS = 5


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        compare("YouTube-8M", make_shards(Path(folder), 2, 100), WIDTHS)
    clips = [str(path) for path in sorted(AUDIOSET.glob("*.tfrecord"))[:4]]
    if clips:
        compare("AudioSet", clips, {"audio_embedding": 128})


def compare(title: str, paths: list[str], widths: dict[str, int]) -> None:
    """Time both on ``paths``, in turns."""
    contenders: dict[str, Callable[[], int]] = {"ours": lambda: ours(paths)}
    try:
        contenders["TensorFlow"] = tensorflow_records(paths, widths)
    except ImportError:
        print("TensorFlow is not installed: ours alone")
    seconds: dict[str, float] = dict.fromkeys(contenders, float("inf"))
    for _ in range(RUNS):  # in turns, so that a busy moment of the machine hits both
        for name, run in contenders.items():
            start = time.perf_counter()
            n_videos = run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    n_bytes = sum(os.path.getsize(path) for path in paths)
    print(f"{title}, {n_videos} videos, {n_bytes / 1e6:.0f} MB")
    for name, time_taken in seconds.items():
        print(
            f"  {name:11} {n_bytes / time_taken / 1e6:7.1f} MB/s, "
            f"{time_taken / n_videos * 1e6:6.1f} µs a video, {time_taken / seconds['ours']:5.2f}"
        )


def ours(paths: list[str]) -> int:
    """Records read and decoded."""
    return sum(1 for path in paths for r in read_records(path) if decode_frames(r.data))


def tensorflow_records(paths: list[str], widths: dict[str, int]) -> Callable[[], int]:
    """Records that TensorFlow reads and parses to labels and frames."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    context = {"labels": tf.io.VarLenFeature(tf.int64)}
    lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in widths}

    def parse(record):
        found, frames = tf.io.parse_single_sequence_example(record, context, lists)
        codes = {
            name: tf.reshape(tf.io.decode_raw(frames[name], tf.uint8), [-1, width])
            for name, width in widths.items()
        }
        return found["labels"].values, codes

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    dataset = tf.data.TFRecordDataset(paths).map(parse).with_options(options)
    zero = tf.constant(0, tf.int64)
    return lambda: int(dataset.reduce(zero, lambda count, _: count + 1))


if __name__ == "__main__":
    main()
