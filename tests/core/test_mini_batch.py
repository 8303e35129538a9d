"""One step of a block by hand and against torch's autograd and Adagrad; loops: test_training."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.core.arrays import add_scaled
from yt8m_spark.core.block_state import BlockState, initial_state
from yt8m_spark.core.losses import LOSSES, loss_family
from yt8m_spark.core.mini_batch import MiniBatchStep
from yt8m_spark.core.training_options import TrainingOptions

torch = pytest.importorskip("torch")


def state_of(weights, accumulator):
    """State of arrays (D + 1, R, E) that nothing has been averaged of."""
    weights = np.asarray(weights, np.float32)
    n_entities = weights.shape[2]
    return BlockState(
        weights,
        np.full_like(weights, accumulator),
        np.zeros_like(weights),
        np.zeros(n_entities, np.float32),
        np.ones(n_entities, bool),
    )


def step(state, x, y, name="logistic", counts=None, extra=None, **options):
    options = TrainingOptions(**{"l2": 0, "learning_rate": 1.0, **options})
    stepper = MiniBatchStep(state, loss_family(name), options, extra)
    return stepper.step(np.float32(x), np.float32(y), counts, measure=True)


def test_adagrad_by_hand():
    weights, accumulator = np.float32([1, 1]), np.float32([9, 0.25])
    adagrad_update(weights, accumulator, np.float32([4, 0]), 0.5)
    assert_allclose(accumulator, [25, 0.25])
    assert_allclose(weights, [1 - 0.5 * 4 / 5, 1])


def test_one_logistic_step_by_hand():
    # One video x = (2), bias 1, y = 1, w = 0: gradient (sigmoid(0) - 1)(2, 1) = (-1, -1/2);
    # accumulators 3 + 1 and 3 + 1/4; the step is minus gradient over their roots.
    state = state_of(np.zeros((2, 1, 1)), 3)
    loss = step(state, [[2]], [[1]])
    assert_allclose(loss, [np.log(2)], rtol=1e-6)
    assert_allclose(state.weights.ravel(), [1 / 2, 1 / 2 / np.sqrt(3.25)], rtol=1e-6)
    assert_allclose(state.accumulator.ravel(), [4, 3.25])


def test_gradient_is_the_mean_over_the_batch():
    one, four = (state_of(np.zeros((2, 1, 1)), 1) for _ in range(2))
    step(one, [[2]], [[1]])
    step(four, [[2]] * 4, [[1]] * 4)
    assert_allclose(one.weights, four.weights, rtol=1e-6)


def test_l2_pulls_weights_but_not_the_bias():
    # With a label that the classifier already predicts exactly half-half, only l2 is left.
    state = state_of([[[1]], [[0]]], 1)
    step(state, [[0], [0]], [[1], [0]], l2=0.1)
    assert_allclose(state.weights.ravel(), [1 - 0.1 / np.sqrt(1.01), 0], rtol=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("n_experts", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_steps_equal_torch_adagrad_on_the_papers_loss(name, n_experts, l2):
    rng = np.random.default_rng(5)
    family = loss_family(name, n_experts)
    options = TrainingOptions(
        learning_rate=0.3, l2=l2, initial_accumulator=0.1, moe_initial_std=0.5
    )
    state = initial_state(family, np.arange(4), 7, options)
    weights = torch.tensor(state.weights.astype(np.float64), requires_grad=True)
    optimiser = torch.optim.Adagrad([weights], 0.3, initial_accumulator_value=0.1, eps=0)
    stepper = MiniBatchStep(state, family, options)
    for _ in range(5):
        x = rng.normal(size=(6, 7)).astype(np.float32)
        y = (rng.random((6, 4)) < 0.4).astype(np.float32)
        stepper.step(x, y)
        optimiser.zero_grad()
        loss = torch_loss(name, weights, torch.tensor(x, dtype=torch.float64), torch.tensor(y))
        # One classifier an entity: the losses are added, so that none sees the others.
        (loss.mean(dim=0).sum() + l2 / 2 * (weights[:-1] ** 2).sum()).backward()
        optimiser.step()
    assert_allclose(state.weights, weights.detach().numpy(), rtol=1e-4, atol=1e-5)


def torch_loss(name, weights, x, y):
    """The losses of §4.3 as the paper writes them, (B, E), for autograd."""
    z = torch.einsum("bd,dre->bre", x, weights[:-1]) + weights[-1]
    if name == "logistic":
        return torch.nn.functional.binary_cross_entropy_with_logits(
            z[:, 0], y.double(), reduction="none"
        )
    if name == "hinge":
        return torch.relu(1 - (2 * y - 1) * z[:, 0])
    h = z.shape[1] // 2
    gates = torch.softmax(torch.cat([z[:, :h], torch.zeros_like(z[:, :1])], dim=1), dim=1)[:, :h]
    p = (gates * torch.sigmoid(z[:, h:])).sum(dim=1)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p))


def test_a_positive_weight_of_two_is_the_video_twice():
    weighted, twice = (state_of(np.zeros((3, 1, 2)), 1) for _ in range(2))
    x, y = [[1, 2], [3, -1]], [[1, 0], [0, 0]]
    # Of the first entity the first video is a positive; the second entity has none.
    step(weighted, x, y, extra=np.float32([2, 2]))
    step(twice, [*x, x[0]], [*y, y[0]], counts=np.full(3, 1 / 2, np.float32))
    assert_allclose(weighted.weights[..., 0], twice.weights[..., 0], rtol=1e-6)
    plain = state_of(np.zeros((3, 1, 2)), 1)
    step(plain, x, y)
    assert_allclose(weighted.weights[..., 1], plain.weights[..., 1], rtol=1e-6)


def test_counts_weigh_videos():
    counted, repeated = (state_of(np.zeros((2, 1, 1)), 1) for _ in range(2))
    one = step(counted, [[1], [5]], [[1], [0]], counts=np.float32([1 / 4, 3 / 4]))
    two = step(repeated, [[1], [5], [5], [5]], [[1], [0], [0], [0]])
    assert_allclose(counted.weights, repeated.weights, rtol=1e-6)
    assert_allclose(one, two, rtol=1e-6)


def test_strips_of_features_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 200)), rng.random((8, 3)) < 0.5
    whole, cut = (state_of(np.ones((201, 1, 3)), 1) for _ in range(2))
    step(whole, x, y, l2=0.1)
    monkeypatch.setattr("yt8m_spark.core.mini_batch._STRIP_BYTES", 1)  # 32 features at a time
    step(cut, x, y, l2=0.1)
    assert_allclose(cut.weights, whole.weights, rtol=1e-6)


def test_parts_of_a_mini_batch_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(100, 7)), rng.random((100, 3)) < 0.5
    counts, extra = rng.random(100).astype(np.float32) / 100, np.float32([2, 3, 1])
    whole, cut = (state_of(np.zeros((8, 1, 3)), 1) for _ in range(2))
    options = {"batch_size": 100, "counts": counts, "extra": extra}
    loss = step(whole, x, y, **options)
    monkeypatch.setattr("yt8m_spark.core.mini_batch._LOGIT_BYTES", 1)  # 32 videos at a time
    assert_allclose(step(cut, x, y, **options), loss, rtol=1e-5)
    assert_allclose(cut.weights, whole.weights, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_torch_tensors_train_as_numpy_arrays_do(name):
    rng = np.random.default_rng(2)
    family = loss_family(name, 2)
    options = TrainingOptions(learning_rate=0.5, initial_accumulator=0.1, l2=0.01)
    ours = initial_state(family, np.arange(3), 5, options)
    theirs = ours.take(np.arange(3)).like(torch.empty(0))
    steppers = [MiniBatchStep(state, family, options) for state in (ours, theirs)]
    for _ in range(4):
        x = rng.normal(size=(6, 5)).astype(np.float32)
        y = (rng.random((6, 3)) < 0.4).astype(np.float32)
        losses = [
            steppers[0].step(x, y, measure=True),
            steppers[1].step(torch.from_numpy(x), torch.from_numpy(y), measure=True),
        ]
        assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert_allclose(theirs.final_weights(), ours.final_weights(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_scaled_array_is_added_in_place(kind):
    target, array = np.float32([[1, 2], [3, 4]]), np.float32([[10, 20], [30, 40]])
    found = kind(target)
    add_scaled(found, kind(array), -0.5)
    assert_allclose(np.asarray(found), [[-4, -8], [-12, -16]])
