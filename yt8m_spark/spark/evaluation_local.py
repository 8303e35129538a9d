"""The evaluation of `spark.evaluation` without Spark: of tables and scores in memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from yt8m_spark.core.evaluation_options import EvaluationOptions
from yt8m_spark.core.scored import ScoredBatch
from yt8m_spark.spark.evaluation_result import Evaluation, Figures, Reduce, by_kind, conclude
from yt8m_spark.spark.evaluation_rows import COUNTS, Task, tally_predictions, tally_scored
from yt8m_spark.spark.schemas import arrow_schema

__all__ = ["evaluate_batches", "evaluate_counts", "evaluate_table"]

_USUAL = EvaluationOptions()


def evaluate_batches(
    batches: Iterable[ScoredBatch], options: EvaluationOptions = _USUAL
) -> Evaluation:
    """Evaluate videos with a score for every entity.

    Raises
    ------
    InputError
        As `spark.evaluation.evaluate_scored`.
    """
    # What tells a task how to score is given the scores themselves.
    score = partial(_as_given, scored=batches)
    return evaluate_counts(tally_scored(iter(()), score=score, task=Task(options, None)), options)


def evaluate_table(predictions: pa.Table, options: EvaluationOptions = _USUAL) -> Evaluation:
    """Evaluate a predictions table.

    Raises
    ------
    InputError
        As `spark.evaluation.evaluate_predictions`.
    """
    task = Task(options, None)
    counts = tally_predictions(iter(predictions.to_batches()), task=task)
    return evaluate_counts(counts, options)


def evaluate_counts(counts: Iterable[pa.RecordBatch], options: EvaluationOptions) -> Evaluation:
    """Evaluate rows of `COUNTS`, of one task or several."""
    table = pa.Table.from_batches(counts, schema=arrow_schema(COUNTS))
    table = table.sort_by([("domain", "ascending"), ("part", "ascending")])
    return conclude(partial(_reduced, table), options)


def _reduced(counts: pa.Table, task: Reduce, domain: str | None) -> Figures:
    chosen = counts if domain is None else counts.filter(pc.field("domain") == domain)
    return by_kind(task(iter(chosen.to_batches())))


def _as_given(_batches: object, scored: Iterable[ScoredBatch]) -> Iterable[ScoredBatch]:
    return scored
