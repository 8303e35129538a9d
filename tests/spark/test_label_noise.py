"""Noise-aware training on Spark, against each entity alone. The losses: tests/core."""

import json
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.label_noise import noise_aware
from yt8m_spark.core.label_rates import channel_of, label_rates
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.search import Setting
from yt8m_spark.core.training import BlockTrainer, label_matrix
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.core.video_order import videos_of_pass
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark import search
from yt8m_spark.spark.plan import read_plan
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.search import prepare_validation, search_entities
from yt8m_spark.spark.search_plan import setting_folder
from yt8m_spark.spark.training import Extras, prepare_shards, train_entities
from yt8m_spark.training_config import TrainingConfig

D = 5
ENTITIES = [2, 5, 7]
OPTIONS = TrainingOptions(n_epochs=2, batch_size=8, seed=3, label_noise="missing")
RECALL, PRECISION = np.array([0.2, 0.9, 0.5]), np.array([0.8, 1.0, 0.9])
WEIGHTS = np.float32([1, 2, 3])
EXTRAS = Extras(WEIGHTS, RECALL, PRECISION)


def make_videos(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    labels = [np.array(ENTITIES)[row].tolist() for row in x[:, :3] > 1]
    return [(f"v{i:03d}", labels[i], x[i].tolist()) for i in range(n)]


@pytest.fixture(scope="module")
def table(spark):
    return spark.createDataFrame(make_videos(70, 0), FEATURES)


@pytest.fixture(scope="module")
def data(table, tmp_path_factory):
    return prepare_shards(table, str(tmp_path_factory.mktemp("prepared")))


def train(spark, data, folder, loss="logistic", **more):
    more = {"options": OPTIONS, "extras": EXTRAS, "block_size": 2, **more}
    work, model = str(folder / "work"), str(folder / "model")
    return train_entities(spark, data, work, model, loss=loss, **more), load_scorer(model)


def rates_of(data, place):
    n_positives = data.n_positives(np.array(ENTITIES[place : place + 1]))
    prior = prior_probability(n_positives, data.shards.n_videos, WEIGHTS[[place]])
    return prior, label_rates(prior, RECALL[[place]], PRECISION[[place]])


def train_alone(data, place, loss):
    """Weights (R, D + 1) of one entity, trained in memory on the same videos."""
    family, entity, shards = loss_family(loss), np.array([ENTITIES[place]]), data.shards
    prior, rates = rates_of(data, place)
    state = initial_state(family, entity, D, OPTIONS, prior, shards.n_videos, rates)
    trainer = BlockTrainer(state, family, OPTIONS, shards.n_videos, WEIGHTS[[place]], rates)
    while not trainer.done:
        for chunk in videos_of_pass(shards.sizes, shards.read, OPTIONS.seed, trainer.epoch):
            trainer.feed(chunk.features, label_matrix(chunk, entity))
        trainer.end_pass()
    return trainer.state.final_weights()[:, 0]


@pytest.mark.parametrize("loss", ["logistic", "moe"])
def test_rates_belong_to_their_entities(spark, data, tmp_path, loss):
    _, scorer = train(spark, data, tmp_path, loss)
    joined = np.concatenate([scorer.weights, scorer.bias[:, :, None]], axis=2)
    for place in range(3):
        expected = train_alone(data, place, loss)
        assert_allclose(joined[:, place], expected, rtol=1e-4, atol=1e-5)


def test_an_entity_without_positives_rests_on_its_true_rate(spark, data, tmp_path):
    entities = np.array([5, 99])
    extras = Extras(None, np.array([0.9, 0.25]), np.array([1.0, 0.8]))
    _, scorer = train(spark, data, tmp_path, entities=entities, extras=extras)
    scores = score_videos(scorer, np.zeros((1, D), np.float32))
    assert_allclose(scores[0, 1], 0.8 * (0.5 / 71) / 0.25, rtol=1e-5)


def test_rates_have_no_say_where_labels_are_the_truth(spark, data, tmp_path):
    plain = TrainingOptions(**{**OPTIONS.__dict__, "label_noise": "none"})
    _, with_rates = train(spark, data, tmp_path / "a", options=plain)
    _, without = train(spark, data, tmp_path / "b", options=plain, extras=Extras(WEIGHTS))
    assert (with_rates.weights == without.weights).all()
    plans = [read_plan(str(tmp_path / name / "work")) for name in "ab"]
    assert plans[0].digest == plans[1].digest


def test_a_plan_is_read_back_with_its_rates(spark, data, tmp_path):
    train(spark, data, tmp_path)
    plan = read_plan(str(tmp_path / "work"))
    assert plan.label_recall.tolist() == RECALL.tolist()
    assert plan.label_precision.tolist() == PRECISION.tolist()
    other = plan._replace(label_recall=RECALL * 0.9)
    assert other.digest != plan.digest


def test_a_hinge_for_missing_labels_is_refused_before_any_task_runs(spark, data, tmp_path):
    with pytest.raises(InputError, match="hinge gives no probability"):
        train(spark, data, tmp_path, "hinge")
    assert not (tmp_path / "work").exists()


def test_missing_labels_without_rates_are_refused(spark, data, tmp_path):
    with pytest.raises(ValueError, match="needs label_recall and label_precision"):
        train(spark, data, tmp_path, extras=Extras())


def test_model_json_tells_the_options_behind_weights_and_rates(spark, data, tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("entity,recall\n5,0.5\n")
    config = TrainingConfig(
        output="model", label_noise="missing", label_recall=str(path), positive_weight="2"
    )
    extras = config.extras(data)
    assert extras.label_recall.tolist() == [0.145, 0.5, 0.145]
    assert extras.label_precision.tolist() == [0.788] * 3
    train(spark, data, tmp_path, extras=extras, options=config.training_options())
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    expected = {"label_recall": str(path), "label_precision": "0.788", "positive_weight": "2"}
    assert expected.items() <= described.items()
    assert described["options"]["label_noise"] == "missing"


def test_the_losses_of_a_training_stand_on_its_board(spark, data, tmp_path):
    trained, _ = train(spark, data, tmp_path, extras=EXTRAS, block_size=2)
    board = [json.loads(p.read_text()) for p in sorted((tmp_path / "work" / "losses").iterdir())]
    assert [block["n_entities"] for block in board] == [2, 1]
    assert [len(block["losses"]) for block in board] == [OPTIONS.n_epochs] * 2
    last = sum(block["n_entities"] * block["losses"][-1] for block in board) / 3
    assert_allclose(last, trained.mean_loss, rtol=1e-6)


@pytest.fixture(scope="module")
def searched(spark, table, data, tmp_path_factory):
    """A search of one setting for missing labels: folder, what it tells, validation videos."""
    folder = tmp_path_factory.mktemp("searched")
    videos = make_videos(50, 1)
    judged = spark.createDataFrame(videos, FEATURES)
    validation = prepare_validation(table, judged, str(folder), where="validate")
    return folder, search_once(spark, data, validation, folder, block_size=2), validation, videos


def search_once(spark, data, validation, folder, **more):
    more = {"options": OPTIONS, "extras": EXTRAS, **more}
    setting = [Setting(0.5, 0.0, 8, 2)]
    work, model = str(folder / "work"), str(folder / "model")
    return search_entities(
        spark, data, validation, work, model, loss="logistic", settings=setting, **more
    )


def test_a_search_trains_as_a_training_does_and_judges_by_the_labels_as_seen(
    spark, data, searched, tmp_path
):
    folder, found, _, videos = searched
    _, alone = train(spark, data, tmp_path)
    scorer = load_scorer(str(folder / "model"))
    assert_allclose(scorer.weights, alone.weights, rtol=1e-5, atol=1e-6)
    x = np.array([features for *_, features in videos], np.float32)
    losses = []
    for place, entity in enumerate(ENTITIES):
        y = np.array([[float(entity in labels)] for _, labels, _ in videos])
        z = x @ scorer.weights[:, place].T + scorer.bias[:, place]
        channel = channel_of(rates_of(data, place)[1], np.empty(0))
        family = noise_aware(loss_family("logistic"), OPTIONS, channel)
        losses.append(family.loss(z[:, :, None], y).mean())
    assert_allclose(found.validation_loss, np.mean(losses), rtol=1e-5)


def test_a_search_goes_on_with_the_blocks_that_it_began_with(
    spark, data, searched, tmp_path, monkeypatch
):
    folder, found, validation, _ = searched
    monkeypatch.setattr(search, "_block_size", lambda *_: 1)  # another machine's idea
    shutil.rmtree(folder / "model")
    again = search_once(spark, data, validation, folder)
    assert again == found
    assert read_plan(setting_folder(str(folder / "work"), 0)).block_size == 2
    anew = search_once(spark, data, validation, tmp_path)
    assert anew.n_blocks == 3
