"""What limits the extraction of frame features: decoding, the network, or we?

Videos as people have them, 640 x 360 at 25 frames a second in H.264 with B-frames, go through a
small network (decoding is what takes time) and through a convolutional one of a billion
multiplications an image (the network is). Beside the whole work of a task, on one core, stand bare
loops: PyAV decoding the same videos frame by frame and making images of those it takes, and
onnxruntime running on as many images. A second table: what passing over frames that stand for no
second gains beside decoding all.

    python benchmarks/what_limits_extraction.py [seconds of a video, default 60]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from yt8m_spark.artifacts import file_digest
from yt8m_spark.video.decode import Sampling, sample_frames
from yt8m_spark.video.extraction import VideoFile
from yt8m_spark.video.images import PRESETS, image_of
from yt8m_spark.video.networks import load_network
from yt8m_spark.video.plan import ExtractionPlan, Tools
from yt8m_spark.video.shards import ShardWork

N_VIDEOS = 4
SIZE = 224
HOW = PRESETS["imagenet"]
BATCH = 32


def write_video(path: Path, n_seconds: int, seed: int) -> None:
    """Blurred noise that drifts, a box that moves, a cut every ten seconds."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        options = {"preset": "medium", "crf": "23"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.codec_context.max_b_frames = 3
        for i in range(25 * n_seconds):
            if i % 250 == 0:
                coarse = rng.integers(0, 200, (46, 81, 3)).astype(np.uint8)
                scene = coarse.repeat(8, 0).repeat(8, 1)[:360, :640]
            pixels = np.roll(scene, (i, 2 * i), (0, 1)) + rng.integers(0, 14, (360, 640, 1))
            pixels[100:220, 4 * i % 500 : 4 * i % 500 + 120] = 230
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_network(path: Path, widths: tuple[int, ...]) -> float:
    """Convolutions 3 x 3 with stride 2 to ``widths``, then the mean; 10^9 products an image."""
    rng = np.random.default_rng(0)
    nodes, weights, before, side, products = [], [], 3, SIZE, 0.0
    name = "images"
    for i, width in enumerate(widths):
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (width, before, 3, 3))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{i}"))
        convolution = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [name, f"w{i}"], [f"c{i}"], **convolution))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        side = -(-side // 2)
        products += side * side * width * before * 9
        name, before = f"r{i}", width
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["pool"]))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("pool", TensorProto.FLOAT, ["n", before, 1, 1])],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))
    return products / 1e9


def write_pca(folder: Path, width: int) -> None:
    """A PCA of half the width."""
    vectors = np.linalg.qr(np.random.default_rng(1).normal(size=(width, width)))[0]
    arrays = {"mean": np.zeros(width), "eigenvals": np.ones(width), "eigenvecs": vectors}
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array[: width // 2] if name == "eigenvecs" else array)


def plan_of(network: Path, pca: Path) -> ExtractionPlan:
    """One a second, the whole video, codes of a byte."""
    return ExtractionPlan(
        network=str(network),
        network_digest=file_digest(network),
        layer=None,
        layout=None,
        threads=1,
        batch_size=BATCH,
        how=HOW,
        sampling=Sampling(),
        pca=str(pca),
        feature_name="rgb",
        keep_damaged=False,
        n_shards=1,
    )


def bare_decoding(paths: list[Path], *, every: bool) -> float:
    """Seconds of PyAV alone: all frames are decoded, one a second becomes an image."""
    start = time.process_time()
    for path in paths:
        if not every:
            for frame in sample_frames(str(path), Sampling()):
                image_of(frame, (SIZE, SIZE), HOW)
            continue
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for i, frame in enumerate(container.decode(video=0)):
                if i % 25 == 0:
                    image_of(frame, (SIZE, SIZE), HOW)
    return time.process_time() - start


def bare_network(network: Path, n_images: int) -> float:
    """Seconds of onnxruntime alone."""
    loaded = load_network(str(network), None, None, 1)
    images = np.zeros((BATCH, 3, SIZE, SIZE), np.float32)
    loaded.activations(images)
    start = time.process_time()
    for _ in range(-(-n_images // BATCH)):
        loaded.activations(images)
    return time.process_time() - start


def measure(folder: Path, paths: list[Path], label: str, widths: tuple[int, ...]) -> str:
    """One row of the table."""
    network, pca = folder / f"{label}.onnx", folder / f"{label}_pca"
    products = write_network(network, widths)
    write_pca(pca, widths[-1])
    plan = plan_of(network, pca)
    tools = Tools(plan)
    start = time.process_time()
    shard = ShardWork(str(folder / label), 0, plan, tools)
    for _ in shard.run([VideoFile(path.stem, str(path), []) for path in paths], str):
        pass
    report = shard.finish()
    spent = time.process_time() - start
    assert report.n_skipped == 0
    bare = bare_decoding(paths, every=False) + bare_network(network, report.n_frames)
    ours = report.total - report.decoding - report.network
    shares = [f"{x / report.total:>8.1%}" for x in (report.decoding, report.network, ours)]
    row = [
        f"{label:>8}",
        f"{products:>8.2f}",
        f"{spent:>6.1f}s",
        *shares,
        f"{spent / bare:>10.2f}x",
    ]
    return " ".join(row)


def main(n_seconds: int) -> None:
    """Make videos, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{i}.mp4" for i in range(N_VIDEOS)]
        for i, path in enumerate(paths):
            write_video(path, n_seconds, i)
        rate = sum(path.stat().st_size for path in paths) / N_VIDEOS / n_seconds / 1000
        print(
            f"{N_VIDEOS} videos of {n_seconds} s, 640 x 360, 25 frames and {rate:.0f} kB a second"
        )
        every, passing = (bare_decoding(paths, every=every) for every in (True, False))
        print(f"decoding all frames, beside passing over some: {every / passing:.2f}x the time")
        print(f"{N_VIDEOS * n_seconds / passing:.0f} seconds of video decoded a second")
        columns = ["network", "10^9 mul", "task", "decoding", "network", "ours", "beside bare"]
        print("{:>8} {:>8} {:>7} {:>8} {:>8} {:>8} {:>11}".format(*columns))
        for label, widths in (("small", (8, 16, 32, 64)), ("large", (64, 256, 512, 1024))):
            print(measure(folder, paths, label, widths), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
