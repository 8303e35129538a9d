"""The mini-batch loop of one mapper in memory. Spark tasks are tested in tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.core.losses import LOSSES, loss_family
from yt8m_spark.core.training import (
    BlockState,
    Chunk,
    TrainingOptions,
    initial_state,
    label_matrix,
    mini_batches,
    train_epoch,
    with_bias,
)

ENTITIES = np.array([2, 5, 7, 11], dtype=np.int64)


def make_chunk(n=80, d=6, seed=0):
    """Videos labelled 2, 5, 7 or 11 where one of the first four features is above 0.3."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32)
    hits = features[:, :4] > 0.3
    offsets = np.concatenate([[0], np.cumsum(hits.sum(axis=1))])
    return Chunk(features, offsets, ENTITIES[np.nonzero(hits)[1]])


def train(chunk, entities, name="logistic", **changes):
    options = TrainingOptions(**{"n_epochs": 3, "batch_size": 8, **changes})
    family = loss_family(name)
    state = initial_state(family, entities, chunk.features.shape[1], options)
    losses = [
        train_epoch(state, mini_batches([(0, chunk)], entities, options, epoch), family, options)
        for epoch in range(options.n_epochs)
    ]
    return state, np.array(losses)


def test_adagrad_by_hand():
    weights, accumulator = np.float32([1, 1]), np.float32([9, 0.25])
    adagrad_update(weights, accumulator, np.float32([4, 0]), 0.5)
    assert_allclose(accumulator, [25, 0.25])
    assert_allclose(weights, [1 - 0.5 * 4 / 5, 1])


def test_one_logistic_step_by_hand():
    # One video x = (2, 1), y = 1, w = 0: gradient (sigmoid(0) - 1) x = (-1, -1/2);
    # accumulators 3 + 1 and 3 + 1/4; the step is minus gradient over their roots.
    family, options = loss_family("logistic"), TrainingOptions(l2=0, initial_accumulator=3)
    state = BlockState(np.zeros((1, 1, 2), np.float32), np.full((1, 1, 2), 3, np.float32))
    loss = train_epoch(state, [(np.float32([[2, 1]]), np.float32([[1]]))], family, options)
    assert_allclose(loss, [np.log(2)])
    assert_allclose(state.weights[0, 0], [1 / 2, 1 / 2 / np.sqrt(3.25)], rtol=1e-6)


def test_gradient_is_the_mean_over_the_batch():
    family, options = loss_family("logistic"), TrainingOptions(l2=0)
    x, y = np.float32([[2, 1]]), np.float32([[1]])
    one, four = (
        BlockState(np.zeros((1, 1, 2), np.float32), np.ones((1, 1, 2), np.float32))
        for _ in range(2)
    )
    train_epoch(one, [(x, y)], family, options)
    train_epoch(four, [(x.repeat(4, axis=0), y.repeat(4, axis=0))], family, options)
    assert_allclose(one.weights, four.weights, rtol=1e-6)


def test_l2_pulls_weights_but_not_the_bias():
    # With a label that the classifier already predicts exactly half-half, only l2 is left.
    family, options = loss_family("logistic"), TrainingOptions(l2=0.1, initial_accumulator=1e-8)
    state = BlockState(np.float32([[[1, 0]]]), np.full((1, 1, 2), 1, np.float32))
    x, y = np.float32([[0, 1], [0, 1]]), np.float32([[1], [0]])
    train_epoch(state, [(x, y)], family, options)
    assert_allclose(state.weights[0, 0], [1 - 0.1 / np.sqrt(1.01), 0], rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_falls_from_pass_to_pass(name):
    _, losses = train(make_chunk(), ENTITIES, name, n_epochs=4, learning_rate=0.3)
    assert (losses[-1] < losses[0]).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_block_equals_each_entity_alone(name):
    chunk = make_chunk()
    block, losses = train(chunk, ENTITIES, name)
    for i, entity in enumerate(ENTITIES):
        alone, alone_losses = train(chunk, np.array([entity]), name)
        assert_allclose(block.weights[:, i], alone.weights[:, 0], rtol=1e-3, atol=1e-3)
        assert_allclose(losses[:, i], alone_losses[:, 0], rtol=1e-3)


def test_first_weights_of_a_mixture_depend_on_seed_and_entity_alone():
    family = loss_family("moe")
    all_four = initial_state(family, ENTITIES, 3, TrainingOptions(seed=1)).weights
    alone = initial_state(family, ENTITIES[2:3], 3, TrainingOptions(seed=1)).weights
    other_seed = initial_state(family, ENTITIES[2:3], 3, TrainingOptions(seed=2)).weights
    assert_array_equal(all_four[:, 2], alone[:, 0])
    assert (alone[..., :-1] != other_seed[..., :-1]).all()
    assert_array_equal(alone[..., -1], 0)  # biases start at 0
    assert len(np.unique(alone[..., :-1])) == alone[..., :-1].size  # no two experts alike


def test_mini_batches_hold_every_video_once_with_its_labels():
    chunk = make_chunk(n=21)
    chunk.features[:, 0] = np.arange(21)
    options = TrainingOptions(batch_size=8)
    batches = list(mini_batches([(0, chunk)], ENTITIES, options, epoch=0))
    assert [len(x) for x, _ in batches] == [8, 8, 5]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    order = x[:, 0].astype(int)
    assert_array_equal(np.sort(order), np.arange(21))
    assert_array_equal(y, label_matrix(chunk, ENTITIES)[order])
    assert_array_equal(x[:, -1], 1)


def test_order_of_videos_changes_from_pass_to_pass_but_not_from_block_to_block():
    chunk, options = make_chunk(), TrainingOptions()

    def order(entities, epoch):
        return np.concatenate([x for x, _ in mini_batches([(0, chunk)], entities, options, epoch)])

    assert_array_equal(order(ENTITIES, 0), order(ENTITIES[:1], 0))
    assert (order(ENTITIES, 0) != order(ENTITIES, 1)).any()


def test_label_matrix_by_hand():
    chunk = Chunk(np.zeros((3, 1), np.float32), np.array([0, 2, 2, 4]), np.array([5, 99, 2, 11]))
    expected = [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert_array_equal(label_matrix(chunk, ENTITIES), np.array(expected, dtype=bool))


def test_bias_is_a_constant_feature():
    assert_array_equal(with_bias(np.float32([[2, 3]])), [[2, 3, 1]])


def test_a_pass_over_nothing_is_refused():
    family, options = loss_family("logistic"), TrainingOptions()
    with pytest.raises(ValueError, match="at least one mini-batch"):
        train_epoch(initial_state(family, ENTITIES, 2, options), [], family, options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("n_epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("initial_accumulator", 0.0),
        ("l2", -1.0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainingOptions(**{name: value})
