"""DBoF against NumPy. Output layers, ranks and files are tested elsewhere."""

import numpy as np
import pytest
import torch
from deep_networks import (
    batch_of,
    dbof_activations,
    float64,
    output_loss,
    output_probability,
    small_network,
    videos_of,
)
from numpy.testing import assert_allclose

from yt8m_spark.deep import dbof

POOLINGS = ["max", "average"]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [True, False])
def test_scores_are_those_of_numpy(pooling, normalize):
    network, options = small_network("dbof", pooling=pooling, normalize=normalize)
    codes, n_frames, _ = batch_of([3, 7, 1])
    state, videos = float64(network), videos_of(codes, n_frames, normalize)
    hidden = dbof_activations(options, state, videos, training=False)
    network.eval()
    assert_allclose(network.activations(codes, n_frames).detach(), hidden, rtol=1e-4, atol=1e-5)
    expected = output_probability(options, state, hidden)
    assert_allclose(network.probabilities(codes, n_frames).detach(), expected, rtol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("classifier", ["logistic", "softmax", "moe"])
@pytest.mark.parametrize("counts", [[6, 6, 6], [6, 2, 5]], ids=["whole", "padded"])
def test_losses_are_those_of_numpy_with_the_moments_of_the_batch(pooling, classifier, counts):
    network, options = small_network("dbof", pooling=pooling, classifier=classifier)
    codes, n_frames, labels = batch_of(counts)
    state = float64(network)
    hidden = dbof_activations(options, state, videos_of(codes, n_frames), training=True)
    expected = output_loss(options, state, hidden, labels.numpy())
    assert_allclose(network(codes, n_frames, labels).detach(), expected, rtol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("counts", [[6, 6, 6], [6, 2, 5]], ids=["whole", "padded"])
def test_gradients_match_finite_differences_of_numpy(pooling, counts):
    network, options = small_network("dbof", pooling=pooling)
    codes, n_frames, labels = batch_of(counts)
    network(codes, n_frames, labels).sum().backward()
    videos = videos_of(codes, n_frames)

    def loss(state):
        hidden = dbof_activations(options, state, videos, training=True)
        return output_loss(options, state, hidden, labels.numpy()).sum()

    for name, parameter in network.named_parameters():
        flat = parameter.grad.numpy().ravel()
        for place in {0, flat.size // 2, int(np.abs(flat).argmax())}:
            assert_allclose(flat[place], slope(loss, network, name, place), rtol=2e-3, atol=1e-4)


def slope(loss, network, name, place, step=1e-6):
    values = []
    for sign in (1, -1):
        state = float64(network)
        state[name].ravel()[place] += sign * step
        values.append(loss(state))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_rows_that_moments_forget_are_padding_and_videos_without_frames(pooling):
    plain, _ = small_network("dbof", pooling=pooling)
    padded, _ = small_network("dbof", pooling=pooling)
    codes, n_frames, labels = batch_of([4, 4])
    expected = plain(codes, n_frames, labels)
    expected.sum().backward()
    rubbish = batch_of([6, 6, 6], seed=9)[0]
    rubbish[:2, :4] = codes
    more = torch.cat([labels, torch.ones(1, 4)])
    found = padded(rubbish, torch.tensor([4, 4, 0]), more)
    found.sum().backward()
    assert_allclose(found.detach(), [*expected.detach(), 0], rtol=1e-5)
    for a, b in zip(plain.parameters(), padded.parameters(), strict=True):
        # Rows in another order round otherwise; one row too many would change the first digit.
        assert_allclose(b.grad, a.grad, rtol=1e-4, atol=1e-3 * float(a.grad.abs().max()))
    for a, b in zip(plain.buffers(), padded.buffers(), strict=True):
        assert_allclose(b, a, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_frames_that_are_repeated_to_fill_a_video_change_the_score_of_max_pooling_alone(pooling):
    network, _ = small_network("dbof", pooling=pooling)
    network.eval()
    codes, _, _ = batch_of([2])
    once = network.probabilities(codes, torch.tensor([2]))
    filled = network.probabilities(codes[:, [0, 1, 0]], torch.tensor([3]))
    assert torch.allclose(once, filled, atol=1e-6) == (pooling == "max")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_scoring_in_parts_gives_what_scoring_at_once_gives(pooling, monkeypatch):
    network, _ = small_network("dbof", pooling=pooling)
    network.eval()
    codes, n_frames, _ = batch_of([11, 4, 7])
    at_once = network.probabilities(codes, n_frames)
    monkeypatch.setattr(dbof, "CODES_AT_ONCE", 3 * 12 * 2)  # two frames of three videos
    assert_allclose(
        network.probabilities(codes, n_frames).detach(), at_once.detach(), rtol=0, atol=1e-6
    )


def test_a_hidden_unit_is_normalized_over_the_videos_that_have_frames():
    network, _ = small_network("dbof")
    torch.nn.init.ones_(network.hidden_norm.weight)
    torch.nn.init.constant_(network.hidden_norm.bias, 50.0)  # beyond the reach of the ReLU
    codes, _, _ = batch_of([4] * 5)
    hidden = network.activations(codes, torch.tensor([4, 4, 0, 4, 4]))[[0, 1, 3, 4]].detach()
    assert_allclose(hidden.mean(0), [50.0] * 7, rtol=1e-5)
    assert_allclose(hidden.var(0, correction=0), [1.0] * 7, rtol=1e-2)
