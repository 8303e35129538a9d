"""A small target of a transfer: videos with frames, and their labels in each format."""

import json

import numpy as np
from shard_files import write

from yt8m_spark.formats.examples import FrameRecord

CLASSES = ("none", "running", "swimming", "dancing")
WIDTHS = {"rgb": 8, "audio": 4}
N_TRAIN, N_TEST = 36, 24


def video_id(index):
    return f"vid{index:08d}"  # 11 characters, as YouTube's


def entity_of(index):
    return 1 + index % 3


def frames_of(index, *, n_frames=6, seed=0):
    """Codes of each list; the entity shows in one feature, under much that is the same for all."""
    rng = np.random.default_rng([seed, index])
    codes = {
        name: rng.integers(90, 160, size=(n_frames, width), dtype=np.uint8)
        for name, width in WIDTHS.items()
    }
    codes["rgb"][:, entity_of(index)] = 220
    return codes


def write_frames(folder, indices=range(N_TRAIN + N_TEST), labels=None):
    """Two shards in ``folder``, a glob; labels are of another vocabulary, or ``labels``."""
    records = [
        FrameRecord(
            video_id(i), np.array([77] if labels is None else labels(i)), frames_of(i), None
        )
        for i in indices
    ]
    for shard in range(2):
        write(folder, f"frames{shard}.tfrecord", records[shard::2])
    return str(folder / "frames?.tfrecord")


def write_classes(folder):
    path = folder / "labels.txt"
    path.write_text("".join(f"{number}\t{name}\n" for number, name in enumerate(CLASSES)))
    return str(path)


def write_sports1m(folder, extra=""):
    """Sports-1M's two lists; numbers are those of `write_classes`."""
    splits = {"train": range(N_TRAIN), "test": range(N_TRAIN, N_TRAIN + N_TEST)}
    paths = []
    for split, indices in splits.items():
        path = folder / f"{split}_partition.txt"
        url = "https://www.youtube.com/watch?v="
        lines = [f"{url}{video_id(i)} {entity_of(i)}\n" for i in indices]
        path.write_text("".join(lines) + (extra if split == "train" else ""))
        paths.append(str(path))
    return ",".join(paths)


def write_activitynet(folder):
    """ActivityNet's JSON: the labels of "testing" are kept back."""
    database = {}
    for i in range(N_TRAIN + N_TEST):
        annotation = {"label": CLASSES[entity_of(i)], "segment": [0.5, 3.0]}
        subset = "training" if i < N_TRAIN else "validation"
        database[video_id(i)] = {"subset": subset, "annotations": [annotation] * 2}
    database["heldback000"] = {"subset": "testing", "annotations": []}
    path = folder / "activity_net.json"
    path.write_text(json.dumps({"version": "1.3", "database": database, "taxonomy": []}))
    return str(path)
