"""The ratings job by the command line, on synthetic data whose truth is known."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark.core.synthetic_config import SyntheticConfig
from yt8m_spark.spark.synthetic import write_synthetic

CONFIG = SyntheticConfig(
    n_videos=300, n_entities=20, n_shards=3, rgb_dim=4, audio_dim=2, mean_frames=6, max_frames=8,
    label_recall=0.4, label_precision=0.7,
)  # fmt: skip


class Made:
    """A synthetic data set, its labels and the truth."""

    def __init__(self, spark, folder):
        self.folder = folder
        self.measures = write_synthetic(spark, CONFIG, str(folder))
        self.given, self.clean = {}, {}
        for path in (folder / "truth").glob("*.csv"):
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    self.given[row["video_id"]] = [int(e) for e in row["labels"].split()]
                    self.clean[row["video_id"]] = [int(e) for e in row["clean_labels"].split()]

    def rate(self, path, error, seed=0):
        """Three raters say of every entity whether a video shows it, wrong now and then."""
        rng = np.random.default_rng(seed)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "entity", "rater", "rating"])
            for video_id, clean in self.clean.items():
                truth = np.isin(np.arange(CONFIG.n_entities), clean)
                for rater in "abc":
                    said = truth ^ (rng.random(CONFIG.n_entities) < error)
                    words = np.where(said, "yes", "no")
                    writer.writerows((video_id, e, rater, word) for e, word in enumerate(words))

    def predict(self, folder, chance, seed=1):
        """A model that sees a true entity with probability ``chance``, and else a random one."""
        rng = np.random.default_rng(seed)
        rows = []
        for video_id, clean in self.clean.items():
            scores = rng.random(CONFIG.n_entities) * 0.5
            if clean:
                scores[clean] += 0.5 * (rng.random(len(clean)) < chance)
            rows.append((video_id, self.given[video_id], range(CONFIG.n_entities), scores))
        names = ("video_id", "labels", "entities", "scores")
        lists = [pa.string(), *(pa.list_(t) for t in (pa.int32(), pa.int32(), pa.float32()))]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        arrays = [pa.array(list(columns[n]), t) for n, t in zip(names, lists, strict=True)]
        folder.mkdir()
        pq.write_table(pa.table(arrays, names), folder / "part-0.parquet")


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    return Made(spark, tmp_path_factory.mktemp("synthetic"))


@pytest.fixture
def inputs(made, job, tmp_path):
    """Tables ``videos``, ``good`` and ``poor`` beside the ratings of perfect raters."""
    columns = [
        pa.array(list(made.given)),
        pa.array(list(made.given.values()), pa.list_(pa.int32())),
    ]
    pq.write_table(pa.table(columns, ["video_id", "labels"]), tmp_path / "videos.parquet")
    made.predict(tmp_path / "good", 0.9)
    made.predict(tmp_path / "poor", 0.3)
    made.rate(tmp_path / "ratings.csv", error=0)
    return "--ratings", "ratings.csv", "--labels", "videos.parquet", "--output", "out"


def test_perfect_raters_find_the_recall_and_precision_the_data_were_made_with(
    made, job, inputs, tmp_path
):
    models = ("--predictions", "good=good,poor=poor")
    vocabulary = ("--vocabulary", made.folder / "vocabulary.csv")
    finished = job("evaluate_ratings", *inputs, *models, *vocabulary)
    assert finished.status == 0, finished.stderr
    metrics = finished.result["metrics"]
    assert metrics["label_recall"] == pytest.approx(made.measures["label_recall"], rel=1e-12)
    assert metrics["label_precision"] == pytest.approx(made.measures["label_precision"], rel=1e-12)
    assert metrics["fleiss_kappa"] == metrics["percent_agreement"] == 1
    assert metrics["n_rated_pairs"] == 300 * 20
    assert metrics["good.human.hit_at_1"] > metrics["poor.human.hit_at_1"]
    assert metrics["spearman_perr"] == pytest.approx(1)
    assert metrics["kendall_perr"] == pytest.approx(1)

    rows = pq.read_table(tmp_path / "good").to_pylist()
    for kind, truth in (("human", made.clean), ("machine", made.given)):
        hits = [
            int(np.argmax(row["scores"])) in truth[row["video_id"]]
            for row in rows
            if truth[row["video_id"]]
        ]
        assert metrics[f"good.{kind}.hit_at_1"] == pytest.approx(np.mean(hits), rel=1e-12)

    folder = tmp_path / "out"
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    page = (folder / "report.md").read_text()
    assert "| good | " in page
    assert page in finished.stderr
    majority = pq.read_table(folder / "ratings.parquet").to_pylist()
    assert {(r["video_id"], r["entity"]) for r in majority if r["is_label"]} == {
        (video_id, entity) for video_id, clean in made.clean.items() for entity in clean
    }


def test_raters_who_err_find_what_their_majority_makes_of_it(made, job, inputs, tmp_path):
    error = 0.05
    made.rate(tmp_path / "ratings.csv", error)
    finished = job("evaluate_ratings", *inputs)
    assert finished.status == 0, finished.stderr
    metrics = finished.result["metrics"]
    wrong = 3 * error**2 * (1 - error) + error**3  # two of three must err
    n_given, n_true = (sum(map(len, lists.values())) for lists in (made.given, made.clean))
    n_both = made.measures["label_recall"] * n_true
    seen = n_true * (1 - wrong) + (300 * 20 - n_true) * wrong
    both = n_both * (1 - wrong) + (n_given - n_both) * wrong
    for name, expected in (("recall", both / seen), ("precision", both / n_given)):
        assert metrics[f"label_{name}_low"] < expected < metrics[f"label_{name}_high"]
    assert metrics["percent_agreement"] == pytest.approx((1 - error) ** 2 + error**2, abs=0.01)


def test_a_model_is_scored_on_the_rated_videos(job, video_shards, tmp_path):
    for name, arguments in (
        ("convert_tfrecords", ("--input", video_shards, "--output", "videos")),
        ("fit_whitening", ("--input", "videos", "--output", "w", "--columns", "mean_rgb")),
        ("normalize_videos", ("--input", "videos", "--whitening", "w", "--output", "features")),
        ("train_entities", ("--input", "features", "--output", "model", "--epochs", "3")),
    ):
        assert job(name, *arguments).status == 0
    rows = "".join(f"v{i:03d},{e},a,{int(i % 3 == e)}\n" for i in range(0, 60, 2) for e in range(3))
    (tmp_path / "r.csv").write_text("video_id,entity,rater,rating\n" + rows)
    arguments = ("--ratings", "r.csv", "--labels", "videos", "--output", "out")
    finished = job("evaluate_ratings", *arguments, "--models", "m=model", "--input", "features")
    assert finished.status == 0, finished.stderr
    metrics = finished.result["metrics"]
    assert metrics["label_recall"] == metrics["label_precision"] == 1
    assert metrics["m.human.hit_at_5"] == 1  # three entities in all
    assert metrics["m.human.perr"] == metrics["m.machine.perr"] > 0.5


def test_bad_input_leaves_nothing(job, inputs, tmp_path):
    (tmp_path / "few.csv").write_text("Index\n0\n1\n")
    (tmp_path / "twice.csv").write_text("video_id,entity,rater,rating\nv,1,a,yes\nv,1,a,no\n")
    (tmp_path / "other.csv").write_text("video_id,entity,rater,rating\nabsent,1,a,yes\n")
    ratings = "--ratings"
    for arguments, words in (
        ((*inputs, "--vocabulary", "few.csv"), ("not in the vocabulary", "ratings.csv")),
        ((*inputs, ratings, "twice.csv"), ("comes twice", "twice.csv")),
        ((*inputs, ratings, "other.csv"), ("rated video is missing", "'absent'")),
        ((*inputs, "--predictions", "good"), ("want name=path",)),
        ((*inputs, "--predictions", "a=good,a=poor"), ("given twice",)),
        ((*inputs, "--models", "m=model"), ("--models and --input",)),
        ((*inputs, "--predictions", "a=absent"), ("no such", "absent")),
    ):
        finished = job("evaluate_ratings", *arguments)
        assert finished.status == 2, finished.stderr
        assert all(word in finished.error for word in words), finished.error
        assert not (tmp_path / "out").exists()
        assert [path.name for path in tmp_path.glob(".*")] == []
