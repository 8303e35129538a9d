"""Starting from another network, and freezing. The loop that trains is tested elsewhere."""

import numpy as np
import pytest
import torch
from deep_networks import batch_of, small_network, small_options

from yt8m_spark.deep.model_files import save_network
from yt8m_spark.deep.networks import NETWORKS, build_network
from yt8m_spark.deep.transfer import freeze, start_from
from yt8m_spark.errors import InputError

ENTITIES = np.array([2, 5, 6, 40])


@pytest.fixture
def saved(tmp_path):
    def save(name, **changed):
        network, options = small_network(name, **changed)
        save_network(str(tmp_path / name), network, options, ENTITIES, ENTITIES, {})
        return str(tmp_path / name), network

    return save


@pytest.mark.parametrize("name", NETWORKS)
def test_all_weights_are_copied_where_the_entities_are_the_same(saved, name):
    folder, old = saved(name)
    options = small_options(name, horizon=3)
    new = build_network(options)
    started = start_from(new, options, folder, ENTITIES)
    assert started.keeps_output
    assert sorted(started.copied) == sorted(old.state_dict())
    assert all(torch.equal(value, new.state_dict()[n]) for n, value in old.state_dict().items())


@pytest.mark.parametrize(
    ("entities", "changed"),
    [
        (np.array([1, 5, 6, 40]), {}),
        (None, {}),
        (ENTITIES, {"classifier": "moe"}),
        (np.arange(9), {"n_entities": 9}),
    ],
)
def test_the_output_layer_stays_new_for_other_entities(saved, entities, changed):
    folder, old = saved("lstm")
    options = small_options("lstm")
    options = type(options)(**vars(options) | changed)
    new = build_network(options)
    output = new.output.linear.weight.clone()
    started = start_from(new, options, folder, entities)
    assert started.new == ["output.linear.weight", "output.linear.bias"]
    assert torch.equal(new.output.linear.weight, output)
    assert torch.equal(new.cells.weight_hh_l1, old.cells.weight_hh_l1)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("mean", {}, "another network in .*, expected mean, found dbof"),
        ("dbof", {"n_units": 13}, "another n_units in .*, expected 13, found 12"),
        ("dbof", {"pooling": "average"}, "another pooling"),
        ("dbof", {"normalize": False}, "another normalize"),
    ],
)
def test_another_architecture_is_refused(saved, name, changed, message):
    folder, _ = saved("dbof")
    options = small_options(name, **changed)
    network = build_network(options)
    before = {n: value.clone() for n, value in network.state_dict().items()}
    with pytest.raises(InputError, match=message):
        start_from(network, options, folder, ENTITIES)
    assert all(torch.equal(before[n], value) for n, value in network.state_dict().items())


def test_feature_lists_in_another_order_are_refused(saved):
    folder, _ = saved("mean")
    options = small_options("mean")
    turned = type(options)(**vars(options) | {"widths": {"audio": 3, "rgb": 5}})
    with pytest.raises(InputError, match="another widths"):
        start_from(build_network(turned), turned, folder, ENTITIES)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_output_layer_of_a_frozen_network_learns(name):
    network, _ = small_network(name)
    freeze(network, "output")
    network.train()
    before = {n: value.clone() for n, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    network(*batch_of([4, 4])).sum().backward()
    optimizer.step()
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {"output.linear.weight", "output.linear.bias"}
    freeze(network, "all")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_something_else_cannot_be_frozen():
    with pytest.raises(InputError, match="expected all or output, found hidden"):
        freeze(small_network("mean")[0], "hidden")
