"""Names of the rows of a transfer. What they do: tests/jobs/test_transfer.py."""

import pytest

from yt8m_spark.transfer_rows import default_rows, feature_set, parse_row


def test_a_row_of_videos_has_a_whitening_a_loss_and_statistics():
    row = parse_row("transferred_moe_mean_std_top5")
    assert (row.way, row.recipe.loss, row.recipe.statistics) == (
        *("transferred", "moe"),
        ("mean", "std", "top5"),
    )
    assert row.plain == "Mixture of experts [mean; std; top5]"
    assert row.gain == "transferred PCA"
    assert row.features == "mean_std_top5_transferred"
    assert not parse_row("own_logistic_mean").needs_source


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("lstm_scratch", ""),
        ("lstm_frozen", "frozen features, fully connected layer"),
        ("dbof_finetuned", "fine-tuned"),
        ("mean_scratch", ""),
    ],
)
def test_a_row_of_a_network_has_a_way(name, gain):
    row = parse_row(name)
    assert row.of_network
    assert row.gain == gain
    assert row.needs_source == bool(gain)


@pytest.mark.parametrize(
    "name", ["", "logistic_mean", "own_mean", "own_lstm", "own_logistic_frames", "lstm", "lstm_own"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"a row is|a recipe is"):
        parse_row(name)


def test_the_default_is_all_that_the_inputs_allow():
    sets = [("mean",), ("mean", "std", "top5")]
    names = [row.name for row in default_rows(sets, ["mean"], "lstm")]
    assert names == [
        "own_logistic_mean",
        "transferred_logistic_mean",
        "own_moe_mean",
        "transferred_moe_mean",
        "own_logistic_mean_std_top5",
        "own_moe_mean_std_top5",
        "lstm_scratch",
        "lstm_frozen",
        "lstm_finetuned",
    ]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["mean_rgb", "mean_audio"], (("mean",), ("rgb", "audio"))),
        (["mean_rgb", "std_rgb", "mean_b", "std_b"], (("mean", "std"), ("rgb", "b"))),
        (["mean_a_b", "std_a_b"], (("mean", "std"), ("a_b",))),
        (["mean_rgb", "std_audio"], None),
        (["std_rgb", "mean_rgb", "mean_audio"], None),
        (["frames_rgb"], None),
        (["embedding"], None),
    ],
)
def test_the_columns_of_a_whitening_tell_its_feature_set(columns, found):
    assert feature_set(columns) == found
