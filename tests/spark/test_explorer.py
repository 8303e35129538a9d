"""Choice of videos and pairs, against brute force. What the page does with them: elsewhere."""

import numpy as np
import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.spark.explorer import choose_videos, shown_predictions, similar_labels
from yt8m_spark.spark.schemas import PREDICTIONS

E, K = 12, 5


@pytest.fixture(scope="module")
def rows():
    """60 videos; one in six has no labels, scores are all different."""
    rng = np.random.default_rng(0)
    scores = rng.permutation(60 * K).reshape(60, K) / (60 * K)
    made = []
    for i, found in enumerate(scores.astype(np.float32)):
        labels = rng.choice(E, size=rng.integers(1, 5), replace=False).tolist() if i % 6 else []
        entities = rng.choice(E, size=K, replace=False).tolist()
        made.append((f"v{i:02d}", labels, entities, sorted(found.tolist(), reverse=True)))
    return made


def predictions(spark, rows, n_partitions=3):
    return spark.createDataFrame(rows, PREDICTIONS).repartition(n_partitions)


def shown(spark, rows, top_k=K, n_partitions=3):
    table = predictions(spark, rows, n_partitions)
    return shown_predictions(table, top_k, np.arange(E), "predictions")


@pytest.fixture(scope="module")
def table(spark, rows):
    """All of them as the page shows them, and how many they are."""
    return shown(spark, rows)


@pytest.fixture(scope="module")
def chosen(table):
    """A choice with room for all."""
    return choose_videos(*table, max_videos=99, n_examples=4)


def expected_examples(rows, n):
    """By (kind, entity): the first n of (video, score), as told in words."""
    lists = {}
    for video, labels, entities, scores in rows:
        for entity, score in zip(entities, scores, strict=True):
            kind = "unlabelled" if not labels else "best" if entity in labels else "wrong"
            lists.setdefault((kind, entity), []).append((-score, video, score))
        for label in labels:
            rank = entities.index(label) + 1 if label in entities else None
            if rank is None or rank > len(labels):
                score = None if rank is None else scores[rank - 1]
                key = -1 if score is None else score
                lists.setdefault(("missed", label), []).append((key, video, score))
    return {key: [one[1:] for one in sorted(found)[:n]] for key, found in lists.items()}


def listed(table):
    found = {}
    for row in table.sort_by("place").to_pylist():
        found.setdefault((row["kind"], row["entity"]), []).append((row["video_id"], row["score"]))
    return found


def test_examples_are_the_first_of_each_kind_and_entity(rows, chosen):
    found, expected = listed(chosen.examples), expected_examples(rows, 4)
    assert found.keys() == expected.keys()
    for key, pairs in expected.items():
        if key[0] == "missed":  # those not predicted at all are equal; which of them, hashes tell
            assert [score for _, score in found[key]] == [score for _, score in pairs]
            every = expected_examples(rows, 60)[key]
            assert set(found[key]) <= set(every)
        else:
            assert found[key] == pairs


def test_all_videos_are_shown_where_there_is_room(rows, chosen):
    videos = chosen.videos.to_pylist()
    by_id = {video["video_id"]: video for video in videos}
    assert len(videos) == len(by_id) == 60
    for video, labels, entities, scores in rows:
        assert by_id[video]["labels"] == sorted(labels)
        assert by_id[video]["entities"] == entities
        assert by_id[video]["scores"] == scores


def test_half_of_a_full_page_is_a_sample_and_half_are_examples(rows, table, chosen):
    small = choose_videos(*table, max_videos=10, n_examples=1)
    ids = small.videos["video_id"].to_pylist()
    assert len(set(ids)) == 10
    assert ids[:5] == chosen.videos["video_id"].to_pylist()[:5]  # the smallest hashes
    assert set(ids[5:]) <= set(small.examples["video_id"].to_pylist())
    assert small.n_videos == 60  # of the whole table, as the counts
    counts = {e: sum(e in labels for _, labels, _, _ in rows) for e in range(E)}
    assert small.counts == {e: n for e, n in counts.items() if n}


