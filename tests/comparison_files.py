"""Small evaluations for the tests of comparisons: as objects and as folders."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from yt8m_spark.comparison.runs import Bootstrap, EvaluatedRun, entity_columns
from yt8m_spark.core.paired_comparison import Interval

HOSTILE = "<script>alert('x')</script> & \"Ж\" | $x^2$ {{ 7 * 7 }} \x1b[31m\u2028</table>"
FIGURES = {"map": 0.25, "hit_at_1": 0.5, "hit_at_5": 0.75, "perr": 0.375, "gap_at_20": 0.3}


def entities(precisions, *, n_positives=20, **columns):
    """Table of per_entity.parquet, its average precision given by entity."""
    counts = n_positives if isinstance(n_positives, list) else [n_positives] * len(precisions)
    return pa.table(
        {
            "entity": pa.array(list(precisions), pa.int32()),
            "n_positives": pa.array(counts, pa.int64()),
            "average_precision": pa.array(list(precisions.values()), pa.float64()),
            **columns,
        }
    )


def make_run(name, *, precisions=None, replicates=None, plan=(0, 100, 200), n_positives=20, **more):
    """An evaluated run with the figures of `FIGURES`, and those of ``more`` instead."""
    table = None
    if precisions is not None:
        table = entity_columns(entities(precisions, n_positives=n_positives), name)
    bootstrap = None
    if replicates is not None:
        intervals = {metric: Interval(0.1, 0.9) for metric in replicates}
        bootstrap = Bootstrap(0.95, plan, intervals, replicates)
    return EvaluatedRun(
        name, {**FIGURES, "n_videos": 100, **more}, f"runs/{name}", {}, table, bootstrap
    )


def save_evaluation(folder, table=None, *, seed=0, replicates=None, **more):
    """Folder of an evaluation with the figures of `FIGURES`, and those of ``more`` instead."""
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({**FIGURES, "n_videos": 100, **more}))
    if table is not None:
        pq.write_table(table, folder / "per_entity.parquet")
    if replicates is not None:
        n_replicates = len(next(iter(replicates.values())))
        plan = {"level": 0.95, "seed": seed, "n_groups": 100, "n_replicates": n_replicates}
        intervals = {name: [0.125, 0.875] for name in replicates}
        (folder / "intervals.json").write_text(json.dumps({**plan, "intervals": intervals}))
        pq.write_table(pa.table(replicates), folder / "replicates.parquet")
    return folder


def normal_replicates(mean, spread, *, seed=0, n_replicates=200):
    """Replicates of one metric."""
    return mean + spread * np.random.default_rng(seed).normal(size=n_replicates)
