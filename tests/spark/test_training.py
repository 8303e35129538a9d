"""Training on Spark against each entity alone. Losses and AdaGrad are tested in tests/core."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pyspark.errors import PySparkException
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.core.video_order import videos_of_pass
from yt8m_spark.errors import InputError
from yt8m_spark.job import user_error
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark import training_data
from yt8m_spark.spark.plan import Plan, progress_file, read_plan, write_plan
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.shards import write_shards
from yt8m_spark.spark.training import Extras, prepare_shards, train_entities

ENTITIES = [2, 5, 7, 11, 40]
OPTIONS = TrainingOptions(
    learning_rate=1.0, n_epochs=2, batch_size=8, l2=1e-3, initial_accumulator=0.1, seed=3
)
D = 6


def make_videos(n=60, seed=0):
    """Videos with a label where the entity's own feature, with some noise, is above a bound."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D)).astype(np.float32)
    hits = features[:, :5] + rng.normal(0, 0.3, size=(n, 5)) > 0.4
    labels = [np.array(ENTITIES)[row].tolist() for row in hits]
    return [(f"v{i:03d}", labels[i], features[i].tolist()) for i in range(n)]


def small_shards(videos_a_shard):
    write = partial(write_shards, videos_a_shard=videos_a_shard)
    return patch.object(training_data, "write_shards", write)


def prepared(spark, videos, folder, videos_a_shard=16, n_partitions=2):
    table = spark.createDataFrame(videos, FEATURES).repartition(n_partitions)
    with small_shards(videos_a_shard):
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


def train_alone(data, entity, loss, n_experts=2, start=None, weight=None):
    """Weights (R, D + 1) of one entity, trained in memory on the same videos."""
    family, entities, shards = loss_family(loss, n_experts), np.array([entity]), data.shards
    weights = None if weight is None else np.float32([weight])
    prior = prior_probability(data.n_positives(entities), shards.n_videos, weights)
    state = initial_state(family, entities, D, OPTIONS, prior, shards.n_videos)
    if start is not None:
        state.weights[:, :, 0] = start[0].T
        state.accumulator[:, :, 0] = start[1].T
    trainer = BlockTrainer(state, family, OPTIONS, shards.n_videos, weights)
    for epoch in range(OPTIONS.n_epochs):
        for chunk in videos_of_pass(shards.sizes, shards.read, OPTIONS.seed, epoch):
            trainer.feed(chunk.features, label_matrix(chunk, entities))
        trainer.end_pass()
    return trainer.state.final_weights()[:, 0]


def joined(scorer):
    """Weights (R, E, D + 1) of a model, biases last."""
    return np.concatenate([scorer.weights, scorer.bias[:, :, None]], axis=2)


def rows_of(folder):
    """Rows of the trained model's table by entity."""
    return {row["entity"]: row for row in pq.read_table(folder / "model" / "entities").to_pylist()}


def failure(call):
    with pytest.raises((InputError, PySparkException)) as caught:
        call()
    return user_error(caught.value)


@pytest.mark.parametrize("block_size", [1, 2, 5])
@pytest.mark.parametrize("loss", ["logistic", "hinge", "moe"])
def test_a_model_is_each_entity_trained_alone(spark, data, tmp_path, loss, block_size):
    trained, scorer = train(spark, data, tmp_path, loss, block_size=block_size)
    assert trained.n_blocks == {1: 5, 2: 3, 5: 1}[block_size]
    assert (trained.n_entities, trained.n_videos) == (5, 60)
    assert scorer.entities.tolist() == ENTITIES
    for i, entity in enumerate(ENTITIES):
        expected = train_alone(data, entity, loss)
        assert_allclose(joined(scorer)[:, i], expected, rtol=1e-4, atol=1e-5)


