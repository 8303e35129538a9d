"""The folder a training can be resumed from; whole jobs that are stopped are in tests/jobs."""

import contextlib

import pytest

from yt8m_spark.errors import InputError
from yt8m_spark.file_locks import try_lock
from yt8m_spark.work_folder import has_progress, work_folder

SETTINGS = {"--l2": "0", "--seed": "1"}
FILES = (
    "blocks/block-00000.parquet",
    "progress/block-00003.npz",
    "target/target.json",
    "videos/train/_SUCCESS",
    "features/mean_own/train/_SUCCESS",
    "whitening/mean_own/whitening.json",
)


def opened(tmp_path, settings=SETTINGS, resume=False, overwrite=False):
    return work_folder(str(tmp_path / "model"), settings, resume=resume, overwrite=overwrite)


def stop(tmp_path, file="blocks/block-00000.parquet", error=RuntimeError):
    """A training that fails after it has left a file."""
    path = tmp_path / ".model.work" / file

    def train():
        with opened(tmp_path):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"x")
            raise error("stopped")

    with pytest.raises(error):
        train()
    return path


def test_the_folder_is_gone_when_all_went_well(tmp_path):
    with opened(tmp_path) as work:
        assert (tmp_path / work).is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError])
def test_a_stopped_training_is_kept_and_resumed(tmp_path, capsys, file, error):
    path = stop(tmp_path, file, error)
    assert "--resume" in capsys.readouterr().err
    with opened(tmp_path, resume=True):
        assert path.read_bytes() == b"x"


def test_bad_input_that_left_nothing_leaves_no_folder(tmp_path):
    with pytest.raises(InputError), opened(tmp_path):
        raise InputError("no such thing")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_part_is_nothing_to_go_on_from(tmp_path):
    part = tmp_path / "parts" / "0" / "a.tfrecord"
    part.parent.mkdir(parents=True)
    part.touch()
    assert not has_progress(tmp_path)


def test_a_stopped_training_is_not_thrown_away_unasked(tmp_path):
    stop(tmp_path)
    with pytest.raises(InputError, match="--resume to go on, or --overwrite"), opened(tmp_path):
        pass
    with opened(tmp_path, overwrite=True) as work:
        assert not has_progress(tmp_path / work)


def test_other_settings_cannot_be_resumed(tmp_path):
    stop(tmp_path)
    changed = {**SETTINGS, "--l2": "1"}
    with (
        pytest.raises(InputError, match="cannot resume: --l2 has changed, expected 0, found 1"),
        opened(tmp_path, changed, resume=True),
    ):
        pass


def test_a_second_training_to_the_same_output_is_refused_while_the_first_runs(tmp_path):
    with (
        opened(tmp_path),
        pytest.raises(InputError, match="another run to this output"),
        opened(tmp_path),
    ):
        pass


def test_a_lock_whose_file_is_gone_keeps_nobody_out_and_lets_nobody_in(tmp_path):
    with contextlib.ExitStack() as stack:
        with opened(tmp_path):
            late = stack.enter_context((tmp_path / ".model.lock").open())
        assert not try_lock(late)
        with opened(tmp_path):
            assert not try_lock(late)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_work_folder_that_was_half_removed_is_made_anew(tmp_path, overwrite):
    (tmp_path / ".model.work" / "blocks").mkdir(parents=True)
    left = tmp_path / f".model.work.{'0f' * 16}"  # a run was killed while it removed its own
    left.mkdir()
    with opened(tmp_path, resume=True, overwrite=overwrite) as work:
        assert [path.name for path in (tmp_path / work).iterdir()] == ["settings.json"]
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_only_called_alike_are_left_alone(tmp_path):
    names = {".model.work.bak", ".model.work.work", f".model.work.{'0f' * 6}.tmp"}
    for name in names:
        (tmp_path / name).mkdir()
    with opened(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == names


def test_what_is_done_without_settings_is_not_thrown_away_unasked(tmp_path):
    path = stop(tmp_path)
    (tmp_path / ".model.work" / "settings.json").unlink()
    with (
        pytest.raises(InputError, match="cannot resume: settings are missing"),
        opened(tmp_path, resume=True),
    ):
        pass
    assert path.exists()
    with opened(tmp_path, resume=True, overwrite=True):
        assert not path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    below = work_folder(str(tmp_path / "file/sub/model"), SETTINGS, resume=False, overwrite=False)
    with pytest.raises(InputError, match="cannot make the folder of the output"), below:
        pytest.fail("the body began")
