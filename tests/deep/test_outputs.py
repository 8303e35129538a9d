"""Output layers by hand and against core.moe. The networks below them are tested elsewhere."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from yt8m_spark.core.moe import moe_logit_gradient, moe_loss, moe_probability
from yt8m_spark.deep.outputs import Logistic, Mixture, Softmax, build_output
from yt8m_spark.errors import InputError


def test_logistic_loss_is_summed_over_entities():
    output = Logistic(2, 3)
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(5, 3)), (rng.random((5, 3)) < 0.5).astype(float)
    p = 1 / (1 + np.exp(-z))
    expected = [log_loss(a, b, labels=[0, 1]) * 3 for a, b in zip(y, p, strict=True)]
    assert_allclose(output.loss(torch.tensor(z), torch.tensor(y)), expected)


def test_softmax_gives_each_label_an_equal_share():
    output = Softmax(1, 3)
    z = torch.tensor([[np.log(2), 0.0, np.log(3)]]).repeat(2, 1)
    labels = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    # p = 2/6, 1/6, 3/6; the mean of -log(2/6) and -log(1/6); nothing for a video without labels.
    assert_allclose(output.loss(z, labels), [(np.log(3) + np.log(6)) / 2, 0])
    assert_allclose(output.probability(z), [[2 / 6, 1 / 6, 3 / 6]] * 2)


@pytest.mark.parametrize("n_experts", [1, 2, 4])
def test_the_mixture_is_that_of_the_per_entity_models(n_experts):
    output = Mixture(3, 5, n_experts)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(7, 2 * n_experts, 5)) * 3
    y = (rng.random((7, 5)) < 0.5).astype(float)
    logits = torch.tensor(z, requires_grad=True)
    loss = output.loss(logits, torch.tensor(y))
    loss.sum().backward()
    assert_allclose(loss.detach(), moe_loss(z, y).sum(1), rtol=1e-7)
    assert_allclose(output.probability(logits).detach(), moe_probability(z))
    assert_allclose(logits.grad, moe_logit_gradient(z, y), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_mixture_that_is_surely_wrong_still_learns(label):
    output = Mixture(1, 1, 1)
    z = torch.tensor([[[90.0], [90.0 if label == 0 else -90.0]]], requires_grad=True)
    loss = output.loss(z, torch.tensor([[label]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(90, rel=0.01)
    assert z.grad[0, 1].item() == pytest.approx(1 if label == 0 else -1, rel=0.51)


@pytest.mark.parametrize("classifier", ["logistic", "moe"])
def test_at_first_entities_are_rare(classifier):
    output = build_output(classifier, 4, 50, 2)
    p = output.probability(output(torch.zeros(1, 4)))
    assert p.max().item() == pytest.approx(1 / 51 * (2 / 3 if classifier == "moe" else 1), rel=1e-5)


def test_logits_of_a_mixture_are_gates_then_experts():
    output = Mixture(3, 5, 2)
    x = torch.randn(2, 6, 3)
    expected = torch.stack([output.linear(x)[..., 5 * r : 5 * r + 5] for r in range(4)], -2)
    assert_allclose(output(x).detach(), expected.detach(), rtol=1e-5, atol=1e-6)


def test_a_classifier_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="expected logistic or softmax or moe, found hinge"):
        build_output("hinge", 3, 2, 2)
