"""ONNX and TorchScript networks whose activations NumPy can tell. Images are tested elsewhere."""

import numpy as np
import onnx
import pytest
from made_videos import colour_weights, write_onnx, write_torchscript
from onnx import TensorProto, helper, numpy_helper

from yt8m_spark.errors import InputError
from yt8m_spark.video.networks import InputForm, load_network
from yt8m_spark.video.onnx_graph import with_output

WEIGHTS = colour_weights() - 0.6  # of both signs
IMAGES = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)
CONVOLVED = np.einsum("mc,bchw->bmhw", WEIGHTS, IMAGES)
POOLED = np.maximum(CONVOLVED, 0).mean((2, 3))


def loaded(path, layer=None, layout=None):
    return load_network(str(path), layer, layout, 1)


def refused(path, layer=None, layout=None, images=IMAGES):
    with pytest.raises(InputError) as refusal:
        loaded(path, layer, layout).activations(images)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def save(path, nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, "made", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def test_the_only_output_is_the_layer(tmp_path):
    network = loaded(write_onnx(tmp_path / "a.onnx", WEIGHTS))
    assert network.form == InputForm("float32", True, None, (8, 8))
    np.testing.assert_allclose(network.activations(IMAGES), POOLED, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [("conv", CONVOLVED.mean((2, 3))), ("relu", POOLED), ("pool", POOLED), ("flat", POOLED)],
)
def test_a_tensor_inside_the_graph_is_the_layer_as_it_is(tmp_path, layer, wanted):
    path = write_onnx(tmp_path / "a.onnx", WEIGHTS, pooled=False)
    found = loaded(path, layer).activations(IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_colours_may_come_last(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", WEIGHTS, nhwc=True, pooled=False)
    network = loaded(path, "flat")
    assert network.form == InputForm("float32", False, None, (8, 8))
    found = network.activations(np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(found, POOLED, rtol=1e-5, atol=1e-6)


def test_networks_of_half_precision_and_of_one_batch_size_tell_so(tmp_path):
    network = loaded(write_onnx(tmp_path / "a.onnx", WEIGHTS, dtype="float16", batch=5))
    assert network.form == InputForm("float16", True, 5, (8, 8))
    found = network.activations(IMAGES.astype(np.float16))
    np.testing.assert_allclose(found, POOLED, rtol=2e-2, atol=2e-3)


def test_torchscript_says_what_onnx_says(tmp_path):
    pytest.importorskip("torch")
    onnx_network = loaded(write_onnx(tmp_path / "a.onnx", WEIGHTS))
    script = loaded(write_torchscript(tmp_path / "a.pt", WEIGHTS))
    entry = loaded(write_torchscript(tmp_path / "b.pt", WEIGHTS, output="dict"), "pool")
    for network in (script, entry):
        assert network.form == InputForm("float32", True, None, None)
        np.testing.assert_allclose(
            network.activations(IMAGES), onnx_network.activations(IMAGES), rtol=1e-5, atol=1e-6
        )


def test_nodes_behind_the_layer_are_left_out(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", WEIGHTS, pooled=False)
    model = onnx.load_from_string(with_output(path.read_bytes(), "relu", where="a.onnx"))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    assert [output.name for output in model.graph.output] == ["relu"]
    assert model.ir_version == 8
    assert [(s.domain, s.version) for s in model.opset_import] == [("", 17)]


def test_what_a_branch_takes_from_outside_stays(tmp_path):
    branches = [
        helper.make_graph(
            [helper.make_node("Neg", [name], [f"{name}_out"])],
            name,
            [],
            [value(f"{name}_out", None)],
        )
        for name in ("doubled", "tripled")
    ]
    nodes = [
        helper.make_node("Add", ["images", "images"], ["doubled"]),
        helper.make_node("Add", ["doubled", "images"], ["tripled"]),
        helper.make_node(
            "If", ["yes"], ["chosen"], then_branch=branches[0], else_branch=branches[1]
        ),
        helper.make_node("Exp", ["chosen"], ["last"]),
    ]
    yes = numpy_helper.from_array(np.array(True), "yes")
    shape = ["n", 3, 8, 8]
    path = save(tmp_path / "a.onnx", nodes, [value("images", shape)], [value("last", shape)], [yes])
    found = loaded(path, "chosen").activations(IMAGES)
    np.testing.assert_allclose(found, -2 * IMAGES.mean((2, 3)), rtol=1e-4, atol=1e-6)


def test_weights_in_a_file_beside_the_network_are_found(tmp_path, monkeypatch):
    path = write_onnx(tmp_path / "a.onnx", WEIGHTS, pooled=False)
    model = onnx.load(str(path))
    (tmp_path / "model").mkdir()
    beside = tmp_path / "model" / "b.onnx"
    onnx.save(model, str(beside), save_as_external_data=True, location="w", size_threshold=0)
    for layer in ("relu", None):
        found = loaded(beside, layer).activations(IMAGES)
        assert found.shape == (5, 4 if layer else 2)


def test_a_layer_that_is_not_there_is_refused_with_names_like_it(tmp_path):
    message = refused(write_onnx(tmp_path / "a.onnx", WEIGHTS, pooled=False), "pool3")
    assert message.startswith(f"no such layer in {tmp_path}/a.onnx, expected a tensor of the graph")
    assert "pool" in message.partition("such as")[2]
    assert message.endswith("found pool3")


@pytest.mark.parametrize("data", [b"", b"hello " * 99, b"\x08\x08" * 20, bytes(4000)])
@pytest.mark.parametrize("layer", [None, "relu"])
def test_what_is_no_network_is_refused(tmp_path, data, layer):
    (tmp_path / "a.onnx").write_bytes(data)
    message = refused(tmp_path / "a.onnx", layer)
    assert "not an ONNX" in message or "no such layer" in message


def test_a_network_cut_short_is_refused(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", WEIGHTS)
    path.write_bytes(path.read_bytes()[:-40])
    assert "not an ONNX" in refused(path)
    assert "not an ONNX" in refused(path, "relu")
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.onnx")


def test_a_network_that_takes_something_else_than_images_is_refused(tmp_path):
    shape = ["n", 3, 8, 8]
    node = helper.make_node("Add", ["a", "b"], ["y"])
    two = save(
        tmp_path / "a.onnx", [node], [value("a", shape), value("b", shape)], [value("y", shape)]
    )
    assert "takes several inputs" in refused(two)
    node = helper.make_node("Neg", ["a"], ["y"])
    text = save(tmp_path / "b.onnx", [node], [value("a", ["n", 7])], [value("y", ["n", 7])])
    assert "does not take images" in refused(text)
    assert "does not take images" in refused(write_onnx(tmp_path / "d.onnx", WEIGHTS), None, "nhwc")
    many = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Abs", ["a"], ["z"])]
    outputs = [value("y", shape), value("z", shape)]
    path = save(tmp_path / "c.onnx", many, [value("a", shape)], outputs)
    assert refused(path).endswith("expected --layer, found y, z")
    assert loaded(path, "z").activations(IMAGES).shape == (5, 3)


def test_images_of_another_size_are_refused(tmp_path):
    message = refused(write_onnx(tmp_path / "a.onnx", WEIGHTS), images=IMAGES[:, :, :4])
    assert "network does not take a batch of 5 x 3 x 4 x 8" in message


def test_a_layer_of_another_shape_or_not_finite_is_refused(tmp_path):
    shape = ["n", 3, 8, 8]
    nodes = [
        helper.make_node("ReduceMean", ["a"], ["lines"], axes=[3], keepdims=0),
        helper.make_node("Log", ["a"], ["logs"]),
    ]
    outputs = [value("lines", ["n", 3, 8])]
    path = save(tmp_path / "a.onnx", nodes, [value("a", shape)], outputs)
    assert "layer has the wrong shape" in refused(path, "lines")
    assert "activations are not finite" in refused(path, "logs")


def test_torchscript_of_another_kind_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state.pt")
    assert "not a TorchScript archive" in refused(tmp_path / "state.pt")
    path = write_torchscript(tmp_path / "a.pt", WEIGHTS)
    assert "expected no --layer" in refused(path, "conv")
    several = write_torchscript(tmp_path / "b.pt", WEIGHTS, output="dict")
    assert "expected one of pool, classes" in refused(several)
    assert "does not take a batch of 5 x 2 x 8 x 8" in refused(path, images=IMAGES[:, :2])
