"""The vocabulary job on graphs with known answers. Stages by brute force: tests/spark."""

import csv
import json
import os

import pyarrow.parquet as pq
import pytest
from knowledge_graph import FATES, make_knowledge_graph, write_csv, write_knowledge_graph

from yt8m_spark.formats.vocabulary_details import read_vocabulary_details


@pytest.fixture(scope="module")
def graph():
    return make_knowledge_graph()


def audit_of(folder):
    return pq.read_table(folder / "audit").to_pylist()


def check_known_answers(graph, folder, metrics):
    """What is written is what the graph was made to come out as."""
    audit = audit_of(folder)
    assert {row["entity"]: (row["stage"], row["reason"]) for row in audit} == {
        e.id: (FATES[e.fate], e.fate) for e in graph.entities
    }
    stages = list(dict.fromkeys(row["stage"] for row in audit))
    assert stages == ["types", "visualness", "videos", "kept"]
    for entity in graph.entities:
        row = next(row for row in audit if row["entity"] == entity.id)
        assert (row["n_videos"], row["n_raters"]) == (entity.n_videos, len(entity.ratings))

    details = read_vocabulary_details(str(folder / "vocabulary.csv"))
    kept = graph.vocabulary
    assert details.entities.tolist() == list(range(len(kept)))
    assert list(details.video_counts.values()) == [e.n_videos for e in kept]
    assert [details.names.get(i, "") for i in range(len(kept))] == [e.name for e in kept]
    assert list(details.verticals.values()) == [tuple(e.verticals) for e in kept]
    rows = pq.read_table(folder / "entities").to_pylist()
    assert [row["entity"] for row in rows] == [e.id for e in kept]
    assert [row["specificity"] - 1 for row in rows] == [e.range for e in kept]
    assert metrics["n_entities"] == len(kept)
    for fate in FATES.keys() - {"kept"}:
        assert metrics[f"n_excluded.{fate}"] == sum(e.fate == fate for e in graph.entities)


