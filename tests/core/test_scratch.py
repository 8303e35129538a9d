"""Memory that is used again. What is computed in it is tested where it is computed."""

import threading

import numpy as np

from yt8m_spark.core.scratch import scratch_array


def test_a_name_gives_the_same_memory_again_and_another_name_does_not():
    first = scratch_array("test.a", (3, 4), np.float32)
    again = scratch_array("test.a", (2, 5), np.uint8)
    assert (first.shape, first.dtype) == ((3, 4), np.float32)
    assert (again.shape, again.dtype) == ((2, 5), np.uint8)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, scratch_array("test.b", (3, 4), np.float32))


def test_threads_do_not_share_memory():
    mine, theirs = scratch_array("test.a", (3,), np.uint8), []
    thread = threading.Thread(target=lambda: theirs.append(scratch_array("test.a", (3,), np.uint8)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, theirs[0])


def test_arrays_start_at_a_cache_line():
    for size in (1, 1000, 100_000):
        assert scratch_array(f"test.{size}", (size,), np.uint8).ctypes.data % 64 == 0


def test_very_large_arrays_are_not_kept():
    first = scratch_array("test.large", ((1 << 23) + 1,), np.uint8)
    assert not np.shares_memory(first, scratch_array("test.large", (9,), np.uint8))
