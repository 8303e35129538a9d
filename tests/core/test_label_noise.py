"""Losses of noisy labels on small arrays. Rates: test_label_rates; Spark: tests/spark."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.special import expit, logit

from yt8m_spark.core.block_state import initial_state, prior_probability
from yt8m_spark.core.label_noise import noise_aware
from yt8m_spark.core.label_rates import Channel, LabelRates, channel_of, label_rates
from yt8m_spark.core.losses import loss_family
from yt8m_spark.core.training import BlockTrainer
from yt8m_spark.core.training_options import TrainingOptions
from yt8m_spark.errors import InputError

NOISES = ("bootstrap_soft", "bootstrap_hard", "missing")
PAIRS = [("hinge", "bootstrap_hard")] + [(f, n) for f in ("logistic", "moe") for n in NOISES]

RHO, PHI = np.array([0.145, 0.6]), np.array([0.004, 0.1])
CHANNEL = Channel(RHO, PHI, 1 - RHO, 1 - PHI)


def family_of(name, noise, trust=None, channel=CHANNEL, n_experts=2):
    options = TrainingOptions(label_noise=noise, label_trust=trust)
    return noise_aware(loss_family(name, n_experts), options, channel)


def make_problem(n_rows, seed=3, n_videos=6, n_entities=2):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_videos, n_rows, n_entities)) * 2
    return z, (rng.random((n_videos, n_entities)) < 0.5).astype(float)


def gradient_of(family, z, y):
    return family.logit_gradient(z.copy(), y)


def one(value):
    return np.full((1, 1, 1), value, dtype=float)


def test_no_noise_is_the_family_itself():
    family = loss_family("moe")
    assert noise_aware(family, TrainingOptions()) is family


@pytest.mark.parametrize(("name", "noise"), PAIRS)
def test_gradient_matches_finite_differences(name, noise):
    family = family_of(name, noise)
    z, y = make_problem(family.n_rows)
    numeric = approx_fprime(z.ravel(), lambda f: family.loss(f.reshape(z.shape), y).sum(), 1e-7)
    assert_allclose(gradient_of(family, z, y), numeric.reshape(z.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_soft_bootstrapping_by_hand(label):
    # p = 3/4, beta = 0.6: the target is 0.6 y + 0.4 * 3/4.
    family = family_of("logistic", "bootstrap_soft", 0.6)
    z, target = one(np.log(3)), 0.6 * label + 0.3
    expected = -target * np.log(3 / 4) - (1 - target) * np.log(1 / 4)
    assert_allclose(family.loss(z, one(label)[0]), expected)


def test_hard_bootstrapping_by_hand():
    # p = 3/4 is a yes: of a label 0, trusted by 0.8, the target is 0.2.
    family = family_of("logistic", "bootstrap_hard", 0.8)
    expected = -0.2 * np.log(3 / 4) - 0.8 * np.log(1 / 4)
    assert_allclose(family.loss(one(np.log(3)), one(0)[0]), expected)
    assert_allclose(gradient_of(family, one(np.log(3)), one(0)[0]), 3 / 4 - 0.2)


@pytest.mark.parametrize(("expert", "target"), [(3.0, 0.0), (9.0, 0.2)])
def test_hard_bootstrapping_of_a_mixture_by_hand(expert, target):
    # A gate of 3/5 on an expert of 3/4 says 0.45, which is a no; on one of 9/10, 0.54, a yes.
    family = family_of("moe", "bootstrap_hard", 0.8, n_experts=1)
    p = 3 / 5 * expert / (1 + expert)
    z = np.log([3 / 2, expert]).reshape(1, 2, 1)
    expected = -target * np.log(p) - (1 - target) * np.log(1 - p)
    assert_allclose(family.loss(z, one(0)[0]), expected)
    # Of the expert's logit the slope is dp/dz = 3/5 u (1 - u).
    u = expert / (1 + expert)
    slope = -target / p + (1 - target) / (1 - p)
    assert_allclose(gradient_of(family, z, one(0)[0])[0, 1], slope * 3 / 5 * u * (1 - u))


def test_a_bootstrapped_hinge_by_hand():
    # Margin 1/4 on the side of yes: of a label 0, 0.8 of the loss 5/4 and 0.2 of 3/4.
    family = family_of("hinge", "bootstrap_hard", 0.8)
    assert_allclose(family.loss(one(0.25), one(0)[0]), 0.8 * 1.25 + 0.2 * 0.75)
    assert_allclose(gradient_of(family, one(0.25), one(0)[0]), 0.8 - 0.2)


@pytest.mark.parametrize("label", [0, 1])
def test_missing_labels_by_hand(label):
    # p = 3/4, recall 1/2, a wrong label in one of ten: a label has 1/2 3/4 + 1/10 1/4 = 2/5.
    channel = Channel(*(np.array([p]) for p in (0.5, 0.1, 0.5, 0.9)))
    family = family_of("logistic", "missing", channel=channel)
    z, y = one(np.log(3)), one(label)[0]
    assert_allclose(family.loss(z, y), -np.log(0.4 if label else 0.6))
    # The entity is there with 3/8 of 2/5 if there is a label, and with 3/8 of 3/5 if there is none.
    posterior = 0.375 / (0.4 if label else 0.6)
    assert_allclose(gradient_of(family, z, y), 3 / 4 - posterior)


@pytest.mark.parametrize("noise", NOISES)
def test_an_open_gate_makes_a_mixture_of_one_the_logistic(noise):
    mixture = family_of("moe", noise, n_experts=1)
    z, y = make_problem(1)
    both = np.concatenate([np.full_like(z, 50.0), z], axis=1)
    logistic = family_of("logistic", noise)
    assert_allclose(mixture.loss(both, y), logistic.loss(z, y), rtol=1e-6)
    ours = gradient_of(mixture, both, y)[:, 1:]
    assert_allclose(ours, gradient_of(logistic, z, y), rtol=1e-6)


@pytest.mark.parametrize(("name", "noise"), PAIRS)
def test_perfect_labels_and_full_trust_give_the_plain_loss(name, noise):
    perfect = label_rates(np.array([0.1, 0.7]), np.ones(2), np.ones(2))
    family = family_of(name, noise, 1.0, channel_of(perfect, np.empty(0, np.float32)))
    plain = loss_family(name, 2)
    z, y = make_problem(plain.n_rows)
    assert_allclose(family.loss(z, y), plain.loss(z, y), rtol=1e-13)
    assert_allclose(gradient_of(family, z, y), gradient_of(plain, z, y), rtol=1e-13)


@pytest.mark.parametrize("name", ["logistic", "moe"])
def test_the_expected_loss_of_noisy_labels_is_least_at_the_truth(name):
    # Of videos that have the entity with probability 0.3, a label is there with rho .3 + phi .7:
    # the slope of the mean loss is 0 where p is 0.3, and the plain loss's is not.
    family = family_of(name, "missing", n_experts=1)
    logits = [logit(0.3)] if name == "logistic" else [40.0, logit(0.3)]
    z = np.tile(np.array(logits)[None, :, None], (1, 1, 2))
    label = RHO * 0.3 + PHI * 0.7

    def mean_slope(of):
        yes, no = (gradient_of(of, z, np.full((1, 2), y)) for y in (1.0, 0.0))
        return (label * yes + (1 - label) * no)[0, -1]

    assert_allclose(mean_slope(family), 0, atol=1e-12)
    assert (np.abs(mean_slope(loss_family(name, 1))) > 0.04).all()


@pytest.mark.parametrize(("name", "noise"), PAIRS)
def test_huge_logits_neither_overflow_nor_divide_by_zero(name, noise):
    perfect = Channel(*(np.float32([p]) for p in (1, 0, 0, 1)))
    for channel in (perfect, Channel(*(np.float32([p]) for p in (1e-4, 1e-9, 1 - 1e-4, 1)))):
        family = family_of(name, noise, channel=channel)
        z = np.float32([-500, -80, 0, 80, 500])[:, None, None].repeat(family.n_rows, axis=1)
        for y in (np.zeros((5, 1), np.float32), np.ones((5, 1), np.float32)):
            loss, gradient = family.loss(z, y), gradient_of(family, z, y)
            assert loss.dtype == gradient.dtype == np.float32
            assert np.isfinite(loss).all()
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("name", "noise"), PAIRS)
def test_torch_tensors_give_what_numpy_arrays_give(name, noise):
    torch = pytest.importorskip("torch")
    rates = LabelRates(np.array([0.05, 0.2]), RHO, np.array([0.788, 0.9]))
    z, y = (a.astype(np.float32) for a in make_problem(loss_family(name, 2).n_rows))
    ours = family_of(name, noise, channel=channel_of(rates, z))
    theirs = family_of(name, noise, channel=channel_of(rates, torch.empty(0)))
    tensors = torch.from_numpy(z.copy()), torch.from_numpy(y)
    assert_allclose(theirs.loss(*tensors).numpy(), ours.loss(z, y), rtol=1e-4, atol=1e-6)
    gradient = theirs.logit_gradient(*tensors).numpy()
    assert_allclose(gradient, gradient_of(ours, z, y), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("noise", ["bootstrap_soft", "missing"])
def test_a_hinge_has_no_probability_to_reckon_with(noise):
    expected = f"hinge gives no probability .*bootstrap_hard, found {noise}"
    with pytest.raises(InputError, match=expected):
        family_of("hinge", noise)


def test_missing_labels_need_their_rates():
    with pytest.raises(ValueError, match="needs the rates"):
        family_of("logistic", "missing", channel=None)


@pytest.mark.parametrize("name", ["logistic", "moe"])
def test_a_block_with_rates_equals_each_entity_alone(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5)).astype(np.float32)
    y = (x[:, :3] > 0.8).astype(np.float32)
    whole = trained(name, x, y, np.arange(3))
    for entity in range(3):
        alone = trained(name, x, y[:, [entity]], np.array([entity]))
        assert_allclose(whole[:, entity], alone[:, 0], rtol=1e-4, atol=1e-5)


def trained(name, x, y, entities, noise="missing", weights=None, recall=None, **changes):
    """Weights (R, E, D + 1) of a few passes over ``x`` and ``y``, in the order they are in."""
    options = TrainingOptions(label_noise=noise, **changes)
    family = loss_family(name)
    prior = prior_probability(y.sum(axis=0).astype(np.int64), len(y), weights)
    recall = np.array([0.3, 0.5, 0.9])[entities] if recall is None else recall
    rates = label_rates(prior, recall, np.full(len(prior), 0.95)) if noise == "missing" else None
    state = initial_state(family, entities, x.shape[1], options, prior, len(x), rates)
    trainer = BlockTrainer(state, family, options, len(x), weights, rates)
    while not trainer.done:
        trainer.feed(x, y)
        trainer.end_pass()
    return trainer.state.final_weights()


def test_the_first_classifier_is_at_rest_at_the_true_rate():
    # Features of 0: nothing is told apart. Weighted labels count as so many more of them.
    n = 40_000
    y = np.zeros((n, 2), np.float32)
    y[::20, 0] = y[::50, 1] = 1
    weights, recall = np.float32([1, 3]), np.array([0.2, 0.3])
    found = trained(
        "logistic",
        np.zeros((n, 1), np.float32),
        y,
        np.arange(2),
        weights=weights,
        recall=recall,
        batch_size=n,
        initial_accumulator=1e-3,
    )
    observed = np.array([1 / 20, 3 / 50 / (1 + 2 / 50)])
    assert_allclose(expit(found[0, :, -1]), 0.95 * observed / recall, rtol=2e-3)


def clean_figures(weights, x, truth):
    """Log-loss and Hit@1 on the truth."""
    p = expit(x @ weights[0, :, :-1].T.astype(float) + weights[0, :, -1])
    loss = -np.log(np.where(truth > 0, p, 1 - p)).mean()
    first = truth[np.arange(len(p)), p.argmax(axis=1)]
    return loss, first[truth.any(axis=1)].mean()


def test_unequal_recall_is_made_up_for_on_the_clean_truth():
    # Two entities say their names in one feature each; of the first nine in ten labels are lost.
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6000, 3)).astype(np.float32)
    z = 3 * x - np.float32([2.5, 2.5, 2.5])
    truth = (rng.random(z.shape) < expit(z)).astype(np.float32)
    recall = np.array([0.1, 0.5, 0.9])
    seen = truth * (rng.random(z.shape) < recall)
    changes = {"recall": recall, "n_epochs": 3}
    learn, judge = slice(4000), slice(4000, None)
    figures = {
        noise: clean_figures(
            trained("logistic", x[learn], seen[learn], np.arange(3), noise, **changes),
            x[judge],
            truth[judge],
        )
        for noise in ("none", "missing")
    }
    (plain_loss, plain_hit), (loss, hit) = figures["none"], figures["missing"]
    bayes = -np.log(np.where(truth > 0, expit(z), 1 - expit(z)))[judge].mean()
    assert bayes < loss < 0.9 * plain_loss
    assert loss - bayes < 0.25 * (plain_loss - bayes)
    assert hit > plain_hit + 0.04


def test_hard_bootstrapping_forgives_wrong_labels():
    # One label in four is turned round. A classifier that may doubt them is surer of the truth.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2)).astype(np.float32)
    truth = (x > 0).astype(np.float32)
    seen = np.abs(truth - (rng.random(truth.shape) < 0.25))
    figures = []
    for noise in ("none", "bootstrap_hard"):
        weights = trained("logistic", x[:2000], seen[:2000], np.arange(2), noise, n_epochs=3)
        figures.append(clean_figures(weights, x[2000:], truth[2000:])[0])
    assert figures[1] < 0.9 * figures[0]


def test_full_trust_trains_to_the_bits_of_the_plain_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    y = (x[:, :2] > 0.5).astype(np.float32)
    plain = trained("moe", x, y, np.arange(2), "none")
    assert_array_equal(trained("moe", x, y, np.arange(2), "bootstrap_soft", label_trust=1.0), plain)
    assert_array_equal(trained("moe", x, y, np.arange(2), "bootstrap_hard", label_trust=1.0), plain)
