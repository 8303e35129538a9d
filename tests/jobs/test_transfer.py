"""jobs/transfer.py on small videos. Files of labels: tests/formats; tables: tests."""

import json

import numpy as np
import pytest
from mlflow import MlflowClient
from network_files import write_network
from numpy.testing import assert_allclose
from transfer_target import (
    N_TEST,
    N_TRAIN,
    WIDTHS,
    frames_of,
    video_id,
    write_activitynet,
    write_classes,
    write_frames,
    write_sports1m,
)

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.statistics import quantized_statistics
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.transfer import Transfer
from yt8m_spark.whitening_files import load_whitening, save_whitening

COLUMNS = [f"mean_{name}" for name in WIDTHS]


def mean_frames(indices):
    """Mean frame of each video, lists side by side."""
    offsets = np.array([0, 6])
    return np.array(
        [
            np.concatenate(
                [
                    quantized_statistics(c, offsets, ["mean"])["mean"][0]
                    for c in frames_of(i).values()
                ]
            )
            for i in indices
        ]
    )


@pytest.fixture
def target(tmp_path):
    """Frames, classes, and a whitening of other videos in the temporary folder."""
    write_frames(tmp_path)
    write_classes(tmp_path)
    whitening = fit_whitening(moments_of(mean_frames(range(200, 260))), ridge=1.0)
    save_whitening(str(tmp_path / "w"), whitening, COLUMNS, list(WIDTHS.values()))
    return ["--frames=frames?.tfrecord", "--vocabulary=labels.txt", "--epochs=4"]


def test_rows_of_networks_are_made_and_logged(job, target, tmp_path, tracking_uri):
    write_activitynet(tmp_path)
    sizes = {"n_cells": 6, "n_layers": 2, "entities": [3, 5]}
    write_network(tmp_path / "lstm", "lstm", features=WIDTHS, **sizes)
    (tmp_path / "n.toml").write_text("epochs = 1\nbatch_size = 12\nn_readers = 0\n")
    rows = ("lstm_frozen", "lstm_finetuned")
    made = job(
        *("transfer", *target, "--labels=activity_net.json", "--labels-format=activitynet"),
        *("--network=lstm", "--networks=n.toml", "--classifier=softmax", "--block-size=2"),
        *(f"--rows={','.join(rows)}", "--output=out"),
    )
    assert made.status == 0, made.stderr
    metrics = made.result["metrics"]
    counts = {name: metrics[f"n_{name}_videos"] for name in ("train", "test", "conflicting")}
    assert counts == {"train": N_TRAIN, "test": N_TEST, "conflicting": 0}
    assert metrics["n_videos_without_labels"] == 1  # of "testing"
    frozen = json.loads((tmp_path / "out/models/lstm_frozen/model.json").read_text())
    assert frozen["loss"] == "softmax"
    assert frozen["n_features"] == 2 * 6  # the last frame's outputs of both layers (§5.4)
    tuned = json.loads((tmp_path / "out/models/lstm_finetuned/model.json").read_text())
    assert (tuned["options"]["classifier"], tuned["n_entities"]) == ("softmax", 3)
    lines = (tmp_path / "out/table.md").read_text().splitlines()
    assert lines[0] == "| approach | mAP | Hit@1 | Hit@5 |"
    assert len(lines) == 2 + len(rows)
    client = MlflowClient(tracking_uri)
    parent = client.get_run(made.result["mlflow_run_id"])
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    told = {run.data.params["row"]: run.data for run in children}
    assert told.keys() == set(rows)
    assert told["lstm_finetuned"].params["row_transfers"] == "fine-tuned"
    assert told["lstm_frozen"].metrics["map"] == metrics["lstm_frozen.map"]


