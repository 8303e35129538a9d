"""Targets of a transfer cut out of real data, and sources that have none of their labels.

Axes: V videos, D features, E entities.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yt8m_spark.core.moments import moments_of
from yt8m_spark.core.statistics import quantized_statistics
from yt8m_spark.core.whitening import Whitening, fit_whitening
from yt8m_spark.formats.examples import decode_frames, decode_video
from yt8m_spark.formats.tfrecord import read_records, write_records

__all__ = [
    "AUDIOSET",
    "DATA",
    "SIZES",
    "Draw",
    "Videos",
    "audioset_draws",
    "cut_audioset",
    "yt8m_draws",
]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
AUDIOSET = DATA / "audioset_frames"
SIZES = (200, 400, 800)  # videos of a target

Floats = NDArray[np.float32]


class Videos(NamedTuple):
    """Features (V, D), and labels (V, E) as 0 and 1."""

    features: Floats
    labels: Floats

    def take(self, rows: NDArray[np.generic], entities: NDArray[np.int64] | None = None) -> Videos:
        """Some of them, with some of their labels."""
        labels = self.labels[rows]
        return Videos(self.features[rows], labels if entities is None else labels[:, entities])


class Draw(NamedTuple):
    """A source, and a target of labels that it has not."""

    source: Whitening
    n_source: int
    pool: Videos  # to learn from
    test: Videos


def audioset_draws() -> Iterator[Draw]:
    """50 classes of at most 150 clips each; clips of bal_train without them are the source."""
    train, test = (read_audioset(split) for split in ("bal_train", "eval"))
    usual = np.flatnonzero(train.labels.sum(axis=0) <= 150)
    for seed in range(1000):
        rng = np.random.default_rng([seed, 1])
        entities = np.sort(rng.choice(usual, 50, replace=False))
        of_target = train.labels[:, entities].any(axis=1)
        tested = test.labels[:, entities].any(axis=1)
        source = fit_whitening(moments_of(train.features[~of_target]))
        n_source = int((~of_target).sum())
        yield Draw(source, n_source, train.take(of_target, entities), test.take(tested, entities))


def yt8m_draws() -> Iterator[Draw]:
    """Entities of 20 to 100 videos, until they label 1,900 of them; the others are the source."""
    videos = read_yt8m()
    counts = videos.labels.sum(axis=0)
    usual = np.flatnonzero((counts >= 20) & (counts <= 100))
    for seed in range(1000):
        rng = np.random.default_rng([seed, 2])
        order = rng.permutation(usual)
        reached = np.logical_or.accumulate(videos.labels[:, order] > 0, axis=1).sum(axis=0)
        entities = np.sort(order[: 1 + int(np.searchsorted(reached, 1900))])
        of_target = np.flatnonzero(videos.labels[:, entities].any(axis=1))
        mixed = rng.permutation(of_target)
        others = np.setdiff1d(np.arange(len(videos.features)), of_target)
        source = fit_whitening(moments_of(videos.features[others]))
        pool, test = mixed[: max(SIZES)], mixed[max(SIZES) :]
        yield Draw(source, len(others), videos.take(pool, entities), videos.take(test, entities))


def read_audioset(split: str) -> Videos:
    """Mean of the audio features of each clip."""
    found, labels = [], []
    for path in sorted((AUDIOSET / split).glob("*.tfrecord")):
        for record in read_records(str(path)):
            frames = decode_frames(record.data)
            codes = frames.features["audio_embedding"]
            found.append(
                quantized_statistics(codes, np.array([0, len(codes)]), ["mean"])["mean"][0]
            )
            labels.append(frames.labels)
    return Videos(np.array(found), matrix_of(labels, 527))


def read_yt8m() -> Videos:
    """Mean of the visual and audio features of each video."""
    found, labels = [], []
    for path in sorted((DATA / "yt8m_video").glob("*.tfrecord")):
        for record in read_records(str(path)):
            video = decode_video(record.data)
            parts = [video.features[name] for name in ("mean_rgb", "mean_audio")]
            found.append(np.concatenate(parts))
            labels.append(video.labels)
    return Videos(np.array(found, np.float32), matrix_of(labels, 3862))


def matrix_of(labels: Sequence[NDArray[np.int64]], n_entities: int) -> Floats:
    """Labels of each video as 0 and 1, (V, E)."""
    matrix = np.zeros((len(labels), n_entities), np.float32)
    for row, found in enumerate(labels):
        matrix[row, found] = 1
    return matrix


def cut_audioset(folder: Path, n_target: int) -> None:
    """Write one draw of AudioSet: ``source/``, ``target/`` and ``labels.csv`` in ``folder``.

    The shards of the target have all its clips; the labels name ``n_target`` of them to learn from.
    """
    rng = np.random.default_rng([0, 1])
    entities = set(rng.choice(_usual_classes(), 50, replace=False).tolist())
    labelled: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}
    for split, name in (("bal_train", "train"), ("eval", "test")):
        for path in sorted((AUDIOSET / split).glob("*.tfrecord")):
            kept: dict[str, list[bytes]] = {"source": [], "target": []}
            for record in read_records(str(path)):
                frames = decode_frames(record.data)
                labels = sorted(entities.intersection(frames.labels.tolist()))
                kept["target" if labels else "source"].append(record.data)
                if labels:
                    row = frames.video_id, "|".join(map(str, labels)), name
                    labelled[name].append(row)
            for kind, records in kept.items():
                if records and (kind, name) != ("source", "test"):
                    (folder / kind).mkdir(exist_ok=True)
                    write_records(str(folder / kind / path.name), records)
    order = rng.permutation(len(labelled["train"]))[:n_target]
    with (folder / "labels.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "labels", "split"))
        writer.writerows([labelled["train"][place] for place in order])
        writer.writerows(labelled["test"])


def _usual_classes() -> NDArray[np.int64]:
    """Classes of at most 150 clips of bal_train."""
    return np.flatnonzero(read_audioset("bal_train").labels.sum(axis=0) <= 150)
