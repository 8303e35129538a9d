"""A block's passes over videos, stopped or not. Single steps are in test_mini_batch."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.chunks import Chunk
from yt8m_spark.core.losses import LOSSES, loss_family
from yt8m_spark.core.mini_batch import MiniBatchStep
from yt8m_spark.core.training import PROGRESS, BlockTrainer, label_matrix
from yt8m_spark.core.training_options import TrainingOptions

ENTITIES = np.array([2, 5, 7, 11], dtype=np.int64)
N, D = 83, 6


def videos(n=N, seed=0):
    """Features (n, D), and labels (n, 4): whether one of the first four features is above 0.3."""
    x = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    return x, (x[:, :4] > 0.3).astype(np.float32)


def trainer_of(name="logistic", entities=ENTITIES, n=N, weights=None, **changes):
    options = TrainingOptions(**{"n_epochs": 3, "batch_size": 8, **changes})
    family = loss_family(name)
    state = initial_state(family, entities, D, options, np.full(len(entities), 0.4))
    return BlockTrainer(state, family, options, n, weights)


def run(trainer, x, y, cuts=(0, 30, 31, N)):
    """All passes, each over the videos in the same portions."""
    while not trainer.done:
        for start, stop in pairwise(cuts):
            trainer.feed(x[start:stop], y[start:stop])
        trainer.end_pass()
    return trainer


@pytest.mark.parametrize("name", LOSSES)
def test_portions_make_no_difference(name):
    x, y = videos()
    whole = run(trainer_of(name), x, y, (0, N)).state.final_weights()
    for cuts in ((0, 1, 2, 3, N), (0, 0, 50, N), tuple(range(N + 1))):
        assert_array_equal(run(trainer_of(name), x, y, cuts).state.final_weights(), whole)


def test_passes_are_mini_batches_one_after_the_other_and_a_short_last_one():
    x, y = videos()
    options = TrainingOptions(batch_size=8, n_epochs=2, average=0)
    family = loss_family("logistic")
    state = initial_state(family, ENTITIES, D, options)
    stepper = MiniBatchStep(state, family, options)
    for _ in range(2):
        for start in range(0, N, 8):
            stepper.step(x[start : start + 8], y[start : start + 8])
    trainer = BlockTrainer(initial_state(family, ENTITIES, D, options), family, options, n_videos=N)
    # The trainer fills its products up to whole columns, which BLAS may sum in another order.
    found = run(trainer, x, y).state.final_weights()
    assert_allclose(found, state.final_weights(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 83, 500])
def test_any_batch_size_trains(batch_size):
    x, y = videos()
    trainer = run(trainer_of(batch_size=batch_size), x, y)
    assert trainer.epoch == 3
    assert np.isfinite(trainer.state.final_weights()).all()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_falls_from_pass_to_pass(name):
    x, y = videos()
    trainer = run(trainer_of(name, n_epochs=4, learning_rate=0.3), x, y)
    assert (trainer.losses[-1] < trainer.losses[0]).all()


def test_the_loss_of_a_pass_is_the_mean_before_each_update():
    # Nothing is learned at so small a rate: the loss is that of the first weights, log 2. Of one
    # mini-batch in eight: the first and the ninth of eleven.
    x, y = videos()
    trainer = run(trainer_of(learning_rate=1e-20, prior_bias=False, n_epochs=1), x, y)
    assert_allclose(trainer.losses[0], np.log(2), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_block_equals_each_entity_alone(name):
    x, y = videos()
    block = run(trainer_of(name), x, y)
    for i, entity in enumerate(ENTITIES):
        alone = run(trainer_of(name, np.array([entity])), x, y[:, i : i + 1])
        ours, theirs = block.state.final_weights()[:, i], alone.state.final_weights()[:, 0]
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        assert_allclose(np.array(block.losses)[:, i], np.array(alone.losses)[:, 0], rtol=1e-5)


def test_weights_are_averaged_over_the_last_share_of_the_passes():
    x, y = videos()
    options = TrainingOptions(batch_size=8, n_epochs=2, average=0.5)
    family = loss_family("logistic")
    state = initial_state(family, ENTITIES, D, options)
    stepper = MiniBatchStep(state, family, options)
    kept = []
    for epoch in range(2):
        for start in range(0, N, 8):
            stepper.step(x[start : start + 8], y[start : start + 8])
            if epoch == 1:  # the second half of two passes
                kept.append(state.weights.astype(np.float64))
    trainer = BlockTrainer(initial_state(family, ENTITIES, D, options), family, options, N)
    run(trainer, x, y)
    expected = np.mean(kept, axis=0).transpose(1, 2, 0)
    assert_allclose(trainer.state.final_weights(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"tolerance": 0.05}, {"negative_rate": 0.5}])
@pytest.mark.parametrize("name", LOSSES)
def test_a_training_stopped_anywhere_ends_with_the_same_bits(name, changes):
    x, y = videos()
    changes = {"n_epochs": 4, "learning_rate": 0.5, **changes}
    undisturbed = run(trainer_of(name, **changes), x, y)
    stopped = 0
    trainer = trainer_of(name, **changes)
    cuts = (0, 13, 30, 31, 70, N)
    while not trainer.done:
        for start, stop in pairwise(cuts):
            trainer.feed(x[start:stop], y[start:stop])
            progress = {k: v.copy() for k, v in trainer.progress().items()}
            assert set(progress) == set(PROGRESS)
            trainer = trainer_of(name, **changes)
            trainer.resume(progress)
            stopped += 1
            trainer.feed(x[trainer.n_done : stop], y[trainer.n_done : stop])
        trainer.end_pass()
    assert stopped > 10
    assert_array_equal(trainer.state.final_weights(), undisturbed.state.final_weights())
    assert_array_equal(trainer.state.final_accumulator(), undisturbed.state.final_accumulator())
    assert_array_equal(np.array(trainer.losses), np.array(undisturbed.losses))


def test_all_mini_batches_are_measured_where_the_loss_decides():
    # Nothing is learned at so small a rate: the loss of all videos, not of some mini-batches.
    x, y = videos()
    options = {"learning_rate": 1e-20, "n_epochs": 1, "tolerance": 0.1}
    trainer = run(trainer_of(**options), x, y)
    bias = np.log(0.4 / 0.6)
    expected = np.logaddexp(0, bias) - y.mean(axis=0) * bias
    assert_allclose(trainer.losses[0], expected, rtol=1e-5)


def test_each_pass_looks_at_other_negatives():
    x, y = videos()
    y[:] = 0
    trainer = trainer_of(negative_rate=0.3, n_epochs=2, learning_rate=1e-20, prior_bias=False)
    run(trainer, x, y)
    # The weights do not change, so only which videos are looked at can change the loss.
    assert (trainer.losses[0] != trainer.losses[1]).any()


@pytest.mark.parametrize("name", LOSSES)
def test_converged_entities_stop_and_the_others_do_not_notice(name):
    x, y = videos()
    y[:, 1] = 0  # nothing to learn once it says no
    y[:, 2] = np.random.default_rng(9).random(N) < 0.5  # nothing that the features could tell
    options = {"n_epochs": 8, "learning_rate": 0.1, "average": 0}
    free = run(trainer_of(name, **options), x, y)
    stopping = run(trainer_of(name, **options, tolerance=0.02), x, y)
    converged = ~stopping.state.active
    losses = np.array(stopping.losses)
    assert converged[2]
    assert not converged.all()
    for i in np.flatnonzero(~converged):
        ours, theirs = stopping.state.final_weights()[:, i], free.state.final_weights()[:, i]
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    passes = int(np.isfinite(losses[:, 2]).sum())
    shorter = run(trainer_of(name, **{**options, "n_epochs": passes}), x, y)
    ours, theirs = stopping.state.final_weights()[:, 2], shorter.state.final_weights()[:, 2]
    assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_block_whose_entities_have_all_converged_is_done():
    x, y = videos()
    trainer = run(trainer_of(tolerance=0.9, n_epochs=50, learning_rate=0.01), x, y)
    assert trainer.epoch == 2  # the second pass was not a tenth of the first's loss
    assert not trainer.state.active.any()


def test_thinned_negatives_give_the_same_gradient_on_average():
    # The gradient is what AdaGrad's first step leaves in the weights before it is scaled: at so
    # large an accumulator the step is the gradient itself, times the rate.
    rng = np.random.default_rng(3)
    x = rng.normal(size=(64, D)).astype(np.float32)
    y = (rng.random((64, 4)) < 0.05).astype(np.float32)
    more = {"batch_size": 64, "n_epochs": 1, "l2": 0, "initial_accumulator": 1e12, "average": 0}

    def gradient(**changes):
        trainer = trainer_of(n=64, learning_rate=1e6, prior_bias=False, **more, **changes)
        trainer.feed(x, y)
        trainer.end_pass()
        return -trainer.state.final_weights()[0], trainer.losses[0]

    full, full_loss = gradient()
    draws = [gradient(negative_rate=0.3, seed=seed) for seed in range(400)]
    thinned = np.array([g for g, _ in draws])
    assert (thinned.std(axis=0) > 0).all()
    error = thinned.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(thinned.mean(axis=0) - full) < 5 * error).all()
    assert_allclose(np.mean([loss for _, loss in draws], axis=0), full_loss, rtol=0.02)


def test_a_mini_batch_that_keeps_no_video_changes_nothing():
    x, y = videos()
    trainer = trainer_of(negative_rate=1e-9, average=0)
    before = trainer.state.final_weights()
    run(trainer, x, np.zeros_like(y))
    assert_array_equal(trainer.state.final_weights(), before)


def test_positive_weights_follow_their_entities_when_others_have_converged():
    x, y = videos()
    weights = np.float32([1, 2, 3, 4])
    block = trainer_of(weights=weights, n_epochs=2)
    block.state.active[:2] = False
    block = BlockTrainer(
        block.state,
        loss_family("logistic"),
        TrainingOptions(n_epochs=2, batch_size=8),
        N,
        weights,
    )
    run(block, x, y)
    alone = run(trainer_of(entities=ENTITIES[3:], weights=weights[3:], n_epochs=2), x, y[:, 3:])
    ours, theirs = block.state.final_weights()[:, 3], alone.state.final_weights()[:, 0]
    assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_pass_of_too_few_videos_is_refused():
    x, y = videos()
    trainer = trainer_of()
    trainer.feed(x[:50], y[:50])
    with pytest.raises(ValueError, match="a pass needs 83 videos, got 50"):
        trainer.end_pass()


def test_label_matrix_by_hand():
    chunk = Chunk(
        np.zeros((3, 1), np.float32), np.array([0, 2, 2, 4]), np.array([5, 99, 2, 11], np.int32)
    )
    expected = [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert_array_equal(label_matrix(chunk, ENTITIES), np.float32(expected))


def test_torch_trains_as_numpy_does_through_passes_convergence_and_thinning():
    torch = pytest.importorskip("torch")
    x, y = videos()
    changes = {"n_epochs": 4, "tolerance": 0.05, "negative_rate": 0.5, "learning_rate": 0.3}
    ours = run(trainer_of("moe", weights=np.float32([1, 2, 1, 1]), **changes), x, y)
    start = trainer_of("moe", **changes)
    family, options = loss_family("moe"), TrainingOptions(batch_size=8, **changes)
    theirs = BlockTrainer(
        start.state.like(torch.empty(0)), family, options, N, np.float32([1, 2, 1, 1])
    )
    run(theirs, torch.from_numpy(x), torch.from_numpy(y))
    assert_allclose(theirs.state.final_weights(), ours.state.final_weights(), rtol=1e-3, atol=1e-4)
    assert_allclose(np.array(theirs.losses), np.array(ours.losses), rtol=1e-3)


def test_an_unlabelled_entity_is_rare_not_impossible():
    assert prior_probability(np.array([0]), 100)[0] == pytest.approx(0.5 / 101)


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
        ("average", 1.5),
        ("tolerance", -0.1),
        ("negative_rate", 0.0),
        ("negative_rate", 1.1),
        ("moe_initial_std", float("nan")),
    ],
)
def test_options_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainingOptions(**{name: value})
