"""``--dry-run`` of every job: it plans, checks, leaves nothing. Estimates are in test_plan.py."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparison_files import save_evaluation

from yt8m_spark import run as run_module
from yt8m_spark.formats.tfrecord import write_records

JOBS = Path(__file__).parents[2] / "jobs"
VIDEOS, WIDTH = 40, 8
METRICS = {"seconds", "task_bytes", "driver_bytes", "input_bytes", "input_rows"}

# The options of each job that it cannot do without; paths are those of the fixture `data`.
OPTIONS = {
    "aggregate_videos": "--input frame*.tfrecord",
    "apply_frame_pca": "--input table --pca pca",
    "average_submissions": "--submissions table,other",
    "build_dataset": "--candidates table --vocabulary entities.csv",
    "build_explorer": "--vocabulary entities.csv --predictions table",
    "build_vocabulary": "--entities table --types other --videos table",
    "compare_runs": "--runs judged,judged2",
    "convert_tfrecords": "--input frame*.tfrecord",
    "evaluate": "--model model --input table",
    "evaluate_ratings": "--ratings other --labels table",
    "evaluate_segments": "--predictions other --input table",
    "export_activations": "--model model --input table",
    "extract_features": "--input videos --network net.onnx",
    "fit_calibration": "--model model --input table",
    "fit_frame_codebook": "--input frame*.tfrecord",
    "fit_frame_pca": "--input table",
    "fit_whitening": "--input table",
    "make_synthetic": "",
    "normalize_videos": "--input table --whitening pca",
    "predict": "--model model --input table",
    "profile_dataset": "--input table",
    "quantize_features": "--input table",
    "run_pipeline": "--train frame*.tfrecord --test frame*.tfrecord "
    "--recipes moe_mean,moe_frames,dbof",
    "sample_frames": "--input frame*.tfrecord",
    "search_entities": "--input table --validate other",
    "train_deep": "--model lstm --input frame*.tfrecord",
    "train_entities": "--input table --loss moe",
    "train_stack": "--input table",
    "transfer": "--train table --test other",
    "write_submission": "--predictions table",
}


def write_table(path, n_videos=VIDEOS):
    rng = np.random.default_rng(0)
    path.mkdir()
    columns = {
        "video_id": [f"v{i}" for i in range(n_videos)],
        "labels": pa.array([[i % 3] for i in range(n_videos)], pa.list_(pa.int32())),
        "features": pa.array(rng.normal(size=(n_videos, WIDTH)).tolist(), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), path / "part-0.parquet")


@pytest.fixture
def data(tmp_path, monkeypatch, records):
    """A folder with something for each option, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("table", "other"):
        write_table(tmp_path / name)
    write_records(str(tmp_path / "frame0.tfrecord"), [records["frame"](i) for i in range(20)])
    Path("entities.csv").write_text("Index,Name\n0,a\n1,b\n2,c\n")
    for folder in ("model", "pca", "videos"):
        Path(folder).mkdir()
    described = {"loss": "moe", "n_entities": 3, "n_experts": 2, "n_features": WIDTH}
    Path("model/model.json").write_text(json.dumps(described))
    for name in ("judged", "judged2"):
        save_evaluation(tmp_path / name)
    Path("net.onnx").write_bytes(b"onnx")
    Path("videos/a.mp4").write_bytes(b"0" * 100)
    return tmp_path


@pytest.fixture
def dry(data, monkeypatch, capsys):
    """Dry-run a job in the folder; it must open nothing. Returns status, stdout and stderr."""

    def refuse(*_, **__):
        raise AssertionError("a dry run opened it")

    monkeypatch.setattr(run_module, "spark_session", refuse)
    monkeypatch.setattr(run_module, "tracked_run", refuse)
    monkeypatch.setenv("YT8M_SPARK_LOG", "text")
    monkeypatch.delenv("SPARK_REMOTE", raising=False)

    def run(job, *options):
        argv = [f"{job}.py", *options, "--output", output_of(job), "--dry-run"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(JOBS / f"{job}.py"), run_name="__main__")
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def output_of(job):
    return "out.csv" if job == "write_submission" else "out"


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_every_job_is_here():
    assert set(OPTIONS) == {path.stem for path in JOBS.glob("*.py")}


