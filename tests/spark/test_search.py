"""A search on Spark against trainings one by one. The choice: tests/core; the job: tests/jobs."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.search import Ranges, Setting, grid_settings
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark import search, shards
from yt8m_spark.spark.checkpoints import Checkpoint
from yt8m_spark.spark.plan import Plan, block_file
from yt8m_spark.spark.schemas import FEATURES
from yt8m_spark.spark.search import prepare_validation, search_entities
from yt8m_spark.spark.search_mapper import search_blocks
from yt8m_spark.spark.search_plan import SearchPlan, open_search_plan, setting_folder
from yt8m_spark.spark.training import Extras, prepare_shards, train_entities

D = 30
ENTITIES = [3, 4, 8, 9]
OPTIONS = TrainingOptions(n_epochs=3, seed=2, moe_initial_std=0.5)
MIXTURES = [Setting(1.0, 0, 8, 1), Setting(0.3, 1e-3, 16, 3), Setting(1.0, 0.1, 8, 2)]


def make_videos(n, seed):
    """Videos of entities that differ in what suits them.

    3: plain from the first feature. 4: hardly to be told from noise, so that weights learned
    without L2 mislead. 8: where two features agree in sign, which takes experts. 9: very rare.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)).astype(np.float32)
    hits = np.column_stack(
        [
            x[:, 0] > 0.5,
            x[:, 0] + 3 * rng.normal(size=n) > 3,
            x[:, 1] * x[:, 2] > 0.3,
            np.arange(n) % 67 == 5,
        ]
    )
    labels = [np.array(ENTITIES)[row].tolist() for row in hits]
    return [(f"v{i:04d}", labels[i], x[i].tolist()) for i in range(n)]


TRAIN, VALIDATE = make_videos(150, seed=0), make_videos(200, seed=1)


def table(spark, videos):
    return spark.createDataFrame(videos, FEATURES)


@pytest.fixture(scope="module")
def splits(spark, tmp_path_factory):
    """150 videos to learn from in four shards, 200 to judge by in one."""
    folder = str(tmp_path_factory.mktemp("prepared"))
    train, validate = table(spark, TRAIN), table(spark, VALIDATE)
    validation = prepare_validation(train, validate, folder, where="validate")
    with patch.object(shards, "_BYTES_A_SHARD", 40 * 4 * D):
        return prepare_shards(train, folder), validation


def find(spark, splits, folder, **more):
    given = {"loss": "moe", "settings": MIXTURES, "options": OPTIONS, **more}
    return search_entities(spark, *splits, str(folder / "work"), str(folder / "model"), **given)


