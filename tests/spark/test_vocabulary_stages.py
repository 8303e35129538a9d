"""Who falls at which stage, by hand and by brute force. Reading: test_vocabulary_input.py."""

import numpy as np
import pytest
from brute_vocabulary import brute_audit, brute_vocabulary

from yt8m_spark.core.type_tree import build_type_tree
from yt8m_spark.errors import InputError
from yt8m_spark.spark.vocabulary_result import (
    kept_entities,
    require_entities,
    stage_counts,
    vocabulary_rows,
    vocabulary_statistics,
)
from yt8m_spark.spark.vocabulary_stages import (
    AUDIT_COLUMNS,
    Limits,
    entity_facts,
    judge_entities,
    refuse_unknown_types,
    type_table,
)

ENTITIES = (
    "entity string, name string, types array<string>, description string, wiki_url string, "
    "n_rows long, is_conflict boolean"
)
PLAIN = {
    "whitelist": [], "blacklist": [], "min_raters": 3, "max_visualness": "2.5", "min_videos": 2,
    "unknown_types": "exclude",
}  # fmt: skip


def judged(spark, tables, limits):
    """Entities of ``tables`` (see `brute_audit`), judged by the package."""
    rows = [(e, e.upper(), sorted(set(t)), "", "", 1, False) for e, t in tables["entities"].items()]
    entities = spark.createDataFrame(rows, ENTITIES)
    tree = build_type_tree(
        (name, parent, vertical)
        for name, (parents, vertical) in tables["types"].items()
        for parent in parents or [""]
    )
    types = type_table(spark, tree, tuple(limits["whitelist"]), tuple(limits["blacklist"]))
    scores = {}
    for entity, _, score in tables["ratings"]:
        scores.setdefault(entity, []).append(score)
    means = [(e, len(s), sum(s) / len(s)) for e, s in scores.items()]
    schema = "entity string, n_raters long, visualness double"
    pairs = {(topic, video) for video, topics in tables["videos"] for topic in topics}
    counts = spark.createDataFrame(sorted(pairs), "topic string, video string")
    counts = counts.groupBy("topic").count().withColumnRenamed("count", "n_videos")
    facts = entity_facts(entities, types, spark.createDataFrame(means, schema), counts)
    return judge_entities(
        facts,
        Limits(
            has_whitelist=bool(limits["whitelist"]),
            min_raters=limits["min_raters"],
            max_visualness=float(limits["max_visualness"]),
            min_videos=limits["min_videos"],
            unknown_types=limits["unknown_types"],
        ),
    )


def verdicts(spark, tables, **changes):
    """Reason by entity."""
    rows = judged(spark, tables, PLAIN | changes).select("entity", "reason").collect()
    return {row.entity: row.reason for row in rows}


def random_graph(rng, prefix):
    """A small graph of names that begin with ``prefix``, without thought for what comes out."""
    names = [f"{prefix}t{i}" for i in range(9)]
    types = {
        name: (
            rng.choice(names[:i], min(i, int(rng.integers(3))), replace=False).tolist(),
            str(rng.choice(["", "", "Games", "Sports", "News", "Travel", "Health"])),
        )
        for i, name in enumerate(names)
    }
    entities = {
        f"{prefix}e{i:02}": rng.choice([*names, "unheard"], int(rng.integers(5))).tolist()
        for i in range(25)
    }
    ids = list(entities)
    ratings = [
        (e, f"r{r}", int(rng.choice([1, 2, 2, 3, 5])))
        for e in ids for r in range(int(rng.integers(6)))
    ]  # fmt: skip
    videos = [
        (f"{prefix}v{i % 13}", rng.choice(ids, int(rng.integers(4))).tolist()) for i in range(20)
    ]
    return {"entities": entities, "types": types, "ratings": ratings, "videos": videos}


def union(graphs):
    return {
        key: {k: v for g in graphs for k, v in g[key].items()}
        if isinstance(graphs[0][key], dict)
        else [row for g in graphs for row in g[key]]
        for key in graphs[0]
    }


@pytest.mark.parametrize(
    ("limits", "listed"),
    [
        (PLAIN, True),
        (PLAIN | {"max_visualness": "2.2", "min_raters": 1, "unknown_types": "ignore"}, False),
    ],
)
def test_random_graphs_agree_with_brute_force(spark, limits, listed):
    rng = np.random.default_rng(7)
    tables = union([random_graph(rng, f"{prefix}/") for prefix in "abcdefghijklmnop"])
    if listed:
        names = rng.permutation(sorted(tables["types"])).tolist()
        limits = limits | {"whitelist": names[:60], "blacklist": names[50:70]}
    expected = brute_audit(tables, limits)
    assert len({verdict["reason"] for verdict in expected.values()}) == (7 if listed else 4)

    table = judged(spark, tables, limits).cache()
    found = {row.entity: row.asDict() for row in table.select(*AUDIT_COLUMNS).collect()}
    assert found.keys() == expected.keys()
    for entity, verdict in expected.items():
        assert {name: found[entity][name] for name in verdict} == verdict, entity
    kept = kept_entities(table)
    rows = list(vocabulary_rows(kept))
    assert [row["KnowledgeGraphId"] for row in rows] == brute_vocabulary(expected)
    assert [row["Index"] for row in rows] == list(range(len(rows)))
    check_statistics(table, kept, expected, limits)
    table.unpersist()