def test_rows_of_both_whitenings_are_made_and_a_stopped_transfer_goes_on(
    job, target, tmp_path, monkeypatch
):
    line = [*target, f"--labels={write_sports1m(tmp_path)}", "--labels-format=sports1m"]
    line += ["--whitening=w", "--rows=own_logistic_mean,transferred_moe_mean", "--output=out"]
    make, made = Transfer.make, []

    def stopped_at_the_second(self, row, tracked):
        made.append(row.name)
        if len(made) == 2:
            raise RuntimeError("the machine is gone")
        return make(self, row, tracked)

    monkeypatch.setattr(Transfer, "make", stopped_at_the_second)
    stopped = job("transfer", *line)
    assert stopped.status == 1
    assert "go on with --resume" in stopped.stderr
    assert not (tmp_path / "out").exists()
    work = tmp_path / ".out.work"
    for pattern in ("target/target.json", "videos/*/_SUCCESS", "features/*/*/_SUCCESS"):
        assert list(work.glob(pattern)), pattern  # what `work_folder` keeps before the first row
    assert list(work.glob("whitening/*/whitening.json"))
    refused = job("transfer", *line, "--resume", "--epochs=5")
    assert (refused.status, "cannot resume: --epochs has changed" in refused.error) == (2, True)
    finished = job("transfer", *line, "--resume")
    assert finished.status == 0, finished.stderr
    assert made == ["own_logistic_mean", "transferred_moe_mean", "transferred_moe_mean"]
    assert set(json.loads((tmp_path / "out/table.json").read_text())) == set(made)
    metrics = finished.result["metrics"]
    assert metrics["n_train_videos"] == N_TRAIN
    # One feature tells the entity: whatever whitens it, a classifier sees it.
    assert [metrics[f"{row}.hit_at_1"] for row in made[:2]] == [1, 1]
    kinds = ("mean_own", "mean_transferred")
    own, transferred = (load_whitening(str(tmp_path / "out/whitening" / kind))[0] for kind in kinds)
    assert transferred.digest == load_whitening(str(tmp_path / "w"))[0].digest
    assert_allclose(own.mean, mean_frames(range(N_TRAIN)).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "the target is --frames with --labels, or --train with --test"),
        (["--frames=f", "--labels=l", "--train=t"], "the target is --frames with --labels"),
        (["--train=t", "--test=t", "--rows=own_mean"], "a recipe is"),
        (["--train=t", "--test=t", "--rows=lstm_frozen"], "row lstm_frozen needs a network of its"),
        (
            ["--train=t", "--test=t", "--rows=transferred_moe_mean"],
            "row transferred_moe_mean needs a whitening of mean, expected one of them",
        ),
        (["--train=t", "--test=t", "--whitening=nowhere"], "no such file in nowhere"),
        (["--train=t", "--test=t", "--classifier=softmax", "--tolerance=0.1"], "tolerance must be"),
        (["--frames=f", "--labels=l", "--test-split=all"], "test_split must be train, validate or"),
    ],
)
def test_options_that_do_not_go_together_are_told_before_any_work(job, options, told):
    refused = job("transfer", "--output=out", *options)
    assert refused.status == 2
    assert told in refused.error


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (
            f"{video_id(0)} 9\n",
            f"unknown label of video {video_id(0)} in train_partition.txt, line",
        ),
        (f"{video_id(0)} 2\n", f"video {video_id(0)} comes twice"),
        ("", "the split to learn from is the one to test on in train_partition.txt, test_"),
        (None, "no video of frames?.tfrecord has labels in split train of train_partition.txt"),
    ],
)
def test_labels_that_are_missing_or_contradict_name_file_and_video(
    job, target, tmp_path, extra, told
):
    write_sports1m(tmp_path, extra or "")
    if extra is None:  # ids of another kind
        lists = [tmp_path / f"{split}_partition.txt" for split in ("train", "test")]
        for path in lists:
            path.write_text(path.read_text().replace("vid0", "dot_"))
    files = "--labels=train_partition.txt,test_partition.txt"
    if told.startswith("the split"):
        files += " --test-split=train"
    refused = job("transfer", *target, *files.split(), "--labels-format=sports1m", "--output=out")
    assert refused.status == 2, refused.stderr
    assert told in refused.error
    assert not (tmp_path / "out").exists()
