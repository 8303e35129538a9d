"""Shards in a work folder: resumed, torn, done twice. Spark and jobs are tested elsewhere."""

import json
import os

import numpy as np
import pytest
from made_videos import colour_weights, move_weights, write_onnx, write_seconds, write_video

from yt8m_spark.errors import InputError
from yt8m_spark.formats.examples import decode_frames
from yt8m_spark.formats.tfrecord import read_records
from yt8m_spark.video.decode import Sampling
from yt8m_spark.video.extraction import VideoFile
from yt8m_spark.video.images import PRESETS
from yt8m_spark.video.network_files import network_digest
from yt8m_spark.video.plan import ExtractionPlan, Tools, load_plan, load_tools, save_plan
from yt8m_spark.video.shards import ShardWork


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for n_seconds in (1, 2, 3):
        write_seconds(folder / f"{n_seconds}.mp4", n_seconds)
    write_onnx(folder / "a.onnx", colour_weights())
    return folder


def plan_of(folder, **changes):
    given = {
        "network": str(folder / "a.onnx"),
        "network_digest": network_digest(str(folder / "a.onnx")),
        "layer": None,
        "layout": None,
        "threads": 1,
        "batch_size": 2,
        "how": PRESETS["imagenet"]._replace(size=8),
        "sampling": Sampling(),
        "pca": None,
        "feature_name": "rgb",
        "keep_damaged": False,
        "n_shards": 1,
    }
    return ExtractionPlan(**{**given, **changes})


def run(plan, work, videos, stop_after=None):
    """The task; with ``stop_after`` it dies after so many videos. Else its report."""
    shard = ShardWork(str(work), 0, plan, Tools(plan))
    opened = []

    def opener(path):
        opened.append(path)
        return path

    for n_done, _ in enumerate(shard.run(videos, opener), 1):
        if n_done == stop_after:
            return None, opened
    return shard.finish(), opened


def videos_in(folder, *names):
    return [VideoFile(name, str(folder / f"{name}.mp4"), [7, 3]) for name in names]


def contents(work):
    records = read_records(str(work / "shards" / "00000.tfrecord"))
    return [decode_frames(record.data) for record in records]


def test_a_shard_has_its_videos_in_order_of_their_ids(folder, tmp_path):
    report, _ = run(plan_of(folder), tmp_path, videos_in(folder, "3", "1", "2"))
    assert (report.n_videos, report.n_frames, report.n_skipped) == (3, 6, 0)
    records = contents(tmp_path)
    assert [record.video_id for record in records] == ["1", "2", "3"]
    assert [record.labels.tolist() for record in records] == [[3, 7]] * 3
    assert [record.features["rgb"].shape for record in records] == [(n, 16) for n in (1, 2, 3)]
    assert report.total >= report.decoding + report.network


def test_a_shard_that_was_stopped_does_only_what_is_missing_and_ends_the_same(folder, tmp_path):
    plan, videos = plan_of(folder), videos_in(folder, "1", "2", "3")
    run(plan, tmp_path / "whole", videos)
    run(plan, tmp_path / "stopped", videos, stop_after=1)
    (part,) = (tmp_path / "stopped" / "parts" / "00000").glob("*.tfrecord")
    with part.open("ab") as file:
        file.write(b"\x10\x00\x00\x00half a record")
    report, opened = run(plan, tmp_path / "stopped", videos)
    assert opened == [videos[1].path, videos[2].path]
    assert report.n_videos == 3
    whole, resumed = (
        (tmp_path / name / "shards" / "00000.tfrecord").read_bytes()
        for name in ("whole", "stopped")
    )
    assert whole == resumed
    _, opened = run(plan, tmp_path / "stopped", videos)
    assert opened == []


