"""The stages of building a vocabulary (paper §3.1): types, visualness, videos, and who falls where.

An entity that a stage excludes is not looked at by later ones; what is known of it is kept all the
same, so that the audit can answer what another limit would have done.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from yt8m_spark.core.type_tree import TypeTree, nearest_verticals, types_below
from yt8m_spark.core.visualness import specificity_bounds
from yt8m_spark.errors import InputError

__all__ = [
    "AUDIT_COLUMNS",
    "ENTITY_COLUMNS",
    "KEPT",
    "REASONS",
    "Limits",
    "UnknownTypes",
    "entity_facts",
    "judge_entities",
    "refuse_unknown_types",
    "type_table",
]

KEPT = "kept"
# Reasons by stage, in the order in which they are asked for.
REASONS = {
    "input": ("conflicting_rows",),
    "types": ("blacklisted_type", "unknown_type", "no_whitelisted_type"),
    "visualness": ("too_few_raters", "not_visual"),
    "videos": ("too_few_videos",),
    KEPT: (KEPT,),
}
UnknownTypes = Literal["exclude", "ignore", "error"]

AUDIT_COLUMNS = (
    "entity", "name", "stage", "reason", "figure", "limit", "detail",
    "types", "verticals", "n_raters", "visualness", "specificity", "n_videos",
)  # fmt: skip
ENTITY_COLUMNS = (
    "index", "entity", "name", "verticals", "n_videos", "n_raters", "visualness", "specificity",
    "types", "wiki_url", "description",
)  # fmt: skip

_MOST_VERTICALS = 3  # columns of the release
_TYPE_TABLE = pa.schema(
    [
        ("type", pa.string()),
        ("whitelisted_by", pa.string()),
        ("blacklisted_by", pa.string()),
        ("verticals", pa.list_(pa.struct([("vertical", pa.string()), ("distance", pa.int32())]))),
    ]
)


@dataclass(frozen=True)
class Limits:
    """What an entity must meet; the paper's numbers (§3.1) but for ``unknown_types``."""

    has_whitelist: bool  # without one, any type is fine
    min_raters: int | None = 3  # None: nobody rates
    max_visualness: float = 2.5
    min_videos: int = 200
    unknown_types: UnknownTypes = "exclude"


class _Rule(NamedTuple):
    """One way to be excluded."""

    stage: str
    reason: str
    excludes: Column
    figure: Column
    limit: Column
    detail: Column


def type_table(
    spark: SparkSession, tree: TypeTree, whitelist: tuple[str, ...], blacklist: tuple[str, ...]
) -> DataFrame:
    """What each type means for an entity that has it; the plan carries it, as large as the tree.

    Returns
    -------
    DataFrame
        ``type, whitelisted_by, blacklisted_by`` (the listed type at or above it, or null),
        ``verticals array<struct<vertical, distance>>``.

    Raises
    ------
    ValueError
        If a listed type is not in the tree.
    """
    white, black = types_below(tree, whitelist), types_below(tree, blacklist)
    verticals = nearest_verticals(tree)
    names = list(tree.parents)
    lists = [
        [{"vertical": v, "distance": d} for v, d in sorted(verticals[name].items())]
        for name in names
    ]
    columns = [names, [white.get(n) for n in names], [black.get(n) for n in names], lists]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, _TYPE_TABLE, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=_TYPE_TABLE))


def entity_facts(
    entities: DataFrame, types: DataFrame, scores: DataFrame | None, topics: DataFrame
) -> DataFrame:
    """All that the stages ask of each entity, one row each.

    Parameters
    ----------
    entities : DataFrame
        As `vocabulary_input.read_entities` gives.
    types : DataFrame
        As `type_table` gives.
    scores : DataFrame or None
        ``entity, n_raters, visualness``.
    topics : DataFrame
        ``topic, n_videos``.

    Returns
    -------
    DataFrame
        ``entities`` with ``unknown array<string>, blacklisted array<string>, is_whitelisted,
        verticals array<string>, n_raters, visualness, n_videos``.
    """
    named = entities.select("entity", F.explode("types").alias("type"))
    known = named.join(types.withColumn("is_known", F.lit(True)), "type", "left")
    facts = entities.join(_type_facts(known), "entity", "left")
    facts = facts.join(_entity_verticals(known), "entity", "left")
    if scores is None:
        facts = facts.withColumns(
            {"n_raters": F.lit(0).cast("long"), "visualness": F.lit(None).cast("double")}
        )
    else:
        facts = facts.join(scores, "entity", "left")
    counts = topics.withColumnRenamed("topic", "entity")
    facts = facts.join(counts, "entity", "left")
    empty = F.array().cast("array<string>")
    filled = {c: F.coalesce(c, empty) for c in ("unknown", "blacklisted", "verticals")}
    filled |= {c: F.coalesce(c, F.lit(0).cast("long")) for c in ("n_raters", "n_videos")}
    filled["is_whitelisted"] = F.coalesce("is_whitelisted", F.lit(False))
    return facts.withColumns(filled)