def test_a_logistic_model_equals_adagrad_written_out(spark, data, tmp_path):
    options = TrainingOptions(**{**OPTIONS.__dict__, "average": 0})
    _, scorer = train(spark, data, tmp_path, options=options)
    # Sums start at 0.1 or, for a third of a pass, 2.5 mini-batches, below it: at 0.1.
    w, total = np.zeros(D + 1), np.full(D + 1, options.initial_accumulator)
    n_positives = sum(7 in labels for _, labels, _ in make_videos())
    w[-1] = np.log((n_positives + 0.5) / (60 - n_positives + 0.5))
    for epoch in range(options.n_epochs):
        x, y = [], []
        for number in np.random.default_rng([options.seed, epoch]).permutation(4).tolist():
            chunk = data.shards.read(number)
            labels = np.split(chunk.label_values, chunk.label_offsets[1:-1])
            places = np.random.default_rng([options.seed, epoch, number]).permutation(len(labels))
            x += [[*chunk.features[place], 1.0] for place in places]
            y += [7 in labels[place] for place in places]
        x, y = np.array(x, dtype=np.float64), np.array(y)
        for start in range(0, len(y), 8):  # mini-batches run on from shard to shard
            rows = slice(start, start + 8)
            gradient = (expit(x[rows] @ w) - y[rows]) @ x[rows] / len(y[rows])
            gradient[:-1] += options.l2 * w[:-1]
            total += gradient**2
            w -= gradient / np.sqrt(total)
    assert_allclose(joined(scorer)[0, ENTITIES.index(7)], w, rtol=1e-3, atol=1e-4)


def test_enough_passes_reach_scikit_learns_optimum(spark, tmp_path):
    videos = make_videos()
    data = prepared(spark, videos, tmp_path, videos_a_shard=100)
    options = TrainingOptions(learning_rate=1.0, n_epochs=600, batch_size=60, l2=0.05)
    _, scorer = train(spark, data, tmp_path, options=options)
    x = np.array([features for *_, features in videos])
    for i, entity in enumerate(ENTITIES):
        y = [entity in labels for _, labels, _ in videos]
        fitted = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-8).fit(x, y)
        expected = [*fitted.coef_[0], fitted.intercept_[0]]
        assert_allclose(joined(scorer)[0, i], expected, atol=2e-3)


def test_a_subset_trains_as_it_would_among_all(spark, data, tmp_path):
    trained, scorer = train(spark, data, tmp_path, "moe", entities=np.array([5, 40]), n_experts=3)
    assert trained.n_entities == 2
    assert scorer.entities.tolist() == [5, 40]
    for i, entity in enumerate([5, 40]):
        expected = train_alone(data, entity, "moe", n_experts=3)
        assert_allclose(joined(scorer)[:, i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "hinge", "moe"])
def test_an_entity_without_positives_rests_on_its_prior_and_is_flagged(spark, data, tmp_path, loss):
    trained, scorer = train(spark, data, tmp_path, loss, entities=np.array([5, 99]))
    rows = rows_of(tmp_path)
    assert trained.n_without_positives == 1
    assert (rows[99]["n_positives"], rows[99]["status"]) == (0, "no positives")
    assert rows[5]["n_positives"] == sum(5 in labels for _, labels, _ in make_videos())
    assert rows[5]["status"] == "trained"
    assert rows[99]["loss_history"] == []
    scores = score_videos(scorer, np.random.default_rng(0).normal(size=(9, D)).astype(np.float32))
    assert_allclose(scores[:, 1], 0.5 / 61, rtol=1e-5)  # half a positive among 60 videos and one
    alone = train_alone(data, 5, loss)
    assert_allclose(joined(scorer)[:, 0], alone, rtol=1e-4, atol=1e-5)


