"""Names of recipes. Running them is tested with the pipeline."""

import pytest

from yt8m_spark.recipes import DEFAULT_RECIPES, Recipe, parse_recipe


def test_a_name_is_a_loss_then_statistics():
    expected = Recipe("moe_mean_std_top5", "moe", ("mean", "std", "top5"))
    assert parse_recipe("moe_mean_std_top5") == expected
    assert parse_recipe("hinge_top5") == Recipe("hinge_top5", "hinge", ("top5",))


def test_recipes_on_the_same_statistics_share_a_feature_set():
    sets = {parse_recipe(name).feature_set for name in ("moe_mean_std", "logistic_mean_std")}
    assert sets == {"mean_std"}


def test_encodings_name_the_codebooks_that_they_need():
    assert parse_recipe("logistic_vlad").methods == {"kmeans"}
    assert parse_recipe("moe_mean_fisher_vlad").methods == {"kmeans", "gmm"}
    assert parse_recipe("moe_mean").methods == set()
    assert parse_recipe("moe_mean_fisher").columns(["rgb"]) == ["mean_rgb", "fisher_rgb"]


def test_columns_are_those_of_the_videos_table_statistic_by_statistic():
    columns = parse_recipe("moe_mean_top5").columns(["rgb", "audio_embedding"])
    assert columns == ["mean_rgb", "mean_audio_embedding", "top5_rgb", "top5_audio_embedding"]


@pytest.mark.parametrize("name", DEFAULT_RECIPES)
def test_the_default_recipes_are_recipes(name):
    assert parse_recipe(name).name == name


def test_the_defaults_are_the_three_classifiers_of_the_paper():
    assert {parse_recipe(name).loss for name in DEFAULT_RECIPES} == {"logistic", "hinge", "moe"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "moe",
        "mean",
        "moe_",
        "moe_median",
        "softmax_mean",
        "moe_mean_mean",
        "moe-mean",
        "MOE_mean",
    ],
)
def test_other_names_are_refused_with_an_example(name):
    with pytest.raises(ValueError, match=r"as in moe_mean_std_top5; got '.*'") as caught:
        parse_recipe(name)
    assert repr(name) in str(caught.value)