def check_statistics(table, kept, expected, limits):
    most = float(limits["max_visualness"])
    counts = stage_counts(table)
    statistics = vocabulary_statistics(table, kept, counts, max_visualness=most, n_top=3)
    vocabulary = [expected[entity] for entity in brute_vocabulary(expected)]
    assert statistics.n_entities == len(vocabulary)
    assert statistics.n_candidates == len(expected)
    assert statistics.specificity == [
        sum(v["specificity"] == i for v in vocabulary) for i in (1, 2, 3)
    ]
    by_vertical = {}
    for entity in brute_vocabulary(expected):
        for vertical in expected[entity]["verticals"] or ["(Unknown)"]:
            by_vertical.setdefault(vertical, []).append(entity)
    assert statistics.verticals == {v: len(of) for v, of in by_vertical.items()}
    top = {v: [one.entity for one in of] for v, of in statistics.top_entities.items()}
    assert top == {v: of[:3] for v, of in by_vertical.items()}
    rated = [v for v in expected.values() if v["stage"] != "types" and v["visualness"]]
    assert sum(statistics.scores.values()) == len(rated)
    below = sum(n for bin_, n in statistics.scores.items() if bin_ <= 20)
    assert below == sum(v["visualness"] <= 2 for v in rated)


def seen(*entities, n_videos=2):
    return [(f"v{i}", list(entities)) for i in range(n_videos)]


def test_bounds_of_ratings_and_videos_belong_to_what_is_kept(spark):
    # Means of exactly 1.5, 2, 2.5 and the next above that so many raters can give.
    means = {
        "a": [1, 2, 1, 2], "b": [2, 2, 2], "c": [2, 3, 2, 3], "d": [2, 3, 2, 3, 3], "e": [1, 1, 1],
        "f": [1, 2, 1, 2, 2], "g": [2, 2, 3],
    }  # fmt: skip
    tables = {
        "entities": {entity: ["t"] for entity in [*means, "few"]},
        "types": {"t": ([], "")},
        "ratings": [(e, f"r{i}", s) for e, of in means.items() for i, s in enumerate(of)]
        + [("few", f"r{i}", 1) for i in range(3)],
        "videos": [*seen(*means), ("v0", ["few"]), ("v0", ["few"])],
    }
    rows = (
        judged(spark, tables, PLAIN).select("entity", "reason", "specificity", "figure").collect()
    )
    found = {row.entity: tuple(row)[1:] for row in rows}
    assert {e: f[:2] for e, f in found.items()} == {
        "a": ("kept", 1), "b": ("kept", 2), "c": ("kept", 3), "d": ("not_visual", None),
        "e": ("kept", 1), "f": ("kept", 2), "g": ("kept", 3), "few": ("too_few_videos", 1),
    }  # fmt: skip
    assert found["d"][2] == 13 / 5
    assert found["few"][2] == 1  # the video comes twice


def test_lists_reach_down_and_the_blacklist_wins(spark):
    types = {
        "root": ([], ""), "good": (["root"], ""), "fine": (["good"], ""), "bad": (["good"], ""),
        "worse": (["bad", "fine"], ""), "other": ([], ""),
    }  # fmt: skip
    entities = {
        "below": ["fine"], "itself": ["good"], "above": ["root"], "listed twice": ["both"],
        "below bad": ["worse"], "both kinds": ["fine", "bad"], "elsewhere": ["other"], "none": [],
        "unheard": ["fine", "?"], "unheard and bad": ["?", "bad"],
    }  # fmt: skip
    tables = {
        "entities": entities, "types": types | {"both": ([], "")},
        "ratings": [(e, r, 1) for e in entities for r in "abc"], "videos": seen(*entities),
    }  # fmt: skip
    lists = {"whitelist": ["good", "both"], "blacklist": ["bad", "both"]}
    expected = {
        "below": "kept", "itself": "kept", "above": "no_whitelisted_type",
        "listed twice": "blacklisted_type", "below bad": "blacklisted_type",
        "both kinds": "blacklisted_type", "elsewhere": "no_whitelisted_type",
        "none": "no_whitelisted_type", "unheard": "unknown_type",
        "unheard and bad": "blacklisted_type",
    }  # fmt: skip
    table = judged(spark, tables, PLAIN | lists).cache()
    rows = {row.entity: row for row in table.collect()}
    assert {entity: row.reason for entity, row in rows.items()} == expected
    assert rows["below bad"].detail == "worse (below bad)"
    assert rows["both kinds"].detail == "bad"
    assert rows["unheard"].detail == "?"
    assert rows["above"].detail == "root"
    with pytest.raises(
        InputError, match=r"2 entities have types .* in e\.csv, .*'unheard' of '\?'"
    ):
        refuse_unknown_types(table, "e.csv")
    table.unpersist()


def test_a_vocabulary_of_nothing_says_who_fell_where():
    counts = {"types": {"unknown_type": 3}, "videos": {"too_few_videos": 1200}}
    with pytest.raises(InputError, match=r"left in e\.csv.* 3 unknown_type, 1,200 too_few_videos"):
        require_entities(counts, "e.csv")


def test_a_type_at_fault_in_a_list_is_named(spark):
    with pytest.raises(ValueError, match="'b' is not in the tree"):
        type_table(spark, build_type_tree([("a", "", "")]), ("a",), ("b",))
