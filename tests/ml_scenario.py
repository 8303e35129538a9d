"""What a notebook does with the stages, on whatever session it is given.

Run as a program it takes a folder and works on Spark Connect.
"""

import sys
from pathlib import Path

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession

from yt8m_spark.ml import (
    EntityModel,
    LogisticOneVsAll,
    MoEOneVsAll,
    PCAWhitening,
    VideoStatistics,
    VideoTaggingEvaluator,
)
from yt8m_spark.spark.schemas import frames_schema


def make_frames(spark, n_videos=90, n_frames=6, width=8, seed=0):
    """Videos with entity 0, 1 or 2: its feature is bright in all frames."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_videos):
        codes = rng.integers(80, 170, size=(n_frames, width), dtype=np.uint8)
        codes[:, i % 3] = rng.integers(190, 250)
        rows.append((f"v{i:03d}", [i % 3], codes.tobytes(), n_frames, "made"))
    return spark.createDataFrame(rows, frames_schema(["rgb"]))


def pipeline(work):
    return Pipeline(
        stages=[
            VideoStatistics(statistics=["mean"]),
            PCAWhitening(nComponents=6, workDir=str(work)),
            LogisticOneVsAll(epochs=2, topK=3, workDir=str(work)),
        ]
    )


def run(spark, folder):
    """Everything the stages promise; returns figures for the tests to look at."""
    folder = Path(folder)
    frames = make_frames(spark)
    evaluator = VideoTaggingEvaluator(metricName="hit_at_1")
    fitted = pipeline(folder / "work").fit(frames)
    before = fitted.transform(frames).orderBy("video_id").collect()

    fitted.write().overwrite().save(str(folder / "pipeline"))
    fitted.write().overwrite().save(str(folder / "pipeline"))
    after = PipelineModel.load(str(folder / "pipeline")).transform(frames)

    unfitted = folder / "unfitted"
    pipeline(folder / "work").write().overwrite().save(str(unfitted))
    again = Pipeline.load(str(unfitted)).fit(frames).transform(frames)

    features = fitted.stages[1].transform(fitted.stages[0].transform(frames))
    moe = MoEOneVsAll(epochs=1, nExperts=1, workDir=str(folder / "work"))
    grid = ParamGridBuilder().addGrid(moe.epochs, [4, 8]).build()
    validator = CrossValidator(
        estimator=moe, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=1
    )
    best = validator.fit(features)
    return {
        "hit_at_1": evaluator.evaluate(fitted.transform(frames)),
        "loaded_is_the_same": after.orderBy("video_id").collect() == before,
        "refitted_is_the_same": again.orderBy("video_id").collect() == before,
        "best_is_a_model": isinstance(best.bestModel, EntityModel),
        "folds_have_figures": [round(float(m), 3) for m in best.avgMetrics],
        "best_hit_at_1": evaluator.evaluate(best.transform(features)),
    }


if __name__ == "__main__":
    session = SparkSession.builder.remote("local[2]").getOrCreate()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    print(run(session, sys.argv[1]))
    session.stop()