def test_a_broken_video_is_told_of_and_tried_again_by_the_next_attempt(folder, tmp_path):
    path = tmp_path / "late.mp4"
    path.write_bytes(b"half of an upload")
    videos = [*videos_in(folder, "1"), VideoFile("late", str(path), [])]
    report, _ = run(plan_of(folder), tmp_path, videos)
    assert (report.n_videos, report.n_skipped) == (1, 1)
    (line,) = (tmp_path / "skipped" / "00000.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["video_id"], told["path"], told["n_frames"]) == ("late", str(path), 0)
    assert told["reason"].startswith("not a video")
    write_seconds(path, 2)
    report, opened = run(plan_of(folder), tmp_path, videos)
    assert opened == [str(path)]
    assert (report.n_videos, report.n_skipped) == (2, 0)
    assert (tmp_path / "skipped" / "00000.jsonl").read_text() == ""


@pytest.mark.parametrize("keep", [True, False])
def test_a_damaged_video_is_kept_or_not_as_the_plan_has_it(folder, tmp_path, keep):
    path = write_video(tmp_path / "a.mkv", np.random.default_rng(0).integers(0, 255, 60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    plan = plan_of(folder, keep_damaged=keep)
    for _ in range(2):  # what is kept is told of by later attempts too
        report, _ = run(plan, tmp_path, [VideoFile("a", str(path), [])])
        assert (report.n_videos, report.n_damaged, report.n_skipped) == (keep, keep, not keep)
    told = json.loads((tmp_path / "skipped" / "00000.jsonl").read_text())
    assert told["n_frames"] == report.n_frames
    assert (told["n_frames"] > 0) == keep


def test_a_plan_is_read_as_it_was_written(folder, tmp_path):
    plan = plan_of(folder, sampling=Sampling(2, 10.5), pca="/some/where")
    save_plan(str(tmp_path), plan)
    assert load_plan(str(tmp_path)) == plan


def test_a_network_that_has_changed_is_refused(folder, tmp_path):
    path = write_onnx(tmp_path / "a.onnx", colour_weights())
    plan = plan_of(folder, network=str(path), network_digest=network_digest(str(path)))
    load_tools(plan)
    write_onnx(path, colour_weights(seed=1))
    with pytest.raises(InputError, match="network has changed"):
        load_tools(plan)


def test_weights_in_a_file_beside_the_network_belong_to_it(folder, tmp_path):
    path, weights = move_weights(write_onnx(tmp_path / "a.onnx", colour_weights()), "w.data")
    plan = plan_of(folder, network=str(path), network_digest=network_digest(str(path)))
    load_tools(plan)
    weights.write_bytes(colour_weights(seed=1).tobytes())
    with pytest.raises(InputError, match="network has changed"):
        load_tools(plan)


def test_tools_are_loaded_once_for_any_number_of_shards(folder):
    assert load_tools(plan_of(folder)) is load_tools(plan_of(folder, n_shards=7))


@pytest.mark.parametrize("damaged", ["0", "f"])
def test_the_attempt_whose_video_is_in_the_shard_tells_what_is_wrong_with_it(
    folder, tmp_path, damaged
):
    # Two attempts at once, as Spark runs a slow task twice: one met damage, the other did not.
    plan = plan_of(folder, keep_damaged=True)
    run(plan, tmp_path, videos_in(folder, "2"))
    (part,) = (tmp_path / "parts" / "00000").glob("*.tfrecord")
    part.with_name("0.tfrecord").write_bytes(part.read_bytes())
    part.rename(part.with_name("f.tfrecord"))
    fault = {"video_id": "2", "path": "2.mp4", "reason": "damaged", "n_frames": 1}
    part.with_name(f"{damaged}.jsonl").write_text(json.dumps(fault) + "\n")
    shard = ShardWork(str(tmp_path), 0, plan, Tools(plan))
    list(shard.run(videos_in(folder, "2"), str))
    (place,) = shard._places.values()
    assert shard.finish().n_damaged == (place.path.stem == damaged)


def test_of_a_video_in_no_shard_the_latest_attempt_tells(folder, tmp_path):
    plan = plan_of(folder)
    parts = tmp_path / "parts" / "00000"
    parts.mkdir(parents=True)
    for name, reason, written in (("b", "first", 1), ("a", "second", 2)):
        fault = {"video_id": "x", "path": "x.mp4", "reason": reason, "n_frames": 3}
        file = parts / f"{name}.jsonl"
        file.write_text(json.dumps(fault) + "\n" + "{half a li")
        os.utime(file, (written, written))
    report = ShardWork(str(tmp_path), 0, plan, Tools(plan)).finish()
    assert (report.n_skipped, report.n_damaged) == (1, 0)
    told = json.loads((tmp_path / "skipped" / "00000.jsonl").read_text())
    assert (told["reason"], told["n_frames"]) == ("second", 0)


def test_a_pca_of_another_width_is_refused(folder, tmp_path):
    for name, array in (("mean", np.zeros(5)), ("eigenvals", np.ones(5)), ("eigenvecs", np.eye(5))):
        np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(InputError, match=r"another width than the PCA.*expected 5, found 4"):
        Tools(plan_of(folder, pca=str(tmp_path)))


def test_a_real_activation_is_coded_as_the_release_codes_it(folder, tmp_path, shared_data):
    source = shared_data / "yt8m_pca"
    told = json.loads((source / "AO7u7fwGzJQ_at_second_0_feats.json").read_text())
    raw = np.asarray(told, np.float64).reshape(1, 2048)
    mean, variances = (np.load(source / f"{name}.npy").ravel() for name in ("mean", "eigenvals"))
    # The release's eigenvectors are not here: any that are orthonormal stand for them.
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(2048, 256)))[0].T
    for name, array in (("mean", mean), ("eigenvals", variances), ("eigenvecs", vectors)):
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32))
    network = write_onnx(tmp_path / "wide.onnx", colour_weights(2048))
    digest = network_digest(str(network))
    plan = plan_of(folder, network=str(network), network_digest=digest, pca=str(tmp_path))
    codes = Tools(plan).values(raw.astype(np.float32))
    whitened = vectors.astype(np.float32) @ (raw[0] - mean) / np.sqrt(variances[:256] + 1e-4)
    assert codes.shape == (1, 256)
    assert codes.dtype == np.uint8
    values = codes[0].astype(float) * 4 / 255 + (4 / 512 - 2)  # as readers of the release do
    inside = np.abs(whitened) < 1.99
    assert inside.mean() > 0.5
    np.testing.assert_allclose(values[inside], whitened[inside], atol=1.02 * 4 / 255)
    assert set(codes[0][whitened < -2.1]) <= {0}
    assert set(codes[0][whitened > 2.1]) <= {255}
