"""How wide blocks are: properties, and the cache of a made-up machine."""

import pytest

from yt8m_spark.core.block_width import (
    STATE_MEMORY,
    block_width,
    cache_share,
    state_bytes,
    whole_columns,
)

MB = 1 << 20


@pytest.mark.parametrize("n_slots", [1, 2, 16, 256])
@pytest.mark.parametrize("n_rows", [1, 4, 8])
@pytest.mark.parametrize("n_features", [16, 1024, 7168, 14336])
@pytest.mark.parametrize("n_entities", [1, 60, 4800])
def test_blocks_fit_memory_and_leave_no_slot_idle_that_could_work(
    n_entities, n_features, n_rows, n_slots
):
    width = block_width(n_entities, n_features, n_rows, n_slots)
    assert width >= 1
    assert state_bytes(n_features, n_rows, width) <= STATE_MEMORY
    n_blocks = -(-n_entities // width)
    waves = -(-n_blocks // n_slots)
    # One wave fewer, with blocks of the same width, would leave entities out.
    assert (waves - 1) * n_slots * width < n_entities
    if width * n_rows > 32:  # blocks are hardly wider than an even share needs
        assert (width - -(-n_entities // (waves * n_slots))) * n_rows < 16 * n_rows


def test_4800_entities_on_16_cores_are_one_wave_of_300_or_a_few_more():
    assert block_width(4800, 1024, 1, 16) == 304


def test_1024_entities_on_two_cores_are_one_wave_of_two():
    assert block_width(1024, 1024, 1, 2) == 512


@pytest.mark.parametrize(
    ("n_entities", "n_rows", "expected"),
    [(1, 1, 32), (33, 1, 48), (48, 1, 48), (1, 4, 8), (9, 4, 12), (10, 6, 16), (1, 32, 1)],
)
def test_whole_columns_by_hand(n_entities, n_rows, expected):
    assert whole_columns(n_entities, n_rows) == expected


def test_a_smaller_cache_makes_narrower_blocks():
    widths = [block_width(100_000, 1024, 1, 2, cache * MB) for cache in (4, 16, 64)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_few_entities_are_not_cut_into_slivers():
    assert block_width(20, 1024, 1, 256) == 32


def test_cache_is_shared_by_the_cores_that_the_system_names(tmp_path):
    for index, (size, cores) in enumerate([("32K", "0"), ("1024K", "0,4"), ("32768K", "0-3,8-11")]):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
        (tmp_path / f"index{index}" / "shared_cpu_list").write_text(cores + "\n")
    assert cache_share(tmp_path) == 4 * MB


def test_a_machine_that_does_not_tell_has_the_usual_cache(tmp_path):
    assert cache_share(tmp_path) == 16 * MB
