"""First weights, priors, and taking a block apart; what steps do to it is in test_mini_batch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.block_state import initial_state, prior_biases, prior_probability
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training_options import TrainingOptions

ENTITIES = np.array([2, 5, 7, 11], dtype=np.int64)


def test_first_weights_of_a_mixture_depend_on_seed_and_entity_alone():
    family = loss_family("moe")
    all_four = initial_state(family, ENTITIES, 3, TrainingOptions(seed=1)).weights
    alone = initial_state(family, ENTITIES[2:3], 3, TrainingOptions(seed=1)).weights
    other_seed = initial_state(family, ENTITIES[2:3], 3, TrainingOptions(seed=2)).weights
    assert_array_equal(all_four[..., 2], alone[..., 0])
    assert (alone[:-1] != other_seed[:-1]).all()
    assert_array_equal(alone[-1], 0)  # biases start at 0
    assert len(np.unique(alone[:-1])) == alone[:-1].size  # no two experts alike


def test_prior_counts_positives_by_their_weight():
    # Two positives that count three times each, and eight negatives.
    prior = prior_probability(np.array([2]), 10, np.float32([3]))
    assert_allclose(prior, 6.5 / (6 + 8 + 1))


def test_prior_counts_half_a_video_more_on_either_side():
    assert_allclose(prior_probability(np.array([0, 3, 9]), 9), [0.5 / 10, 3.5 / 10, 9.5 / 10])


@pytest.mark.parametrize(("name", "n_experts"), [("logistic", 1), ("moe", 1), ("moe", 4)])
def test_a_classifier_of_prior_biases_says_the_prior_of_every_video(name, n_experts):
    family, prior = loss_family(name, n_experts), np.array([1e-4, 0.02, 0.3])
    z = prior_biases(family, prior)[None]
    assert_allclose(family.score(z)[0], prior, rtol=1e-6)


def test_a_hinge_starts_within_its_margin():
    biases = prior_biases(loss_family("hinge"), np.array([1e-6, 0.5, 0.999]))
    assert_allclose(biases, [[-1, 0, 1]])


def test_a_mixture_cannot_say_more_than_its_dummy_state_leaves():
    biases = prior_biases(loss_family("moe", 2), np.array([0.9]))  # 2/3 of the gates at most
    assert np.isfinite(biases).all()


@pytest.mark.parametrize("prior_bias", [True, False])
def test_biases_start_at_the_prior_if_asked_to(prior_bias):
    options = TrainingOptions(prior_bias=prior_bias)
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    state = initial_state(loss_family("logistic"), ENTITIES, 3, options, prior)
    expected = np.log(prior / (1 - prior)) if prior_bias else np.zeros(4)
    assert_allclose(state.weights[-1, 0], expected, rtol=1e-6)


def test_sums_start_at_what_so_many_videos_would_have_left_there():
    # Gradients drawn as the docstring says them: the classifier says the prior of every video.
    rng = np.random.default_rng(0)
    n_features, batch, prior = 400, 16, np.array([0.02, 0.3])
    options = TrainingOptions(
        batch_size=batch, accumulator_videos=50 * batch, initial_accumulator=1e-12
    )
    family = loss_family("logistic")
    state = initial_state(family, ENTITIES[:2], n_features, options, prior, n_videos=10**6)
    total = np.zeros((n_features + 1, 2))
    for _ in range(50):
        x = rng.normal(size=(batch, n_features))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        error = prior - (rng.random((batch, 2)) < prior)
        total += (np.column_stack([x, np.ones(batch)]).T @ error / batch) ** 2
    found = state.accumulator[:, 0]
    assert_allclose(found[:-1].mean(axis=0), total[:-1].mean(axis=0), rtol=0.2)
    assert_allclose(found[-1], total[-1], rtol=0.6)


def test_sums_start_at_a_third_of_a_pass_at_most_and_at_the_least_given():
    family, prior = loss_family("logistic"), np.full(4, 0.5)
    options = TrainingOptions(batch_size=10, accumulator_videos=1e9, initial_accumulator=1e-3)
    state = initial_state(family, ENTITIES, 3, options, prior, n_videos=600)
    assert_allclose(state.accumulator[-1], 600 / 10 / 3 * 0.25 / 10)
    rare = initial_state(family, ENTITIES, 3, options, np.full(4, 1e-9), n_videos=600)
    assert_allclose(rare.accumulator, 1e-3)
    plain = TrainingOptions(accumulator_videos=0, initial_accumulator=1e-3)
    state = initial_state(family, ENTITIES, 3, plain, prior, n_videos=600)
    assert_allclose(state.accumulator, 1e-3)


def test_entities_at_rest_say_their_prior_and_are_not_active():
    family, prior = loss_family("moe"), np.array([0.1, 0.2, 0.3, 0.4])
    state = initial_state(family, ENTITIES, 3, TrainingOptions(prior_bias=False), prior)
    state.rest_on_prior(family, prior, np.array([False, True, False, False]))
    weights = state.final_weights()  # (R, E, D + 1)
    z = np.random.default_rng(0).normal(size=(5, 3)) @ weights[:, 1, :-1].T + weights[:, 1, -1]
    assert_allclose(family.score(z[:, :, None]), 0.2, rtol=1e-6)
    assert state.active.tolist() == [True, False, True, True]
    assert (weights[:, 0, :-1] != 0).all()


def test_what_is_taken_is_a_copy_and_is_put_back_where_it_was():
    state = initial_state(loss_family("moe"), ENTITIES, 3, TrainingOptions())
    before = state.weights.copy()
    part = state.take(np.array([1, 3]))
    assert np.shares_memory(part.weights.reshape(4, -1), part.weights)  # rows of columns, a view
    part.weights += 1
    part.n_summed += 5
    assert_array_equal(state.weights, before)
    state.put(np.array([1, 3]), part)
    assert_array_equal(state.weights[..., [0, 2]], before[..., [0, 2]])
    assert_array_equal(state.weights[..., [1, 3]], before[..., [1, 3]] + 1)
    assert_array_equal(state.n_summed, [0, 5, 0, 5])


def test_final_weights_are_the_mean_where_any_step_was_averaged():
    state = initial_state(loss_family("logistic"), ENTITIES[:2], 1, TrainingOptions())
    state.weights[:] = [[[1, 2]], [[3, 4]]]  # feature, bias
    state.weight_sum[:] = [[[10, 0]], [[30, 0]]]
    state.n_summed[:] = [5, 0]
    assert_allclose(state.final_weights(), [[[2, 6], [2, 4]]])  # (R, E, D + 1)
