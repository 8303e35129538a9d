"""Building a vocabulary again, in plain Python: slow, and with no code of the package."""

from collections import Counter, defaultdict
from fractions import Fraction


def brute_audit(tables, limits):
    """Verdict on every entity.

    Parameters
    ----------
    tables : dict
        ``entities`` {id: types}, ``types`` {type: (parents, vertical)}, ``ratings``
        [(entity, rater, score)], ``videos`` [(id, topics)].
    limits : dict
        ``whitelist, blacklist, min_raters, max_visualness (a text), min_videos, unknown_types``.

    Returns
    -------
    dict of str to dict
        By id: ``stage, reason, figure, verticals, n_raters, visualness, n_videos``.
    """
    types = tables["types"]

    def above(name):
        """The type and all above it."""
        return {name}.union(*(above(parent) for parent in types[name][0]))

    def verticals(name):
        """Distances of the verticals of a type."""
        parents, vertical = types[name]
        if vertical:
            return {vertical: 0}
        found = {}
        for parent in parents:
            for v, distance in verticals(parent).items():
                found[v] = min(distance + 1, found.get(v, distance + 1))
        return found

    scores, videos = defaultdict(dict), defaultdict(set)
    for entity, rater, score in tables["ratings"]:
        scores[entity][rater] = score
    for video, topics in tables["videos"]:
        for topic in topics:
            videos[topic].add(video)
    most = Fraction(limits["max_visualness"])
    found = {}
    for entity, named in tables["entities"].items():
        known = [name for name in set(named) if name in types]
        black = [name for name in known if above(name) & set(limits["blacklist"])]
        white = [name for name in known if above(name) & set(limits["whitelist"])]
        unknown = set(named) - set(known)
        given, n_videos = list(scores[entity].values()), len(videos[entity])
        mean = Fraction(sum(given), len(given)) if given else None
        if black:
            verdict = "types", "blacklisted_type", len(black)
        elif unknown and limits["unknown_types"] == "exclude":
            verdict = "types", "unknown_type", len(unknown)
        elif limits["whitelist"] and not white:
            verdict = "types", "no_whitelisted_type", len(set(named))
        elif len(given) < limits["min_raters"]:
            verdict = "visualness", "too_few_raters", len(given)
        elif mean > most:
            verdict = "visualness", "not_visual", float(mean)
        elif n_videos < limits["min_videos"]:
            verdict = "videos", "too_few_videos", n_videos
        else:
            verdict = "kept", "kept", n_videos
        nearest, ways = {}, Counter()
        for name in known:
            for v, distance in verticals(name).items():
                ways[v] += 1
                nearest[v] = min(distance, nearest.get(v, distance))
        width = (most - 1) / 3
        ranges = [i for i in (1, 2, 3) if mean is not None and mean <= 1 + i * width]
        found[entity] = {
            **dict(zip(("stage", "reason", "figure"), verdict, strict=True)),
            "verticals": sorted(nearest, key=lambda v: (nearest[v], -ways[v], v))[:3],
            "n_raters": len(given),
            "visualness": None if mean is None else float(mean),
            "specificity": ranges[0] if ranges else None,
            "n_videos": n_videos,
        }
    return found


def brute_vocabulary(audit):
    """Ids of the kept entities in the order of their index."""
    kept = [entity for entity, verdict in audit.items() if verdict["stage"] == "kept"]
    return sorted(kept, key=lambda entity: (-audit[entity]["n_videos"], entity))