@pytest.fixture(scope="module")
def searched(spark, splits, tmp_path_factory):
    """A search for each entity's own mixture: (folder, what it tells)."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, find(spark, splits, folder, by="entity", block_size=3)


@pytest.fixture(scope="module")
def trained(spark, splits, tmp_path_factory):
    """A model for each setting, trained alone: folders."""
    folders = []
    for setting in MIXTURES:
        folder = tmp_path_factory.mktemp("trained")
        train_entities(
            spark,
            splits[0],
            str(folder / "work"),
            str(folder / "model"),
            loss="moe",
            n_experts=setting.n_experts,
            options=setting.options(OPTIONS),
        )
        folders.append(str(folder / "model"))
    return folders


def rows_of(folder):
    return pq.read_table(Path(folder)).sort_by("entity").to_pylist()


def floats(value):
    return np.frombuffer(value, "<f4")


def test_each_setting_trains_what_a_training_alone_does(searched, trained):
    for number, model in enumerate(trained):
        rows = rows_of(Path(setting_folder(str(searched[0] / "work"), number)) / "blocks")
        expected = rows_of(Path(model) / "entities")
        assert [row["entity"] for row in rows] == ENTITIES
        for row, alone in zip(rows, expected, strict=True):
            for name in ("weights", "accumulator"):
                assert_allclose(floats(row[name]), floats(alone[name]), rtol=1e-5, atol=1e-6)
            assert_allclose(row["bias"], alone["bias"], rtol=1e-5, atol=1e-6)


def test_entities_take_their_best_setting_and_score_as_it_does(searched, trained):
    folder, told = searched
    figures = pq.read_table(folder / "model" / "search.parquet").to_pandas()
    x = np.array([features for *_, features in VALIDATE], np.float32)
    scores = [score_videos(load_scorer(model), x) for model in trained]
    chosen = figures[figures["chosen"]].sort_values("entity")
    assert chosen["entity"].tolist() == ENTITIES
    best = figures.pivot(index="setting", columns="entity", values="validation_ap").to_numpy()
    assert_array_equal(chosen["setting"][:3], best[:, :3].argmax(axis=0))
    assert len(set(chosen["setting"][:3])) > 1, "entities that differ"
    assert chosen["n_validation_positives"].iloc[3] == 3
    assert chosen["setting"].iloc[3] == told.overall, "too few positives to choose by"
    model = load_scorer(str(folder / "model"))
    assert model.family.n_experts == max(MIXTURES[s].n_experts for s in chosen["setting"])
    found = score_videos(model, x)
    for place, setting in enumerate(chosen["setting"]):
        assert_allclose(found[:, place], scores[setting][:, place], rtol=1e-5, atol=1e-6)


def test_figures_are_those_of_the_models_trained_alone(searched, trained):
    folder, told = searched
    figures = pq.read_table(folder / "model" / "search.parquet").to_pandas()
    x = np.array([features for *_, features in VALIDATE], np.float32)
    y = np.array([np.isin(ENTITIES, labels) for _, labels, _ in VALIDATE])
    for number, model in enumerate(trained):
        p = score_videos(load_scorer(model), x).astype(np.float64)
        loss = -np.log(np.where(y, p, 1 - p).clip(1e-7)).mean(axis=0)  # the floor of core.moe
        rows = figures[figures["setting"] == number].sort_values("entity")
        assert_allclose(rows["validation_loss"], loss, rtol=1e-4)
        assert_allclose(told.settings[number].validation_loss, loss.mean(), rtol=1e-4)
        assert_allclose(told.settings[number].validation_map, rows["validation_ap"].mean())
    overall = max(told.settings, key=lambda row: row.validation_map)
    assert told.settings[told.overall] == overall
    assert told.validation_map >= overall.validation_map
    described = json.loads((folder / "model" / "search.json").read_text())
    assert [row["n_entities"] for row in described["settings"]] == [
        row.n_entities for row in told.settings
    ]


def test_one_setting_for_all_is_the_model_of_that_setting(spark, splits, trained, tmp_path):
    told = find(spark, splits, tmp_path, by="overall", metric="loss")
    best = int(np.argmin([row.validation_loss for row in told.settings]))
    assert told.overall == best
    found, alone = load_scorer(str(tmp_path / "model")), load_scorer(trained[best])
    assert_allclose(found.weights, alone.weights, rtol=1e-5, atol=1e-6)
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert described["n_experts"] == MIXTURES[best].n_experts
    assert described["options"]["l2"] == MIXTURES[best].l2
    chosen = {"setting": best, **MIXTURES[best]._asdict(), "n_entities": 4}
    assert described["search"]["chosen"] == [chosen]


@pytest.mark.parametrize("fails_at", [1, 5, 14, 24, 35])
def test_a_lost_task_goes_on_and_ends_where_it_would_have(splits, searched, tmp_path, fails_at):
    # Three settings, four shards, three passes: 36 saves, of mini-batches of 8 and of 16.
    data, validation = splits
    ids, work = np.array(ENTITIES), str(tmp_path)
    plan = Plan("moe", 1, OPTIONS, ids, data.n_positives(ids), 4, data.shards.folder, "d")
    plan = plan._replace(checkpoint_seconds=0.0)
    held = SearchPlan(tuple(MIXTURES), validation.shards.folder, validation.shards.digest)
    open_search_plan(work, plan, held)
    calls, save = [], Checkpoint.save_if_due

    def dies(self, trainer):
        calls.append(trainer)
        if len(calls) == fails_at:
            raise ConnectionError
        save(self, trainer)

    numbers = [pa.record_batch({"id": [0]})]
    with (
        patch.object(Checkpoint, "save_if_due", dies),
        pytest.raises(ConnectionError),
    ):
        list(search_blocks(numbers, work))
    assert not block_file(work, 0).exists()
    assert len(list((tmp_path / "progress").glob("*"))) == min(fails_at - 1, 3)
    assert len(list(search_blocks(numbers, work))) == 1
    assert not list((tmp_path / "progress").glob("*"))
    for number in range(len(MIXTURES)):
        rows = rows_of(Path(setting_folder(work, number)) / "blocks")
        whole = rows_of(Path(setting_folder(str(searched[0] / "work"), number)) / "blocks")
        for row, expected in zip(rows, whole, strict=True):
            assert_allclose(
                floats(row["weights"]), floats(expected["weights"]), rtol=1e-5, atol=1e-6
            )


def test_a_setting_that_diverges_does_not_end_the_search(spark, splits, tmp_path):
    settings = [Setting(3e38, 0, 8, 1), Setting(0.1, 0, 8, 1)]
    told = find(spark, splits, tmp_path, loss="logistic", settings=settings, by="entity")
    assert told.overall == 1
    assert [row.n_entities for row in told.settings] == [0, 4]
    assert np.isfinite(load_scorer(str(tmp_path / "model")).weights).all()
    rows = json.loads((tmp_path / "model" / "search.json").read_text())["settings"]
    assert rows[0]["validation_loss"] is None


def test_splits_that_do_not_fit_are_refused(spark, splits, tmp_path):
    train, validate = table(spark, TRAIN[:5]), VALIDATE[:5]
    cases = {
        "validation split is empty in here": [],
        "another width than those to learn from in here, expected 30, found 2": [
            ("v", [3], [1.0, 0.0])
        ],
        "no validation video has a label in here": [(i, [], x) for i, _, x in validate],
    }
    for message, videos in cases.items():
        with pytest.raises(InputError, match=message):
            prepare_validation(train, table(spark, videos), str(tmp_path), where="here")
    frames = table(spark, validate).selectExpr("*", "1 as frame")
    with pytest.raises(InputError, match="not rows like those to learn from in here"):
        prepare_validation(train, frames, str(tmp_path), where="here")
    other = prepare_shards(table(spark, [("v", [77], VALIDATE[0][2])]), str(tmp_path / "other"))
    with pytest.raises(InputError, match="no validation video has a label of the entities"):
        find(spark, (splits[0], other), tmp_path)


def test_settings_that_are_none_or_twice_are_refused(spark, splits, tmp_path):
    for settings in ([], MIXTURES[:1] * 2):
        with pytest.raises(ValueError, match="settings must be at least one and differ"):
            find(spark, splits, tmp_path, settings=settings)
    with pytest.raises(ValueError, match="neither begins with a model"):
        find(spark, splits, tmp_path, extras=Extras(initial_model="model"))


def test_blocks_of_another_search_are_refused(spark, splits, searched):
    folder, _ = searched
    with pytest.raises(InputError, match="blocks are of another search"):
        find(spark, splits, folder, settings=MIXTURES[:2], block_size=3)
    again = find(spark, splits, folder, by="entity", block_size=3)
    assert again == searched[1], "what is there is not searched again"


def test_a_block_holds_no_more_than_the_memory_of_a_task(spark):
    # 24 mixtures of up to 4 experts at 1,024 features: 8 rows an entity, 2 x 3 arrays of float32.
    settings = grid_settings(Ranges((0.1, 0.3, 1.0, 3.0), (0.0, 1e-6), (32,), (1, 2, 4)))
    with (
        patch.object(search, "task_slots", return_value=4),
        patch.object(search, "cache_share", return_value=1 << 30),
    ):
        size = search._block_size(spark, "moe", settings, 4800, 1024)
        alone = search._block_size(spark, "moe", settings[2:3], 4800, 1024)
    n_rows = sum(2 * s.n_experts for s in settings)
    assert 1 <= size < alone
    assert size * 6 * 4 * 1025 * n_rows <= 512 << 20
