"""Small shards for tests, and their rows as a worker of the data source makes them."""

import numpy as np

from yt8m_spark.formats.examples import FrameRecord, VideoRecord, encode_frames, encode_video
from yt8m_spark.formats.tfrecord import write_records
from yt8m_spark.spark.source import YouTube8MSource


def make_video(number, **changes):
    rng = np.random.default_rng(number)
    features = {"mean_audio": rng.random(3, np.float32), "mean_rgb": rng.random(5, np.float32)}
    return VideoRecord(f"v{number:03}", np.arange(number % 3), features)._replace(**changes)


def make_frames(number, *, n_frames=4, segments=None, **changes):
    rng = np.random.default_rng(number)
    features = {
        "audio": rng.integers(0, 256, (max(n_frames - 1, 0), 2), dtype=np.uint8),
        "rgb": rng.integers(0, 256, (n_frames, 3), dtype=np.uint8),
    }
    record = FrameRecord(f"v{number:03}", np.arange(number % 3), features, segments)
    return record._replace(**changes)


def write(folder, name, records, *, compress=False):
    path = str(folder / name)
    encode = {VideoRecord: encode_video, FrameRecord: encode_frames}
    write_records(path, [encode[type(record)](record) for record in records], compress=compress)
    return path


def read_in_process(path, *, schema=None, **options):
    """Batches as a worker makes them, without Spark."""
    source = YouTube8MSource({"path": str(path), **options})
    reader = source.reader(source.schema() if schema is None else schema)
    return [batch for shard in reader.partitions() for batch in reader.read(shard)]


def rows(path, **options):
    return [row for batch in read_in_process(path, **options) for row in batch.to_pylist()]


def flip(path, position):
    """Change one byte of a file."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0xFF]))
