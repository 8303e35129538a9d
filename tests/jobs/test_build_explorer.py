"""The explorer's job, from tables to the open page. The page itself: tests/test_explorer_page."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from explored import HOSTILE, watched
from mlflow import MlflowClient
from model_files import write_model

VIDEOS = [  # id, labels; entity 3 never occurs
    ("aaaa", [0]), ("bbbb", [0, 1]), ("cccc", [1]), ("dddd", [2]), ("eeee", [2, 0]), ("ffff", []),
]  # fmt: skip
ENTITIES = np.arange(4)


@pytest.fixture
def inputs(tmp_path):
    """Vocabulary, features and a model whose weights for entities 0 and 1 are alike."""
    header = ["Index", "TrainVideoCount", "Name", "WikiUrl", "Vertical1", "WikiDescription"]
    names = ["Game", HOSTILE[0], "Cooking", "Unseen"]
    rows = [[e, 90 - e, name, "https://a.b/c", "Games", HOSTILE[1]] for e, name in enumerate(names)]
    with (tmp_path / "v.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    weights = np.array([[[4, 1, 0], [3, 2, 0], [-3, 0, 4], [0, 0, 0]]], np.float32)
    write_model(tmp_path / "model", weights, np.full((1, 4), -1.0, np.float32), ENTITIES.tolist())
    features = [[1.0 * (0 in g), 1.0 * (1 in g), 1.0 * (2 in g)] for _, g in VIDEOS]
    (tmp_path / "features").mkdir()
    write_table(tmp_path / "features/part.parquet", features=(features, pa.list_(pa.float32())))
    return tmp_path


def write_table(path, **columns):
    ids, labels = zip(*VIDEOS, strict=True)
    columns = {"labels": (labels, pa.list_(pa.int32())), **columns}
    arrays = {name: pa.array(values, kind) for name, (values, kind) in columns.items()}
    pq.write_table(pa.table({"video_id": ids, **arrays}), path)


def write_predictions(path, entity=1):
    n = len(VIDEOS)
    write_table(
        path,
        entities=([[0, entity]] * n, pa.list_(pa.int32())),
        scores=([[0.75, 0.5]] * n, pa.list_(pa.float32())),
    )


def read(folder, name):
    return json.loads((folder / "out" / "data" / f"{name}.json").read_text("utf-8"))


def test_a_page_of_a_model_is_built_logged_and_opens(job, inputs, browser, tracking_uri):
    pq.write_table(
        pa.table({"entity": [0, 1], "average_precision": [0.5, 0.25], "n_positives": [3, 2]}),
        (inputs / "evaluation").mkdir() or inputs / "evaluation/per_entity.parquet",
    )
    arguments = ("--input", "features", "--model", "model", "--evaluation", "evaluation")
    options = ("--output", "out", "--top-k", 3, "--title", "Mine & <yours>")
    made = job("build_explorer", "--vocabulary", "v.csv", *arguments, *options)
    assert made.status == 0, made.stderr
    assert made.result["outputs"] == {"explorer": "out", "page": "out/index.html"}
    assert made.result["metrics"] == {"n_videos": 6, "n_shown_videos": 6, "n_entities": 4}
    assert {p.name for p in (inputs / "out").iterdir()} == {"index.html", "data"}
    videos = {video["id"]: video for video in read(inputs, "videos")}
    assert videos["dddd"]["entities"][0] == 2
    assert {len(video["scores"]) for video in videos.values()} == {3}
    details = read(inputs, "details")
    assert details["0"]["nearest"][0] == [1, round(14 / (17 * 13) ** 0.5, 4)]
    assert "nearest" not in details["3"]
    client = MlflowClient(tracking_uri)
    run_id = made.result["mlflow_run_id"]
    logged = [a.path for a in client.list_artifacts(run_id, "explorer/data")]
    names = ("details", "entities", "site", "videos")
    assert sorted(logged) == [f"explorer/data/{name}.json" for name in names]
    with watched(browser) as page:
        page.goto((inputs / "out/index.html").as_uri())
        page.get_by_role("combobox").fill("script")
        page.keyboard.press("Enter")
        assert page.locator("h1").text_content() == HOSTILE[0]
        page.locator("a:text-is('bbbb')").first.click()
        assert page.locator("h1").inner_text() == "Video bbbb"
        assert page.locator(".brand").inner_text() == "Mine & <yours>"


def test_predictions_alone_are_enough(job, inputs):
    write_predictions(inputs / "p.parquet")
    arguments = ("--vocabulary", "v.csv", "--predictions", "p.parquet", "--max-videos", 4)
    made = job("build_explorer", *arguments, "--output", "out")
    assert made.status == 0, made.stderr
    assert made.result["metrics"]["n_shown_videos"] == 4
    assert read(inputs, "site")["nearest_by"] == "labels"
    # Videos of 0: a, b, e; of 1: b, c; together: b.
    assert read(inputs, "details")["1"]["nearest"] == [[0, round(1 / 6**0.5, 4)]]
    assert read(inputs, "details")["2"]["missed"][0][1] is None
    again = job("build_explorer", *arguments, "--output", "again")
    assert again.status == 0
    assert (inputs / "out/index.html").read_bytes() == (inputs / "again/index.html").read_bytes()


def test_bad_input_is_told_in_one_line_and_leaves_nothing(job, inputs):
    write_predictions(inputs / "p.parquet", entity=7)
    write_table(inputs / "labels.parquet")
    (inputs / "empty").mkdir()
    good = ("--vocabulary", "v.csv", "--predictions", "p.parquet")
    for arguments, words in (
        (good, ("entities are not in the vocabulary in p.parquet", "found 7")),
        ((*good[:3], "labels.parquet"), ("no column 'entities'", "labels.parquet")),
        ((*good, "--evaluation", "empty"), ("no evaluation here", "empty")),
        ((*good, "--model", "empty"), ("no such file", "model.json")),
        ((*good, "--max-videos", "0"), ("max_videos must be at least 1",)),
        ((*good, "--video-url", "javascript:{id}"), ("video_url must be of http",)),
        ((*good, "--input", "features"), ("either --predictions, or --input",)),
        (("--vocabulary", "v.csv", "--input", "features"), ("--input needs --model",)),
    ):
        made = job("build_explorer", *arguments, "--output", "out")
        assert made.status == 2, made.stderr
        assert all(word in made.error for word in words), made.error
        assert not (inputs / "out").exists()
        assert not list(inputs.glob(".out*"))
