"""Networks without Spark and MLflow: tables of bytes in, entities out. In MLflow: test_pyfunc."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from network_files import ENTITIES, NETWORKS, frame_codes, one_by_one, write_network
from numpy.testing import assert_allclose

from yt8m_spark.calibration import save_calibration
from yt8m_spark.core.calibration import Calibration
from yt8m_spark.errors import InputError
from yt8m_spark.network_tagger import NetworkTagger, load_network_tagger


def make_table(codes):
    """A table of bytes as a frames table has them."""
    columns = {
        name: [part.tobytes() for part in of] for name, of in zip(*lists(codes), strict=True)
    }
    return pd.DataFrame(columns, index=list(codes))


def lists(codes):
    return ("rgb", "audio"), zip(*codes.values(), strict=True)


def ranked(scores, k):
    order = np.argsort(-scores, kind="stable")[:k]
    return [ENTITIES[column] for column in order], scores[order]


@pytest.mark.parametrize("name", NETWORKS)
def test_videos_are_tagged_by_all_their_frames(tmp_path, name):
    folder, network = write_network(tmp_path / "model", name)
    expected = one_by_one(network, frame_codes())
    found = load_network_tagger(folder).predict(make_table(frame_codes()), {"top_k": 4})
    assert list(found.index) == list(expected)
    for video_id, row in found.iterrows():
        entities, scores = ranked(expected[video_id], 4)
        assert row["entities"] == entities
        assert_allclose(row["scores"], scores, rtol=1e-4, atol=1e-6)


def test_many_videos_and_none(tmp_path):
    folder, network = write_network(tmp_path / "model")
    codes = frame_codes(lengths={f"v{i}": (i % 3, i % 3) for i in range(600)})  # scored in parts
    found = load_network_tagger(folder).predict(make_table(codes))
    expected = one_by_one(network, codes)
    assert {len(entities) for entities in found["entities"]} == {20}
    for video_id, row in found.iterrows():
        assert_allclose(row["scores"], ranked(expected[video_id], 20)[1], rtol=1e-4, atol=1e-6)
    empty = load_network_tagger(folder).predict(make_table(codes).iloc[:0])
    assert empty.columns.tolist() == ["entities", "scores"]
    assert len(empty) == 0


def test_none_is_a_video_without_frames(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    table = make_table(frame_codes())
    table.loc["v2", "rgb"] = None
    row = load_network_tagger(folder).predict(table, {"top_k": 2}).loc["v2"]
    assert (row["entities"], row["scores"]) == (ENTITIES[:2], [0, 0])


def test_calibrated_scores_rank_as_such(tmp_path):
    folder, network = write_network(tmp_path / "model")
    n = len(ENTITIES)
    slopes, intercepts = np.linspace(0.5, 2, n), np.linspace(3, -3, n)
    maps = np.arange(n), np.arange(n + 1), slopes, intercepts
    save_calibration(
        str(tmp_path / "c"), Calibration("platt", np.array(ENTITIES), *maps), folder, 1
    )
    tagger = load_network_tagger(folder, calibration=str(tmp_path / "c"))
    found = tagger.predict(make_table(frame_codes()).loc[["v4"]], {"top_k": 5})
    raw = one_by_one(network, frame_codes())["v4"].astype(np.float64)
    raw = raw.clip(1e-9, 1 - 1e-9)
    expected = 1 / (1 + np.exp(-(slopes * np.log(raw / (1 - raw)) + intercepts)))
    assert_allclose(found.loc["v4", "scores"], ranked(expected, 5)[1], rtol=1e-3)


def test_its_example_is_what_it_takes(tmp_path):
    tagger = load_network_tagger(write_network(tmp_path / "model")[0])
    assert len(tagger.predict(tagger.example())) == 1


def test_neither_spark_nor_mlflow_is_loaded(tmp_path):
    folder, _ = write_network(tmp_path / "model")
    code = f"""
import sys
from yt8m_spark.network_tagger import load_network_tagger
tagger = load_network_tagger({folder!r})
tagger.predict(tagger.example())
sys.exit(bool({{"pyspark", "mlflow"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("table", "params", "message"),
    [
        ({"rgb": [b"abc"]}, {}, "no column 'audio' in input, found rgb"),
        ({"rgb": [b"abc"], "audio": [b"abc"]}, {}, "no whole number of frames .*multiple of 2"),
        ({"rgb": ["abc"], "audio": [b"ab"]}, {}, "frames are no bytes .*'rgb'.* found str"),
        ({"rgb": [b"abc"], "audio": [b"ab"]}, {"top_k": 0}, "top_k is too small"),
    ],
)
def test_input_that_cannot_be_scored_is_refused(tmp_path, table, params, message):
    folder, _ = write_network(tmp_path / "model")
    with pytest.raises(InputError, match=message):
        NetworkTagger(folder, {"rgb": 3, "audio": 2}).predict(pd.DataFrame(table), params)
