"""What all networks have in common, and their options. Numbers are tested network by network."""

import json

import numpy as np
import pytest
import torch
from deep_networks import batch_of, small_network, small_options, videos_of
from numpy.testing import assert_allclose

from yt8m_spark.deep.networks import NETWORKS, NetworkOptions, build_network
from yt8m_spark.errors import InputError

COUNTS = [3, 9, 1, 6]


@pytest.fixture(params=NETWORKS)
def network(request):
    return small_network(request.param)[0].eval()


@torch.no_grad()
def test_padding_cannot_change_a_score(network):
    codes, n_frames, _ = batch_of(COUNTS)
    rubbish = torch.randint(0, 256, (4, 23, 8), dtype=torch.uint8)
    for video, n in enumerate(COUNTS):
        rubbish[video, :n] = codes[video, :n]
    for method in ("probabilities", "activations"):
        found, expected = (getattr(network, method)(c, n_frames) for c in (rubbish, codes))
        assert_allclose(found, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_batch_a_video_stands_in_cannot_change_its_score(network):
    codes, n_frames, _ = batch_of(COUNTS)
    together = network.probabilities(codes, n_frames)
    for video, n in enumerate(COUNTS):
        alone = network.probabilities(codes[video : video + 1, :n], n_frames[video : video + 1])
        assert_allclose(alone[0], together[video], rtol=0, atol=1e-6)


def test_a_score_is_the_same_each_time(network):
    codes, n_frames, _ = batch_of(COUNTS)
    with torch.no_grad():
        first, second = (network.probabilities(codes, n_frames) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("width", [0, 3])
def test_a_video_without_frames_scores_0_and_teaches_nothing(network, width):
    codes = torch.randint(0, 256, (2, width, 8), dtype=torch.uint8)
    n_frames = torch.zeros(2, dtype=torch.int64)
    assert not network.probabilities(codes, n_frames).any()
    network.train()
    before = [buffer.clone() for buffer in network.buffers()]
    loss = network(codes, n_frames, torch.ones(2, 4))
    assert loss.tolist() == [0, 0]
    loss.sum().backward()
    assert not any(parameter.grad.any() for parameter in network.parameters())
    assert all(map(torch.equal, before, network.buffers()))


def test_the_mean_network_is_an_output_layer_on_mean_frames():
    network, _ = small_network("mean")
    counts = [70, 3, 64]
    codes, n_frames, labels = batch_of(counts)
    means = np.array([frames.mean(0) for frames in videos_of(codes, n_frames)])
    linear = network.output.linear
    z = means @ linear.weight.detach().double().numpy().T + linear.bias.detach().numpy()
    with torch.no_grad():
        assert_allclose(network.activations(codes, n_frames), means, rtol=1e-4, atol=1e-6)
        assert_allclose(network.probabilities(codes, n_frames), 1 / (1 + np.exp(-z)), rtol=1e-4)
        y = labels.numpy()
        expected = (np.log1p(np.exp(z)) - y * z).sum(1)
        assert_allclose(network(codes, n_frames, labels), expected, rtol=1e-4)


def test_the_defaults_are_the_sizes_of_the_paper():
    options = NetworkOptions("dbof", {"rgb": 1024}, 4800)
    assert (options.n_units, options.n_hidden, options.pooling) == (8192, 1024, "max")
    assert (options.n_layers, options.n_cells, options.horizon) == (2, 1024, 60)


@pytest.mark.parametrize(("name", "n_activations"), [("dbof", 7), ("lstm", 2 * 6), ("mean", 5 + 3)])
def test_the_width_of_the_activations_is_told(name, n_activations):
    network, _ = small_network(name)
    codes, n_frames, _ = batch_of([3, 2])
    assert network.n_activations == n_activations
    assert network.activations(codes, n_frames).shape == (2, n_activations)


def test_one_seed_gives_one_network():
    built = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        built.append(build_network(small_options("dbof")).state_dict())
    same = [torch.equal(built[0]["shared.weight"], b["shared.weight"]) for b in built]
    assert same == [True, True, False]


def test_options_come_back_from_sorted_json_with_their_lists_in_order():
    options = small_options("lstm")
    held = json.loads(json.dumps(options.describe(), sort_keys=True))
    found = NetworkOptions.from_description(held, "model.json")
    assert found == options
    assert list(found.widths) == ["rgb", "audio"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": "dbow"}, "no such network, expected dbof or lstm or mean, found dbow"),
        ({"classifier": "hinge"}, "no such classifier"),
        ({"pooling": "sum"}, "no such pooling"),
        ({"n_cells": 0}, "n_cells of a network, expected 1 or more, found 0"),
        ({"n_units": 8.5}, "n_units"),
        ({"n_hidden": 2**31}, "n_hidden of a network, expected 2147483647 at most"),
        ({"widths": {}}, "without feature lists"),
        ({"widths": {"rgb": 0}}, "width of 'rgb'"),
    ],
)
def test_options_that_make_no_network_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        NetworkOptions(**{"network": "dbof", "widths": {"rgb": 8}, "n_entities": 4} | changed)


@pytest.mark.parametrize("described", [{}, {"network": "dbof", "depth": 3}, {"widths": 3}])
def test_a_description_of_something_else_is_refused(described):
    with pytest.raises(InputError, match=r"not the options of a network in m/model\.json"):
        NetworkOptions.from_description(described, "m/model.json")


@pytest.mark.parametrize("name", NETWORKS)
def test_autocast_trains_and_scores_close_to_float32(name):
    network, _ = small_network(name)
    codes, n_frames, labels = batch_of([4, 4, 4])
    expected = network(codes, n_frames, labels)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(codes, n_frames, labels)
    found.sum().backward()
    assert found.dtype == torch.float32
    assert_allclose(found.detach(), expected.detach(), rtol=0.05)
