"""Writing submissions. The order of lines is Spark's to make: tests/spark/test_submissions."""

import csv
import gzip
import io

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.submission_writer import format_segments, format_video, write_submission
from yt8m_spark.formats.submissions import (
    SEGMENT_HEADER,
    VIDEO_HEADER,
    EntitySegments,
    VideoPredictions,
    read_segment_submission,
    read_video_submission,
)


def make_lines(n=30):
    rng = np.random.default_rng(1)
    scores = np.sort(rng.random((n, 20), dtype=np.float32) ** 6)[:, ::-1].tolist()
    return [
        VideoPredictions(f"v{i}", rng.permutation(4000)[:20].tolist(), row)
        for i, row in enumerate(scores)
    ]


def test_confidences_are_printed_as_the_starter_code_does():
    scores = [1.0, 0.5, 1 / 3, 0.000123456789, 1e-9, 0.0]
    line = format_video(VideoPredictions("a", range(6), scores))
    assert line == "a," + " ".join("%i %g" % pair for pair in enumerate(scores))  # noqa: UP031
    assert line == "a,0 1 1 0.5 2 0.333333 3 0.000123457 4 1e-09 5 0"


@pytest.mark.parametrize("zipped", [False, True])
def test_nine_digits_give_float32_back(tmp_path, zipped):
    lines, path = make_lines(), tmp_path / "a.csv"
    pieces = [f"{format_video(line, 9)}\n".encode() for line in lines]
    assert write_submission(str(path), VIDEO_HEADER, pieces, zipped=zipped) == len(lines)
    with path.open("rb") as file:
        read = list(read_video_submission(file, "a"))
    assert [r.entities for r in read] == [line.entities for line in lines]
    scores = (np.float32([r.scores for r in rows]) for rows in (read, lines))
    np.testing.assert_array_equal(*scores)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == zipped


def test_the_csv_module_reads_what_is_written(tmp_path):
    path = tmp_path / "s.csv.gz"
    lines = [EntitySegments(3, ["a", "b"], [0, 45]), EntitySegments(7, ["a"], [5])]
    pieces = [("".join(format_segments(line) + "\n" for line in lines)).encode()]
    assert write_submission(str(path), SEGMENT_HEADER, pieces) == 2
    data = path.read_bytes()
    rows = list(csv.reader(io.StringIO(gzip.decompress(data).decode())))
    assert rows == [["Class", "Segments"], ["3", "a:0 b:45"], ["7", "a:5"]]
    assert list(read_segment_submission(io.BytesIO(data), "s")) == lines
    write_submission(str(path), SEGMENT_HEADER, pieces)
    assert path.read_bytes() == data
    assert data[3:8] == bytes(5)  # neither name nor time


def test_what_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def breaking():
        yield b"v1,1 0.5\n"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_submission(str(path), VIDEO_HEADER, breaking())
    with pytest.raises(InputError, match="no predictions"):
        write_submission(str(path), VIDEO_HEADER, [])
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.5])
def test_scores_out_of_range_are_refused(score):
    with pytest.raises(InputError, match=r"score out of range in video 'a', entity 4"):
        format_video(VideoPredictions("a", [3, 4], [0.5, score]))


def test_ids_with_commas_are_refused():
    with pytest.raises(InputError, match="'a,b'"):
        format_video(VideoPredictions("a,b", [3], [0.5]))
    with pytest.raises(InputError, match="'a b'"):
        format_segments(EntitySegments(3, ["a", "a b"], [0, 5]))
