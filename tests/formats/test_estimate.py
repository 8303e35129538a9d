"""How many records there are, roughly. Reading them is tested in test_tfrecord."""

import gzip

from yt8m_spark.formats.estimate import estimate_records
from yt8m_spark.formats.tfrecord import write_records


def make_files(folder, counts, size=100):
    paths = []
    for number, count in enumerate(counts):
        paths.append(str(folder / f"train{number:04d}.tfrecord"))
        write_records(paths[-1], [b"x" * size] * count)
    return paths


def test_records_of_one_length_are_counted_exactly(tmp_path):
    assert estimate_records(make_files(tmp_path, [3, 0, 5, 1, 2, 4, 7])) == 22


def test_gzipped_files_are_not_told(tmp_path):
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(gzip.compress(b"x" * 1000))
    assert estimate_records([str(path)]) is None


def test_files_that_are_damaged_or_empty_are_not_told(tmp_path):
    (cut,) = make_files(tmp_path, [3])
    with open(cut, "r+b") as file:
        file.truncate(250)
    (tmp_path / "empty").touch()
    assert estimate_records([cut, str(tmp_path / "empty")]) is None


def test_files_that_are_not_here_are_not_told(tmp_path):
    assert estimate_records([str(tmp_path / "none")]) is None
    assert estimate_records(["s3://bucket/train.tfrecord"]) is None
    assert estimate_records([]) is None


def test_start_of_a_file_of_very_many_records_stands_for_the_whole(tmp_path):
    assert estimate_records(make_files(tmp_path, [20_000], size=1)) == 20_000


def test_damaged_lengths_are_not_believed(tmp_path):
    (path,) = make_files(tmp_path, [3])
    with open(path, "r+b") as file:
        file.write(b"\x74")  # 116: the length of two records less a framing
    assert estimate_records([path]) is None
