"""What decides about a training. Whole jobs that are resumed: tests/jobs."""

from yt8m_spark.training_config import TrainingConfig, settings_of


def test_what_is_in_a_file_of_weights_decides_as_its_name_does(tmp_path):
    path = tmp_path / "weights.csv"
    config = TrainingConfig(output="model", positive_weight=str(path))
    found = []
    for text in ("entity,weight\n0,2\n", "entity,weight\n0,2\n", "entity,weight\n0,30\n"):
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        found.append(settings_of(config, {}))
    assert found[0] == found[1] != found[2]
    assert [key for key in found[0] if found[0][key] != found[2][key]] == [
        "the file of --positive-weight"
    ]
    assert not any("label-recall" in key for key in found[0] if key.startswith("the file"))