@pytest.mark.parametrize("seed", [2, 3])
def test_an_example_is_on_the_page_whatever_the_sample_is(spark, seed):
    rows = [(f"v{i:02d}", [0], [0], [1 - i / 50]) for i in range(40)]
    chosen = choose_videos(*shown(spark, rows), max_videos=2, n_examples=1, seed=seed)
    assert "v00" in chosen.videos["video_id"].to_pylist()  # of the best score: an example


def test_the_choice_is_that_of_the_seed_and_not_of_the_partitions(spark, rows, table, chosen):
    again = choose_videos(*shown(spark, rows, n_partitions=7), max_videos=99, n_examples=4)
    assert again == chosen
    one, other = (choose_videos(*table, max_videos=10, seed=seed) for seed in (0, 1))
    assert one.videos["video_id"].to_pylist() != other.videos["video_id"].to_pylist()


def test_predictions_are_cut_to_top_k(spark, rows):
    chosen = choose_videos(*shown(spark, rows, top_k=2), max_videos=60, n_examples=99)
    cut = [(v, labels, e[:2], s[:2]) for v, labels, e, s in rows]
    assert {len(e) for e in chosen.videos["entities"].to_pylist()} == {2}
    found, expected = listed(chosen.examples), expected_examples(cut, 99)
    assert {k: sorted(map(str, v)) for k, v in found.items()} == {
        k: sorted(map(str, v)) for k, v in expected.items()
    }


def test_null_and_repeated_labels(spark):
    rows = [("a", None, [1], [0.5]), ("b", [2, 2], [2], [0.5]), ("c", [], [], [])]
    chosen = choose_videos(*shown(spark, rows), max_videos=9)
    labels = {v["video_id"]: v["labels"] for v in chosen.videos.to_pylist()}
    assert labels == {"a": [], "b": [2], "c": []}
    assert chosen.counts == {2: 1}


def test_similar_labels_are_the_cosines_of_columns_of_labels(rows, table):
    matrix = np.array([[e in labels for e in range(E)] for _, labels, _, _ in rows], dtype=float)
    lengths = np.linalg.norm(matrix, axis=0)
    cosines = matrix.T @ matrix / np.outer(lengths, lengths)
    np.fill_diagonal(cosines, 0)
    found = similar_labels(table[0], 3).to_pylist()
    for entity in range(E):
        order = [i for i in np.lexsort([np.arange(E), -cosines[entity].round(12)])[:3]
                 if cosines[entity, i] > 0]  # fmt: skip
        pairs = [(r["other"], r["similarity"]) for r in found if r["entity"] == entity]
        assert [other for other, _ in pairs] == order
        np.testing.assert_allclose([s for _, s in pairs], cosines[entity, order])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((None, [1], [1], [0.5]), "no video id"),
        (("x", [1, None], [1], [0.5]), "null among"),
        (("x", [1], [None], [0.5]), "null among"),
        (("x", [1], None, None), "not of one length"),
        (("x", [1], [1, 2], [0.5]), "not of one length"),
        (("x", [1], [1], [float("nan")]), r"not in \[0, 1\]"),
        (("x", [1], [1], [1.5]), r"not in \[0, 1\]"),
        (("x", [1], [1, 2], [0.4, 0.5]), "not best first"),
        (("x", [1], [1, 1], [0.5, 0.4]), "predicted twice"),
        (("v00", [1], [1], [0.5]), "'v00' comes more than once"),
        (("x", [1], [E], [0.5]), f"not in the vocabulary in predictions.*found {E}"),
        (("x", [-3, E], [1], [0.5]), f"expected {E} entities from 0 to {E - 1}, found -3, {E}"),
    ],
)
def test_what_cannot_be_shown_is_refused(spark, rows, row, words):
    with pytest.raises(InputError, match=words):
        shown(spark, [*rows[:3], row])


def test_a_table_without_videos_or_columns_is_refused(spark, rows):
    with pytest.raises(InputError, match="no videos in predictions"):
        shown(spark, [])
    table = predictions(spark, rows).drop("scores")
    with pytest.raises(InputError, match="no column 'scores' in predictions"):
        shown_predictions(table, K, np.arange(E), "predictions")
