"""Training on Spark against each entity alone. Losses and AdaGrad are tested in tests/core."""

import json
import os
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import TrainingOptions, initial_state, mini_batches, train_epoch
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.spark import shards as shards_module
from yt8m_spark.spark.mapper import Plan, read_plan, write_plan
from yt8m_spark.spark.models import load_scorer
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.training import prepare_shards, train_entities

ENTITIES = [2, 5, 7, 11, 40]
OPTIONS = TrainingOptions(n_epochs=2, batch_size=8, l2=1e-3, initial_accumulator=0.1, seed=3)
D = 6


def make_videos(n=60, seed=0):
    """Videos with a label where the entity's own feature, with some noise, is above a bound."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D)).astype(np.float32)
    hits = features[:, :5] + rng.normal(0, 0.3, size=(n, 5)) > 0.4
    labels = [np.array(ENTITIES)[row].tolist() for row in hits]
    return [(f"v{i:03d}", labels[i], features[i].tolist()) for i in range(n)]


def prepared(spark, videos, folder, videos_a_shard=16, n_partitions=2):
    table = spark.createDataFrame(videos, FEATURES).repartition(n_partitions)
    with patch.object(shards_module, "VIDEOS_A_SHARD", videos_a_shard):
        return prepare_shards(table, str(folder))


@pytest.fixture(scope="module")
def data(spark, tmp_path_factory):
    """Sixty videos in four shards."""
    return prepared(spark, make_videos(), tmp_path_factory.mktemp("prepared"))


def train(spark, data, folder, loss="logistic", **more):
    """A trained model as (what `train_entities` tells, its scorer)."""
    more = {"options": OPTIONS, **more}
    model = str(folder / "model")
    trained = train_entities(spark, data, str(folder / "work"), model, loss=loss, **more)
    return trained, load_scorer(model)


def train_alone(data, entity, loss, n_experts=2):
    """Weights (R, D + 1) of one entity, trained in memory on the same mini-batches."""
    family, entities = loss_family(loss, n_experts), np.array([entity])
    state = initial_state(family, entities, D, OPTIONS)
    for epoch in range(OPTIONS.n_epochs):
        order = np.random.default_rng([OPTIONS.seed, epoch]).permutation(data.shards.n_shards)
        batches = mini_batches(data.shards.chunks(order), entities, OPTIONS, epoch)
        train_epoch(state, batches, family, OPTIONS)
    return state.weights[:, 0]


def rows_of(folder):
    """Rows of the trained model's table by entity."""
    return {row["entity"]: row for row in pq.read_table(folder / "model" / "entities").to_pylist()}


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.mark.parametrize("block_size", [1, 2, None])  # None: all five in one
@pytest.mark.parametrize("loss", ["logistic", "hinge", "moe"])
def test_a_model_is_each_entity_trained_alone(spark, data, tmp_path, loss, block_size):
    trained, scorer = train(spark, data, tmp_path, loss, block_size=block_size)
    assert trained.n_blocks == {1: 5, 2: 3, None: 1}[block_size]
    assert (trained.n_entities, trained.n_videos) == (5, 60)
    assert scorer.entities.tolist() == ENTITIES
    for i, entity in enumerate(ENTITIES):
        expected = train_alone(data, entity, loss)
        assert_allclose(scorer.weights[:, i], expected, rtol=1e-4, atol=1e-5)


def test_a_logistic_model_equals_adagrad_written_out(spark, data, tmp_path):
    _, scorer = train(spark, data, tmp_path)
    w, total = np.zeros(D + 1), np.full(D + 1, OPTIONS.initial_accumulator)
    for epoch in range(OPTIONS.n_epochs):
        order = np.random.default_rng([OPTIONS.seed, epoch]).permutation(4)
        for number, chunk in data.shards.chunks(order):
            labels = np.split(chunk.label_values, chunk.label_offsets[1:-1])
            x = np.column_stack([chunk.features, np.ones(len(labels))]).astype(np.float64)
            y = np.array([7 in of_video for of_video in labels])
            shuffled = np.random.default_rng([OPTIONS.seed, epoch, number]).permutation(len(y))
            for start in range(0, len(y), 8):
                rows = shuffled[start : start + 8]
                gradient = (expit(x[rows] @ w) - y[rows]) @ x[rows] / len(rows)
                gradient[:-1] += OPTIONS.l2 * w[:-1]
                total += gradient**2
                w -= gradient / np.sqrt(total)
    assert_allclose(scorer.weights[0, ENTITIES.index(7)], w, rtol=1e-3, atol=1e-4)


