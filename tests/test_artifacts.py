"""Files written whole or not at all. What the files of models hold is tested in tests/spark."""

import io
import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from yt8m_spark.artifacts import (
    check_output_free,
    load_arrays,
    load_json,
    save_arrays,
    save_json,
    staged_file,
    staged_output,
)
from yt8m_spark.errors import InputError

ARRAYS = {"mean": np.arange(3, dtype=np.float32), "matrix": np.arange(6.0).reshape(2, 3)}


def write_folder(folder, text):
    Path(folder).mkdir(parents=True)
    (Path(folder) / "part").write_text(text)


def write_half(path, is_folder, error):
    write_folder(path, "half") if is_folder else Path(path).write_text("half")
    raise error


def test_what_the_body_wrote_is_the_output(tmp_path):
    target = tmp_path / "new" / "table"
    with staged_output(str(target)) as folder:
        write_folder(folder, "x")
        assert not target.exists()
    assert (target / "part").read_text() == "x"
    assert os.listdir(target.parent) == ["table"]


def test_a_single_file_may_be_the_output(tmp_path):
    with staged_output(str(tmp_path / "table.csv")) as path:
        Path(path).write_text("x")
    assert (tmp_path / "table.csv").read_text() == "x"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("old_is_folder", [True, False])
@pytest.mark.parametrize("new_is_folder", [True, False])
def test_success_replaces_the_old_output(tmp_path, old_is_folder, new_is_folder):
    target = tmp_path / "out"
    write_folder(target, "old") if old_is_folder else target.write_text("old")
    with staged_output(str(target)) as path:
        write_folder(path, "new") if new_is_folder else Path(path).write_text("new")
    assert (target / "part" if new_is_folder else target).read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("is_folder", [True, False])
def test_failure_leaves_nothing_behind(tmp_path, error, is_folder):
    with pytest.raises(error), staged_output(str(tmp_path / "out")) as path:
        write_half(path, is_folder, error)
    assert os.listdir(tmp_path) == []


