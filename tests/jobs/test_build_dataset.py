"""The job on candidates with known answers. Brute force, real data, stability: tests/spark."""

import csv
import json

import candidate_videos as made
import numpy as np
import pyarrow.parquet as pq
import pytest
from knowledge_graph import make_knowledge_graph, write_knowledge_graph
from mlflow import MlflowClient

from yt8m_spark.formats.vocabulary import write_vocabulary_rows
from yt8m_spark.formats.vocabulary_details import read_vocabulary_details

NAMES = [f"/m/{i}" for i in range(60)]
TOPICS = {name: i + 100 for i, name in enumerate(NAMES[:40])}
SAMPLE, MIN_VIDEOS = 150, 10
VERTICALS = ("Games", "Sports", "Travel")


@pytest.fixture
def vocabulary(tmp_path):
    """Forty entities, 100 .. 139, in three verticals; their counts are not the data set's."""
    rows = [
        {"Index": e, "KnowledgeGraphId": t, "Name": f"name {e}", "TrainVideoCount": 9,
         "Vertical1": VERTICALS[e % 3], "WikiDescription": 'of "two",\nlines'}
        for t, e in TOPICS.items()
    ]  # fmt: skip
    write_vocabulary_rows(str(tmp_path / "v.csv"), rows)
    return "--vocabulary", "v.csv"


