"""Evaluations without Spark against brute force: metrics, tables and bootstrap replicates.

Sessions, and what tables Spark refuses, are tested in test_evaluation.
"""

import numpy as np
import pyarrow as pa
import pytest
from brute_evaluation import ENTITIES, brute_force, make_videos, same, scored

from yt8m_spark.core.bootstrap import replicate_weights, video_hashes
from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.spark import evaluation_merge, evaluation_rows
from yt8m_spark.spark.evaluation_local import evaluate_batches, evaluate_counts, evaluate_table
from yt8m_spark.spark.schemas import PREDICTIONS, arrow_schema


def batch_of(videos, entities=ENTITIES):
    ids, labels, scores = zip(*videos, strict=True)
    offsets = np.cumsum([0, *map(len, labels)])
    values = np.array([e for g in labels for e in g], dtype=np.int64)
    return ScoredBatch(list(ids), offsets, values, np.array(entities), np.float32(scores))


def table_of(videos, rows=None):
    """A predictions table of videos with scores as mappings."""
    columns = zip(*((v, g, list(s), list(s.values())) for v, g, s in videos), strict=True)
    return pa.table([list(c) for c in columns], schema=arrow_schema(PREDICTIONS))


@pytest.mark.parametrize("n_levels", [1, 2, 5, 9999, 10**6])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_scores_and_lists_match_brute_force_however_they_are_batched(n_levels, size):
    videos = make_videos(n_levels, zeros=0.3)
    hit_at = (1, 3, 5, 30)
    expected = brute_force(scored(videos), hit_at=hit_at)
    options = EvaluationOptions(hit_at=(30, 3, 5))
    batches = [batch_of(videos[i : i + size]) for i in range(0, 60, size)]
    dense = evaluate_batches(batches, options)
    listed = evaluate_table(table_of(scored(videos)), options)
    assert same(dense.metrics, expected)
    assert same(listed.metrics, expected)
    for name in ("per_entity", "curves", "confusions", "reliability"):
        found = [getattr(e, name).to_pandas() for e in (dense, listed)]
        assert np.allclose(
            *(np.array(f.select_dtypes("number"), float) for f in found), equal_nan=True
        )


@pytest.mark.parametrize("n_replicates", [0, 40])
def test_a_task_that_passes_its_counts_on_early_changes_nothing(monkeypatch, n_replicates):
    options = EvaluationOptions(n_replicates=n_replicates)
    videos = make_videos(1000)
    batches = [batch_of(videos[i : i + 7]) for i in range(0, 60, 7)]
    expected = evaluate_batches(batches, options)
    monkeypatch.setattr(evaluation_rows, "_MOST_PENDING", 200)
    monkeypatch.setattr(evaluation_rows, "_VIDEOS_AT_ONCE", 3)
    monkeypatch.setattr(evaluation_merge, "_MOST_WAITING", 10)
    task = evaluation_rows.Task(options, None)
    early = list(evaluation_rows.tally_scored(iter(batches), score=iter, task=task))
    assert len(early) > 5
    found = evaluate_counts(early, options)
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-14)
    assert found.confusions.equals(expected.confusions)
    assert found.curves.equals(expected.curves)
    if n_replicates:
        for name, values in expected.replicates.to_pydict().items():
            assert found.replicates[name].to_pylist() == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("dense", [True, False])
def test_replicates_are_evaluations_of_their_videos_repeated(dense):
    videos, options = make_videos(40, n_videos=50), EvaluationOptions(n_replicates=40, seed=3)
    if dense:
        found = evaluate_batches([batch_of(videos[:20]), batch_of(videos[20:])], options)
    else:
        found = evaluate_table(table_of(scored(videos)), options)
    groups = dict(zip((v for v, *_ in videos), group_of(videos, options), strict=True))
    weights = replicate_weights(40, options.n_groups, seed=3)[:, :7]  # the rest takes long
    expected = []
    for times in weights.T.astype(int):
        repeated = [
            (f"{v}#{copy}", g, s) for v, g, s in scored(videos) for copy in range(times[groups[v]])
        ]
        expected.append(brute_force(repeated))
    assert same(found.metrics, expected[0])
    table = found.replicates.to_pydict()
    assert table.keys() == {n for n in expected[0] if not n.endswith(("_best", "_worst"))}
    for name, values in table.items():
        # They are moved by one constant, to the figure in the mean.
        assert np.mean(values) == pytest.approx(found.metrics[name], rel=1e-12)
        steps = np.diff([e[name] for e in expected[1:]])
        np.testing.assert_allclose(np.diff(values[:6]), steps, rtol=1e-10, atol=1e-12)
        low, high = found.intervals["intervals"][name]
        assert low <= high
        assert low >= 0
    assert found.intervals["n_replicates"] == 40


def group_of(videos, options):
    hashes = video_hashes((v for v, *_ in videos), options.seed)
    return ((hashes & np.uint64(0xFFFFFFFF)) % np.uint64(options.n_groups)).tolist()


