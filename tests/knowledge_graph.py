"""A synthetic knowledge graph whose vocabulary is known, because it was made to come out so."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# What becomes of an entity, with the stage at which the paper's order has it so.
FATES = {
    "kept": "kept",
    "blacklisted_type": "types",
    "unknown_type": "types",
    "no_whitelisted_type": "types",
    "too_few_raters": "visualness",
    "not_visual": "visualness",
    "too_few_videos": "videos",
}
VERTICALS = ("Games", "Sports", "Food & Drink", "Autos & Vehicles", "Travel")
VISUAL = {0: [(1, 1, 1), (1, 2, 1), (1, 1, 2, 2)], 1: [(2, 2, 2), (1, 2, 3)], 2: [(2, 2, 3)]}
NOT_VISUAL = [(3, 3, 2), (5, 5, 5), (1, 4, 3)]


class Entity(NamedTuple):
    """An entity, and all that is made so that it meets its fate."""

    id: str
    name: str
    types: list
    fate: str
    ratings: tuple
    n_videos: int
    verticals: list  # that are to come out
    range: int  # of specificity, from 0, of the kept ones


class KnowledgeGraph(NamedTuple):
    """Tables, as rows, and the answers."""

    entities: list
    types: list  # type, parent, vertical
    videos: list  # video_id, topics, views, duration
    whitelist: str
    blacklist: str
    min_videos: int

    @property
    def vocabulary(self):
        """Kept entities in the order of their index."""
        kept = [e for e in self.entities if e.fate == "kept"]
        return sorted(kept, key=lambda e: (-e.n_videos, e.id))


def make_knowledge_graph(seed=0, n_entities=70, min_videos=6, n_fillers=200):
    """Graph in which every fate of `FATES` occurs; ``n_fillers`` videos have unknown topics alone.

    Each vertical has a chain of three types below ``/visual``; an entity is of the lowest of one,
    and, every third, of the middle one of the next too, which is nearer its vertical.
    """
    rng = np.random.default_rng(seed)
    types = [("/visual", "", ""), ("/sound", "", ""), ("/sound/album", "/sound", "")]
    types += [("/other", "", "")]
    for i, vertical in enumerate(VERTICALS):
        types.append((f"/v{i}", "/visual", vertical))
        types += [(f"/v{i}/a", f"/v{i}", ""), (f"/v{i}/a/b", f"/v{i}/a", "")]
    fates = list(FATES)
    entities = [
        _entity(rng, i, fates[i % len(fates) if i % 2 else 0], min_videos)
        for i in range(n_entities)
    ]
    videos = _videos(rng, entities, n_fillers)
    return KnowledgeGraph(entities, types, videos, "/visual", "/sound", min_videos)


def _entity(rng, i, fate, min_videos):
    v = int(rng.integers(len(VERTICALS)))
    types, verticals = [f"/v{v}/a/b"], [VERTICALS[v]]
    if i % 3 == 0:
        other = (v + 1) % len(VERTICALS)
        types, verticals = [*types, f"/v{other}/a"], [VERTICALS[other], *verticals]
    if fate == "blacklisted_type":
        types = [*types, "/sound/album"]
    elif fate == "unknown_type":
        types = [*types, "/unheard/of"]
    elif fate == "no_whitelisted_type":
        types, verticals = ["/other"], []
    of_range = int(rng.integers(3))
    options = NOT_VISUAL if fate == "not_visual" else VISUAL[of_range]
    ratings = options[int(rng.integers(len(options)))]
    if fate == "too_few_raters":
        ratings = ratings[: int(rng.integers(3))]
    low = (0, min_videos) if fate == "too_few_videos" else (min_videos, 4 * min_videos)
    # Index order must not be the order of ids.
    name = f'entity {i}, "quoted"' if i % 10 else ""
    return Entity(f"/m/{(i * 37) % 1000:03d}", name, types, fate, ratings,
                  int(rng.integers(*low)), verticals, of_range)  # fmt: skip


def _videos(rng, entities, n_fillers):
    """Each entity's videos, an entity at most once each; then videos of unknown topics."""
    n = max(e.n_videos for e in entities) * 3
    topics = [[] for _ in range(n)]
    for entity in entities:
        for video in rng.choice(n, entity.n_videos, replace=False).tolist():
            topics[video].append(entity.id)
    topics += [[f"/x/{i % 7}"] for i in range(n_fillers)]
    return [(f"video{i:05d}", found, 1000 + i, 120.0 + i % 380) for i, found in enumerate(topics)]


def write_knowledge_graph(graph, folder):
    """Write ``entities.csv, types.csv, ratings.csv, videos.parquet``; their options of the job."""
    folder = Path(folder)
    rows = [
        (e.id, e.name, "|".join(e.types), f"About {e.id},\nin two lines.") for e in graph.entities
    ]
    write_csv(folder / "entities.csv", ("id", "name", "types", "description"), rows)
    write_csv(folder / "types.csv", ("type", "parent", "vertical"), graph.types)
    ratings = [(e.id, f"r{r}", score) for e in graph.entities for r, score in enumerate(e.ratings)]
    write_csv(folder / "ratings.csv", ("entity", "rater", "visualness"), ratings)
    ids, topics, views, durations = zip(*graph.videos, strict=True)
    columns = {"video_id": ids, "topics": pa.array(topics, pa.list_(pa.string()))}
    table = pa.table(columns | {"views": views, "duration": durations})
    pq.write_table(table, folder / "videos.parquet")
    names = ("entities.csv", "types.csv", "ratings.csv", "videos.parquet")
    paths = {f"--{Path(name).stem}": str(folder / name) for name in names}
    options = {"--whitelist": graph.whitelist, "--blacklist": graph.blacklist}
    options["--min-videos"] = str(graph.min_videos)
    return [part for pair in (paths | options).items() for part in pair]


def write_csv(path, head, rows):
    """A CSV file as spreadsheets write it."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


def write_json_lines(path, rows):
    """A file of an object a line."""
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
