"""Predictions and an evaluation of a network on whatever session there is.

Run as a program, with the folder of a network, it uses Spark Connect and prints them.
"""

import sys

from network_files import ENTITIES, WIDTHS, frame_codes
from pyspark.sql import SparkSession

from yt8m_spark.spark.activations import export_activations
from yt8m_spark.spark.schemas import frames_schema
from yt8m_spark.spark.scoring import evaluate_model, predict

LABELS = {"v0": [10], "v1": [12, 14], "v2": [], "v4": [10, 99], "v5": ENTITIES[:7], "v6": [68]}


def frames_table(spark, null=()):
    """Frames table of the videos of `network_files`, in three partitions."""
    rows = [
        (
            video_id,
            LABELS.get(video_id, [20]),
            *(None if video_id in null else part.tobytes() for part in parts),
            len(parts[0]),
            "shard",
        )
        for video_id, parts in frame_codes().items()
    ]
    return spark.createDataFrame(rows, frames_schema(WIDTHS)).repartition(3)


def run(spark, model):
    """Predictions, metrics and activations."""
    frames = frames_table(spark)
    rows = predict(frames, model, 5).collect()
    features = export_activations(frames, model, normalize=False).collect()
    return {
        "predictions": {r.video_id: (list(r.entities), list(r.scores)) for r in rows},
        "metrics": evaluate_model(frames, model).metrics,
        "activations": {r.video_id: list(r.features) for r in features},
    }


if __name__ == "__main__":
    session = SparkSession.builder.remote("local[2]").getOrCreate()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    print(run(session, sys.argv[1]))
    session.stop()