def write_candidates(path, rows):
    """A CSV file; what is not there is an empty field."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(made.Candidate._fields)
        writer.writerows((v, n, s, None if t is None else "|".join(t)) for v, n, s, t in rows)


def read_videos(folder):
    """Rows of the data set by id, each with the split whose folder holds it."""
    found = {}
    for split in ("train", "validate", "test"):
        for row in pq.read_table(folder / "videos" / f"split={split}").to_pylist():
            assert row["video_id"] not in found  # no video twice, in whatever splits
            found[row["video_id"]] = row | {"split": split}
    return found


def test_candidates_with_known_answers_give_them(job, vocabulary, tmp_path, tracking_uri):
    # An empty field is a null, so no list of topics is an empty one here.
    rows = [row for row in made.make_candidates(500, NAMES, seed=1) if row.topics != []]
    expected = made.collect(rows, TOPICS, sample=SAMPLE, min_videos=MIN_VIDEOS)
    again = [row._replace(views=row.views and row.views / 2) for row in rows[:30]]
    torn = [row._replace(video_id="torn", topics=["/m/1"]) for row in rows[:1]]
    torn += [torn[0]._replace(topics=["/m/2"])]
    write_candidates(tmp_path / "c.csv", [*again, *rows, *torn, *rows[:20], ("", 1, 2, [])])
    options = f"sample = {SAMPLE}\nmin_videos = {MIN_VIDEOS}\nmax_duration = 500\n"
    (tmp_path / "o.toml").write_text(options)
    inputs = ("--candidates", "c.csv", *vocabulary, "--config", "o.toml")
    finished = job("build_dataset", *inputs, "--output", "out")
    assert finished.status == 0, finished.stderr
    folder = tmp_path / "out"

    videos = read_videos(folder)
    assert {v: row["labels"] for v, row in videos.items()} == expected.labels
    assert {v: row["split"] for v, row in videos.items()} == expected.splits
    candidates = {row.video_id: row for row in rows}
    for v, row in videos.items():
        assert (row["views"], row["duration"]) == candidates[v][1:3]

    audit = {row["video_id"]: row for row in pq.read_table(folder / "audit/videos").to_pylist()}
    reasons = {**expected.reasons, "torn": "conflicting_topics", None: "no_video_id"}
    assert {v: row["reason"] for v, row in audit.items()} == reasons
    assert audit["torn"]["stage"] == "duplicates"
    repeated = pq.read_table(folder / "audit/repeated").to_pylist()
    assert {row["video_id"]: row["n_rows"] for row in repeated} == {
        **{row.video_id: 3 if i < 20 else 2 for i, row in enumerate(rows[:30])},
        "torn": 2,
    }
    check_statistics(folder, expected, videos, finished)

    run = MlflowClient(tracking_uri).get_run(finished.result["mlflow_run_id"])
    assert run.data.metrics["n_videos"] == len(videos)
    logged = {a.path for a in MlflowClient(tracking_uri).list_artifacts(run.info.run_id)}
    pictures = {"frequency.png", "verticals.png", "lengths.png", "labels.png", "stages.png"}
    assert pictures | {"report.md"} <= logged
    assert pictures == {path.name for path in folder.glob("*.png")}
    left = {path.name for path in folder.iterdir()} - pictures
    assert left == {"videos", "audit", "vocabulary.csv", "statistics.json", "report.md"}


def check_statistics(folder, expected, videos, finished):
    """Figures, tables and the vocabulary follow from the videos."""
    metrics = finished.result["metrics"]
    found = json.loads((folder / "statistics.json").read_text())
    assert found["figures"] == metrics
    assert metrics["n_videos"] == len(videos)
    assert metrics["n_entities"] == len(expected.n_videos)
    assert metrics["mean_labels"] == pytest.approx(
        np.mean([len(row["labels"]) for row in videos.values()]), rel=1e-12
    )
    of = {
        s: [row for row in videos.values() if row["split"] == s]
        for s in ("train", "validate", "test")
    }
    for split, rows in of.items():
        hours = sum(row["duration"] for row in rows) / 3600
        seen = {e for row in rows for e in row["labels"]}
        assert metrics[f"{split}.n_videos"] == len(rows)
        assert metrics[f"{split}.hours"] == pytest.approx(hours, rel=1e-12)
        assert metrics[f"{split}.n_entities"] == len(seen)
        assert metrics[f"{split}.n_entities_without"] == len(expected.n_videos) - len(seen)
        assert f"\n{split} " in finished.stderr  # a row of Table 2

    stages = {stage["name"]: stage for stage in found["stages"]}
    assert stages["rows"]["n_in"] == metrics["n_candidates"]
    assert stages["rows"]["reasons"] == {"no_video_id": 1}
    assert stages["duplicates"]["reasons"] == {"repeated_row": 51, "conflicting_topics": 1}
    assert stages["sample"]["n_out"] == SAMPLE
    assert stages["fixed_point"]["n_out"] == len(videos)
    told = {r: n for stage in stages.values() for r, n in stage["reasons"].items()}
    for reason in set(expected.reasons.values()) - {"conflicting_topics"}:
        assert told[reason] == sum(r == reason for r in expected.reasons.values())
    assert [r["n_removed"] for r in found["rounds"]] == [40 - len(expected.n_videos), 0]

    details = read_vocabulary_details(str(folder / "vocabulary.csv"))
    n_train = {e: sum(e in row["labels"] for row in of["train"]) for e in expected.n_videos}
    assert details.video_counts == n_train
    assert details.verticals == {e: (VERTICALS[e % 3],) for e in sorted(expected.n_videos)}
    assert details.names == {e: f"name {e}" for e in sorted(expected.n_videos)}
    entities = pq.read_table(folder / "audit/entities.parquet").to_pylist()
    assert [row["entity"] for row in entities] == list(range(100, 140))
    assert {r["entity"]: r["n_videos"] for r in entities if r["is_kept"]} == expected.n_videos
    assert all(row["n_videos"] < MIN_VIDEOS for row in entities if row["round"] == 1)
    assert {row["entity"]: row["n_train"] for row in entities if row["is_kept"]} == n_train


def test_a_vocabulary_of_the_vocabulary_job_makes_a_data_set(job, tmp_path):
    graph = make_knowledge_graph()
    options = write_knowledge_graph(graph, tmp_path)
    made_vocabulary = job("build_vocabulary", *options, "--output", "vocabulary")
    assert made_vocabulary.status == 0, made_vocabulary.stderr
    inputs = ("--candidates", "videos.parquet", "--vocabulary", "vocabulary/vocabulary.csv")
    finished = job("build_dataset", *inputs, "--min-videos", graph.min_videos, "--output", "out")
    assert finished.status == 0, finished.stderr
    index = {entity.id: i for i, entity in enumerate(graph.vocabulary)}
    labels = {v: sorted(index[t] for t in found if t in index) for v, found, _, _ in graph.videos}
    videos = read_videos(tmp_path / "out")
    assert {v: row["labels"] for v, row in videos.items()} == {v: e for v, e in labels.items() if e}
    assert finished.result["metrics"]["n_entities"] == len(graph.vocabulary)


def test_bad_input_is_told_in_one_line_and_leaves_nothing(job, vocabulary, tmp_path):
    good = made.Candidate("a", 1000, 120, ["/m/1"])
    torn = [good, good._replace(topics=["/m/2"])]
    write_candidates(tmp_path / "torn.csv", torn)
    write_candidates(tmp_path / "short.csv", [good, good._replace(video_id="b", duration=119)])
    write_candidates(tmp_path / "outside.csv", [good._replace(topics=["/m/59"])])
    (tmp_path / "twice.csv").write_text("Index,KnowledgeGraphId\n0,/m/1\n1,/m/1\n")
    for name, options, words in (
        ("torn.csv", ("--duplicates", "error"), ("id with different topics in torn.csv", "'a'")),
        (
            "short.csv",
            ("--min-videos", 2),
            ("after the stage 'fixed_point'", "too_short 1", "too_few_entities_left 1"),
        ),
        ("outside.csv", (), ("after the stage 'annotation'", "no_topic_in_vocabulary 1")),
        ("short.csv", ("--vocabulary", "twice.csv"), ("twice.csv, row 2", "'/m/1'")),
        ("short.csv", ("--train-share", "0.8"), ("must add up to 1, got 1.1",)),
        ("short.csv", ("--min-duration", "501"), ("durations must run", "501 to 500")),
        ("short.csv", ("--sample", "0"), ("sample must be at least 1, got 0",)),
    ):
        given = ("--candidates", name, *vocabulary, *options, "--output", "out")
        finished = job("build_dataset", *given)
        assert finished.status == 2, finished.stderr
        assert all(word in finished.error for word in words), finished.error
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))
