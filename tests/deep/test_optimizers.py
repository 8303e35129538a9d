"""AdaGrad, AdamW, warm-up and averages against NumPy by hand. A whole step: test_learner."""

import numpy as np
import pytest
import torch
from deep_trainings import make_training
from numpy.testing import assert_allclose
from torch import nn

from yt8m_spark.deep.optimizers import (
    WeightAverage,
    learning_rate_at,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
)
from yt8m_spark.errors import InputError

WEIGHT = np.array([[0.5, -1.0], [2.0, 0.25], [0.0, 1.5]])
BIAS = np.array([0.1, -0.2, 0.3])
GRADIENTS = [
    (np.array([[0.2, -0.1], [0.0, 0.4], [1.0, -2.0]]), np.array([0.5, 0.0, -1.0])),
    (np.array([[-0.3, 0.1], [0.7, 0.0], [0.1, 0.2]]), np.array([0.25, 0.5, 0.0])),
]


def make_layer():
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(WEIGHT))
        layer.bias.copy_(torch.tensor(BIAS))
    return layer


def two_steps(layer, optimizer, gradients=GRADIENTS):
    for weight, bias in gradients:
        layer.weight.grad = torch.tensor(weight, dtype=torch.float32)
        layer.bias.grad = torch.tensor(bias, dtype=torch.float32)
        optimizer.step()


def test_two_steps_of_adagrad_with_weight_decay_by_hand(tmp_path):
    training = make_training(tmp_path, learning_rate=0.1, weight_decay=0.01, accumulator_start=0.25)
    layer = make_layer()
    two_steps(layer, make_optimizer(layer, training))

    weight, bias, of_weight, of_bias = WEIGHT.copy(), BIAS.copy(), 0.25, 0.25
    for gradient, bias_gradient in GRADIENTS:
        gradient = gradient + 0.01 * weight
        of_weight = of_weight + gradient**2
        weight -= 0.1 * gradient / np.sqrt(of_weight)
        of_bias = of_bias + bias_gradient**2  # a bias does not decay
        bias -= 0.1 * bias_gradient / np.sqrt(of_bias)
    assert_allclose(layer.weight.detach(), weight, rtol=1e-6)
    assert_allclose(layer.bias.detach(), bias, rtol=1e-6)


def test_two_steps_of_adamw_by_hand(tmp_path):
    # Loshchilov and Hutter, Algorithm 2, with betas 0.9 and 0.999.
    training = make_training(tmp_path, optimizer="adamw", learning_rate=0.01, weight_decay=0.1)
    layer = make_layer()
    two_steps(layer, make_optimizer(layer, training))

    weight, first, second = WEIGHT.copy(), 0.0, 0.0
    for t, (gradient, _) in enumerate(GRADIENTS, 1):
        weight *= 1 - 0.01 * 0.1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scaled = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        weight -= 0.01 * scaled
    assert_allclose(layer.weight.detach(), weight, rtol=1e-5)


def test_the_rate_grows_linearly_over_the_warm_up_and_then_stays(tmp_path):
    training = make_training(tmp_path, learning_rate=0.4, warmup_steps=4)
    rates = [learning_rate_at(step, training) for step in range(6)]
    assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
    assert learning_rate_at(0, make_training(tmp_path, learning_rate=0.4)) == 0.4


def test_an_average_of_three_steps_by_hand():
    layer = make_layer()
    average = WeightAverage(layer, 0.5)
    expected = WEIGHT.copy()
    for step, scale in enumerate([2.0, -1.0, 5.0]):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(WEIGHT * scale))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * WEIGHT * scale
    assert_allclose(average.tensors()["weight"], expected, rtol=1e-6)


def test_an_average_is_lent_to_the_network_and_taken_back():
    layer = make_layer()
    average = WeightAverage(layer, 0.9)
    with torch.no_grad():
        layer.weight.add_(1.0)
    with average.applied():
        assert_allclose(layer.weight.detach(), WEIGHT)
    assert_allclose(layer.weight.detach(), WEIGHT + 1.0)


@pytest.mark.parametrize("optimizer", ["adagrad", "adamw"])
def test_an_optimizer_goes_on_from_its_tensors_to_the_bit(tmp_path, optimizer):
    training = make_training(tmp_path, optimizer=optimizer)
    straight, stopped = make_layer(), make_layer()
    two_steps(straight, make_optimizer(straight, training), GRADIENTS * 2)

    before = make_optimizer(stopped, training)
    two_steps(stopped, before)
    kept = {name: value.clone() for name, value in optimizer_tensors(before, stopped).items()}
    after = make_optimizer(stopped, training)
    load_optimizer(after, stopped, kept)
    two_steps(stopped, after)
    assert torch.equal(straight.weight, stopped.weight)
    assert torch.equal(straight.bias, stopped.bias)


def test_frozen_weights_are_no_business_of_the_optimizer(tmp_path):
    layer = make_layer()
    layer.weight.requires_grad_(False)
    groups = make_optimizer(layer, make_training(tmp_path)).param_groups
    assert [id(p) for group in groups for p in group["params"]] == [id(layer.bias)]


def test_the_state_of_other_weights_is_refused(tmp_path):
    layer = make_layer()
    optimizer = make_optimizer(layer, make_training(tmp_path))
    two_steps(layer, optimizer)
    state = optimizer_tensors(optimizer, layer)
    state.pop("bias/sum"), state.pop("bias/step")
    with pytest.raises(InputError, match="other weights in bias"):
        load_optimizer(optimizer, layer, state)


def test_averages_of_other_weights_are_refused():
    with pytest.raises(InputError, match="other weights in bias"):
        WeightAverage(make_layer(), 0.9).load({"weight": torch.zeros(3, 2)})