def test_a_graph_with_known_answers_gives_them(job, graph, tmp_path):
    options = write_knowledge_graph(graph, tmp_path)
    (tmp_path / "white.txt").write_text("# visual types\n\n/visual  # with all below\n")
    options[options.index("--whitelist") + 1] = "white.txt"
    with (tmp_path / "ratings.csv").open("a") as file:
        file.write("/m/absent,r0,3\n")
    finished = job("build_vocabulary", *options, "--output", "out")
    assert finished.status == 0, finished.stderr
    metrics, folder = finished.result["metrics"], tmp_path / "out"
    check_known_answers(graph, folder, metrics)
    assert "warning: 7 of " in finished.stderr
    assert "topics are no entity (/x/0, /x/1, /x/2)" in finished.stderr
    assert "warning: 1 ratings are of ids that are no entity" in finished.stderr
    assert metrics["n_ratings_unknown"] == 1

    assert {path.name for path in folder.iterdir()} == {
        "vocabulary.csv", "entities", "audit", "statistics.json", "table1.csv", "table1.md",
        "verticals.png", "specificity.png",
    }  # fmt: skip
    statistics = json.loads((folder / "statistics.json").read_text())
    assert statistics["specificity_bounds"] == [1.5, 2.0, 2.5]
    ranges = [sum(e.range == i for e in graph.vocabulary) for i in range(3)]
    assert statistics["specificity"] == ranges
    with (folder / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    games = [e for e in graph.vocabulary if "Games" in e.verticals][:7]
    found = [row for row in rows if row["vertical"] == "Games"]
    assert [row["entity"] for row in found] == [e.id for e in games]
    assert [int(row["n_videos"]) for row in found] == [e.n_videos for e in games]
    assert f"Games             {statistics['verticals']['Games']:>8}  " in finished.stderr


@pytest.mark.slow
@pytest.mark.classic("starts a Connect server of its own, to compare with classic Spark")
def test_spark_connect_and_a_config_file_give_the_same(run_job, graph, tmp_path):
    options = write_knowledge_graph(graph, tmp_path)
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    toml = "".join(
        f"{name[2:].replace('-', '_')} = {value if value.isdigit() else json.dumps(value)}\n"
        for name, value in pairs.items()
    )
    (tmp_path / "c.toml").write_text(toml)
    # SPARK_TESTING: a server with a port of its own, beside those of other tests.
    environment = {"SPARK_REMOTE": "local[2]", "SPARK_TESTING": "1"}
    finished = run_job(
        "build_vocabulary", "--config", "c.toml", "--output", "out", environment=environment
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    result = json.loads(finished.stdout.splitlines()[-1])
    check_known_answers(graph, tmp_path / "out", result["metrics"])


def test_bad_input_leaves_nothing(job, graph, tmp_path):
    options = write_knowledge_graph(graph, tmp_path)
    write_csv(tmp_path / "cycle.csv", ("type", "parent"), [("b", "a"), ("a", "b")])
    (tmp_path / "empty.txt").write_text("# nothing\n")
    for more, words in (
        (("--types", "cycle.csv"), ("lie below themselves: a < b < a", "cycle.csv")),
        (("--whitelist", "/visual,/vusual"), ("type '/vusual' is not in", "types.csv")),
        (("--blacklist", "absent.txt"), ("cannot be read", "absent.txt")),
        (("--blacklist", "empty.txt"), ("list of types is empty", "empty.txt")),
        (("--unknown-types", "error"), ("types that the table of types lacks", "'/unheard/of'")),
    ):
        finished = job("build_vocabulary", *options, *more, "--output", "out")
        assert finished.status == 2, finished.stderr
        assert all(word in finished.error for word in words), finished.error
        assert not (tmp_path / "out").exists()
        assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_released_vocabulary_comes_out_of_its_own_verticals(job, shared_data, tmp_path):
    """Without ratings and lists; types are verticals at a distance of their place."""
    released = shared_data / "yt8m_vocab" / "vocabulary_3862.csv"
    with released.open(newline="", encoding="utf-8-sig") as file:
        vocabulary = list(csv.DictReader(file))
    places = ("Vertical1", "Vertical2", "Vertical3")
    names = sorted({row["Vertical1"] for row in vocabulary} - {"(Unknown)"})
    assert len(names) == 24  # of the paper
    types = [("nothing", "", "")]
    for name in names:
        chain = [name, f"{name} 1", f"{name} 2"]
        types += [(chain[0], "", name), (chain[1], chain[0], ""), (chain[2], chain[1], "")]
    entities, videos = [], {}
    for rank, row in enumerate(vocabulary[::-1]):
        of = [f"{row[p]} {i}" if i else row[p] for i, p in enumerate(places) if row[p]]
        kinds = "nothing" if of == ["(Unknown)"] else "|".join(of)
        mid = row["KnowledgeGraphId"]
        entities.append((mid, row["Name"], kinds, row["WikiDescription"], row["WikiUrl"]))
        # Counts scaled down that keep the order of the release: its rank in sixties.
        for video in range(1 + rank // 60):
            videos.setdefault(video, []).append(mid)
    head = ("id", "name", "types", "description", "wiki_url")
    write_csv(tmp_path / "entities.csv", head, entities)
    write_csv(tmp_path / "types.csv", ("type", "parent", "vertical"), types)
    lists = [(f"v{i}", "|".join(of)) for i, of in videos.items()]
    write_csv(tmp_path / "videos.csv", ("video_id", "topics"), lists)
    options = [f"--{name}={name}.csv" for name in ("entities", "types", "videos")]
    finished = job("build_vocabulary", *options, "--min-videos", "1", "--output", "out")
    assert finished.status == 0, finished.stderr

    with (tmp_path / "out" / "vocabulary.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == list(vocabulary[0])
    kept = [c for c in found[0] if c not in ("Index", "TrainVideoCount")]
    by_id = {row["KnowledgeGraphId"]: [row[c].strip() for c in kept] for row in vocabulary}
    assert {row["KnowledgeGraphId"]: [row[c] for c in kept] for row in found} == by_id
    at = {row["KnowledgeGraphId"]: i for i, row in enumerate(vocabulary)}
    counts = [1 + (len(vocabulary) - 1 - at[row["KnowledgeGraphId"]]) // 60 for row in found]
    assert [int(row["TrainVideoCount"]) for row in found] == counts == sorted(counts)[::-1]
    assert "(Unknown)" in finished.stderr
    assert finished.result["metrics"]["n_verticals"] == 24
    assert not os.path.exists(tmp_path / "out" / "specificity.png")  # nobody rated