@pytest.mark.parametrize("job", OPTIONS)
def test_a_dry_run_tells_the_plan_and_leaves_everything_as_it_is(dry, data, job):
    before = files(data)
    status, out, err = dry(job, *OPTIONS[job].split())
    assert status == 0, err
    assert files(data) == before
    line = json.loads(out.splitlines()[-1])
    assert (line["job"], line["outputs"], line["mlflow_run_id"]) == (job, {}, None)
    assert line["dry_run"] is True
    assert set(line["metrics"]) == METRICS
    assert line["metrics"]["seconds"] > 0
    assert err.startswith(f"plan of {job}, a dry run")
    for what in (f"  output  {output_of(job)} (free)", "  session ", "  time ", "  memory "):
        assert what in err


def test_rows_and_bytes_of_inputs_are_told(dry, data):
    _, out, err = dry("predict", "--model", "model", "--input", "table")
    metrics = json.loads(out)["metrics"]
    sizes = sum(Path(f).stat().st_size for f in ("table/part-0.parquet", "model/model.json"))
    assert (metrics["input_rows"], metrics["input_bytes"]) == (VIDEOS, sizes)
    assert (
        f"table (--input): 1 files, 0.0 MB, {VIDEOS} rows, {WIDTH} features, about 3 entities"
        in err
    )


def test_what_would_be_replaced_is_told_and_kept(dry, data):
    Path("out").mkdir()
    Path("out/old").write_text("kept")
    status, _, err = dry("predict", "--model", "model", "--input", "table", "--overwrite")
    assert status == 0
    assert "out (is there, would be replaced)" in err
    assert Path("out/old").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--model model --input nowhere*", "nowhere"),
        ("--model model --input table --top-k 0", "top_k must be at least 1"),
        ("--model model --input table --topk 3", "unrecognized arguments"),
        ("--model pca --input table", "model.json"),
        ("--model model --input=", "an input has no name"),
    ],
)
def test_what_a_run_refuses_a_dry_run_refuses(dry, data, options, complaint):
    status, out, err = dry("predict", *options.split())
    assert (status, out) == (2, "")
    assert err.startswith("predict: error: ")
    assert complaint in err


@pytest.mark.parametrize(
    ("job", "options"),
    [
        ("run_pipeline", "--train frame*.tfrecord --test table --recipes logistic_frames"),
        ("run_pipeline", "--train table --test frame*.tfrecord --recipes moe_vlad"),
        ("train_deep", "--model lstm --input table"),
        ("sample_frames", "--input table"),
    ],
)
def test_videos_without_frames_are_refused_where_frames_are_needed(dry, data, job, options):
    status, out, err = dry(job, *options.split())
    assert (status, out) == (2, "")
    assert f"{job}: error: there are no frames in table, expected frame-level records" in err


def test_more_components_than_features_are_refused(dry, data):
    shards = "--train frame*.tfrecord --test frame*.tfrecord --recipes moe_mean"
    status, out, err = dry("run_pipeline", *shards.split(), "--n-components", "2000")
    assert (status, out) == (2, "")
    assert "got 2000 in recipe moe_mean" in err


def test_an_output_that_is_there_is_refused(dry, data):
    Path("out").mkdir()
    status, _, err = dry("predict", "--model", "model", "--input", "table")
    assert status == 2
    assert "output exists already" in err


def test_a_stopped_training_is_refused_or_kept_as_in_a_run(dry, data):
    done = data / ".out.work" / "blocks" / "block-0.parquet"
    done.parent.mkdir(parents=True)
    done.write_bytes(b"x")
    status, _, err = dry("train_entities", "--input", "table")
    assert status == 2
    assert "a stopped run is there" in err
    assert dry("train_entities", "--input", "table", "--overwrite")[0] == 0
    assert done.read_bytes() == b"x"
