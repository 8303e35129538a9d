"""Numbers and splits of ids against their definition. The columns of Spark: tests/spark."""

import hashlib
import math

import candidate_videos as made
import pytest

from yt8m_spark.core.split_hash import (
    HASH_BITS,
    SAMPLE,
    SPLIT,
    Shares,
    id_hash,
    split_bounds,
    split_name,
)


@pytest.mark.parametrize("video_id", ["v", "-_dQw4w9WgXcQ", "ü/0/", "視頻", ""])
@pytest.mark.parametrize("purpose", [SAMPLE, SPLIT])
def test_a_number_is_the_first_60_bits_of_sha_256(video_id, purpose):
    for seed in (0, 7):
        digest = hashlib.sha256(f"{purpose}/{seed}/{video_id}".encode()).digest()
        assert id_hash(video_id, purpose, seed) == int.from_bytes(digest, "big") >> (256 - 60)
        assert id_hash(video_id, purpose, seed) < 2**HASH_BITS


def test_splits_of_100_000_ids_are_those_of_the_definition_and_within_binomial_bounds():
    counts = dict.fromkeys(("train", "validate", "test"), 0)
    n = 100_000
    for i in range(n):
        counts[split_name(f"v{i}")] += 1
        if i % 100 == 0:
            assert split_name(f"v{i}") == made.split_of(f"v{i}")
    for split, share in Shares()._asdict().items():
        assert abs(counts[split] - n * share) < 5 * math.sqrt(n * share * (1 - share)), counts


def test_the_split_of_a_video_says_nothing_of_the_sample():
    n = 20_000
    drawn = [f"v{i}" for i in range(n) if id_hash(f"v{i}", SAMPLE) < 2**HASH_BITS // 2]
    n_train = sum(split_name(video_id) == "train" for video_id in drawn)
    assert abs(n_train - 0.7 * len(drawn)) < 5 * math.sqrt(len(drawn) * 0.21)


def test_another_seed_gives_other_splits():
    moved = sum(split_name(f"v{i}") != split_name(f"v{i}", seed=1) for i in range(2000))
    assert abs(moved - 2000 * (1 - 0.49 - 0.04 - 0.01)) < 5 * math.sqrt(2000 * 0.25)


def test_bounds_are_the_decimals_as_written():
    assert split_bounds(Shares()) == (7 * 2**60 // 10, 9 * 2**60 // 10)  # 0.7 + 0.2 < 0.9
    assert split_bounds(Shares(0.5, 0.5, 0)) == (2**59, 2**60)
    third = 1 / 3
    _, end = split_bounds(Shares(third, 2 * third, 0.0))
    assert end == 2**60  # not one id of a split that has no share
    assert split_name("v", Shares(1, 0, 0)) == "train"


@pytest.mark.parametrize(
    "shares", [(0.7, 0.2, 0.2), (0.7, 0.2, 0.0), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5)]
)
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="shares of splits must"):
        split_bounds(Shares(*shares))