def test_a_training_goes_on_from_another_models_weights(spark, data, tmp_path):
    train(spark, data, tmp_path / "first", entities=np.array([5, 7]))
    initial = str(tmp_path / "first" / "model")
    _, scorer = train(spark, data, tmp_path / "next", extras=Extras(initial_model=initial))
    row = rows_of(tmp_path / "first")[7]
    weights = np.append(np.frombuffer(row["weights"], "<f4"), row["bias"])[None]
    accumulator = np.frombuffer(row["accumulator"], "<f4")[None]
    expected = train_alone(data, 7, "logistic", start=(weights, accumulator))
    assert_allclose(joined(scorer)[:, 2], expected, rtol=1e-4, atol=1e-5)
    # The model had no entity 11: it begins as it would without one.
    expected = train_alone(data, 11, "logistic")
    assert_allclose(joined(scorer)[:, 3], expected, rtol=1e-4, atol=1e-5)


def test_entities_are_added_to_a_model_and_the_others_keep_every_bit(spark, data, tmp_path):
    train(spark, data, tmp_path / "first", entities=np.array([2, 5, 7]), block_size=2)
    extras = Extras(extends=str(tmp_path / "first" / "model"))
    changed = TrainingOptions(**{**OPTIONS.__dict__, "n_epochs": 1})
    trained, scorer = train(
        spark,
        data,
        tmp_path / "next",
        entities=np.array([7, 11]),
        extras=extras,
        options=changed,
    )
    assert trained.n_entities == 4
    assert scorer.entities.tolist() == [2, 5, 7, 11]
    before, after = rows_of(tmp_path / "first"), rows_of(tmp_path / "next")
    assert after[2] == before[2]
    assert after[5] == before[5]
    assert after[7]["weights"] != before[7]["weights"]
    assert len(after[7]["loss_history"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "hinge"}, "of another loss family"),
        ({"loss": "moe"}, "of another loss family"),
        ({"description": {"whitening": "b" * 64}}, "of another whitening"),
    ],
)
@pytest.mark.parametrize("use", ["initial_model", "extends"])
def test_a_model_that_does_not_fit_is_refused_before_any_task_runs(
    spark, data, tmp_path, use, change, message
):
    train(spark, data, tmp_path, description={"whitening": "a" * 64})
    extras = Extras(**{use: str(tmp_path / "model")})
    found = failure(lambda: train(spark, data, tmp_path / "next", extras=extras, **change))
    assert message in found
    assert not (tmp_path / "next" / "work").exists()


