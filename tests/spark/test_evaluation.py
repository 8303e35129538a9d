"""Evaluation of tables against brute force. Spark Connect and real models are tested elsewhere."""

from functools import partial
from unittest.mock import patch

import brute_evaluation
import numpy as np
import pytest
from brute_evaluation import ENTITIES, best_first, brute_force, make_videos, same, scored
from pyspark.errors import PySparkException

from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.errors import InputError
from yt8m_spark.spark.arrow import ragged, to_matrix
from yt8m_spark.spark.evaluation import evaluate_predictions, evaluate_scored
from yt8m_spark.spark.prior import evaluate_prior
from yt8m_spark.spark.schemas import FEATURES, PREDICTIONS


@pytest.fixture(scope="module", autouse=True)
def _shared_oracle(spark):
    """Let workers import this file, whose functions score: its oracle is beside the tests."""
    spark.addArtifacts(brute_evaluation.__file__, pyfile=True)


def score_as_given(batches):
    """A scorer: the features of a video are its scores."""
    for batch in batches:
        offsets, labels = ragged(batch.column("labels"))
        scores = to_matrix(batch.column("features"), "features", len(ENTITIES))
        ids = batch.column("video_id").to_pylist()
        yield ScoredBatch(ids, offsets, labels, np.array(ENTITIES), scores)


def score_logged(batches, folder):
    """`score_as_given` that leaves a file behind for each partition with videos."""
    for i, batch in enumerate(score_as_given(batches)):
        (folder / f"{batch.video_ids[0]}-{i}-{np.random.default_rng().integers(2**60)}").touch()
        yield batch


def features_of(spark, videos):
    return spark.createDataFrame(videos, FEATURES)


def predictions_of(spark, videos, k=None):
    """A predictions table of the videos' ``k`` best entities, or of all."""
    rows = []
    for video_id, labels, scores in videos:
        best = sorted(zip(scores, ENTITIES, strict=True), key=best_first)[:k]
        rows.append((video_id, labels, [e for _, e in best], [s for s, _ in best]))
    return spark.createDataFrame(rows, PREDICTIONS)


def one_prediction(spark, *lists, video_id="a", labels=(1,)):
    return spark.createDataFrame([(video_id, list(labels), *lists)], PREDICTIONS)


@pytest.mark.parametrize("n_levels", [2, 10**6])
def test_dense_scores_match_brute_force(spark, n_levels):
    videos = make_videos(n_levels)
    evaluated = evaluate_scored(features_of(spark, videos), score_as_given)
    assert same(evaluated.metrics, brute_force(scored(videos)))
    assert evaluated.n_videos == 60
    assert evaluated.n_labelled_videos == sum(bool(labels) for _, labels, _ in videos)


def test_whole_lists_match_brute_force(spark):
    videos = make_videos(5)
    found = evaluate_predictions(predictions_of(spark, videos)).metrics
    assert same(found, brute_force(scored(videos)))


def test_cut_lists_differ_from_whole_ones_in_map_and_losses_alone(spark):
    videos = make_videos(5, zeros=0.1)  # at most 25 labels a video
    found = evaluate_predictions(predictions_of(spark, videos, k=25)).metrics
    cut = []
    for video_id, labels, scores in scored(videos):
        best = sorted(((s, e) for e, s in scores.items()), key=best_first)[:25]
        cut.append((video_id, labels, {e: s for s, e in best}))
    whole = brute_force(scored(videos))
    assert found["map"] != pytest.approx(whole["map"], rel=1e-3)
    assert same(found, brute_force(cut))
    kept = [n for n in whole if n[:3] != "map" and "loss" not in n]
    assert [whole[n] for n in kept] == [pytest.approx(brute_force(cut)[n], rel=1e-12) for n in kept]


def test_chosen_entities_alone_are_labels_and_predictions(spark):
    videos, chosen = make_videos(4), [10, 11, 20, 22, 30, 86, 1234]
    expected = brute_force(scored(videos), chosen)
    dense = evaluate_scored(features_of(spark, videos), score_as_given, entities=chosen)
    listed = evaluate_predictions(predictions_of(spark, videos), entities=iter(chosen))
    assert same(dense.metrics, expected)
    assert same(listed.metrics, expected)


@pytest.mark.parametrize("n_partitions", [1, 3, 50])
def test_partitions_and_order_of_rows_change_nothing(spark, n_partitions):
    # Small batches, so that groups of rows are cut in the middle.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 13)
    try:
        videos = make_videos(3)
        table = predictions_of(spark, videos[::-1]).repartition(n_partitions)
        # Half of the partitions end up empty.
        table = table.union(table.where("video_id = 'nobody'").repartition(n_partitions))
        found = evaluate_predictions(table)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert same(found.metrics, brute_force(scored(videos)))