def test_enough_passes_reach_scikit_learns_optimum(spark, tmp_path):
    videos = make_videos()
    data = prepared(spark, videos, tmp_path, videos_a_shard=100)
    options = TrainingOptions(n_epochs=600, batch_size=60, l2=0.05)
    _, scorer = train(spark, data, tmp_path, options=options)
    x = np.array([features for *_, features in videos])
    for i, entity in enumerate(ENTITIES):
        y = [entity in labels for _, labels, _ in videos]
        fitted = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-8).fit(x, y)
        expected = [*fitted.coef_[0], fitted.intercept_[0]]
        assert_allclose(scorer.weights[0, i], expected, atol=2e-3)


def test_a_subset_trains_as_it_would_among_all(spark, data, tmp_path):
    trained, scorer = train(spark, data, tmp_path, "moe", entities=np.array([5, 40]), n_experts=3)
    assert trained.n_entities == 2
    assert scorer.entities.tolist() == [5, 40]
    for i, entity in enumerate([5, 40]):
        expected = train_alone(data, entity, "moe", n_experts=3)
        assert_allclose(scorer.weights[:, i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_an_entity_without_positives_learns_to_say_no(spark, data, tmp_path, loss):
    _, scorer = train(spark, data, tmp_path, loss, entities=np.array([5, 99]))
    rows = rows_of(tmp_path)
    assert rows[99]["n_positives"] == 0
    assert rows[5]["n_positives"] == sum(5 in labels for _, labels, _ in make_videos())
    assert np.isfinite(scorer.weights).all()
    history = rows[99]["loss_history"]
    assert history[-1] < history[0]
    for _, chunk in data.shards.chunks():
        z = chunk.features @ scorer.weights[0, 1, :-1] + scorer.weights[0, 1, -1]
        assert (z < 0).all()


def test_the_same_training_twice_gives_the_same_bytes(spark, data, tmp_path):
    found = []
    for name in ("a", "b"):
        train(spark, data, tmp_path / name, "moe", block_size=2)
        blocks = sorted((tmp_path / name / "model" / "entities").iterdir())
        found.append([path.read_bytes() for path in blocks])
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_shards_and_label_counts_do_not_depend_on_partitions(spark, data, tmp_path):
    other = prepared(spark, make_videos()[::-1], tmp_path, n_partitions=7)
    assert_array_equal(other.entities, ENTITIES)
    assert_array_equal(other.entities, data.entities)
    assert_array_equal(other.counts, data.counts)
    expected = [sum(e in labels for _, labels, _ in make_videos()) for e in ENTITIES]
    assert_array_equal(other.counts, expected)
    for (_, one), (_, two) in zip(data.shards.chunks(), other.shards.chunks(), strict=True):
        assert_array_equal(one.features, two.features)
        assert_array_equal(one.label_values, two.label_values)


def test_shards_that_are_there_are_not_made_again(spark, tmp_path):
    before = prepared(spark, make_videos(), tmp_path)
    empty = spark.createDataFrame([], FEATURES)  # would be refused if it were read
    assert prepare_shards(empty, str(tmp_path)).shards == before.shards


def test_shards_without_videos_change_nothing(spark, tmp_path):
    videos = make_videos(7)
    data = prepared(spark, videos, tmp_path, videos_a_shard=1)
    assert 0 in [len(chunk.features) for _, chunk in data.shards.chunks()]
    _, scorer = train(spark, data, tmp_path)
    entity = int(scorer.entities[0])
    assert_allclose(scorer.weights[:, 0], train_alone(data, entity, "logistic"), rtol=1e-4)


def test_the_mean_loss_is_that_of_the_last_pass(spark, data, tmp_path):
    trained, _ = train(spark, data, tmp_path, block_size=2)
    histories = [row["loss_history"] for row in rows_of(tmp_path).values()]
    assert {len(history) for history in histories} == {OPTIONS.n_epochs}
    assert_allclose(trained.mean_loss, np.mean([h[-1] for h in histories]), rtol=1e-6)


def test_model_json_tells_how_the_model_came_about(spark, data, tmp_path):
    train(spark, data, tmp_path, "moe", n_experts=3, description={"input": "features"})
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    expected = {"loss": "moe", "n_experts": 3, "n_features": D, "n_entities": 5, "n_videos": 60}
    assert expected.items() <= described.items()
    assert described["input"] == "features"
    assert TrainingOptions(**described["options"]) == OPTIONS


def stop_before_the_model(spark, data, folder, **more):
    """Train all blocks and fail where the model should be put; the blocks by name."""
    (folder / "model").write_text("a file where the model's folder should be")
    with pytest.raises(OSError, match="model"):
        train(spark, data, folder, **more)
    (folder / "model").unlink()
    return {path.name: path for path in (folder / "work" / "blocks").glob("*.parquet")}


def test_blocks_that_exist_are_not_trained_again(spark, data, tmp_path):
    blocks = stop_before_the_model(spark, data, tmp_path, block_size=2)
    assert sorted(blocks) == [f"block-0000{i}.parquet" for i in range(3)]
    before = {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in blocks.items()}
    blocks["block-00001.parquet"].unlink()
    trained, _ = train(spark, data, tmp_path, block_size=2)
    for name, (contents, written) in before.items():
        path = tmp_path / "model" / "entities" / name
        assert path.read_bytes() == contents
        assert (path.stat().st_mtime_ns == written) == (name != "block-00001.parquet")
    # Only the block that was trained now has a loss to tell.
    retrained = [rows_of(tmp_path)[e]["loss_history"][-1] for e in ENTITIES[2:4]]
    assert_allclose(trained.mean_loss, np.mean(retrained), rtol=1e-6)


def test_a_training_whose_blocks_are_all_there_has_no_loss_to_tell(spark, data, tmp_path):
    stop_before_the_model(spark, data, tmp_path)
    trained, scorer = train(spark, data, tmp_path)
    assert np.isnan(trained.mean_loss)
    assert scorer.entities.tolist() == ENTITIES


@pytest.mark.parametrize(
    "change",
    [{"block_size": 1}, {"loss": "hinge"}, {"options": TrainingOptions(n_epochs=3)}],
)
def test_blocks_of_another_training_are_refused(spark, data, tmp_path, change):
    stop_before_the_model(spark, data, tmp_path, block_size=2)
    message = failure(lambda: train(spark, data, tmp_path, **{"block_size": 2, **change}))
    assert "blocks are of another training" in message


def test_a_work_folder_named_relatively_is_found_by_tasks(spark, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_entities(spark, data, "work", "model", loss="logistic", options=OPTIONS)
    assert os.path.exists(tmp_path / "model" / "model.json")


def test_videos_without_labels_are_refused(spark, tmp_path):
    videos = [("a", [], [1.0, 2.0]), ("b", None, [1.0, 2.0])]
    message = failure(lambda: prepared(spark, videos, tmp_path))
    assert message == "no video has a label in features table"


def test_a_shard_lost_under_way_is_told_with_its_file(spark, tmp_path):
    data = prepared(spark, make_videos(5), tmp_path)
    os.remove(tmp_path / "shards" / "00000.labels.npz")
    message = failure(lambda: train(spark, data, tmp_path))
    assert message.startswith("no such file in ")
    assert message.endswith("00000.labels.npz")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "quantile"}, "loss must be one of"),
        ({"loss": "moe", "n_experts": 0}, "n_experts must be at least 1"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"entities": np.array([5, 2])}, "entities must be at least one and ascend"),
        ({"entities": np.array([5, 5])}, "entities must be at least one and ascend"),
        ({"entities": np.array([], dtype=np.int64)}, "entities must be at least one and ascend"),
    ],
)
def test_nonsense_is_refused_before_any_task_runs(spark, data, tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        train(spark, data, tmp_path, **wrong)
    assert not (tmp_path / "work").exists()


def test_a_plan_is_read_as_it_was_written(tmp_path):
    entities, counts = np.array([3, 9, 12]), np.array([1, 0, 4])
    write_plan(str(tmp_path), Plan("moe", 4, OPTIONS, entities, counts, 2, "/shards"))
    plan = read_plan(str(tmp_path))
    assert (plan.loss, plan.n_experts, plan.options) == ("moe", 4, OPTIONS)
    assert (plan.n_blocks, plan.shards) == (2, "/shards")
    assert plan.entities[plan.block(0)].tolist() == [3, 9]
    assert plan.n_positives[plan.block(1)].tolist() == [4]
