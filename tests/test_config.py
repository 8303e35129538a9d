"""Options from TOML and flags. What each job's options mean is tested with the jobs."""

from dataclasses import dataclass
from typing import Literal

import pytest

from yt8m_spark.config import describe_config, load_config, option
from yt8m_spark.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of every kind a job may have."""

    output: str = option("where to")
    n_experts: int = option("H", 2)
    rate: float = option("100% of it", 1.0)
    overwrite: bool = option("replace", False)
    loss: Literal["logistic", "hinge", "moe"] = option("family", "moe")
    columns: tuple[str, ...] = option("names", ("mean_rgb", "mean_audio"))
    n_components: int | None = option("how many", None)
    level: Literal["frame", "video"] | None = option("which", None)
    seed: int = option("of all randomness", 0)

    def __post_init__(self):
        if self.n_experts < 1:
            raise ValueError(f"n_experts must be at least 1, got {self.n_experts}")


def load(*argv):
    return load_config(Config, ["--output", "out", *argv], job="some_job")


def refusal(*argv):
    with pytest.raises(InputError) as caught:
        load(*argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "options.toml"
        path.write_text(text)
        return str(path)

    return write


def test_without_flags_the_defaults_hold():
    assert load() == Config(output="out")


def test_a_flag_may_be_followed_by_a_blank_or_an_equals_sign():
    expected = Config(output="out", n_experts=4, rate=0.5, loss="hinge")
    assert load("--n-experts", "4", "--rate", "0.5", "--loss", "hinge") == expected
    assert load("--n-experts=4", "--rate=0.5", "--loss=hinge") == expected


def test_a_value_may_hold_an_equals_sign_and_blanks():
    assert load("--output=/data/split=train/my table").output == "/data/split=train/my table"


def test_a_negative_number_is_no_flag():
    assert load("--rate", "-0.5", "--seed", "-3") == Config(output="out", rate=-0.5, seed=-3)


def test_the_file_gives_every_kind_of_option(toml):
    path = toml(
        'output = "there"\nn_experts = 4\nrate = 2\noverwrite = true\nloss = "hinge"\n'
        'columns = ["a", "b"]\nn_components = 7\nlevel = "frame"\nseed = 1\n'
    )
    config = load_config(Config, ["--config", path], job="some_job")
    assert config == Config(
        output="there",
        n_experts=4,
        rate=2.0,
        overwrite=True,
        loss="hinge",
        columns=("a", "b"),
        n_components=7,
        level="frame",
        seed=1,
    )
    assert type(config.rate) is float


def test_flags_win_over_the_file_wherever_they_stand(toml):
    path = toml("n_experts = 4\noverwrite = true\nseed = 5\n")
    before = load("--n-experts", "1", "--overwrite", "false", "--config", path)
    after = load("--config", path, "--n-experts", "1", "--overwrite=false")
    assert before == after == Config(output="out", n_experts=1, overwrite=False, seed=5)


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--overwrite"], True),
        (["--overwrite", "true"], True),
        (["--overwrite=yes"], True),
        (["--overwrite", "1"], True),
        (["--overwrite", "False"], False),
        (["--overwrite=no"], False),
        (["--overwrite=0"], False),
    ],
)
def test_a_switch_stands_alone_or_has_a_value(argv, value):
    assert load(*argv).overwrite is value


def test_a_switch_leaves_the_next_flag_alone():
    config = load("--overwrite", "--seed", "3")
    assert (config.overwrite, config.seed) == (True, 3)


def test_a_list_is_given_with_commas(toml):
    assert load("--columns", "a, b,,c").columns == ("a", "b", "c")
    assert load("--columns=").columns == ()
    assert load("--config", toml('columns = "a,b"')).columns == ("a", "b")
    assert load("--config", toml("columns = []")).columns == ()


def test_an_option_without_a_default_is_required():
    with pytest.raises(InputError, match="option --output is missing"):
        load_config(Config, [], job="some_job")


def test_files_that_a_shell_put_for_a_pattern_are_told_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        (tmp_path / name).touch()
    told = "--output takes one path or pattern: put a pattern in quotes; found 2 more files, b the"
    assert told in refusal("--output", "a", "b", "c")
    assert told in refusal("--output=a", "b", "c")


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--n-expert", "4"], "--n-expert"),  # no abbreviations: they change meaning over time
        (["--sed=1"], "--sed=1 (is it --seed?)"),
        (["more"], "unrecognized arguments: more"),
        (["--seed"], "--seed"),
        (["--seed", "1.5"], "--seed, expected a whole number, found 1.5"),
        (["--rate", "fast"], "--rate, expected a number, found fast"),
        (["--rate", "nan"], "--rate, expected a number, found nan"),
        (["--rate=-inf"], "--rate, expected a number, found -inf"),
        (["--overwrite", "maybe"], "--overwrite, expected true or false, found maybe"),
        (["--loss", "cubic"], "--loss, expected one of logistic, hinge, moe, found cubic"),
        (["--level", "audio"], "--level, expected one of frame, video, found audio"),
        (["--n-components", "none"], "--n-components, expected a whole number"),
        (["--n-experts", "0"], "n_experts must be at least 1, got 0"),
        (["--config", "nowhere.toml"], "cannot read config in nowhere.toml, found No such file"),
    ],
)
def test_a_flag_at_fault_is_refused_by_name(argv, part):
    assert part in refusal(*argv)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("n_expert = 4", "unknown key 'n_expert' in"),
        ("n-experts = 4", "unknown key 'n-experts'"),
        ("[training]\nseed = 1", "unknown key 'training'"),
        ('seed = "1"', "key 'seed', expected int, found '1'"),
        ("seed = 1.0", "key 'seed', expected int, found 1.0"),
        ("seed = true", "key 'seed', expected int, found True"),
        ("overwrite = 1", "key 'overwrite', expected bool, found 1"),
        ('overwrite = "true"', "key 'overwrite', expected bool"),
        ("rate = nan", "key 'rate', expected float, found nan"),
        ("rate = inf", "key 'rate', expected float, found inf"),
        ("output = 3", "key 'output', expected text, found 3"),
        ("columns = [1, 2]", "key 'columns', expected a list of texts, found [1, 2]"),
        ("columns = 1", "key 'columns', expected text"),
        ('loss = "cubic"', "key 'loss', expected one of logistic, hinge, moe, found cubic"),
        ("seed = [1]", "key 'seed', expected int, found [1]"),
        ("n_experts = 0", "n_experts must be at least 1, got 0"),
        ("seed =", "not a TOML file"),
    ],
)
def test_a_key_at_fault_is_refused_by_name(toml, text, part):
    assert part in refusal("--config", toml(text))


def test_an_unknown_key_is_answered_with_the_known_ones(toml):
    assert "expected one of columns, level, loss" in refusal("--config", toml("x = 1"))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not a TOML file" in refusal("--config", str(path))
    assert "cannot read config" in refusal("--config", str(tmp_path))


def test_help_names_every_option_with_its_default_and_ends_well(capsys):
    with pytest.raises(SystemExit) as ended:
        load("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "usage: some_job.py" in text
    assert "Options of every kind a job may have." in text
    for part in (
        "--output TEXT where to (required)",
        "--rate X 100% of it (default: 1.0)",
        "--overwrite [true/false] replace --loss",
        "--loss logistic/hinge/moe family (default: moe)",
        "--columns A,B,... names (default: mean_rgb,mean_audio)",
        "--n-components N how many --level",
        "--seed N of all randomness (default: 0)",
    ):
        assert part in text


def test_the_description_holds_every_option_as_text():
    described = describe_config(Config(output="out", columns=("a", "b")))
    assert described == {
        "output": "out",
        "n_experts": "2",
        "rate": "1.0",
        "overwrite": "False",
        "loss": "moe",
        "columns": "a,b",
        "n_components": "None",
        "level": "None",
        "seed": "0",
    }
