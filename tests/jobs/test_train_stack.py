"""Two stages trained on videos whose entities have a structure. Scores of folders: test_stack."""

import json

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_files import probabilities, random_model, write_model
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.stacking import fold_of
from yt8m_spark.run import open_run
from yt8m_spark.scorer import read_scorer
from yt8m_spark.stack import best_entities, load_stack, score_model
from yt8m_spark.stack_config import StackConfig
from yt8m_spark.stack_training import train_stack

D, K = 12, 2
# One of three is there: of low, middle and high videos. No plane parts the middle from the rest,
# nor either end's parent, which goes along with low and high; labels of chance go with nothing.
LOW, MIDDLE, HIGH, PARENT, CHANCE = 2, 3, 5, 7, 11
ENTITIES = [LOW, MIDDLE, HIGH, PARENT, CHANCE]


def make_videos(n, seed):
    """Ids, features (V, D) of length 1, labels (V, 5)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    low, high = x[:, 0] < -0.15, x[:, 0] > 0.15
    y = np.column_stack([low, ~low & ~high, high, low | high, rng.random(n) < 0.2])
    return [f"v{seed}.{i}" for i in range(n)], x, y


def write_features(path, ids, x, y):
    labels = [[e for e, there in zip(ENTITIES, row, strict=True) if there] for row in y]
    columns = {
        "video_id": ids,
        "labels": pa.array(labels, pa.list_(pa.int32())),
        "features": pa.array(list(x), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


TRAIN, TEST = make_videos(1200, 0), make_videos(1000, 1)
FOLDS = np.array([fold_of(video_id, K) for video_id in TRAIN[0]])


@pytest.fixture(scope="module")
def trained(spark, tracking_uri, tmp_path_factory):
    """A stack, and the work folder that a stopped training would have left."""
    root = tmp_path_factory.mktemp("stack")
    write_features(root / "train.parquet", *TRAIN)
    config = StackConfig(
        input=str(root / "train.parquet"),
        output=str(root / "model"),
        n_folds=K,
        epochs=15,
        block_size=5,
        ridge=0.1,
        n_components=4,
        weight=0.8,
        tracking_uri=tracking_uri,
    )
    with open_run("train_stack", config, [config.input]) as run:
        figures = train_stack(run, config, str(root / "work"))
    return root, config, figures


def precisions(y, scores):
    return {e: average_precision_score(y[:, i], scores[:, i]) for i, e in enumerate(ENTITIES)}


def test_what_goes_with_others_is_scored_by_them_and_what_does_not_is_not(trained):
    stack = load_stack(trained[1].output)
    _, x, y = TEST
    first, both = precisions(y, score_videos(stack.first, x)), precisions(y, score_model(stack, x))
    assert first[MIDDLE] < 0.5  # a line cannot tell a band from both its sides
    for entity in (MIDDLE, PARENT):
        assert both[entity] > first[entity] + 0.25
    for entity in (LOW, HIGH):  # which a line can tell
        assert both[entity] > first[entity] - 0.03
    assert abs(both[CHANCE] - y[:, -1].mean()) < 0.07


def test_it_does_as_well_as_stacking_by_scikit_learn(trained):
    _, x, y = TRAIN

    def fit(features, labels):
        return LogisticRegression(C=100).fit(features, labels)

    unseen = np.column_stack(
        [
            cross_val_predict(
                LogisticRegression(C=100), x, y[:, i], cv=PredefinedSplit(FOLDS),
                method="predict_proba",
            )[:, 1]
            for i in range(5)
        ]
    )  # fmt: skip
    seen = np.column_stack([fit(x, y[:, i]).predict_proba(TEST[1])[:, 1] for i in range(5)])
    second = [fit(np.sqrt(unseen), y[:, i]).predict_proba(np.sqrt(seen))[:, 1] for i in range(5)]
    theirs = precisions(TEST[2], np.column_stack(second))
    ours = precisions(TEST[2], score_model(load_stack(trained[1].output), TEST[1]))
    for entity in (LOW, MIDDLE, HIGH, PARENT):
        assert ours[entity] > theirs[entity] - 0.05


def test_a_fold_is_scored_by_a_model_of_the_other_folds_alone(trained):
    root, _, _ = trained
    _, x, y = TRAIN
    unseen = np.empty((len(x), 5))
    for k in range(K):
        folder = root / "work/models" / f"fold-{k}"
        rows = pa.concat_tables(map(pq.read_table, sorted(folder.glob("entities/*.parquet"))))
        assert rows["n_positives"].to_pylist() == y[k != FOLDS].sum(axis=0).tolist()
        assert json.loads((folder / "model.json").read_text())["n_videos"] == (k != FOLDS).sum()
        model = read_scorer(str(folder))
        unseen[k == FOLDS] = probabilities(x[k == FOLDS], model.weights, model.bias, "logistic")
    # Whitened by plain linear algebra, up to the signs of the components.
    roots = np.sqrt(unseen)
    variances, vectors = np.linalg.eigh(np.cov(roots.T, ddof=0))
    kept = np.argsort(variances)[::-1][:4]
    z = (roots - roots.mean(axis=0)) @ vectors[:, kept]
    z /= np.sqrt(variances[kept] + 0.1 * variances.mean())
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    table = pq.read_table(root / "work/features").sort_by("video_id").to_pydict()
    order = np.argsort(TRAIN[0])
    assert table["video_id"] == [TRAIN[0][i] for i in order]
    assert_allclose(np.abs(table["features"]), np.abs(z[order]), atol=2e-3)


def test_unseen_scores_of_chance_are_chance_where_seen_ones_are_not(trained):
    _, x, y = TRAIN
    models = [read_scorer(str(trained[0] / "work/models" / f"fold-{k}")) for k in range(K)]
    seen, unseen = np.empty(len(x)), np.empty(len(x))
    for k, model in enumerate(models):
        scores = score_videos(model, x)[:, -1]
        unseen[k == FOLDS], seen[k != FOLDS] = scores[k == FOLDS], scores[k != FOLDS]
    share = y[:, -1].mean()
    assert abs(average_precision_score(y[:, -1], unseen) - share) < 0.05
    assert average_precision_score(y[:, -1], seen) > share + 0.05


def test_a_stopped_training_goes_on_with_the_parts_that_are_there(trained, tmp_path):
    root, config, figures = trained
    before = {p: p.stat().st_mtime_ns for p in (root / "work").rglob("*") if p.is_file()}
    again = StackConfig(**{**config.__dict__, "output": str(tmp_path / "again")})
    with open_run("train_stack", again, [again.input]) as run:
        assert train_stack(run, again, str(root / "work")) == figures
    assert before == {p: p.stat().st_mtime_ns for p in (root / "work").rglob("*") if p.is_file()}
    x = TEST[1]
    scores = (score_model(load_stack(o), x) for o in (config.output, again.output))
    assert_array_equal(*scores)


def test_figures_tell_of_both_stages(trained):
    figures = trained[2]
    assert (figures.n_entities, figures.n_second, figures.n_videos) == (5, 5, 1200)
    assert figures.n_components == 4
    assert 0.9 < figures.explained_variance_ratio <= 1
    assert 0 < figures.second_loss < figures.first_loss


def test_a_first_stage_that_is_there_is_taken_and_the_model_is_used_as_any(job, tmp_path):
    ids, x, y = make_videos(300, 2)
    write_features(tmp_path / "held_out.parquet", ids, x, y & [True, True, True, True, False])
    weights, bias = random_model(1, 5, D)
    write_model(tmp_path / "first", weights, bias, ENTITIES)
    made = job(
        "train_stack", "--input", "held_out.parquet", "--first", "first", "--output", "model",
        "--loss", "moe", "--epochs", "2", "--register", "stacked",
    )  # fmt: skip
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_second"] == 4  # the last labels none of these videos
    stack = load_stack("model")
    assert_array_equal(stack.first.weights, weights)
    assert job("predict", "--model", "model", "--input", "held_out.parquet", "--output", "p",
               "--top-k", "2").status == 0  # fmt: skip
    rows = pq.read_table(tmp_path / "p").to_pydict()
    entities, scores = best_entities(stack, x, 2)
    places = [ids.index(video_id) for video_id in rows["video_id"]]
    assert_array_equal(rows["entities"], entities[places])
    assert_allclose(rows["scores"], scores[places], rtol=1e-5)
    loaded = mlflow.pyfunc.load_model("models:/stacked/1")
    tags = loaded.predict(pd.DataFrame({"features": x[:5].tolist()}), params={"top_k": 2})
    assert_allclose(np.stack(tags["scores"]), scores[:5], rtol=1e-5)


def test_what_cannot_be_is_refused_in_one_line(job, tmp_path):
    write_features(tmp_path / "train.parquet", *(part[:60] for part in TRAIN))
    write_model(tmp_path / "narrow", *random_model(1, 5, D - 1), ENTITIES)
    write_model(tmp_path / "deep", *random_model(1, 5, D), ENTITIES, stack={"weight": 0.5})
    good = ("--input", "train.parquet", "--output", "out")
    for arguments, words in (
        (("--n-folds", "1"), ("n_folds must be at least 2, got 1",)),
        (("--weight", "2"), ("weight must be 0 to 1",)),
        (("--n-components", "0"), ("n_components must be at least 1",)),
        (("--ridge=-1",), ("ridge must be at least 0",)),
        (("--second-epochs", "0"), ("epochs must be at least 1",)),
        (("--second-loss", "hinge", "--label-noise", "missing"), ("label_noise",)),
        (("--first", "narrow", "--entities", "1"), ("--entities is of a first stage",)),
        (("--first", "absent"), ("no such file", "absent/model.json")),
        (("--first", "narrow"), ("feature width is not the model's", "expected 11, found 12")),
        (("--first", "deep"), ("no such file", "deep/first")),
    ):
        made = job("train_stack", *good, *arguments)
        assert made.status == 2, made.stderr
        assert all(word in made.error for word in words), made.error
        assert not list(tmp_path.glob("*out*")), arguments
