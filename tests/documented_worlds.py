"""Folders in which the commands of a page can run: small inputs under the names it gives them."""

import shutil

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from documented import PROJECT
from knowledge_graph import write_csv
from made_videos import colour_weights, write_onnx, write_seconds
from network_files import write_network
from transfer_target import WIDTHS, write_classes, write_frames, write_sports1m

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.whitening import fit_whitening
from yt8m_spark.formats.vocabulary import write_vocabulary_rows
from yt8m_spark.whitening_files import save_whitening

N_ENTITIES, D = 4, 12  # as many as the graph has that are visual


def a_checkout(job, folder):
    """The folders of the project that commands name."""
    for name in ("conf", "jobs", "benchmarks"):
        (folder / name).symlink_to(PROJECT / name)


def a_demo(job, folder, rgb=8, audio=4, n_shards=4):
    """``demo/data`` as `make demo` makes it, of other sizes."""
    flags = ("--n-videos=160", "--n-entities=6", f"--n-shards={n_shards}", "--mean-frames=12")
    sizes = ("--max-frames=20", f"--rgb-dim={rgb}", f"--audio-dim={audio}")
    assert job("make_synthetic", *flags, *sizes, "--output=demo/data").status == 0


def the_release(job, folder, rgb=8, audio=4):
    """``yt8m/video`` and ``yt8m/frame`` with their splits, and ``vocabulary.csv``."""
    a_demo(job, folder, rgb, audio, n_shards=10)  # two of them to validate
    (folder / "yt8m").symlink_to(folder / "demo/data")
    shutil.copy(folder / "demo/data/vocabulary.csv", folder / "vocabulary.csv")


def features(job, folder):
    """Features tables of all splits, ``features``, ``features_train`` and the like."""
    rows = [{"Index": e, "Name": f"name {e}", "Vertical1": "Games"} for e in range(N_ENTITIES)]
    write_vocabulary_rows(str(folder / "vocabulary.csv"), rows)
    for seed, name in enumerate(("train", "validate", "test")):
        table = features_table(seed)
        for path in (folder / f"features_{name}", folder / "features" / name):
            path.mkdir(parents=True)
            pq.write_table(table, path / "part.parquet")


def features_table(seed, n=150):
    """Videos whose entity is the largest of their first features."""
    x = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    labels = [[int(row[:N_ENTITIES].argmax())] for row in x]
    columns = {
        "video_id": [f"v{seed}{i:04d}" for i in range(n)],
        "labels": pa.array(labels, pa.list_(pa.int32())),
        "features": pa.array(list(x), pa.list_(pa.float32())),
    }
    return pa.table(columns)


def a_knowledge_graph(job, folder):
    """Entities of two types, one of them visual, with ratings and 250 candidate videos each."""
    names = [f"/m/{i}" for i in range(6)]
    types = ["/thing" if i < 4 else "/album" for i in range(6)]
    texts = pa.array([[kind] for kind in types], pa.list_(pa.string()))
    for name in ("graph.parquet", "entities.parquet"):
        pq.write_table(pa.table({"id": names, "name": names, "types": texts}), folder / name)
    rows = [("/thing", "", "Games"), ("/album", "", "")]
    write_csv(folder / "types.csv", ("type", "parent", "vertical"), rows)
    (folder / "visual.txt").write_text("/thing\n")
    (folder / "other.txt").write_text("/album\n")
    ratings = [(name, f"r{r}", 2) for name in names for r in range(3)]
    write_csv(folder / "ratings.csv", ("entity", "rater", "visualness"), ratings)
    n = 250 * len(names)
    table = pa.table(
        {
            "video_id": [f"video{i:05d}" for i in range(n)],
            "topics": pa.array([[names[i % 6]] for i in range(n)], pa.list_(pa.string())),
            "views": [1000 + i for i in range(n)],
            "duration": [120.0 + i % 380 for i in range(n)],
        }
    )
    (folder / "candidates").mkdir()
    pq.write_table(table, folder / "candidates" / "part.parquet")
    pq.write_table(table, folder / "candidates.parquet")


