"""Videos and networks made for tests: what they show and what the networks say is known."""

import warnings
from fractions import Fraction

import av
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FPS = 10


def level(index):
    """Grey level of frame ``index``: one for each second, 20 to 200."""
    return 20 + 36 * (index // FPS % 6)


def write_video(path, greys, *, codec="libx264", fps=FPS, size=(64, 48), times=None, options=None):
    """Video whose frame i is grey ``greys[i]``, shown from tick ``times[i]`` of 1/1000 s on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": "1", **(options or {})})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, grey in enumerate(greys):
            pixels = np.full((size[1], size[0], 3), grey, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_seconds(path, n_seconds, **options):
    """Video of whole seconds, each of its own grey."""
    return write_video(path, [level(i) for i in range(n_seconds * FPS)], **options)


def colour_weights(n_activations=4, seed=0):
    """Weights (M, 3) of a 1x1 convolution, positive."""
    return np.random.default_rng(seed).uniform(0.2, 1, (n_activations, 3)).astype(np.float32)


def write_onnx(path, weights, *, size=8, batch="n", dtype="float32", nhwc=False, pooled=True):
    """ONNX network: a 1x1 convolution ``conv``, ReLU ``relu``, its mean over space, a classifier.

    Tensors are called ``conv``, ``relu``, ``pool``, ``flat``, ``classes``.
    """
    kind = getattr(TensorProto, {"float32": "FLOAT", "float16": "FLOAT16"}[dtype])
    kernel = numpy_helper.from_array(weights[:, :, None, None].astype(dtype), "kernel")
    head = numpy_helper.from_array(np.ones((len(weights), 2), dtype), "head")
    shape = [batch, size, size, 3] if nhwc else [batch, 3, size, size]
    nodes = [
        helper.make_node("Conv", ["turned" if nhwc else "images", "kernel"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["classes"]),
    ]
    if nhwc:
        nodes.insert(0, helper.make_node("Transpose", ["images"], ["turned"], perm=[0, 3, 1, 2]))
    output = ("flat", [batch, len(weights)]) if pooled else ("classes", [batch, 2])
    graph = helper.make_graph(
        nodes if not pooled else nodes[:-1],
        "tiny",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info(output[0], kind, output[1])],
        [kernel, head] if not pooled else [kernel],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))
    return path


def move_weights(path, location):
    """Have the kernel of `write_onnx` in a file beside the network; both paths."""
    model = onnx.load(str(path))
    (kernel,) = (tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    weights = path.parent / location
    weights.write_bytes(kernel.raw_data)
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value=str(location))
    path.write_bytes(model.SerializeToString())
    return path, weights


def turn_clockwise(path):
    """Mark an mp4 file as one to be shown turned by 90 degrees, as a telephone does."""
    identity, turned = (
        b"".join((n & 0xFFFFFFFF).to_bytes(4, "big") for n in matrix)
        for matrix in ((1 << 16, 0, 0, 0, 1 << 16), (0, 1 << 16, 0, -1 << 16, 0))
    )
    data = path.read_bytes()
    start = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:start] + turned + data[start + len(turned) :])
    return path


def write_torchscript(path, weights, *, output="tensor"):
    """The network of `write_onnx` in TorchScript; a "dict" has ``pool`` and ``classes``."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, len(weights), 1, bias=False)
            self.conv.weight.data = torch.from_numpy(weights[:, :, None, None].copy())

        def forward(self, images):
            pool = torch.relu(self.conv(images)).mean((2, 3))
            if output == "dict":
                return {"pool": pool, "classes": pool.sum(1, keepdim=True)}
            return pool

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have torch.export
        images = torch.zeros(1, 3, 8, 8)
        torch.jit.trace(Net().eval(), images, strict=False).save(str(path))
    return path
