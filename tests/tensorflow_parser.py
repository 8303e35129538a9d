"""What TensorFlow makes of TFRecord files, and files that TensorFlow writes: an oracle.

Run as a program, for importing TensorFlow takes seconds and warns. It takes one JSON object with
``task`` and the arguments of the function of that name, and prints its result as JSON.
"""

import base64
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf

SEGMENT_INTS = ("segment_start_times", "segment_end_times", "segment_labels")


def dataset(paths, compression):
    """Records of the files, one after the other."""
    return tf.data.TFRecordDataset(paths, compression_type=compression)


def context_features(id_key):
    ints = {name: tf.io.VarLenFeature(tf.int64) for name in ("labels", *SEGMENT_INTS)}
    scores = {"segment_scores": tf.io.VarLenFeature(tf.float32)}
    return {id_key: tf.io.FixedLenFeature([], tf.string), **ints, **scores}


def told(context, id_key):
    """Id, labels and segments as JSON has them."""
    lists = {name: context[name].values.numpy().tolist() for name in context if name != id_key}
    return {"id": context[id_key].numpy().decode(), **lists}


def parse_frames(paths, widths, id_key="id", compression=""):
    """Frame-level records: every list as base64, checked to be ``widths`` bytes a frame."""
    lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in widths}
    rows = []
    for data in dataset(paths, compression):
        context, sequences = tf.io.parse_single_sequence_example(
            data, context_features=context_features(id_key), sequence_features=lists
        )
        row = told(context, id_key)
        for name, width in widths.items():
            frames = sequences[name].numpy().tolist()
            assert all(len(frame) == width for frame in frames)
            row[name] = base64.b64encode(b"".join(frames)).decode()
        rows.append(row)
    return rows


def parse_videos(paths, widths, id_key="id", compression=""):
    """Video-level records, parsed as the plain Examples that they also are."""
    vectors = {name: tf.io.FixedLenFeature([n], tf.float32) for name, n in widths.items()}
    rows = []
    for data in dataset(paths, compression):
        parsed = tf.io.parse_single_example(data, {**context_features(id_key), **vectors})
        values = {name: parsed.pop(name).numpy().tolist() for name in widths}
        rows.append({**told(parsed, id_key), **values})
    return rows


def write_sequences(path, records):
    """SequenceExamples of ``{"context": {name: values}, "lists": {name: rows of values}}``."""
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            lists = {
                name: tf.train.FeatureList(feature=[feature(row) for row in rows])
                for name, rows in record["lists"].items()
            }
            example = tf.train.SequenceExample(
                context=tf.train.Features(
                    feature={name: feature(values) for name, values in record["context"].items()}
                ),
                feature_lists=tf.train.FeatureLists(feature_list=lists),
            )
            writer.write(example.SerializeToString())
    return len(records)


def feature(values):
    """Feature of strings, integers or floats, by the first of ``values``."""
    if isinstance(values[0], str):
        words = [value.encode() for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=words))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


TASKS = {task.__name__: task for task in (parse_frames, parse_videos, write_sequences)}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(TASKS[given.pop("task")](**given)))