def test_figures_of_each_entity_are_in_the_table(spark):
    videos = [("a", [10], [0.9, 0.8]), ("b", [12, 10], [0.5, 0.6]), ("c", [7], [0.7, 0.0])]
    videos = [(v, g, s + [0.0] * 38) for v, g, s in videos]
    table = evaluate_scored(features_of(spark, videos), score_as_given).per_entity
    assert table.column_names[:4] == [
        "entity",
        "n_positives",
        "average_precision",
        "starter_average_precision",
    ]
    # 10 is true at ranks 1 and 3 of .9, .7, .5; 12 at rank 2 of .8, .6; 7 is not predicted.
    expected = [(7, 1, 0.0), (10, 2, (1 / 1 + 2 / 3) / 2), (12, 1, 1 / 2)]
    assert [tuple(row.values()) for row in table.select(range(4)).to_pylist()] == [
        pytest.approx((e, n, ap, ap)) for e, n, ap in expected
    ]


def test_videos_are_scored_once_and_the_cache_is_given_back(spark, tmp_path):
    table = features_of(spark, make_videos(3)).repartition(3)
    kind = type(table)
    with patch.object(kind, "unpersist", autospec=True, side_effect=kind.unpersist) as given_back:
        evaluate_scored(table, partial(score_logged, folder=tmp_path))
    assert len(list(tmp_path.iterdir())) == 3
    assert given_back.call_count == 1


def test_compute_that_caches_nothing_gives_the_same_metrics(spark):
    videos = make_videos(3)
    table = predictions_of(spark, videos)
    refusal = PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported")
    with patch.object(type(table), "persist", side_effect=refusal) as persist:
        found = evaluate_predictions(table).metrics
    assert persist.call_count == 1
    assert same(found, brute_force(scored(videos)))


def test_the_prior_scores_every_video_with_the_training_frequencies(spark):
    videos = make_videos(3)
    table = features_of(spark, videos)
    n_with = {e: sum(e in labels for _, labels, _ in videos) for e in range(10, 100)}
    frequencies = {e: n / 60 for e, n in n_with.items() if n}
    prior = [float(np.float32(frequencies.get(e, 0.0))) for e in ENTITIES]
    expected = brute_force(scored([(v, labels, prior) for v, labels, _ in videos]))
    found = evaluate_prior(table, {e: frequencies.get(e, 0.0) for e in ENTITIES})
    assert same(found.metrics, expected)


def test_a_null_list_is_an_empty_one(spark):
    rows = [("a", [1], [1, 2], [0.9, 0.1]), ("b", None, [1], [0.95]), ("c", [2], None, None)]
    found = evaluate_predictions(spark.createDataFrame(rows, PREDICTIONS))
    assert (found.n_videos, found.n_labelled_videos) == (3, 2)
    assert found.metrics["hit_at_1"] == 1 / 2
    assert found.metrics["gap_at_20"] == pytest.approx((1 / 2) / 2)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (([1, 2], [0.5, float("nan")]), "score out of range in video 'a', entity 2"),
        (([1, 2], [0.5, None]), "score out of range in video 'a', entity 2"),
        (([1, 2], [1.5, 0.5]), "score out of range in video 'a', entity 1"),
        (([1, 2], [0.5]), "entities and scores differ in number in predictions of video 'a'"),
        (([1, 2], None), "expected 2 scores, found 0"),
        (([1, 1], [0.5, 0.5]), "entity 1 is listed twice in predictions of video 'a'"),
        (([1, None], [0.5, 0.5]), "null value in column 'entities'"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_the_task(spark, lists, message):
    with pytest.raises(PySparkException, match=f"InputError: .*{message}"):
        evaluate_predictions(one_prediction(spark, *lists))


def test_a_video_without_an_id_is_refused_by_the_task(spark):
    with pytest.raises(PySparkException, match="InputError: null video_id in row 0"):
        evaluate_predictions(one_prediction(spark, [1], [0.5], video_id=None))
    nobody = features_of(spark, [(None, [10], [0.5] * 40)])
    with pytest.raises(PySparkException, match="InputError: null video_id in row 0"):
        evaluate_scored(nobody, score_as_given)


def test_a_video_that_stands_twice_is_refused_by_name(spark):
    table = one_prediction(spark, [1], [0.5])
    with pytest.raises(InputError, match="duplicate video_id in 'a', found 2 rows"):
        evaluate_predictions(table.union(table))


def test_nothing_to_evaluate_is_refused(spark):
    with pytest.raises(InputError, match="found no rows"):
        evaluate_predictions(spark.createDataFrame([], PREDICTIONS))
    unlabelled = one_prediction(spark, [1], [0.5], labels=[])
    with pytest.raises(InputError, match="videos with labels, found 1 without"):
        evaluate_predictions(unlabelled)
    with pytest.raises(InputError, match="set of entities to evaluate is empty"):
        evaluate_predictions(unlabelled, entities=[])
    with pytest.raises(InputError, match="prior has no entities"):
        evaluate_prior(unlabelled, {})


def test_a_table_of_other_columns_is_refused(spark):
    with pytest.raises(InputError, match="no column 'entities' in predictions table"):
        evaluate_predictions(features_of(spark, make_videos(3)))
    with pytest.raises(InputError, match="no column 'labels' in features table"):
        evaluate_scored(spark.range(3).selectExpr("'a' AS video_id"), score_as_given)


def test_other_failures_to_cache_are_not_hidden(spark):
    table = predictions_of(spark, make_videos(3))
    failure = patch.object(type(table), "persist", side_effect=PySparkException("disk on fire"))
    with failure, pytest.raises(PySparkException, match="disk on fire"):
        evaluate_predictions(table)