def a_vocabulary(job, folder):
    """``vocabulary.csv`` of the entities of `a_knowledge_graph`."""
    rows = [{"Index": i, "KnowledgeGraphId": f"/m/{i}", "Name": f"name {i}"} for i in range(4)]
    write_vocabulary_rows(str(folder / "vocabulary.csv"), rows)


def videos_and_networks(job, folder):
    """``videos``, ``train`` and ``all`` with labels, two networks, a PCA of the first's layer."""
    for name in ("videos", "train", "all"):
        (folder / name).mkdir()
        for i in range(6):
            write_seconds(folder / name / f"v{i}.mp4", i % 4 + 1)
    (folder / "labels.csv").write_text("video_id,labels\nv0,5|2\nv1,1\n")
    # Both signs: dark frames are below 0 once they are scaled, and a ReLU lets none of it through.
    weights = colour_weights(6) * np.array([1, -1, 1, -1, 1, -1], np.float32)[:, None]
    write_onnx(folder / "resnet.onnx", weights)
    network = onnx.load(str(write_onnx(folder / "inception.onnx", weights)))
    for node in network.graph.node:  # the layer that the page names
        node.input[:] = ["pool3" if name == "pool" else name for name in node.input]
        node.output[:] = ["pool3" if name == "pool" else name for name in node.output]
    onnx.save(network, str(folder / "inception.onnx"))
    flags = ("--network=inception.onnx", "--layer=pool3", "--input=videos")
    assert job("extract_features", *flags, "--output=pca_frames").status == 0
    assert job("fit_frame_pca", "--input=pca_frames", "--output=yt8m_pca").status == 0


def another_dataset(job, folder):
    """Sports-1M's lists, frames of its videos, and two whitenings of a source."""
    (folder / "sports1m" / "frames").mkdir(parents=True)
    write_frames(folder / "sports1m" / "frames")
    write_classes(folder)
    write_sports1m(folder)
    for name in ("mean", "mean_std_top5"):
        statistics = {"mean": 1, "std": 1, "top5": 5}
        kept = {k: n for k, n in statistics.items() if k in name.split("_")}
        columns = [f"{kind}_{of}" for kind in kept for of in WIDTHS]
        widths = [n * width for n in kept.values() for width in WIDTHS.values()]
        x = np.random.default_rng(0).normal(size=(200, sum(widths)))
        whitening = fit_whitening(moments_of(x), ridge=1.0)
        save_whitening(str(folder / "whitening" / name), whitening, columns, widths)


def a_network(job, folder):
    """``lstm``, a network of a source."""
    sizes = {"n_cells": 6, "n_layers": 2, "entities": [3, 5]}
    write_network(folder / "lstm", "lstm", features=WIDTHS, **sizes)


def a_model(job, folder):
    """``model``, trained on ``features/train``."""
    flags = ("--epochs=2", "--input=features/train", "--output=model")
    assert job("train_entities", *flags).status == 0


def two_evaluations(job, folder):
    """A run of an evaluation and one with a child; the ids that the page makes up for them."""
    flags = ("--model=model", "--input=features/test", "--vocabulary=vocabulary.csv")
    run = job("evaluate", *flags, "--output=evaluation/b").result["mlflow_run_id"]
    inputs = ("--train=demo/data/video/train*", "--test=demo/data/video/test*")
    a_demo(job, folder)
    flags = ("--recipes=logistic_mean,hinge_mean", "--epochs=1", "--output=results")
    parent = job("run_pipeline", *inputs, *flags).result["mlflow_run_id"]
    return {
        "0fbb6d97f4a74b27986aa75cd6813d99": run,
        "3a0e15c2b0de4c1f8a7b6c5d4e3f2a1b": parent,
    }


def a_wide_release(job, folder):
    """The same with more features than a page keeps components."""
    the_release(job, folder, rgb=72, audio=68)


def audioset(job, folder):
    """``bal_train`` and ``eval``."""
    for name, split in (("bal_train", "train"), ("eval", "test")):
        (folder / name).mkdir()
        for path in (folder / "demo/data/frame").glob(f"{split}*.tfrecord"):
            (folder / name / path.name).symlink_to(path)
