"""Evaluations made by hand, for what is written and drawn of them."""

import numpy as np
import pyarrow as pa

from yt8m_spark.spark.evaluation import Evaluation

NAN = float("nan")
DOUBLES = (
    "average_precision",
    "starter_average_precision",
    "best_average_precision",
    "worst_average_precision",
    "loss",
    "best_threshold",
    "best_f1",
    "precision_at_recall_20",
    "precision_at_recall_50",
    "precision_at_recall_80",
    "calibration_error",
)


def evaluation_of(entities, n_positives, average_precision, **changes):
    """An evaluation of 100 videos; figures that are not given are 1/2, thresholds NaN."""
    n = len(entities)
    given = {"average_precision": average_precision, "best_threshold": [NAN] * n, **changes}
    replicates = given.pop("replicates", None)
    intervals = given.pop("intervals", None)
    columns = {name: pa.array(given.get(name, [0.5] * n), pa.float64()) for name in DOUBLES}
    ids = {
        "entity": pa.array(entities, pa.int32()),
        "n_positives": pa.array(n_positives, pa.int64()),
    }
    points = [[0.9, 0.5, 0.1]] * n
    curves = {
        "entity": ids["entity"],
        **{
            name: pa.array(values, pa.list_(pa.float32()))
            for name, values in (
                ("thresholds", points),
                ("precision", [[1.0, 0.5, 0.25]] * n),
                ("recall", [[0.25, 0.5, 1.0]] * n),
            )
        },
    }
    confusions = {
        "entity": pa.array([], pa.int32()),
        "confused_with": pa.array([], pa.int32()),
        "n_videos": pa.array([], pa.int64()),
        "share": pa.array([], pa.float64()),
    }
    reliability = {
        "bin": pa.array(np.arange(15), pa.int32()),
        "n_pairs": pa.array([1000, 100, *[10] * 12, 0], pa.int64()),
        "n_hits": pa.array([1, 9, *[5] * 12, 0], pa.int64()),
        "mean_score": pa.array([0.01, 0.1, *(np.arange(2, 14) / 15 + 0.03), None], pa.float64()),
    }
    metrics = {"map": float(np.mean(average_precision)), "hit_at_1": 0.5, "gap_at_20": 0.25}
    return Evaluation(
        metrics,
        100,
        90,
        pa.table({**ids, **columns}),
        pa.table(curves),
        pa.table(confusions),
        pa.table(reliability),
        replicates,
        intervals,
    )