def test_replicates_of_two_models_are_of_the_same_videos():
    options = EvaluationOptions(n_replicates=40, seed=1)
    one = make_videos(40, n_videos=50)
    other = [(v, g, [x / 2 for x in s]) for v, g, s in one[::-1]]  # of the same order
    found = [evaluate_batches([batch_of(v)], options).replicates for v in (one, other)]
    for name in ("hit_at_1", "perr", "gap_at_20"):
        assert found[0][name].to_pylist() == pytest.approx(found[1][name].to_pylist(), rel=1e-12)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, covered, n = 0.6, 0, 60
    for trial in range(n):
        is_hit = rng.random(300) < truth
        videos = [(f"v{i}", [0], [0.9, 0.5] if h else [0.5, 0.9]) for i, h in enumerate(is_hit)]
        options = EvaluationOptions(n_replicates=200, seed=trial)
        found = evaluate_batches([batch_of(videos, [0, 1])], options)
        low, high = found.intervals["intervals"]["hit_at_1"]
        # The standard error is that of a share.
        assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.24 / 300), rel=0.35)
        covered += low <= truth <= high
    assert covered / n >= 0.85  # 0.95 less three standard errors of 60 trials


def test_intervals_hold_the_figure_though_entities_are_rare():
    rng = np.random.default_rng(5)
    videos = []
    for v in range(200):  # most of 40 entities label a few videos each
        labels = rng.choice(ENTITIES, 1 + (v % 3 == 0), replace=False).tolist()
        videos.append((f"v{v}", labels, rng.random(len(ENTITIES)).tolist()))
    found = evaluate_batches([batch_of(videos)], EvaluationOptions(n_replicates=300))
    for name, (low, high) in found.intervals["intervals"].items():
        assert low < found.metrics[name] < high, name


def test_tables_by_hand():
    # a: 1 is at rank 1 and 3 is missed, 2 stands in its place; b: 1 is missed for 3; c: no label.
    videos = [
        ("a", [1, 3], {1: 0.9, 2: 0.8, 3: 0.00001}),
        ("b", [1], {3: 0.5, 1: 0.25, 2: 0.0}),
        ("c", [], {1: 0.96}),
    ]
    found = evaluate_table(table_of(videos))
    assert found.confusions.to_pylist() == [
        {"entity": 1, "confused_with": 3, "n_videos": 1, "share": 1 / 2},
        {"entity": 3, "confused_with": 2, "n_videos": 1, "share": 1.0},
    ]
    one, three = found.per_entity.to_pylist()
    assert (one["entity"], one["n_positives"], three["n_positives"]) == (1, 2, 1)
    # 1: scores .96 (no), .9 (yes), .25 (yes).
    assert one["average_precision"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert one["best_average_precision"] == one["worst_average_precision"]
    assert one["loss"] == pytest.approx(-np.log([0.9, 0.25, 0.04]).mean(), rel=1e-6)
    assert (one["best_threshold"], one["best_f1"]) == pytest.approx((0.25, 2 * 2 / (3 + 2)))
    assert one["precision_at_recall_80"] == pytest.approx(2 / 3)
    # Bins of 1/15: 13 holds .9, 14 holds .96, 3 holds .25.
    assert one["calibration_error"] == pytest.approx((0.1 + 0.75 + 0.96) / 3)
    # 3: .5 is wrong, the label rounds to 0 in bin 0 beside c, where it is not listed.
    assert three["average_precision"] == 0
    assert three["loss"] == pytest.approx(-np.log([0.00001, 0.5, 1.0]).mean(), rel=1e-6)
    assert three["calibration_error"] == pytest.approx((0.5 + 1) / 3)
    bins = found.reliability.to_pylist()
    assert [b["n_pairs"] for b in bins] == [2, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert [b["n_hits"] for b in bins] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert bins[1]["mean_score"] is None
    assert bins[13]["mean_score"] == pytest.approx(0.9)
    curve = found.curves.to_pylist()[0]
    assert curve["recall"] == pytest.approx([0, 1 / 2, 1])
    assert found.n_unpredicted == 0


def test_entities_that_nothing_predicts_are_counted():
    found = evaluate_batches([batch_of([("a", [10, 11], [0.5] * 40)])])
    assert found.n_unpredicted == 1
    assert found.per_entity.num_rows == 2


def test_nothing_predicted_at_all_is_zero_not_an_error():
    found = evaluate_table(table_of([("a", [1], {}), ("b", [], {})]))
    fractions = {n: v for n, v in found.metrics.items() if "loss" not in n}
    assert set(fractions.values()) == {0.0}
    assert found.metrics["loss"] == pytest.approx((-np.log(2.0**-23) + 0) / 2)


@pytest.mark.parametrize("what", ["labels", "predictions"])
def test_an_entity_out_of_the_vocabulary_is_refused_by_name(what):
    options = EvaluationOptions(vocabulary=(1, 2))
    given = ([7], {1: 0.5}) if what == "labels" else ([1], {7: 0.5})
    where = f"entity 7 is not in the vocabulary in {what} of video 'b'"
    with pytest.raises(InputError, match=where):
        evaluate_table(table_of([("a", [1], {2: 0.1}), ("b", *given)]), options)


def test_a_model_of_other_entities_than_the_vocabulary_is_refused():
    with pytest.raises(InputError, match="entity 12 is not in the vocabulary in the model"):
        evaluate_batches([batch_of([("a", [10], [0.5] * 40)])], EvaluationOptions(vocabulary=(10,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hit_at": ()}, "hit_at"),
        ({"hit_at": (0, 5)}, "hit_at"),
        ({"n_replicates": -1}, "n_replicates"),
        ({"n_replicates": 39}, "n_replicates must be 0 .none. or at least 40, .* got 39"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EvaluationOptions(**options)