def test_failure_keeps_the_old_output(tmp_path):
    write_folder(tmp_path / "out", "old")
    with pytest.raises(RuntimeError), staged_output(str(tmp_path / "out")) as folder:
        write_half(folder, True, RuntimeError)
    assert (tmp_path / "out" / "part").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_body_that_wrote_nothing_keeps_the_old_output(tmp_path):
    write_folder(tmp_path / "out", "old")
    nothing = pytest.raises(FileNotFoundError, match="nothing was written")
    with nothing, staged_output(str(tmp_path / "out")):
        pass
    assert (tmp_path / "out" / "part").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_rename_that_fails_puts_the_old_output_back(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", "old")
    rename = os.rename

    def rename_all_but_staged(source, target):
        if str(source).endswith(".tmp"):
            raise OSError("disk is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_all_but_staged)
    gone = pytest.raises(OSError, match="disk is gone")
    with gone, staged_output(str(tmp_path / "out")) as folder:
        write_folder(folder, "new")
    assert (tmp_path / "out" / "part").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_the_name_of_the_staged_output_hides_it_from_spark(tmp_path):
    # Spark takes no file or folder whose name starts with a dot for data.
    with staged_output(str(tmp_path / "out")) as folder:
        write_folder(folder, "x")
        assert Path(folder).parent == tmp_path
        assert Path(folder).name.startswith(".")


def test_an_output_that_exists_needs_overwrite(tmp_path):
    path = str(tmp_path / "out")
    check_output_free(path, overwrite=False)
    write_folder(path, "old")
    check_output_free(path, overwrite=True)
    with pytest.raises(InputError, match=r"output exists already in .*expected a new path or"):
        check_output_free(path, overwrite=False)


@pytest.mark.parametrize(
    "given",
    [
        "data/train",
        "data/train/",
        "data/../data/train",
        "data/train/part-0.parquet",
        "data/train/*.tfrecord",
        "data/train/train{00,01}*.tfrecord",
        "data/*",
        "data/t????",
        "data/{train,test}/*.tfrecord",
        "{data,more}/train",
        "file:{here}/data/train",
        "file://{here}/data/train",
        "link/part-0",
    ],
)
def test_an_output_over_its_own_input_is_refused_even_to_overwrite(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    write_folder("data/train", "shard")
    Path("link").symlink_to("data/train")
    given = given.replace("{here}", str(tmp_path))
    with pytest.raises(InputError, match="output would replace its own input"):
        check_output_free("data/train", overwrite=True, inputs=["other", given])


@pytest.mark.parametrize(
    "given", ["data", "data/out2", "data/o", "data/*.tfrecord", "out", "s3://data/out"]
)
def test_an_output_beside_its_input_is_allowed(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    check_output_free("data/out", overwrite=False, inputs=[given])


def test_an_old_output_in_a_folder_that_is_read_with_all_below_is_an_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_output_free("data/new/x", overwrite=True, inputs=["data/**/*.tfrecord"])
    write_folder("data/old/x", "shard")
    with pytest.raises(InputError, match="output would replace its own input"):
        check_output_free("data/old/x", overwrite=True, inputs=["data/**/*.tfrecord"])


@pytest.mark.parametrize("scheme", ["file:", "FILE:", "dbfs:"])
def test_a_scheme_of_what_is_mounted_does_not_hide_an_input(scheme):
    with pytest.raises(InputError, match="output would replace its own input"):
        check_output_free("/Volumes/m/y/x", overwrite=True, inputs=[f"{scheme}/Volumes/m/y/x"])


@pytest.mark.parametrize("path", [".", "..", "/", "../../.."])
def test_the_working_folder_is_no_output(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="output would replace the working folder"):
        check_output_free(path, overwrite=True)


@pytest.mark.parametrize("path", ["s3://bucket/out", "dbfs:/out", "file:/out", "hdfs:///out", ""])
def test_an_output_that_is_not_mounted_is_refused(path):
    with pytest.raises(InputError, match="expected a path of a mounted file system"):
        check_output_free(path, overwrite=True)


def replace(target, text):
    with staged_output(str(target)) as folder:
        write_folder(folder, text)


@pytest.mark.parametrize(("n_renamed", "left"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_signal_while_an_output_is_replaced_leaves_one_of_the_two(
    tmp_path, monkeypatch, n_renamed, left
):
    replace(tmp_path / "out", "old")
    renamed, rename = [], os.rename

    def interrupted(*paths):
        if n_renamed == 0 and not renamed:
            renamed.append(None)
            raise KeyboardInterrupt
        rename(*paths)
        renamed.append(paths)
        if len(renamed) == n_renamed:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "out", "new")
    assert (tmp_path / "out" / "part").read_text() == left
    assert os.listdir(tmp_path) == ["out"]


def test_clean_up_that_is_cut_short_is_done_by_the_next_writer(tmp_path, monkeypatch):
    replace(tmp_path / "out", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: interrupt())
        patch.setattr("yt8m_spark.artifacts.remove", lambda _: interrupt())
        with pytest.raises(KeyboardInterrupt):
            replace(tmp_path / "out", "new")
    assert len(os.listdir(tmp_path)) == 3  # the old output, what was staged, its lock
    replace(tmp_path / "out", "newer")
    assert (tmp_path / "out" / "part").read_text() == "newer"
    assert os.listdir(tmp_path) == ["out"]


def interrupt():
    raise KeyboardInterrupt


def test_of_two_writers_that_replace_an_output_at_once_one_is_told(tmp_path, monkeypatch):
    replace(tmp_path / "out", "old")
    rename = os.rename

    def renamed_by_another(source, target):
        rename(source, target)
        if str(target).endswith(".old"):  # the other one comes between
            write_folder(tmp_path / "out", "other")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", renamed_by_another)
        with pytest.raises(InputError, match="made by another job meanwhile"):
            replace(tmp_path / "out", "new")
    assert (tmp_path / "out" / "part").read_text() == "other"
    assert os.listdir(tmp_path) == ["out"]


def test_an_output_that_comes_at_the_last_moment_stays(tmp_path, monkeypatch):
    def other(_):
        if not (tmp_path / "out").exists():
            write_folder(tmp_path / "out", "other")

    monkeypatch.setattr("yt8m_spark.artifacts.remove_temporaries", other)
    with (
        pytest.raises(InputError, match="made by another job meanwhile"),
        staged_output(str(tmp_path / "out"), overwrite=False) as folder,
    ):
        write_folder(folder, "mine")
    assert (tmp_path / "out" / "part").read_text() == "other"
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot make the folder .* in .*file/sub/out"),
        staged_output(str(tmp_path / "file" / "sub" / "out")),
    ):
        pytest.fail("the body began")


def test_an_output_that_is_put_back_is_not_worked_on_in_vain(tmp_path):
    name = ".out.0123456789ab.tmp"
    claim = {"host": platform.node(), "pid": 1, "run_id": None}
    (tmp_path / f"{name}.lock").write_text(json.dumps(claim))
    write_folder(tmp_path / f"{name}.old", "old")
    check_output_free(str(tmp_path / "out"), overwrite=False)
    with (
        pytest.raises(InputError, match="output exists already"),
        staged_output(str(tmp_path / "out"), overwrite=False),
    ):
        pytest.fail("the body began")
    assert (tmp_path / "out" / "part").read_text() == "old"


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "arrays.npz"
    save_arrays(path, ARRAYS)
    loaded = load_arrays(path, list(ARRAYS))
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        assert_array_equal(loaded[name], array)
    assert os.listdir(path.parent) == ["arrays.npz"]


def test_only_the_arrays_asked_for_are_read(tmp_path):
    save_arrays(tmp_path / "a.npz", ARRAYS)
    assert list(load_arrays(tmp_path / "a.npz", ["mean"])) == ["mean"]


def test_the_file_is_numpy_s_own(tmp_path):
    save_arrays(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz") as file:
        assert sorted(file) == sorted(ARRAYS)  # and no option of savez among them
        assert_array_equal(file["matrix"], ARRAYS["matrix"])


def test_python_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="'names' holds Python objects"):
        save_arrays(tmp_path / "a.npz", {"names": np.array([{}, None], dtype=object)})
    assert os.listdir(tmp_path) == []


def test_python_objects_are_not_read(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez(file, names=np.array([{}, None], dtype=object))
    with pytest.raises(InputError, match=r"not an \.npz file of arrays"):
        load_arrays(tmp_path / "a.npz", ["names"])


def test_an_array_that_is_missing_is_named(tmp_path):
    save_arrays(tmp_path / "a.npz", ARRAYS)
    with pytest.raises(InputError, match=r"array 'ridge' is missing in .*a\.npz"):
        load_arrays(tmp_path / "a.npz", ["mean", "ridge"])


def test_every_cut_and_every_flipped_byte_is_refused_or_harmless(tmp_path):
    # Damage to a date or to an attribute of the zip does no harm; no array may come out changed.
    path = tmp_path / "a.npz"
    save_arrays(path, ARRAYS)
    good = path.read_bytes()
    cuts = [good[:n] for n in range(0, len(good), 7)]
    flips = [good[:n] + bytes([good[n] ^ 0xFF]) + good[n + 1 :] for n in range(len(good))]
    n_refused = 0
    for damaged in cuts + flips:
        path.write_bytes(damaged)
        try:
            loaded = load_arrays(path, list(ARRAYS))
        except InputError:
            n_refused += 1
        else:
            assert all(np.array_equal(loaded[name], ARRAYS[name]) for name in ARRAYS)
    assert n_refused > len(good) / 2


@pytest.mark.parametrize("kind", ["missing", "npy", "text", "empty", "folder"])
def test_what_is_no_npz_is_refused(tmp_path, kind):
    path = tmp_path / "a.npz"
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text({"text": "mean = 1", "empty": ""}[kind])
    with pytest.raises(InputError, match=r"(no such|not an \.npz) file.* in .*a\.npz"):
        load_arrays(path, ["mean"])


def test_json_comes_back_as_it_was(tmp_path):
    value = {"b": [1, 2.5, None, "é"], "a": {"x": True}}
    save_json(tmp_path / "new" / "a.json", value)
    assert load_json(tmp_path / "new" / "a.json") == value
    assert json.loads((tmp_path / "new" / "a.json").read_bytes()) == value
    assert os.listdir(tmp_path / "new") == ["a.json"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b'{"a": ', "not a JSON file"),
        (b"", "not a JSON file"),
        (b"\xff\xfe{}", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b"[1]", "not a JSON object in .*found list"),
        (b"null", "not a JSON object in .*found NoneType"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path, content, part):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=part):
        load_json(tmp_path / "a.json")


def test_json_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file in .*a\.json"):
        load_json(tmp_path / "a.json")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    save_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        save_json(tmp_path / "a.json", {"a": object()})
    assert load_json(tmp_path / "a.json") == {"a": 1}


def test_an_output_that_another_job_made_meanwhile_stays(tmp_path):
    def write_while_another_job_does(target):
        with staged_output(str(target), overwrite=False) as folder:
            Path(folder).mkdir()
            target.mkdir()
            (target / "theirs").touch()

    with pytest.raises(InputError, match="by another job"):
        write_while_another_job_does(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


def test_a_file_whose_writing_fails_leaves_nothing_and_the_old_one_stays(tmp_path):
    def write(path):
        with staged_file(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        with pytest.raises(OSError, match="disk full"):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_arrays_are_written_from_start_to_end(tmp_path, monkeypatch):
    # As a volume of Databricks has it: a file that was positioned cannot be closed.
    opened, places = Path.open, []

    class Watched(io.BufferedWriter):
        def seek(self, *position):
            places.append(position)
            return super().seek(*position)

    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r": (
            Watched(io.FileIO(self, "w")) if mode == "wb" else opened(self, mode)
        ),
    )
    save_arrays(tmp_path / "a.npz", ARRAYS)
    assert places == []
    for name, found in load_arrays(tmp_path / "a.npz", list(ARRAYS)).items():
        assert_array_equal(found, ARRAYS[name])
