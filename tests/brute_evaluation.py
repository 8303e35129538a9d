"""Every metric of an evaluation by its definition, a video and a threshold at a time.

Plain Python in float64, sharing nothing with the package. A video is (video_id, labels, {entity:
score}); what it has no score for is not predicted.
"""

import math

import numpy as np

K = 20
LEAST = 2.0**-23
EPSILON = 1e-5

ENTITIES = list(range(10, 90, 2))  # 40 entities; ids and columns differ


def make_videos(n_levels, zeros=0.6, n_videos=60, entities=ENTITIES):
    """Videos as (video_id, labels, scores of entities): heavy ties, zeros, unknown labels."""
    rng = np.random.default_rng(n_levels)
    videos = []
    for v in rng.permutation(n_videos):
        scores = np.float32(rng.integers(0, n_levels + 1, len(entities)) / n_levels)
        scores[rng.random(len(entities)) < zeros] = 0
        n_labels = rng.choice([0, 1, 2, 5, 25], p=[0.2, 0.3, 0.3, 0.15, 0.05])
        labels = rng.choice([*entities[:-3], 11, 99], n_labels, replace=False).tolist()
        known = np.isin(entities, labels) & (rng.random(len(entities)) < 0.5)
        scores[known] = np.maximum(scores[known], np.float32(0.75))
        videos.append((f"v{v}", labels, scores.tolist()))
    return videos


def scored(videos, entities=ENTITIES):
    """Videos with scores as a mapping."""
    return [(v, g, dict(zip(entities, s, strict=True))) for v, g, s in videos]


def brute_force(videos, chosen=None, hit_at=(1, 5)):
    """Metrics of ``videos`` with scores as mappings, of the ``chosen`` entities alone if given."""
    rows = []  # (video_id, labels, [(score, entity) best first])
    for video_id, labels, scores in videos:
        labels = {e for e in labels if chosen is None or e in chosen}
        kept = [(s, e) for e, s in scores.items() if chosen is None or e in chosen]
        rows.append((video_id, labels, sorted(kept, key=best_first)))
    labelled = [row for row in rows if row[1]]
    positives = {e: sum(e in row[1] for row in rows) for e in {e for row in rows for e in row[1]}}
    pool = [(s, e, v, e in labels) for v, labels, ranked in rows for s, e in ranked[:K]]
    n = sum(positives.values())
    gaps = [pooled_precision(pool, n, ties) for ties in (0, 1, -1)]
    starter = [
        np.mean(
            [
                pooled_precision([p for p in pool if p[1] == e], n, ties)
                for e, n in positives.items()
            ]
        )
        for ties in (0, 1, -1)
    ]
    bounds = [
        np.mean([ordered(rows, e, n, ties) for e, n in positives.items()]) for ties in (1, -1)
    ]
    return {
        "map": np.mean([interpolated(rows, e, n) for e, n in positives.items()]),
        "map_best": bounds[0],
        "map_worst": bounds[1],
        **{
            f"hit_at_{k}": np.mean([any(e in g for _, e in r[:k]) for _, g, r in labelled])
            for k in hit_at
        },
        "perr": np.mean([sum(e in g for _, e in r[: len(g)]) / len(g) for _, g, r in labelled]),
        "gap_at_20": gaps[0],
        "gap_at_20_best": gaps[1],
        "gap_at_20_worst": gaps[2],
        "starter_map": starter[0],
        "starter_map_best": starter[1],
        "starter_map_worst": starter[2],
        "starter_hit_at_1": np.mean([any(e in g for _, e in r[:1]) for _, g, r in rows]),
        "starter_perr": sum(
            sum(e in g and s > 0 for s, e in r[: len(g)]) / len(g) for _, g, r in labelled
        )
        / len(rows),
        "starter_gap_at_20": gaps[0],
        "loss": loss(rows, positives),
        "starter_loss": starter_loss(rows),
    }


def best_first(pair):
    """Key of the order of a video's entities."""
    return -pair[0], pair[1]


def pooled_precision(pool, n_positives, ties=0):
    """AveragePrecisionCalculator.ap_at_n of google/youtube-8m, with ties in our order.

    ``ties`` of 1 puts hits first among equal scores, -1 last.
    """
    n_hits, total = 0, 0.0
    ranked = sorted(pool, key=lambda p: (-p[0], -ties * p[3], p[1], p[2]))
    for i, (_, _, _, is_hit) in enumerate(ranked, start=1):
        if is_hit:
            n_hits += 1
            total += n_hits / i / n_positives
    return total


def interpolated(rows, entity, n_positives):
    """Eq. 8-10 over the thresholds at which recall changes; at all others the term is 0."""
    pairs = [(round(s, 4), entity in g) for _, g, r in rows for s, e in r if e == entity]
    total = 0.0
    for tau in {s for s, _ in pairs if s > 0}:
        chosen = [is_hit for s, is_hit in pairs if s >= tau]
        gained = sum(is_hit for s, is_hit in pairs if s == tau)
        total += sum(chosen) / len(chosen) * gained / n_positives
    return total


def ordered(rows, entity, n_positives, ties):
    """Average precision one by one of rounded scores, hits first (1) or last (-1) among equals."""
    rounded = [
        (round(s, 4), e, v, entity in g)
        for v, g, r in rows
        for s, e in r
        if e == entity and round(s, 4) > 0
    ]
    return pooled_precision(rounded, n_positives, ties)


def loss(rows, positives):
    """Mean over entities that label a video of the mean over videos of the log-loss."""
    total = 0.0
    for entity in positives:
        for _, labels, ranked in rows:
            score = next((s for s, e in ranked if e == entity), 0.0)
            total -= math.log(max(score if entity in labels else 1 - score, LEAST))
    return total / len(positives) / len(rows)


def starter_loss(rows):
    """Mean over videos of CrossEntropyLoss of google/youtube-8m, summed over entities there are."""
    entities = {e for _, g, r in rows for e in [*g, *(e for _, e in r)]}
    total = 0.0
    for _, labels, ranked in rows:
        of = {e: s for s, e in ranked}
        for entity in entities:
            p = of.get(entity, 0.0)
            total -= math.log((p if entity in labels else 1 - p) + EPSILON)
    return total / len(rows)


def same(found, expected, rel=1e-12):
    """Whether the metrics ``found`` are those expected; a bound not given is its figure."""
    import pytest

    named = {}
    for name in expected:
        figure = name.removesuffix("_best").removesuffix("_worst")
        named[name] = found.get(name, found[figure])
    assert set(found) <= set(expected)
    assert named == pytest.approx(expected, rel=rel, abs=1e-12)
    return True
