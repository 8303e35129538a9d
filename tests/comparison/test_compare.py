"""What a comparison finds, on runs made by hand. Reading, showing and the job are tested beside."""

import math
from dataclasses import replace

import numpy as np
import pytest
from comparison_files import FIGURES, make_run, normal_replicates
from numpy.testing import assert_allclose
from scipy.stats import binomtest

from yt8m_spark.comparison import compare
from yt8m_spark.comparison.videos import why_other_videos
from yt8m_spark.errors import InputError

BASE = {1: 0.5, 2: 0.25, 3: 0.75, 4: 0.1}


def refused(runs, *words, **options):
    with pytest.raises(InputError) as caught:
        compare(runs, **options)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_differences_are_to_the_first_run_or_to_the_one_named():
    runs = [make_run("a", map=0.25), make_run("b", map=0.375), make_run("c", map=0.125)]
    found = compare(runs)
    assert found.baseline == "a"
    assert found.metrics == ("map", "hit_at_1", "hit_at_5", "perr", "gap_at_20")
    assert found.differences["b"]["map"] == (0.125, None)
    assert found.differences["c"]["map"].value == -0.125
    assert found.differences["c"]["perr"].value == 0
    assert "a" not in found.differences
    named = compare(runs, baseline="c", metrics=["map"])
    assert named.differences["b"]["map"].value == 0.25
    assert named.metrics == ("map",)
    assert compare(runs, baseline="runs/c").baseline == "c"  # by where it comes from


def test_of_a_loss_the_least_is_best():
    found = compare([make_run("a", loss=0.5), make_run("b", loss=0.4)], metrics=["loss", "map"])
    assert [found.is_best(name, "loss") for name in "ab"] == [False, True]
    assert [found.is_best(name, "map") for name in "ab"] == [True, True]


def test_the_star_goes_by_the_paired_interval_not_by_the_two_alone():
    luck, own = normal_replicates(0.0, 0.05), normal_replicates(0.0, 0.002, seed=1)
    a = make_run("a", map=0.25, replicates={"map": 0.25 + luck})
    b = make_run("b", map=0.26, replicates={"map": 0.26 + luck + own})
    difference = compare([a, b]).differences["b"]["map"]
    ends = np.quantile(own - own.mean(), [0.025, 0.975])
    assert_allclose(difference.interval, 0.01 + ends, atol=1e-12)
    assert difference.is_significant
    # The two intervals by themselves overlap by far, and so do replicates of another seed.
    assert np.quantile(0.25 + luck, 0.975) > np.quantile(0.26 + luck, 0.025)
    assert compare([a, b]).differences["b"]["perr"].interval is None  # no replicates of it


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": (7, 100, 200)}, "seed 7 and 0"),
        ({"plan": (0, 50, 200)}, "groups 50 and 100"),
        ({"replicates": {}}, "replicates.parquet is missing"),
        ({"replicates": None}, "'b' has no bootstrap"),
    ],
)
def test_bootstraps_that_do_not_pair_give_no_interval_and_say_why(change, why):
    replicates = {"map": normal_replicates(0.25, 0.001)}
    a = make_run("a", replicates=replicates)
    b = make_run("b", **{"map": 0.9, "replicates": replicates, **change})
    found = compare([a, b])
    assert found.differences["b"]["map"].interval is None
    assert any(why in line for line in found.notes)


@pytest.mark.parametrize(
    ("digests", "seeds", "is_refused"),
    [
        (("0a", "0a"), (0, 0), False),
        (("0a", "0b"), (0, 0), True),
        (("0a", None), (0, 0), False),
        (("0a", "0b"), (0, 7), False),  # hashes of another seed are other hashes
    ],
)
def test_runs_of_as_many_videos_but_others_are_known_by_their_digests(digests, seeds, is_refused):
    runs = []
    for name, digest, seed in zip("ab", digests, seeds, strict=True):
        values = {"map": normal_replicates(0.25, 0.001)}
        run = make_run(name, replicates=values, plan=(seed, 100, 200))
        runs.append(replace(run, bootstrap=replace(run.bootstrap, videos=digest)))
    a, b = runs
    assert (why_other_videos(b, a) is not None) == is_refused
    if is_refused:
        with pytest.raises(InputError, match="its video ids are not those of 'a'"):
            compare([a, b])
    else:
        assert (compare([a, b]).differences["b"]["map"].interval is not None) == (seeds == (0, 0))


def test_wins_and_losses_by_hand_and_by_scipy():
    mine = {1: 0.6, 2: 0.25, 3: 0.5, 4: 0.3}
    found = compare([make_run("a", precisions=BASE), make_run("b", precisions=mine)])
    counts = found.by_entity["b"].counts
    assert counts[:3] == (2, 1, 1)
    assert_allclose(counts.p_value, binomtest(2, 3).pvalue)
    assert [one.entity for one in found.by_entity["b"].gains] == [4, 1]
    assert [one.entity for one in found.by_entity["b"].losses] == [3]
    assert_allclose(found.by_entity["b"].losses[0].difference, -0.25)


