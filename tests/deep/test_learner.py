"""One step in one process. Steps of several ranks, and going on from a state: test_fit."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from deep_trainings import FixedFeed, make_training
from numpy.testing import assert_allclose

from yt8m_spark.core.adagrad import adagrad_update
from yt8m_spark.deep.feed import Batch
from yt8m_spark.deep.frames import multi_hot
from yt8m_spark.deep.learner import Learner, _cut
from yt8m_spark.deep.networks import build_network
from yt8m_spark.deep.ranks import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"))


def make_learner(training):
    torch.manual_seed(3)
    return Learner(build_network(training.network).train(), training, ALONE)


def make_batches(training, n_batches):
    batches = FixedFeed(None, None, training.feed, 0, 1, False).batches(0, 0, 99)
    return [next(batches) for _ in range(n_batches)]


def losses_of(network, batch, training):
    n_entities = training.network.n_entities
    labels = multi_hot(batch.label_rows, batch.label_columns, len(batch.codes), n_entities)
    return network(batch.codes, batch.n_frames, labels)


def test_the_loss_of_a_step_is_the_mean_over_its_videos(tmp_path):
    training = make_training(tmp_path)
    learner = make_learner(training)
    (batch,) = make_batches(training, 1)
    expected = losses_of(copy.deepcopy(learner.network), batch, training).mean()
    assert_allclose(learner.step(batch, 0), expected.detach(), rtol=1e-6)


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_videos_a_few_at_a_time_are_one_batch(tmp_path, micro_batch):
    whole = make_training(tmp_path)
    parts = dataclasses.replace(whole, micro_batch=micro_batch)
    expected, found = make_learner(whole), make_learner(parts)
    for step, batch in enumerate(make_batches(whole, 3)):
        assert_allclose(found.step(batch, step), expected.step(batch, step), rtol=1e-5)
    for name, value in expected.network.state_dict().items():
        assert_allclose(found.network.state_dict()[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("clip", [0.05, 1e9])
def test_a_gradient_longer_than_allowed_is_scaled_down(tmp_path, clip):
    training = make_training(
        tmp_path, clip=clip, weight_decay=0.0, warmup_steps=2, learning_rate=0.2
    )
    learner = make_learner(training)
    (batch,) = make_batches(training, 1)
    copied = copy.deepcopy(learner.network)
    losses_of(copied, batch, training).mean().backward()
    gradients = {name: p.grad.numpy() for name, p in copied.named_parameters()}
    norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values()))
    assert 0.05 < norm < 1e9
    learner.step(batch, 0)
    for name, p in learner.network.named_parameters():
        weights = dict(copied.named_parameters())[name].detach().numpy()
        scaled = gradients[name] * np.float32(min(1.0, clip / norm))
        # Half of the rate: the first of two steps of warm-up.
        adagrad_update(weights, np.full_like(weights, 0.1), scaled, 0.1)
        assert_allclose(p.detach(), weights, rtol=1e-4, atol=1e-6)


def test_random_numbers_of_a_step_are_the_same_whenever_it_comes(tmp_path):
    training = make_training(tmp_path)
    (batch,) = make_batches(training, 1)
    drawn = []
    for before in (0, 4):
        learner = make_learner(training)
        learner.network.register_forward_pre_hook(lambda *_: drawn.append(torch.rand(2)))
        torch.rand(before)
        learner.step(batch, 17)
    assert torch.equal(*drawn)
    learner.step(batch, 18)
    assert not torch.equal(*drawn[1:])


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
@pytest.mark.parametrize("micro_batch", [0, 1, 2, 5])
def test_parts_are_as_many_on_each_rank_none_empty_and_hold_all(n_ranks, micro_batch):
    for n_videos in range(n_ranks, 20):
        counts = [len(part) for part in np.array_split(np.arange(n_videos), n_ranks)]
        cuts = []
        for count in counts:
            batch = Batch(torch.zeros(count, 1, 8), *[torch.zeros(0)] * 3, 0, 0, n_videos)
            parts = list(_cut(batch, micro_batch, n_ranks))
            held = np.concatenate([np.arange(count)[part] for part in parts])
            assert held.tolist() == list(range(count))
            sizes = [part.stop - part.start for part in parts]
            assert min(sizes) >= 1
            assert not micro_batch or max(sizes) <= micro_batch + 1
            cuts.append(len(parts))
        assert len(set(cuts)) == 1


def test_a_weight_that_is_no_number_is_found(tmp_path):
    learner = make_learner(make_training(tmp_path))
    assert learner.is_finite()
    with torch.no_grad():
        next(iter(learner.network.parameters())).view(-1)[3] = float("inf")
    assert not learner.is_finite()


@pytest.mark.parametrize("part", ["weights", "average", "optimizer"])
def test_what_is_no_number_beside_the_weights_is_found(tmp_path, part):
    learner = make_learner(make_training(tmp_path, network="dbof", ema=0.9))
    tensors = getattr(learner.state(), part)
    names = {"weights": "running_variance", "average": "running_variance", "optimizer": "sum"}
    held = next(value for name, value in tensors.items() if name.endswith(names[part]))
    assert learner.is_finite()
    held.view(-1)[-1] = float("inf")
    assert not learner.is_finite()


def test_bf16_products_change_the_loss_little_and_leave_weights_float32(tmp_path):
    training = make_training(tmp_path, network="dbof")
    (batch,) = make_batches(training, 1)
    exact = make_learner(training).step(batch, 0)
    short = make_learner(dataclasses.replace(training, precision="bf16"))
    assert_allclose(short.step(batch, 0), exact, rtol=0.02)
    assert {p.dtype for p in short.network.parameters()} == {torch.float32}
