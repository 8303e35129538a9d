"""A thread that reads ahead. What it reads is tested elsewhere."""

import gc
import threading
import time

import pytest

from yt8m_spark.spark.read_ahead import read_ahead


class Source:
    """Numbers from 0, with what has been taken of them and whether it was closed."""

    def __init__(self, n=10**9, fails_at=None):
        self.taken, self.closed, self.n, self.fails_at = 0, threading.Event(), n, fails_at

    def items(self):
        try:
            for i in range(self.n):
                if i == self.fails_at:
                    raise OSError("the disk is gone")
                self.taken += 1
                yield i
        finally:
            self.closed.set()


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def settled(source):
    """What ``source`` has given once its thread waits."""
    before = -1
    while source.taken != before:
        before = source.taken
        time.sleep(0.05)
    return before


@pytest.mark.parametrize("n", [0, 1, 2, 3, 500])
@pytest.mark.parametrize("depth", [1, 2, 7])
def test_all_items_come_in_order_and_the_thread_ends(n, depth):
    assert list(read_ahead(range(n), depth)) == list(range(n))
    assert not readers()


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_items_are_taken_than_asked_for(depth):
    source = Source()
    ahead = read_ahead(source.items(), depth)
    assert source.taken == 0  # nothing starts before the first is asked for
    for i in range(3):
        assert next(ahead) == i
        assert settled(source) == i + 1 + depth
    ahead.close()


def test_items_are_taken_while_the_consumer_is_busy():
    asked = threading.Event()

    def items():
        yield 0
        asked.set()
        yield 1

    for item in read_ahead(items()):
        assert item or asked.wait(5)  # still at work with item 0


def test_an_error_comes_after_the_items_before_it():
    source, seen = Source(fails_at=3), []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(read_ahead(source.items()))
    assert seen == [0, 1, 2]
    assert not readers()


def test_an_error_on_the_way_to_the_first_item_is_raised():
    with pytest.raises(TypeError):
        next(read_ahead(5))
    assert not readers()


@pytest.mark.parametrize("stop", ["close", "drop", "break", "raise"])
def test_a_consumer_that_stops_early_ends_the_thread_and_closes_the_source(stop):
    source = Source()
    items = source.items()  # held here: that nobody else does would close it too
    ahead = read_ahead(items)
    assert next(ahead) == 0
    if stop == "close":
        ahead.close()
    elif stop == "break":
        for _ in ahead:
            break
        del ahead
    elif stop == "raise":
        with pytest.raises(GeneratorExit):
            ahead.throw(GeneratorExit)
    else:
        del ahead
    gc.collect()
    assert source.closed.wait(5)
    assert not readers()


def test_an_iterator_that_was_never_used_starts_no_thread():
    ahead = read_ahead(Source().items())
    assert not readers()
    ahead.close()


def test_a_consumer_that_stops_while_an_item_is_under_way_waits_for_it():
    gate, finished = threading.Event(), []

    def slow():
        yield 0
        gate.wait(5)
        finished.append(True)
        yield 1

    ahead = read_ahead(slow())
    next(ahead)
    threading.Timer(0.05, gate.set).start()
    ahead.close()
    assert finished == [True]
    assert not readers()


def test_one_reader_may_read_ahead_of_another():
    assert list(read_ahead(read_ahead(range(50), 3), 1)) == list(range(50))
    ahead = read_ahead(read_ahead(Source().items()))
    next(ahead)
    ahead.close()
    assert not readers()


def test_a_depth_below_one_is_refused():
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        read_ahead([], 0)
