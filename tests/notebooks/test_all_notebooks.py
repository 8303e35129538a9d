"""All notebooks run, unchanged, on synthetic videos; each leaves something that is true.

How the runner reads and shows a notebook is tested in test_runner.py; the stages that notebooks
use, with their modules. Nothing here ran on Databricks.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

import yt8m_spark
from yt8m_spark.core.scoring import score_videos
from yt8m_spark.core.synthetic_config import SyntheticConfig
from yt8m_spark.notebook import run_notebook
from yt8m_spark.notebook_source import read_cells, widget_names
from yt8m_spark.scorer import load_scorer
from yt8m_spark.spark.synthetic import write_synthetic
from yt8m_spark.whitening_files import load_whitening

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FILES = sorted(NOTEBOOKS.glob("[0-9]*.py"))
SMALL = {"n_shards": 6, "rgb_dim": 12, "audio_dim": 4, "mean_frames": 8.0, "max_frames": 12}


@pytest.fixture(scope="module")
def folder(spark, tmp_path_factory):
    """Shards of a data set and of a target, and an MLflow store of their own."""
    root = tmp_path_factory.mktemp("notebooks")
    for name, n_videos, seed in (("data", 240, 0), ("target", 120, 1)):
        made = SyntheticConfig(n_videos=n_videos, n_entities=6, seed=seed, **SMALL)
        write_synthetic(spark, made, str(root / name))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        yield root


@pytest.fixture(scope="module")
def run(spark, folder):
    """Run a notebook by its number, once; gives its names and values, and its page."""
    ran = {}

    def once(number, **values):
        if number not in ran:
            path = next(str(path) for path in FILES if path.name.startswith(number))
            given = {"data": f"{folder}/data", "work": f"{folder}/work", "experiment": "notebooks"}
            names = widget_names(read_cells(path))
            done = run_notebook(
                path, spark, {k: v for k, v in given.items() if k in names} | values
            )
            assert done.cause is None, done.error
            ran[number] = done
        return ran[number]

    return once


@pytest.fixture(scope="module")
def whitened(run):
    return run("02", statistics="mean,std", ridge="0").namespace


@pytest.fixture(scope="module")
def compared(run, whitened):
    return run("03", families="logistic,moe", epochs="2").namespace


def truth(folder, split):
    """Labels by video, as the maker of the videos noted them."""
    rows = []
    for path in sorted(Path(folder).glob(f"truth/{split}*.csv")):
        rows += [line.split(",") for line in path.read_text().splitlines()[1:]]
    return {video: set(map(int, labels.split())) for video, labels, _ in rows}


def test_01_counts_the_labels_that_were_made(run, folder):
    ran = run("01")
    shown = ran.namespace["counts"].set_index("entity")["count"].to_dict()
    made = truth(folder / "data", "train")
    assert shown == Counter(entity for labels in made.values() for entity in labels)
    sizes = {name: split.n_videos for name, split in ran.namespace["profile"].splits.items()}
    expected = {name: len(truth(folder / "data", name)) for name in ("train", "validate", "test")}
    assert sizes == expected
    kinds = [output.kind for cell in ran.cells for output in cell.outputs]
    assert kinds.count("image") == 2
    assert kinds.count("frame") == 1  # the profile


def test_02_whitens_as_scikit_learn_does(whitened):
    spark, work = whitened["spark"], whitened["work"]
    videos = spark.read.parquet(f"{work}/videos/train").orderBy("video_id").toPandas()
    features = spark.read.parquet(f"{work}/features/train").orderBy("video_id").toPandas()
    raw = np.hstack([np.stack(videos[column]) for column in whitened["columns"]]).astype(float)
    assert raw.shape[1] == 2 * (12 + 4)
    expected = PCA(whiten=True).fit_transform(raw)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = np.stack(features["features"]).astype(float)
    # Components may have either sign; products of two videos do not depend on it.
    assert_allclose(found @ found.T, expected @ expected.T, atol=2e-4)


def test_03_reports_the_hits_that_scores_show(compared, folder):
    test = compared["test"].toPandas()
    scorer = load_scorer(f"{compared['work']}/models/moe/fitted")
    best = scorer.entities[score_videos(scorer, np.stack(test["features"])).argmax(axis=1)]
    labels = truth(folder / "data", "test")
    hits = [entity in labels[video] for entity, video in zip(best, test["video_id"], strict=True)]
    assert compared["reports"]["moe"].metrics["hit_at_1"] == pytest.approx(np.mean(hits))
    assert [run.name for run in compared["comparison"].runs] == ["logistic", "moe"]


def test_03_logs_a_run_of_each_family(compared):
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("notebooks").experiment_id
    logged = {run.info.run_name: run.data for run in client.search_runs([experiment])}
    for family in ("logistic", "moe"):
        expected = compared["reports"][family].metrics["map"]
        assert logged[family].metrics["map"] == pytest.approx(expected)
        assert logged[family].params["epochs"] == "2"


def test_04_networks_are_judged_by_their_predictions(run, folder):
    found = run("04", size="small", epochs="1", networks="dbof,lstm").namespace
    labels = truth(folder / "data", "test")
    for network in ("dbof", "lstm"):
        model = f"{found['work']}/networks/{network}"
        rows = found["predict"](found["test"], model, 1).collect()
        hits = np.mean([row["entities"][0] in labels[row["video_id"]] for row in rows])
        assert found["evaluated"][network]["hit_at_1"] == pytest.approx(hits)
        assert len(found["losses"][network]) > 0
    assert not Path(found["scratch"]).exists()


def test_05_shows_mistakes_and_a_page_of_all(run, compared, folder):
    ran = run("05", model="moe")
    found, labels = ran.namespace, truth(folder / "data", "test")
    predicted = found["predictions"].toPandas()
    wrong = {
        video
        for video, entities in zip(predicted["video_id"], predicted["entities"], strict=True)
        if entities[0] not in labels[video]
    }
    assert {row["video_id"] for row in found["wrong"].collect()} == wrong
    page = Path(found["page"]).read_text(encoding="utf-8")
    assert all(name in page for name in found["vocabulary"].names.values())
    frames = [o.content for cell in ran.cells for o in cell.outputs if o.kind == "frame"]
    assert frames == [page]


def test_06_transfers_the_whitening_and_nothing_else(run, whitened, folder):
    values = {"target": f"{folder}/target", "epochs": "2"}
    found = run("06", **values).namespace
    source, columns = load_whitening(f"{folder}/work/whitening/fitted")
    folders = list(Path(found["config"].output).glob("whitening/*/whitening.json"))
    fits = {path.parent.name: load_whitening(str(path.parent))[0] for path in folders}
    transferred = [fit for name, fit in fits.items() if name.endswith("_transferred")]
    assert [fit.digest for fit in transferred] == [source.digest]
    videos = whitened["spark"].read.parquet(f"{found['config'].output}/videos/train").toPandas()
    mean = np.hstack([np.stack(videos[column]) for column in columns]).astype(float).mean(axis=0)
    (own,) = [fit for name, fit in fits.items() if name.endswith("_own")]
    assert_allclose(own.mean, mean, atol=1e-5)
    assert len(found["table"]) == 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebooks_install_this_version_and_name_volumes(path):
    cells = read_cells(str(path))
    installs = [cell.text for cell in cells if cell.kind == "install"]
    assert f"yt8m_spark-{yt8m_spark.__version__}-py3-none-any.whl" in installs[0]
    assert cells[0].kind == "markdown"
    text = path.read_text(encoding="utf-8")
    assert "/Volumes/" in text
    # What serverless compute refuses.
    for word in ("/dbfs", "sparkContext", ".rdd", "cache()", "persist(", "conf.set", "GlobalTemp"):
        assert word not in text


def test_there_are_six():
    assert [path.name[:2] for path in FILES] == ["01", "02", "03", "04", "05", "06"]
