"""What travels of an evaluation's counts: how much, and that nothing of it is lost."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from brute_evaluation import ENTITIES, make_videos

from yt8m_spark.core.bootstrap import video_hashes
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.core.tallies import Cells, Hits
from yt8m_spark.errors import InputError
from yt8m_spark.spark import evaluation_rows
from yt8m_spark.spark.evaluation_local import evaluate_batches
from yt8m_spark.spark.evaluation_merge import Merger, merged
from yt8m_spark.spark.evaluation_parts import reduce_parts
from yt8m_spark.spark.evaluation_result import by_kind
from yt8m_spark.spark.packing import pack, unpack, unpack_tables


def batch_of(videos):
    ids, labels, scores = zip(*videos, strict=True)
    offsets = np.cumsum([0, *map(len, labels)])
    values = np.array([e for g in labels for e in g], dtype=np.int64)
    return ScoredBatch(list(ids), offsets, values, np.array(ENTITIES), np.float32(scores))


def group_of(videos, options):
    hashes = video_hashes((v for v, *_ in videos), options.seed)
    return ((hashes & np.uint64(0xFFFFFFFF)) % np.uint64(options.n_groups)).tolist()


def counts_of(batches, options):
    """Rows of counts of one task."""
    task = evaluation_rows.Task(options, None)
    return evaluation_rows.tally_scored(iter(batches), score=iter, task=task)


def test_a_bootstrap_has_a_digest_of_its_videos_in_any_order():
    options = EvaluationOptions(n_replicates=40, seed=2)
    videos = make_videos(5)
    first, other = videos[0], ("another", *videos[0][1:])
    orders = [videos], [videos[::-1][:20], videos[::-1][20:]], [[other, *videos[1:]]]
    same, again, different = (
        evaluate_batches(map(batch_of, parts), options).intervals["videos"] for parts in orders
    )
    total = sum(int(h) for h in video_hashes((v for v, *_ in videos), 2)) % 2**64
    assert same == again == f"{total:016x}"
    one, two = (int(h) for h in video_hashes([first[0], "another"], 2))
    assert int(different, 16) == (total - one + two) % 2**64


def test_intervals_of_fractions_end_at_0_and_1():
    # All but one video are hit, so that replicates moved to the mean pass 1; losses may.
    videos = [(f"v{i}", [10 if i else 12], [1.0, *[0.0] * 39]) for i in range(30)]
    found = evaluate_batches([batch_of(videos)], EvaluationOptions(n_replicates=200))
    for name, (low, high) in found.intervals["intervals"].items():
        assert 0 <= low <= found.metrics[name] <= high
        values = np.array(found.replicates[name].to_pylist())
        ends = np.quantile(values, [0.025, 0.975])
        assert (low, high) == pytest.approx(
            (max(ends[0], 0), ends[1] if "loss" in name else min(ends[1], 1))
        )
    shifted = np.array(found.replicates["hit_at_1"].to_pylist())
    assert shifted.max() > 1


@pytest.mark.parametrize("n_replicates", [0, 40])
def test_a_task_passes_each_cell_on_once(monkeypatch, n_replicates):
    options = EvaluationOptions(n_replicates=n_replicates)
    videos = make_videos(4, n_videos=600)
    cells, n_scores = set(), 0
    for (_, _, scores), group in zip(videos, group_of(videos, options), strict=True):
        for entity, score in zip(ENTITIES, scores, strict=True):
            if score > 0:
                cells.add((entity, round(score * 10_000), group))
                n_scores += 1
    # Fewer than this are distinct, more than this come in: they are merged on the way.
    best = 2 * sum(min(20, len(ENTITIES)) for _ in videos)
    monkeypatch.setattr(evaluation_rows, "_MOST_PENDING", 4 * (best + len(cells)))
    monkeypatch.setattr(evaluation_rows, "_VIDEOS_AT_ONCE", 20)
    counts = pa.Table.from_batches(counts_of([batch_of(videos)], options)).to_pylist()
    payloads = [row["payload"] for row in counts if row["kind"] == "cells"]
    travelled = unpack(Cells, payloads)
    assert len(travelled.entities) == len(cells) < n_scores
    assert travelled.totals.sum() == n_scores
    taken = Merger(Cells)
    for payload in payloads * 3:
        taken.add(payload)
    merged = taken.counts()
    assert len(merged.entities) == len(cells)
    assert merged.totals.sum() == 3 * n_scores


def test_equal_keys_are_added_up_by_hand():
    def cells(*rows):
        return Cells(*np.array(rows, dtype=np.int64).T)

    found = merged([cells((1, 5, 2), (3, 1, 1)), cells((1, 4, 1), (1, 5, 7)), cells((3, 1, 2))])
    assert list(zip(*(column.tolist() for column in found), strict=True)) == [
        (1, 4, 1),
        (1, 5, 9),
        (3, 1, 3),
    ]


@pytest.mark.parametrize("bits", [7, 15, 31, 32])
def test_whole_numbers_of_any_size_are_packed_as_they_are(bits):
    values = [np.array([sign * 2**bits - (sign > 0), 0]) for sign in (-1, 1)]
    over = [np.array([0, 2**bits]), np.array([-(2**bits) - 1, 0])]
    for one in [*values, *over]:
        found = unpack(Hits, [pack(Hits(one, one[::-1])), pack(Hits(one[:0], one[:0]))])
        assert found.entities.dtype == np.int64
        assert found.entities.tolist() == one.tolist()
        assert found.keys.tolist() == one[::-1].tolist()


def test_of_videos_that_stand_twice_each_part_names_one():
    # 300 ids in 64 parts, each twice.
    videos = [(f"v{i:03}", [10], [0.5] * 40) for i in range(300)]
    options = EvaluationOptions()
    counts = pa.Table.from_batches(counts_of([batch_of(videos), batch_of(videos)], options))
    counts = counts.filter(pc.field("domain") == "videos").sort_by("part")
    found = by_kind(reduce_parts(iter(counts.to_batches()), options=options))["twice"]
    assert len(unpack_tables(found)) == len(found) == len(set(counts["part"].to_pylist()))
    with pytest.raises(InputError, match="duplicate video_id in 'v000', found 2 rows"):
        evaluate_batches([batch_of(videos), batch_of(videos)])