def test_entities_of_few_videos_count_but_are_not_named():
    runs = [
        make_run("a", precisions=BASE, n_positives=[20, 20, 20, 9]),
        make_run("b", precisions={1: 0.6, 2: 0.25, 3: 0.5, 4: 0.3}, n_positives=[20, 20, 20, 9]),
    ]
    found = compare(runs).by_entity["b"]
    assert found.counts.wins == 2
    assert [one.entity for one in found.gains] == [1]
    assert [one.entity for one in compare(runs, min_positives=9).by_entity["b"].gains] == [4, 1]


def test_bands_part_the_entities_where_no_run_has_them():
    # Of 100 labels entity 1 has the first half, 2 and 3 up to 90, the rest is the tail.
    counts = [50, 25, 15, 10]
    runs = [
        make_run("a", precisions=BASE, n_positives=counts),
        make_run("b", precisions={1: 0.7, 2: 0.25, 3: 0.5, 4: 0.3}, n_positives=counts),
    ]
    groups = {group.name: group for group in compare(runs).by_entity["b"].groups}
    assert list(groups) == ["head", "torso", "tail"]
    assert_allclose([groups["torso"].baseline, groups["torso"].figure], [1 / 2, 0.75 / 2])
    assert groups["torso"].counts[:3] == (0, 1, 1)
    assert [group.n_entities for group in groups.values()] == [1, 2, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_videos": 99}, ("n_videos is 99", "is 100")),
        ({"n_labelled_videos": 80}, ("n_labelled_videos is 80",)),
        ({"precisions": {0: 0.9, **BASE}}, ("entity 0 has 20 positives", "has 0")),
        (
            {"precisions": BASE, "n_positives": [20, 20, 21, 22]},
            ("entity 3 has 21 positives", "has 20", "1 more"),
        ),
    ],
)
def test_other_videos_are_refused_or_said_loudly(change, words):
    a = make_run("a", precisions=BASE, n_labelled_videos=90)
    b = make_run("b", **{"n_labelled_videos": 90, "precisions": BASE, **change})
    refused([a, b], "'b' was not evaluated on the videos of 'a'", "--allow-different", *words)
    found = compare([a, b], allow_different_videos=True)
    assert len(found.warnings) == 1
    assert all(word in found.warnings[0] for word in ("NOT COMPARABLE", *words))
    assert "NOT COMPARABLE" in repr(found)
    assert found.by_entity["b"].counts.ties == len(BASE)  # those that both have


def test_other_videos_do_not_pair():
    replicates = {"map": normal_replicates(0.25, 0.001)}
    runs = [
        make_run("a", replicates=replicates),
        make_run("b", replicates=replicates, n_videos=99, map=0.9),
    ]
    found = compare(runs, allow_different_videos=True)
    assert found.differences["b"]["map"] == (pytest.approx(0.65), None)


def test_runs_that_tell_nothing_of_their_videos_are_compared_with_a_note():
    runs = [make_run("a"), make_run("b")]
    for run in runs:
        del run.metrics["n_videos"]
    found = compare(runs)
    assert any("Nothing tells whether 'b'" in line for line in found.notes)
    assert found.entities is None
    assert found.by_entity == {}


def test_settings_that_differ_are_named():
    runs = [make_run("a"), make_run("b")]
    runs[0].settings.update(loss="logistic", epochs="5", seed="0")
    runs[1].settings.update(loss="moe", n_experts="2", seed="0")
    assert compare(runs).settings == {
        "epochs": {"a": "5"},
        "loss": {"a": "logistic", "b": "moe"},
        "n_experts": {"b": "2"},
    }


def test_a_metric_that_a_run_lacks_is_left_open_unless_it_was_asked_for():
    lacking = make_run("b")
    del lacking.metrics["gap_at_20"]
    runs = [make_run("a"), lacking]
    assert math.isnan(compare(runs).differences["b"]["gap_at_20"].value)
    refused(runs, "run 'b' has no metric 'gap_at_20'", "runs/b", metrics=["map", "gap_at_20"])


def test_what_cannot_be_compared_is_refused_in_one_line():
    a, b = make_run("a"), make_run("b")
    refused([], "at least two runs", "found 0")
    refused([a], "at least two runs", "found 1")
    refused([a, make_run("a")], "two runs have one name", "'a'")
    refused([a, b], "baseline is not among the runs", "one of a, b", "found c", baseline="c")
    refused([a, make_run("b", map=math.nan)], "'map' of run 'b'", "nan")
    bare = make_run("b")
    for metric in FIGURES:
        del bare.metrics[metric]
    refused([a, bare], "run 'b' has no metric 'map'", "n_videos")
