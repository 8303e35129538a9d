"""pyspark.ml stages in a Pipeline and a CrossValidator, on both kinds of session.

What they compute is tested in tests/spark.
"""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.ml import (
    EntityModel,
    HingeOneVsAll,
    LogisticOneVsAll,
    MoEOneVsAll,
    PCAWhitening,
    VideoStatistics,
    VideoTaggingEvaluator,
)

SCENARIO = Path(__file__).with_name("ml_scenario.py")
PROMISED = {
    "hit_at_1": 1.0,
    "loaded_is_the_same": True,
    "refitted_is_the_same": True,
    "best_is_a_model": True,
    "folds_have_figures": [1.0, 1.0],
    "best_hit_at_1": 1.0,
}


@pytest.fixture(scope="module")
def scenario():
    spec = importlib.util.spec_from_file_location("ml_scenario", SCENARIO)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def features(spark, scenario, tmp_path_factory):
    frames = scenario.make_frames(spark)
    videos = VideoStatistics().transform(frames)
    work = str(tmp_path_factory.mktemp("work"))
    whitening = PCAWhitening(workDir=work).fit(videos)
    return whitening.transform(videos).persist()


@pytest.mark.filterwarnings("ignore::UserWarning:pyspark.*")
def test_pipeline_and_cross_validator_on_a_classic_session(spark, scenario, tmp_path):
    assert scenario.run(spark, tmp_path) == PROMISED


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_pipeline_and_cross_validator_on_spark_connect(tmp_path):
    # A classic and a Connect session cannot live in one process.
    finished = subprocess.run(
        [sys.executable, str(SCENARIO), str(tmp_path)],
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert ast.literal_eval(finished.stdout.splitlines()[-1]) == PROMISED


@pytest.mark.parametrize("stage", [LogisticOneVsAll, HingeOneVsAll, MoEOneVsAll])
def test_each_family_finds_the_bright_feature(features, stage, tmp_path):
    model = stage(epochs=3, topK=1, entities="0-2", workDir=str(tmp_path)).fit(features)
    predictions = model.transform(features)
    assert predictions.columns == ["video_id", "labels", "entities", "scores"]
    assert VideoTaggingEvaluator(metricName="hit_at_1").evaluate(predictions) == 1.0


def test_parameters_survive_saving(spark, tmp_path):
    stage = MoEOneVsAll(nExperts=4, learningRate=0.5, entities="3-9", topK=7)
    stage.write().save(str(tmp_path / "stage"))
    loaded = MoEOneVsAll.load(str(tmp_path / "stage"))
    assert {p.name: v for p, v in loaded.extractParamMap().items()} == {
        p.name: v for p, v in stage.extractParamMap().items()
    }
    assert loaded.uid == stage.uid


def test_a_saved_model_outlives_the_folder_it_was_trained_in(features, tmp_path):
    model = LogisticOneVsAll(epochs=1, workDir=str(tmp_path / "work")).fit(features)
    expected = model.transform(features).orderBy("video_id").collect()
    model.write().save(str(tmp_path / "saved"))
    (tmp_path / "work").rename(tmp_path / "gone")
    loaded = EntityModel.load(str(tmp_path / "saved"))
    assert loaded.transform(features).orderBy("video_id").collect() == expected


def test_saving_over_something_needs_overwrite(spark, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="output exists already"):
        VideoStatistics().write().save(str(tmp_path / "there"))


def test_an_unknown_metric_is_refused(features, tmp_path):
    predictions = (
        LogisticOneVsAll(epochs=1, workDir=str(tmp_path)).fit(features).transform(features)
    )
    with pytest.raises(InputError, match="unknown metricName"):
        VideoTaggingEvaluator(metricName="accuracy").evaluate(predictions)
