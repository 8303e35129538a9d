"""Options of networks. Whole jobs with them are in tests/jobs."""

from pathlib import Path

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.network_config import NetworkConfig, load_networks, network_settings, source_stamp

CONF = Path(__file__).parents[1] / "conf"


def test_each_network_chooses_its_frames():
    usual = NetworkConfig()
    assert usual.frames_of("dbof") == ("random", 30)
    assert usual.frames_of("lstm") == ("stretch", 0)
    assert usual.frames_of("mean") == ("all", 0)
    few = NetworkConfig(n_frames=7)
    assert few.frames_of("dbof") == ("random", 7)
    assert few.frames_of("lstm") == ("stretch", 7)
    assert few.frames_of("mean") == ("random", 7)
    with pytest.raises(InputError, match="--n-frames 1 or more"):
        NetworkConfig(n_frames=0).frames_of("dbof")


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("cells", 0), ("clip", -1.0), ("n_readers", -1), ("learning_rate", 0.0)],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        NetworkConfig(**{name: value})


def test_the_paper_is_the_default_and_its_file_says_the_same():
    given = load_networks(str(CONF / "paper/train_deep.toml"))
    assert given == NetworkConfig()
    # §4.1.2 and §4.1.3
    assert (given.units, given.hidden, given.layers, given.cells) == (8192, 1024, 2, 1024)
    assert (given.horizon, given.optimizer) == (60, "adagrad")
    assert (given.learning_rate, given.weight_decay) == (0.1, 5e-4)


def test_the_small_file_is_of_networks(tmp_path):
    assert load_networks(str(CONF / "local/train_deep.toml")).units < 8192
    (tmp_path / "other.toml").write_text("input = 'x'")
    with pytest.raises(InputError, match="unknown key 'input'"):
        load_networks(str(tmp_path / "other.toml"))


def test_what_decides_about_the_weights_may_not_change(tmp_path):
    file = tmp_path / "a.tfrecord"
    file.write_bytes(b"1")
    before = network_settings(NetworkConfig(), {"--input": str(file)})
    free = NetworkConfig(epochs=3, n_processes=2, device="cpu", n_readers=0, threads=4)
    assert network_settings(free, {"--input": str(file)}) == before
    other = network_settings(NetworkConfig(units=5), {"--input": str(file)})
    assert {name for name in other if other[name] != before[name]} == {"--units"}
    file.write_bytes(b"22")
    changed = network_settings(NetworkConfig(), {"--input": str(file)})
    assert {name for name in changed if changed[name] != before[name]} == {"the data of --input"}


def test_a_stamp_is_of_all_files_that_a_pattern_names(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.tfrecord").write_bytes(b"1")
    pattern = str(tmp_path / "*.tfrecord")
    before = source_stamp(pattern)
    assert source_stamp(pattern) == before
    (tmp_path / "c.tfrecord").write_bytes(b"1")
    assert source_stamp(pattern) != before


def test_storage_that_is_not_mounted_is_refused():
    with pytest.raises(InputError, match="ranks cannot read this storage in s3://b/c"):
        source_stamp("s3://b/c")


@pytest.mark.parametrize(
    ("given", "n_ranks", "n_together"),
    [
        ({"batch_size": 1}, 1, 1),
        ({"micro_batch": 1}, 1, 1),
        ({"batch_size": 2, "micro_batch": 64}, 1, 2),
        ({"micro_batch": 1}, 2, 2),
        ({"batch_size": 2}, 2, 2),
    ],
)
def test_dbof_needs_two_videos_to_normalize_over_all_ranks(given, n_ranks, n_together):
    config = NetworkConfig(**given)
    for network, trainable in [("lstm", "all"), ("mean", "all"), ("dbof", "output")]:
        config.check_normalized(network, n_ranks, trainable)
    if n_together > 1:
        config.check_normalized("dbof", n_ranks)
        return
    with pytest.raises(InputError, match=r"normalized together.*2 or more.*found 1$"):
        config.check_normalized("dbof", n_ranks)


def test_ranks_share_the_cores_of_the_machine(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(5)))
    usual = NetworkConfig()
    assert [usual.threads_of(n) for n in (1, 2, 8)] == [5, 2, 1]
    assert NetworkConfig(threads=3).threads_of(8) == 3
    assert NetworkConfig(launch="spark").threads_of(1) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_processes": 5, "batch_size": 12}, r"a multiple of n_processes \(5\), got 12"),
        ({"ema": 1.0}, "ema must be below 1"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_values_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**given)
