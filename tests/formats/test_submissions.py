"""Reading submissions. Tables of them are tested in tests/spark, writing beside."""

import gzip
import io

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.formats.submissions import (
    EntitySegments,
    VideoPredictions,
    check_id,
    read_segment_submission,
    read_video_submission,
)

VIDEO, SEGMENT = "VideoId,LabelConfidencePairs\n", "Class,Segments\n"


def videos(text, name="a.csv"):
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_video_submission(io.BytesIO(data), name))


def segments(text):
    return list(read_segment_submission(io.BytesIO(text.encode()), "s.csv"))


def test_lines_by_hand():
    expected = [
        VideoPredictions("-0zGs", [12, 4], [0.93, 5e-05]),
        VideoPredictions("xwAc", [3], [1.0]),
        VideoPredictions("none", [], []),
    ]
    text = VIDEO + "-0zGs,12 0.93 4 5e-05\nxwAc,3 1\nnone,\n"
    assert videos(text) == expected
    assert videos(text.replace("\n", "\r\n")) == expected  # written on Windows
    assert videos("\ufeff" + text + "\n\n") == expected
    assert videos(gzip.compress(text.encode())) == expected
    assert segments(SEGMENT + "305,-0zGs:45 a:b:0\n7,\n") == [
        EntitySegments(305, ["-0zGs", "a:b"], [45, 0]),
        EntitySegments(7, [], []),
    ]


def test_it_reads_what_the_starter_code_prints():
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random((40, 20), dtype=np.float32) ** 4)[:, ::-1]
    # format_lines of google/youtube-8m's inference.py prints pairs as "%i %g".
    lines = [
        f"v{v}," + " ".join("%i %g" % (e, s) for e, s in enumerate(row))  # noqa: UP031
        for v, row in enumerate(scores)
    ]
    read = videos(VIDEO + "\n".join(lines))
    assert [line.video_id for line in read] == [f"v{v}" for v in range(40)]
    np.testing.assert_allclose([line.scores for line in read], scores, rtol=6e-6)


def test_lines_come_one_at_a_time():
    def endless():
        yield VIDEO.encode()
        n = 0
        while True:
            yield f"v{n},1 0.5\n".encode()
            n += 1

    class Stream(io.RawIOBase):
        def __init__(self):
            self.lines = endless()

        def read(self, n=-1):
            return b"VideoId,Labe"

        def seek(self, *_):
            return 0

        def readline(self, n=-1):
            return next(self.lines)

        __next__ = readline

    lines = read_video_submission(Stream(), "endless")
    assert [next(lines).video_id for _ in range(1000)][-1] == "v999"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,1 0.5 2", ("odd number", "found 3")),
        ("a,1 nan", ("bad confidence", "'nan'")),
        ("a,1 0.5 2 inf", ("bad confidence", "'inf'")),
        ("a,1 1.01", ("bad confidence", "1.01")),
        ("a,1 -0.1", ("bad confidence", "-0.1")),
        ("a,1 0_1", ("bad confidence", "0_1")),
        ("a,1 half", ("bad confidence", "half")),
        ("a,1 1e999", ("bad confidence",)),
        ("a,1 0.5 1 0.4", ("label 1 comes twice",)),
        ("a,1.5 0.5", ("bad label", "1.5")),
        ("a,-1 0.5", ("bad label", "-1")),
        ("a,2147483648 0.5", ("bad label",)),
        ("a,٣ 0.5", ("bad label",)),
        ("a,1\u00a00.5", ("malformed line",)),
        ("a", ("malformed line",)),
        ("a,1 0.5,2 0.5", ("malformed line",)),
        (",1 0.5", ("malformed line",)),
        ("a b,1 0.5", ("malformed line",)),
        ("first,1 0.5", ("video 'first' comes twice",)),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(line, words):
    with pytest.raises(InputError) as error:
        videos(f"{VIDEO}first,1 0.5\n\n{line}\n")
    for word in ("a.csv, line 4", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x,a:0", ("bad entity", "'x'")),
        ("7,a:0", ("entity 7 comes twice",)),
        ("8,a:0 b:5 a:0", ("segment a:0 comes twice",)),
        ("8,a:5 a:05", ("segment a:5 comes twice",)),
        ("8,a:0.5", ("bad start time", "0.5")),
        ("8,a:-5", ("bad start time", "-5")),
        ("8,abc", ("bad segment", "abc")),
        ("8,:5", ("bad segment",)),
    ],
)
def test_a_bad_line_of_segments_is_told_with_file_and_line(line, words):
    with pytest.raises(InputError) as error:
        segments(f"{SEGMENT}7,a:0\n{line}\n")
    for word in ("s.csv, line 3", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "id,labels\na,1 0.5\n", SEGMENT, "a,1 0.5\n", "\x00\x01" * 300]
)
def test_another_header_is_refused(text):
    with pytest.raises(InputError, match=r"wrong header in a\.csv"):
        videos(text)


def test_damage_is_told():
    data = gzip.compress((VIDEO + "".join(f"v{i},1 0.5\n" for i in range(9999))).encode())
    with pytest.raises(InputError, match=r"damaged gzip data in a\.csv, line"):
        videos(data[:-2000])
    with pytest.raises(InputError, match=r"a\.csv, line 3"):
        videos((VIDEO + "a,1 0.5\n").encode() + b"b\xff,1 0.5\n")


@pytest.mark.parametrize("video_id", ["", "a b", "a,b", 'a"', "a\nb"])
def test_ids_that_no_reader_could_tell_apart_are_refused(video_id):
    with pytest.raises(InputError, match="cannot stand in a CSV"):
        check_id(video_id)
