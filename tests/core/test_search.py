"""Settings, the choice among them, and padding, by hand. Training with them: tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.search import (
    NO_GATE,
    Ranges,
    Setting,
    choose,
    grid_settings,
    pad_experts,
    random_settings,
    setting_names,
)
from yt8m_spark.core.training_options import TrainingOptions

NAN = np.nan
WIDE = Ranges((0.01, 1.0, 0.1), (0.0, 1e-7, 1e-3), (8, 32), (1, 2, 4))


def test_a_grid_is_every_combination_in_order():
    settings = grid_settings(Ranges((0.1, 1.0), (0.0,), (8, 32), (2,)))
    expected = [(0.1, 0, 8, 2), (0.1, 0, 32, 2), (1.0, 0, 8, 2), (1.0, 0, 32, 2)]
    assert settings == [Setting(*values) for values in expected]


def test_a_setting_changes_what_it_names_and_nothing_else():
    options = Setting(0.3, 1e-4, 7, 4).options(TrainingOptions(seed=5, n_epochs=2))
    expected = TrainingOptions(seed=5, n_epochs=2, learning_rate=0.3, l2=1e-4, batch_size=7)
    assert options == expected
    with pytest.raises(ValueError, match="learning_rate must be above 0"):
        Setting(-1, 0, 32, 2).options(TrainingOptions())


def test_random_settings_are_different_and_within_their_ranges():
    settings = random_settings(WIDE, 400, seed=1)
    assert len(set(settings)) == 400
    rates, l2s, sizes, experts = (np.array(column) for column in zip(*settings, strict=True))
    assert 0.01 <= rates.min() < 0.012 < 0.9 < rates.max() <= 1
    positive = l2s[l2s > 0]
    assert 1e-7 <= positive.min() < positive.max() <= 1e-3
    # One in three, give or take four deviations; and half of a log-uniform is below the middle.
    assert abs((l2s == 0).mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / 400)
    assert abs((rates < 0.1).mean() - 1 / 2) < 4 * np.sqrt(1 / 4 / 400)
    assert abs((positive < 1e-5).mean() - 1 / 2) < 4 * np.sqrt(1 / 4 / len(positive))
    assert set(sizes.tolist()) == {8, 32}
    assert set(experts.tolist()) == {1, 2, 4}


def test_a_longer_random_list_begins_with_the_shorter_one():
    assert random_settings(WIDE, 20, seed=3)[:5] == random_settings(WIDE, 5, seed=3)
    assert random_settings(WIDE, 5, seed=4) != random_settings(WIDE, 5, seed=3)


def test_more_random_settings_than_there_are_is_refused():
    few = Ranges((1.0,), (0.0,), (8, 32), (1, 2))
    assert set(random_settings(few, 4, seed=0)) == set(grid_settings(few))
    with pytest.raises(ValueError, match="only 4 different"):
        random_settings(few, 5, seed=0)


AP = np.array([[0.9, 0.1, 0.5, NAN], [0.2, 0.7, 0.6, NAN], [0.9, 0.7, 0.1, NAN]])
LOSS = np.array([[0.1, 0.4, 0.2, 0.3], [0.3, 0.3, 0.1, 0.1], [0.2, 0.2, 0.5, 0.2]])
POSITIVES = np.array([9, 5, 4, 0])


def test_overall_is_the_best_mean_for_all():
    # Means over the three with positives: .5, .5, .567; of the losses: .25, .2, .275.
    chosen = choose(AP, LOSS, POSITIVES, by="overall", metric="map")
    assert (chosen.overall, chosen.of_entity.tolist()) == (2, [2, 2, 2, 2])
    chosen = choose(AP, LOSS, POSITIVES, by="overall", metric="loss")
    assert (chosen.overall, chosen.of_entity.tolist()) == (1, [1, 1, 1, 1])


def test_each_entity_takes_its_best_the_earlier_of_equals_and_the_overall_where_positives_are_few():
    chosen = choose(AP, LOSS, POSITIVES, by="entity", metric="map")
    assert (chosen.overall, chosen.of_entity.tolist()) == (2, [0, 1, 2, 2])
    chosen = choose(AP, LOSS, POSITIVES, by="entity", metric="loss")
    assert (chosen.overall, chosen.of_entity.tolist()) == (1, [0, 2, 1, 1])


def test_a_setting_that_diverged_is_chosen_by_no_entity_and_never_on_the_whole():
    ap, loss = AP.copy(), LOSS.copy()
    ap[2, 0] = loss[2, 0] = NAN
    chosen = choose(ap, loss, POSITIVES, by="entity", metric="map")
    # Overall .5 and .5: the earlier.
    assert (chosen.overall, chosen.of_entity.tolist()) == (0, [0, 1, 0, 0])
    with pytest.raises(ValueError, match="diverged with every setting"):
        choose(np.full((2, 1), NAN), np.full((2, 1), NAN), POSITIVES[:1], by="entity", metric="map")


def test_no_positives_are_nothing_to_choose_by():
    with pytest.raises(ValueError, match="no entity has positives"):
        choose(AP[:, 3:], LOSS[:, 3:], POSITIVES[3:], by="overall", metric="map")


@pytest.mark.parametrize("h", [1, 2, 4])
def test_padded_mixtures_score_the_same(h):
    rng = np.random.default_rng(h)
    x = rng.normal(size=(50, 6)).astype(np.float32)
    weights = rng.normal(0, 3, size=(5, 2 * h, 6)).astype(np.float32)  # (E, 2H, D)
    bias = rng.normal(-4, 3, size=(5, 2 * h)).astype(np.float32)
    padded = pad_experts(weights, 4, gate=0, expert=0)
    padded_bias = pad_experts(bias, 4, gate=NO_GATE, expert=0)
    assert padded.shape == (5, 8, 6)

    def scores(weights, bias, n_experts):
        z = np.einsum("bd,erd->bre", x, weights) + bias.T
        return loss_family("moe", n_experts).score(z)

    assert_allclose(scores(padded, padded_bias, 4), scores(weights, bias, h), rtol=1e-6)


def test_gates_stay_before_experts():
    rows = np.array([[1, 2, 3, 4]], dtype=np.float32)  # H = 2: gates 1, 2; experts 3, 4
    padded = pad_experts(rows, 3, gate=-80, expert=0)
    assert_array_equal(padded, [[1, 2, -80, 3, 4, 0]])


def test_names_tell_what_differs():
    settings = grid_settings(Ranges((0.1, 1.0), (0.0,), (8, 32), (2,)))
    assert setting_names(settings)[1:3] == ["rate 0.1, batch 32", "rate 1, batch 8"]
    assert setting_names(settings, without="learning_rate")[:2] == ["batch 8", "batch 32"]
    assert setting_names(settings[:1]) == ["rate 0.1"]
