"""Collecting videos into a data set, stage by stage, into the folder of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from yt8m_spark.core.funnel import Stage, add_stages, funnel_line
from yt8m_spark.dataset_config import DatasetConfig
from yt8m_spark.errors import InputError
from yt8m_spark.events import note
from yt8m_spark.formats.vocabulary_topics import VocabularyTopics
from yt8m_spark.progress import step, watch
from yt8m_spark.run import Run
from yt8m_spark.spark.candidates import (
    Repeated,
    count_repeated,
    each_once,
    find_repeated,
    read_candidates,
)
from yt8m_spark.spark.collection import LEFT, STAGES, sift
from yt8m_spark.spark.fixed_point import FixedPoint, Round, fixed_point
from yt8m_spark.spark.selection import (
    Sample,
    chosen,
    count_reasons,
    draw_sample,
    excluded,
    kept_videos,
)
from yt8m_spark.spark.tables import count_videos, is_table, read_table

__all__ = ["Built", "build_dataset", "require_left"]

_SOLO = ("rows", "duplicates", "views", "duration")  # stages before the sample


class Built(NamedTuple):
    """What came of the candidates."""

    funnel: list[Stage]
    repeated: Repeated
    sample: Sample
    found: FixedPoint


def build_dataset(run: Run, config: DatasetConfig, vocabulary: VocabularyTopics) -> Built:
    """Write ``videos`` and ``audit`` into the folder of ``run``.

    Raises
    ------
    InputError
        If the candidates cannot be read, an id has different topics and the options do not allow
        it, or no video is left.
    """
    repeated = _find_repeated(run, config)
    _sift(run, config, vocabulary, repeated)
    sifted = read_table(run.spark, f"{run.folder}/work/sifted")
    funnel, sample = _draw(sifted, config, repeated)
    videos = chosen(sifted, sample)
    with step("filter entities and videos to a fixed point"):
        found = fixed_point(
            videos,
            vocabulary.entities,
            min_videos=config.min_videos,
            min_labels=config.min_labels,
            told=_tell_round,
        )
    lost = funnel[-1].n_out - found.rounds[-1].n_videos
    funnel = add_stages(funnel, {"fixed_point": {LEFT: lost}})
    require_left(funnel, config.candidates)
    with step("write videos"):
        kept = kept_videos(
            videos, found, config.shares, min_labels=config.min_labels, seed=config.seed
        )
        # A folder a split: jobs take videos/split=train as a table of its own.
        kept.write.partitionBy("split").parquet(f"{run.folder}/videos")
    with step("write the audit"):
        gone = excluded(sifted, sample, found, min_labels=config.min_labels)
        gone.write.parquet(f"{run.folder}/audit/videos")
    shutil.rmtree(f"{run.folder}/work")
    return Built(funnel, repeated, sample, found)


def require_left(funnel: Sequence[Stage], where: str) -> None:
    """Refuse a funnel that lets nothing through; ``where`` is the table it began with.

    Raises
    ------
    InputError
        Names the stage that took the last one, and tells the counts of all.
    """
    emptied = next((stage for stage in funnel if not stage.n_out), None)
    if emptied is not None:
        what = f"no video is left after the stage {emptied.name!r}"
        raise InputError(what, where=where, found=funnel_line(funnel))


def _find_repeated(run: Run, config: DatasetConfig) -> Repeated:
    """Write the ids that come more than once to the audit; refuse conflicts if told to."""
    path = f"{run.folder}/audit/repeated"
    with step("look for repeated ids"):
        find_repeated(read_candidates(run.spark, config.candidates)).write.parquet(path)
        repeated = count_repeated(read_table(run.spark, path))
    if config.duplicates == "error" and repeated.n_conflicting:
        first, more = repeated.first_conflicting, repeated.n_conflicting - 1
        found = f"{first!r}" + (f" and {more:,} more" if more else "")
        expected = "the same topics in each row, or --duplicates exclude"
        where = config.candidates
        raise InputError("id with different topics", where=where, expected=expected, found=found)
    return repeated


def _sift(
    run: Run, config: DatasetConfig, vocabulary: VocabularyTopics, repeated: Repeated
) -> None:
    """Write the table that all later stages read: they never go back to the candidates."""
    source = config.candidates
    candidates = read_candidates(run.spark, source)
    total = count_videos(run.spark, source) if is_table(source) else None
    if repeated.n_ids:
        table = read_table(run.spark, f"{run.folder}/audit/repeated")
        candidates = each_once(candidates, table)
        total = total and total - repeated.n_rows + repeated.n_ids
    else:
        candidates = candidates.withColumn("is_conflicting", F.lit(False))
    with watch(run.heartbeats, total, "sift candidates") as heartbeats:
        sift(
            candidates,
            vocabulary.topics,
            config.bounds,
            seed=config.seed,
            heartbeats=heartbeats,
        ).write.parquet(f"{run.folder}/work/sifted")


def _draw(
    sifted: DataFrame, config: DatasetConfig, repeated: Repeated
) -> tuple[list[Stage], Sample]:
    """Count the stages up to annotation, and draw the sample between them."""
    with step("draw the sample"):
        reasons = count_reasons(sifted, "reason")
        reasons["repeated_row"] = repeated.n_rows - repeated.n_ids
        funnel = add_stages([], _by_stage(reasons, _SOLO), n_in=sum(reasons.values()))
        require_left(funnel, config.candidates)
        sample = draw_sample(sifted, funnel[-1].n_out, config.sample)
        missed = {"not_sampled": funnel[-1].n_out - sample.n_videos}
        drawn = sifted.where("reason IS NULL").where(sample.contains)
        annotation = _by_stage(count_reasons(drawn, "annotation"), ["annotation"])
        funnel = add_stages(funnel, {"sample": missed, **annotation})
        require_left(funnel, config.candidates)
    return funnel, sample


def _by_stage(
    reasons: Mapping[str | None, int], stages: Iterable[str]
) -> dict[str, dict[str, int]]:
    return {stage: {r: reasons.get(r, 0) for r in STAGES[stage]} for stage in stages}


def _tell_round(done: Round) -> None:
    line = (
        f"{done.n_videos:,} videos, {done.n_entities:,} entities, {done.n_removed:,} with too few"
    )
    note(f"  {line}")
