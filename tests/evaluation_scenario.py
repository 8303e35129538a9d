"""Evaluations on whatever session there is; run as a program, on Spark Connect.

Prints the metrics and the intervals that `evaluate_in_memory` gives too.
"""

from brute_evaluation import make_videos, scored
from pyspark.sql import SparkSession

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.spark.evaluation import evaluate_predictions
from yt8m_spark.spark.prior import evaluate_prior
from yt8m_spark.spark.schemas import PREDICTIONS
from yt8m_spark.spark.truth import with_truth

OPTIONS = EvaluationOptions(hit_at=(1, 5, 10), n_replicates=40, seed=2)


def rows():
    """Rows of a predictions table."""
    return [(v, g, list(s), list(s.values())) for v, g, s in scored(make_videos(50))]


def run(spark):
    """Evaluate predictions beside a truth, with intervals, and a prior."""
    table = spark.createDataFrame(rows(), PREDICTIONS).repartition(3)
    matched = with_truth(table.drop("labels"), table.select("video_id", "labels"))
    found = evaluate_predictions(matched.predictions, options=OPTIONS)
    prior = evaluate_prior(table.select("video_id", "labels"), {10: 0.5, 12: 0.25})
    return {
        "metrics": found.metrics,
        "intervals": found.intervals["intervals"],
        "n_confusions": found.confusions.num_rows,
        "prior_hit_at_1": prior.metrics["hit_at_1"],
    }


if __name__ == "__main__":
    session = SparkSession.builder.remote("local[2]").getOrCreate()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    print(run(session))
    session.stop()