def judge_entities(facts: DataFrame, limits: Limits) -> DataFrame:
    """``facts`` with the stage at which each entity falls, and why; or that it is kept.

    Returns
    -------
    DataFrame
        ``facts`` with ``specificity int`` (1 to 3, null where nobody rated or it is above the
        limit), ``stage, reason, figure double, limit double, detail``. Reason and stage of what is
        kept are "kept", its figure the videos.
    """
    verdicts = [
        F.when(
            rule.excludes,
            F.struct(
                F.lit(rule.stage).alias("stage"),
                F.lit(rule.reason).alias("reason"),
                rule.figure.cast("double").alias("figure"),
                rule.limit.cast("double").alias("limit"),
                rule.detail.alias("detail"),
            ),
        )
        for rule in (*_rules(limits), _kept(limits))
    ]
    judged = facts.withColumn("verdict", F.coalesce(*verdicts))
    judged = judged.withColumn("specificity", _specificity(limits.max_visualness))
    return judged.select(*facts.columns, "specificity", "verdict.*")


def refuse_unknown_types(judged: DataFrame, where: str) -> None:
    """Refuse entities of ``where`` that have a type which the hierarchy lacks.

    Raises
    ------
    InputError
        With how many there are, and the first.
    """
    unknown = judged.where(F.size("unknown") > 0)
    first = F.min(F.struct("entity", "unknown")).alias("first")
    row = unknown.agg(F.count("*").alias("n"), first).collect()[0]
    if row.n:
        entity, types = row["first"]
        raise InputError(
            f"{row.n:,} entities have types that the table of types lacks",
            where=where,
            expected="known types, or --unknown-types exclude or ignore",
            found=f"entity {entity!r} of {', '.join(map(repr, types))}",
        )


def _rules(limits: Limits) -> list[_Rule]:
    """Rules in the paper's order; the first that excludes an entity is its reason."""
    blacklisted, unknown = F.col("blacklisted"), F.col("unknown")
    none, no_limit = F.lit(""), F.lit(None)
    rules = [
        _Rule("input", "conflicting_rows", F.col("is_conflict"), F.col("n_rows"), F.lit(1), none),
        _listed("blacklisted_type", blacklisted),
    ]
    if limits.unknown_types != "ignore":
        rules.append(_listed("unknown_type", unknown))
    if limits.has_whitelist:
        types = F.col("types")
        named, not_white = F.array_join(types, ", "), ~F.col("is_whitelisted")
        rules.append(
            _Rule("types", "no_whitelisted_type", not_white, F.size(types), no_limit, named)
        )
    if limits.min_raters is not None:
        few = F.col("n_raters") < limits.min_raters
        least = F.lit(limits.min_raters)
        rules.append(_Rule("visualness", "too_few_raters", few, F.col("n_raters"), least, none))
        score, most = F.col("visualness"), limits.max_visualness
        rules.append(_Rule("visualness", "not_visual", score > most, score, F.lit(most), none))
    videos, least = F.col("n_videos"), F.lit(limits.min_videos)
    rules.append(_Rule("videos", "too_few_videos", videos < least, videos, least, none))
    return rules


def _listed(reason: str, found: Column) -> _Rule:
    detail = F.array_join(found, ", ")
    return _Rule("types", reason, F.size(found) > 0, F.size(found), F.lit(0), detail)


def _kept(limits: Limits) -> _Rule:
    least = F.lit(limits.min_videos)
    return _Rule(KEPT, KEPT, F.lit(True), F.col("n_videos"), least, F.lit(""))


def _specificity(max_visualness: float) -> Column:
    """Range of the mean score (Fig. 4b); a bound belongs to the range below it."""
    bounds = enumerate(specificity_bounds(max_visualness), start=1)
    ranges = [F.when(F.col("visualness") <= bound, F.lit(i)) for i, bound in bounds]
    return reduce(F.coalesce, ranges).cast("int")


def _type_facts(known: DataFrame) -> DataFrame:
    """Of each entity with types: those unknown, those blacklisted and by what, any whitelisted."""
    is_known, listed = F.col("is_known").isNotNull(), F.col("blacklisted_by")
    below = F.concat(F.col("type"), F.lit(" (below "), listed, F.lit(")"))
    black = F.when(listed == F.col("type"), listed).when(listed.isNotNull(), below)
    return known.groupBy("entity").agg(
        F.sort_array(F.collect_list(F.when(~is_known, F.col("type")))).alias("unknown"),
        F.sort_array(F.collect_list(black)).alias("blacklisted"),
        F.max(F.col("whitelisted_by").isNotNull()).alias("is_whitelisted"),
    )


def _entity_verticals(known: DataFrame) -> DataFrame:
    """Up to three verticals of each entity: the nearest, then those of most types, then by name."""
    each = known.select("entity", F.inline("verticals")).groupBy("entity", "vertical")
    ranked = each.agg(F.min("distance").alias("distance"), F.count("*").alias("n_types"))
    order = Window.partitionBy("entity").orderBy("distance", F.desc("n_types"), "vertical")
    first = ranked.withColumn("place", F.row_number().over(order)).where(
        F.col("place") <= _MOST_VERTICALS
    )
    placed = F.sort_array(F.collect_list(F.struct("place", "vertical")))
    return first.groupBy("entity").agg(placed["vertical"].alias("verticals"))
