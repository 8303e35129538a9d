"""Events as lines and through logging. Those of whole jobs and bars are not tested here."""

import json
import logging
import re
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_spark import events
from yt8m_spark.errors import InputError
from yt8m_spark.events import as_logfmt, emit, in_job, in_stage_called, line_of, note, reporting

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Z]+) (.*)")


def parse_logfmt(text):
    """Fields of a line: written from what logfmt is, not from our code."""
    fields, position = {}, 0
    while position < len(text):
        key, _, rest = text[position:].partition("=")
        if rest.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(rest)
        else:
            end = rest.find(" ") if " " in rest else len(rest)
            value = rest[:end]
        fields[key] = value
        position += len(key) + 1 + end + 1
    return fields


def told(capsys):
    """Events on stderr: level and fields of each line."""
    lines = capsys.readouterr().err.splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    return [(match[2], parse_logfmt(match[3])) for match in found]


@pytest.fixture
def mode(monkeypatch):
    def choose(name):
        monkeypatch.setenv(events.MODE, name)

    return choose


@contextmanager
def a_run():
    with reporting("train_entities"), in_job("train_entities", "abc123"):
        yield


def test_an_event_is_a_line_with_time_job_run_and_stage(mode, capsys):
    mode("logfmt")
    with a_run(), in_stage_called("train"):
        emit("progress", {"done": 12_000, "per_second": 3400.5, "left_seconds": None, "ok": True})
    assert told(capsys) == [
        (
            "INFO",
            {
                "job": "train_entities",
                "run": "abc123",
                "stage": "train",
                "event": "progress",
                "done": "12000",
                "per_second": "3400.5",
                "ok": "true",
            },
        )
    ]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_.]{1,8}", fullmatch=True), st.text()))
def test_any_text_comes_back_from_one_line(fields):
    line = as_logfmt(fields)
    assert len(f"x{line}x".splitlines()) == 1
    assert line.isprintable()
    assert parse_logfmt(line) == fields


@pytest.mark.parametrize(
    "text", ["a b", "a=b", 'say "no"', "two\nlines", "", "back\\slash", "\x85"]
)
def test_odd_values_are_quoted_and_plain_ones_are_not(text):
    assert as_logfmt({"k": text}).startswith('k="')
    assert as_logfmt({"k": "s3://bucket/a-b_c.parquet"}) == "k=s3://bucket/a-b_c.parquet"


def test_json_has_numbers_as_numbers_and_no_nan(mode, capsys):
    mode("json")
    with a_run():
        emit("stage_finished", {"seconds": 1.5, "rows": 3, "loss": float("nan"), "x": "a\nb"})
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert {"time", "level", "job", "run", "event"} < found.keys()
    assert (found["seconds"], found["rows"], found["loss"], found["x"]) == (1.5, 3, None, "a\nb")


def test_passwords_are_masked_wherever_they_stand(mode, capsys):
    mode("logfmt")
    with a_run():
        emit("output_written", {"path": "https://me:hush@host/x"})
        note("see https://me:hush@host/x")
    printed = capsys.readouterr().err
    assert "hush" not in printed
    assert printed.count("me:***@host") == 2


def test_each_line_of_a_note_is_an_event_or_as_it_is_for_people(mode, capsys):
    mode("logfmt")
    with reporting("evaluate"):
        note("\na table\n  of two lines\n")
    assert [fields["message"] for _, fields in told(capsys)] == ["a table", "  of two lines"]
    mode("text")
    with reporting("evaluate"):
        note("\na table")
    assert capsys.readouterr().err == "\na table\n"


def test_without_a_job_nothing_is_printed_but_notes_for_people(capsys):
    emit("progress", {"done": 1})
    note("for people")
    assert capsys.readouterr().err == "for people\n"


def test_a_handler_of_a_platform_takes_events_too(mode, capsys):
    taken = []

    class Handler(logging.Handler):
        def emit(self, record):
            taken.append((record.fields["event"], record.getMessage()))

    handler = Handler()
    events.LOGGER.addHandler(handler)
    try:
        mode("logfmt")
        with a_run():
            emit("job_started", {"version": "1"})
    finally:
        events.LOGGER.removeHandler(handler)
    text = "job=train_entities run=abc123 event=job_started version=1"
    assert taken == [("job_started", text)]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_thread_and_what_comes_after_the_run_are_still_of_the_run(mode, capsys):
    mode("logfmt")
    with reporting("predict"):
        with in_job("predict", "abc123"):
            thread = threading.Thread(target=emit, args=("note", {"message": "thread"}))
            thread.start()
            thread.join()
        emit("job_finished")
    assert [fields["run"] for _, fields in told(capsys)] == ["abc123", "abc123"]
    with reporting("evaluate"):
        emit("job_failed", level=logging.ERROR)
    assert told(capsys) == [("ERROR", {"job": "evaluate", "event": "job_failed"})]


def test_other_code_that_logs_below_our_name_is_a_note(mode, capsys):
    mode("logfmt")
    with reporting("predict"):
        logging.getLogger("yt8m_spark").warning("mind %s", "this")
    ((level, fields),) = told(capsys)
    assert (level, fields["event"], fields["message"]) == ("WARNING", "note", "mind this")


def test_what_a_rank_prints_becomes_an_event_once(mode):
    mode("logfmt")
    assert line_of("rank 0: hello") == "rank 0: hello"
    assert line_of("rank 0: https://me:hush@host") == "rank 0: https://me:***@host"
    with reporting("train_deep"):
        line = line_of("rank 0: hello")
        assert parse_logfmt(LINE.fullmatch(line)[3])["message"] == "rank 0: hello"
        assert line_of(line) == line


def test_stderr_decides_if_nothing_is_said_and_a_wrong_word_is_refused(monkeypatch, mode):
    monkeypatch.delenv(events.MODE, raising=False)
    for is_terminal in (True, False):
        monkeypatch.setattr(
            events.sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal
        )
        with reporting("predict"):
            assert events.is_logged() is not is_terminal
    assert not events.is_logged()
    mode("xml")
    with pytest.raises(InputError, match=r"YT8M_SPARK_LOG.*one of text, logfmt, json"), a_run():
        pass


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("train moe, 4800 entities", "train_moe"),
        ("fold-0: train moe, 40 entities", "fold_0_train_moe"),
        ("train: video features", "train_video_features"),
        ("fit frame PCA", "fit_frame_pca"),
    ],
)
def test_names_of_stages_have_no_numbers_of_the_data(label, name):
    assert events.stage_name(label) == name