def test_positive_weights_belong_to_their_entities(spark, data, tmp_path):
    weights = np.float32([1, 2, 3, 4, 5])
    extras = Extras(positive_weights=weights)
    _, scorer = train(spark, data, tmp_path, block_size=2, extras=extras)
    expected = train_alone(data, 11, "logistic", weight=4)
    assert_allclose(joined(scorer)[:, 3], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_models_of_smaller_shards_are_near_those_of_float32(spark, data, tmp_path, dtype):
    table = spark.createDataFrame(make_videos(), FEATURES)
    with small_shards(16):
        small = prepare_shards(table, str(tmp_path), dtype=dtype, seed=0)
    assert small.shards.dtype == dtype
    _, scorer = train(spark, small, tmp_path / "small")
    _, exact = train(spark, data, tmp_path / "exact")
    difference = np.abs(joined(scorer) - joined(exact)).max()
    assert 0 < difference < {"float16": 0.01, "uint8": 0.2}[dtype]


def test_torch_in_the_mapper_gives_what_numpy_gives(spark, data, tmp_path):
    pytest.importorskip("torch")
    _, numpys = train(spark, data, tmp_path / "numpy", "moe")
    _, torchs = train(spark, data, tmp_path / "torch", "moe", extras=Extras(device="torch-cpu"))
    assert_allclose(joined(torchs), joined(numpys), rtol=1e-3, atol=1e-4)


def test_an_interrupted_block_goes_on_from_its_last_checkpoint(spark, data, tmp_path):
    _, undisturbed = train(spark, data, tmp_path / "undisturbed", "moe")
    # A task that dies at the end of its third shard of videos: what it leaves is its checkpoint.
    work = tmp_path / "work"
    extras = Extras(checkpoint_seconds=1e-9)
    with pytest.raises(PySparkException):
        train_entities(
            spark,
            data_that_ends(data, tmp_path),
            str(work),
            str(tmp_path / "model"),
            loss="moe",
            options=OPTIONS,
            extras=extras,
        )
    progress = progress_file(str(work), 0)
    assert progress.exists()
    epoch, n_done, _ = np.load(progress)["position"]
    assert (epoch, n_done) != (0, 0)
    restore(data, tmp_path)
    trained, scorer = train(spark, data_at(data, tmp_path), tmp_path, "moe", extras=extras)
    assert_array_equal(joined(scorer), joined(undisturbed))
    assert trained.n_entities == 5


def data_that_ends(data, folder):
    """The same shards elsewhere, one of them unreadable though of the right size."""
    shutil.copytree(data.shards.folder, folder / "shards")
    last = np.random.default_rng([OPTIONS.seed, 0]).permutation(data.shards.n_shards)[-1]
    path = folder / "shards" / f"{last:05d}.features.npy"
    path.write_bytes(bytes(path.stat().st_size))
    return data_at(data, folder)


def restore(data, folder):
    """Mend the shard that could not be read."""
    for path in Path(data.shards.folder).glob("*.features.npy"):
        shutil.copy2(path, folder / "shards" / path.name)


def data_at(data, folder):
    return data._replace(shards=replace(data.shards, folder=str(folder / "shards")))


@pytest.mark.parametrize("damage", [b"", b"PK nothing", None])
def test_half_written_progress_is_not_taken_up(spark, data, tmp_path, damage):
    _, undisturbed = train(spark, data, tmp_path / "undisturbed")
    progress = progress_file(str(tmp_path / "work"), 0)
    progress.parent.mkdir(parents=True)
    if damage is None:  # whole, but of another training
        np.savez(progress, plan_digest=np.zeros(32, np.uint8))
    else:
        progress.write_bytes(damage)
    _, scorer = train(spark, data, tmp_path)
    assert_array_equal(joined(scorer), joined(undisturbed))


def test_the_same_training_twice_gives_the_same_bytes(spark, data, tmp_path):
    found = []
    for name in ("a", "b"):
        train(spark, data, tmp_path / name, "moe", block_size=2)
        blocks = sorted((tmp_path / name / "model" / "entities").iterdir())
        found.append([path.read_bytes() for path in blocks])
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_label_counts_do_not_depend_on_partitions(spark, data, tmp_path):
    other = prepared(spark, make_videos()[::-1], tmp_path, n_partitions=7)
    assert_array_equal(other.entities, ENTITIES)
    assert_array_equal(other.entities, data.entities)
    assert_array_equal(other.counts, data.counts)
    assert other.shards.digest == data.shards.digest
    expected = [sum(e in labels for _, labels, _ in make_videos()) for e in ENTITIES]
    assert_array_equal(other.counts, expected)


def test_shards_that_are_there_are_not_made_again(spark, tmp_path):
    before = prepared(spark, make_videos(), tmp_path)
    empty = spark.createDataFrame([], FEATURES)  # would be refused if it were read
    assert prepare_shards(empty, str(tmp_path)).shards == before.shards


def test_shards_without_videos_change_nothing(spark, tmp_path):
    videos = make_videos(7)
    data = prepared(spark, videos, tmp_path, videos_a_shard=1)
    assert 0 in data.shards.sizes
    _, scorer = train(spark, data, tmp_path)
    entity = int(scorer.entities[0])
    assert_allclose(joined(scorer)[:, 0], train_alone(data, entity, "logistic"), rtol=1e-4)


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
    losses = [row["loss_history"][-1] for row in rows_of(tmp_path).values()]
    assert_allclose(trained.mean_loss, np.mean(losses), rtol=1e-6)


def test_a_training_whose_blocks_are_all_there_tells_their_loss(spark, data, tmp_path):
    stop_before_the_model(spark, data, tmp_path)
    trained, scorer = train(spark, data, tmp_path)
    losses = [row["loss_history"][-1] for row in rows_of(tmp_path).values()]
    assert_allclose(trained.mean_loss, np.mean(losses), rtol=1e-6)
    assert scorer.entities.tolist() == ENTITIES


def test_blocks_go_on_whatever_has_no_say_in_them(spark, data, tmp_path):
    blocks = stop_before_the_model(spark, data, tmp_path, block_size=2)
    written = {path.stat().st_mtime_ns for path in blocks.values()}
    # No block size is given, and where the tasks work has changed.
    extras = Extras(checkpoint_seconds=5.0, cache=str(tmp_path / "cache"))
    trained, _ = train(spark, data, tmp_path, extras=extras)
    assert trained.n_blocks == 3
    model = tmp_path / "model" / "entities"
    assert {path.stat().st_mtime_ns for path in model.glob("block-*")} == written


def test_a_block_cut_short_is_trained_again(spark, data, tmp_path):
    blocks = stop_before_the_model(spark, data, tmp_path, block_size=2)
    whole = blocks["block-00001.parquet"].read_bytes()
    blocks["block-00001.parquet"].write_bytes(whole[:100])
    train(spark, data, tmp_path, block_size=2)
    assert (tmp_path / "model/entities/block-00001.parquet").read_bytes() == whole


def test_an_entity_of_the_first_model_without_positives_now_keeps_its_weights(
    spark, data, tmp_path
):
    train(spark, data, tmp_path / "first", entities=np.array([5, 7]))
    before = rows_of(tmp_path / "first")[5]
    videos = [(v, [e for e in labels if e != 5], x) for v, labels, x in make_videos()]
    later = prepared(spark, videos, tmp_path / "later")
    initial = str(tmp_path / "first" / "model")
    train(
        spark,
        later,
        tmp_path / "next",
        entities=np.array([5, 7, 99]),
        extras=Extras(initial_model=initial),
    )
    after = rows_of(tmp_path / "next")
    assert after[5]["status"] == "no positives"
    assert (after[5]["weights"], after[5]["bias"]) == (before["weights"], before["bias"])
    assert not np.frombuffer(after[99]["weights"], "<f4").any()


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


def test_a_table_without_videos_is_refused(spark, tmp_path):
    message = failure(lambda: prepared(spark, [], tmp_path))
    assert message == "no videos to train on in features table"


def test_a_label_outside_the_vocabulary_is_refused(spark, tmp_path):
    table = spark.createDataFrame(make_videos(), FEATURES)
    known = np.array([2, 5, 7, 11])
    message = failure(lambda: prepare_shards(table, str(tmp_path), vocabulary=known))
    assert "label is not in the vocabulary" in message
    assert message.endswith("found 40")


def test_a_shard_lost_under_way_is_told_with_its_file(spark, tmp_path):
    data = prepared(spark, make_videos(5), tmp_path)
    lost = sorted((tmp_path / "shards").glob("*.features.npy"))[0]
    os.remove(lost)
    message = failure(lambda: train(spark, data, tmp_path))
    assert lost.name in message


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
    weights = np.float32([1, 2, 3])
    plan = Plan("moe", 4, OPTIONS, entities, counts, 2, "/shards", "d" * 64, "/cache", weights)
    write_plan(str(tmp_path), plan)
    found = read_plan(str(tmp_path))
    assert (found.loss, found.n_experts, found.options) == ("moe", 4, OPTIONS)
    assert (found.n_blocks, found.shards, found.cache) == (2, "/shards", "/cache")
    assert found.entities[found.block(0)].tolist() == [3, 9]
    assert found.n_positives[found.block(1)].tolist() == [4]
    assert_array_equal(found.positive_weights, weights)
    assert found.digest == plan.digest
    elsewhere = plan._replace(shards="/moved", cache=None, checkpoint_seconds=1.0)
    assert elsewhere.digest == plan.digest
    assert plan._replace(block_size=3).digest != plan.digest
