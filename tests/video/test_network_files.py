"""Files that networks name, on networks made by onnx. Loading them is tested in test_networks."""

import numpy as np
import onnx
import pytest
from made_videos import colour_weights, move_weights, write_onnx
from onnx import TensorProto, helper

from yt8m_spark.errors import InputError
from yt8m_spark.video.network_files import network_digest, network_files


def external(name, location):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_a_network_whose_weights_are_its_own_is_one_file(tmp_path):
    path = write_onnx(tmp_path / "a.onnx", colour_weights())
    assert network_files(str(path)) == [str(path)]
    (tmp_path / "b.pt").write_bytes(b"PK\x03\x04 no graph")
    assert network_files(str(tmp_path / "b.pt")) == [str(tmp_path / "b.pt")]


def test_the_digest_changes_with_each_file(tmp_path):
    path, weights = move_weights(write_onnx(tmp_path / "a.onnx", colour_weights()), "w.data")
    digests = {network_digest(str(path))}
    weights.write_bytes(weights.read_bytes()[::-1])
    digests.add(network_digest(str(path)))
    write_onnx(path, colour_weights(), batch=3)
    move_weights(path, "w.data")
    digests.add(network_digest(str(path)))
    assert len(digests) == 3


def test_tensors_anywhere_in_the_network_are_seen(tmp_path):
    names = [f"w{i}.data" for i in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(np.float32(1).tobytes())
    made = [external(f"t{i}", name) for i, name in enumerate(names)]
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    inner = helper.make_graph([], "inner", [], [], [made[1]])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=made[2]),
        helper.make_node("If", ["c"], ["d"], then_branch=inner),
        helper.make_node("Custom", [], ["e"], values=[made[3]]),
    ]
    graph = helper.make_graph(nodes, "outer", [], [], [made[0]])
    graph.sparse_initializer.append(helper.make_sparse_tensor(made[4], indices, [1]))
    constant = helper.make_node("Constant", [], ["y"], value=made[5])
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("made", "F", [], ["y"], [constant], [opset])
    model = helper.make_model(graph, opset_imports=[opset], functions=[function])
    onnx.save(model, str(tmp_path / "a.onnx"))
    found = network_files(str(tmp_path / "a.onnx"))
    assert found == [str(tmp_path / name) for name in ("a.onnx", *names)]


@pytest.mark.parametrize("location", ["../w.data", "b/../../w.data", "/etc/passwd"])
def test_files_elsewhere_are_refused(tmp_path, location):
    path = tmp_path / "a.onnx"
    graph = helper.make_graph([], "g", [], [], [external("w", location)])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(InputError, match=f"weights lie elsewhere in .*found {location}"):
        network_digest(str(path))


def test_files_that_are_missing_are_named(tmp_path):
    path, weights = move_weights(write_onnx(tmp_path / "a.onnx", colour_weights()), "w.data")
    weights.unlink()
    for missing in (weights, path):
        with pytest.raises(InputError, match=f"cannot be read .No such file.* in {missing}"):
            network_files(str(path))
        path.unlink(missing_ok=True)
