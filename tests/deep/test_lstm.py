"""LSTM against its cell in NumPy. Output layers, ranks and files are tested elsewhere."""

import numpy as np
import pytest
import torch
from deep_networks import (
    batch_of,
    float64,
    lstm_outputs,
    output_loss,
    output_probability,
    small_network,
    videos_of,
)
from numpy.testing import assert_allclose

from yt8m_spark.deep.networks import NetworkOptions, build_network

COUNTS = [3, 9, 1, 4]  # of a horizon of 4: within it, beyond two of them, at its end


def weights_of(n):
    """1/N, 2/N ... 1, by their sum (§4.1.3)."""
    weights = np.arange(1, n + 1) / n
    return weights / weights.sum()


@pytest.mark.parametrize("classifier", ["logistic", "softmax", "moe"])
@pytest.mark.parametrize("normalize", [True, False])
def test_losses_and_scores_are_those_of_numpy(classifier, normalize):
    network, options = small_network("lstm", classifier=classifier, normalize=normalize)
    codes, n_frames, labels = batch_of(COUNTS)
    state, losses, scores = float64(network), [], []
    for frames, y in zip(videos_of(codes, n_frames, normalize), labels.numpy(), strict=True):
        top, w = lstm_outputs(state, frames, 2)[-1], weights_of(len(frames))
        losses.append(w @ output_loss(options, state, top, np.tile(y, (len(frames), 1))))
        scores.append(w @ output_probability(options, state, top))
    assert_allclose(network(codes, n_frames, labels).detach(), losses, rtol=1e-4)
    assert_allclose(network.probabilities(codes, n_frames).detach(), scores, rtol=1e-4)


def test_activations_are_the_outputs_of_all_layers_at_the_last_frame():
    network, _ = small_network("lstm")
    codes, n_frames, _ = batch_of([3, 9, 0, 4])
    state = float64(network)
    expected = np.zeros((4, 12))
    for row, frames in zip(expected, videos_of(codes, n_frames), strict=True):
        if len(frames):
            row[:] = lstm_outputs(state, frames, 2)[:, -1].ravel()
    with torch.no_grad():
        assert_allclose(network.activations(codes, n_frames), expected, rtol=1e-4, atol=1e-6)


def test_gradients_match_finite_differences_of_numpy():
    network, options = small_network("lstm", horizon=9)
    codes, n_frames, labels = batch_of([3, 5])
    network(codes, n_frames, labels).sum().backward()
    videos = list(zip(videos_of(codes, n_frames), labels.numpy(), strict=True))

    def loss(state):
        total = 0.0
        for frames, y in videos:
            top, w = lstm_outputs(state, frames, 2)[-1], weights_of(len(frames))
            total += w @ output_loss(options, state, top, np.tile(y, (len(frames), 1)))
        return total

    for name, parameter in network.named_parameters():
        place = int(parameter.grad.abs().argmax())
        values = []
        for step in (1e-6, -1e-6):
            state = float64(network)
            state[name].ravel()[place] += step
            values.append(loss(state))
        expected = (values[0] - values[1]) / 2e-6
        assert_allclose(parameter.grad.ravel()[place], expected, rtol=2e-3)


def test_the_state_is_carried_from_chunk_to_chunk():
    short, _ = small_network("lstm", horizon=2)
    whole, _ = small_network("lstm", horizon=100)
    codes, n_frames, labels = batch_of([7, 12, 2])
    with torch.no_grad():
        for method in ("probabilities", "activations"):
            found, expected = (getattr(n, method)(codes, n_frames) for n in (short, whole))
            assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert_allclose(short(codes, n_frames, labels), whole(codes, n_frames, labels), rtol=1e-5)


def test_no_gradient_reaches_beyond_the_horizon():
    network, _ = small_network("lstm", horizon=4)
    codes, n_frames, labels = batch_of([7])
    network(codes, n_frames, labels).sum().backward()
    frames = torch.tensor(videos_of(codes, n_frames)[0], dtype=torch.float32)
    weights = torch.tensor(weights_of(7), dtype=torch.float32)
    again, _ = small_network("lstm", horizon=4)
    first, _ = again.cells(frames[:4])
    with torch.no_grad():
        _, state = again.cells(frames[:4])  # all that the last frames know of the first
    last, _ = again.cells(frames[4:], state)
    logits = again.output(torch.cat([first, last]))
    (weights * again.output.loss(logits, labels)).sum().backward()
    for found, expected in zip(network.parameters(), again.parameters(), strict=True):
        assert_allclose(found.grad, expected.grad, rtol=1e-4, atol=1e-6)


def test_forget_gates_start_at_1_and_other_biases_at_0():
    cells = build_network(NetworkOptions("lstm", {"rgb": 3}, 2, n_cells=2)).cells
    for layer in range(2):
        bias = getattr(cells, f"bias_ih_l{layer}") + getattr(cells, f"bias_hh_l{layer}")
        assert bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # input, forget, cell, output


def test_scores_of_sure_experts_stay_probabilities():
    network, _ = small_network("lstm")
    with torch.no_grad():
        network.output.linear.bias.fill_(50.0)
        p = network.probabilities(*batch_of([9, 60])[:2])
    assert p.max().item() == pytest.approx(1, abs=1e-6)
    assert p.max() <= 1


@pytest.mark.parametrize("normalize", [True, False])
def test_at_first_a_frame_moves_the_sums_of_the_first_layer_by_about_1(normalize):
    torch.manual_seed(0)
    options = NetworkOptions("lstm", {"rgb": 128}, 2, normalize, n_cells=256)
    cells = build_network(options).cells
    frames = videos_of(*batch_of([30], 128)[:2], normalize)[0]
    sums = frames @ cells.weight_ih_l0.detach().double().numpy().T
    assert 0.5 < sums.std() < 2
