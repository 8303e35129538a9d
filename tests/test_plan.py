"""What a dry run reckons, by hand. That every job has a plan is tested in tests/jobs."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yt8m_spark import plan_rates as rate
from yt8m_spark.errors import InputError
from yt8m_spark.plan import Stage, is_dry_run, session_cores, with_plan_of
from yt8m_spark.plan_inputs import look_at
from yt8m_spark.plan_pipeline import with_lists
from yt8m_spark.plan_stages import n_entities_of, stages_of, train_stages, whiten_stage
from yt8m_spark.run import JobConfig


def write_table(path, n_videos=30, **widths):
    columns = {
        "video_id": [f"v{i}" for i in range(n_videos)],
        "labels": pa.array([[i % 3, 7] for i in range(n_videos)], pa.list_(pa.int32())),
    }
    for name, width in widths.items():
        rows = np.zeros((n_videos, width)).tolist()
        columns[name] = pa.array(rows, pa.list_(pa.float32()))
    path.mkdir()
    pq.write_table(pa.table(columns), path / "part-0.parquet")
    return str(path)


@pytest.fixture
def environment(monkeypatch):
    names = ("SPARK_REMOTE", "PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS")
    for name in (*names, "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)))
    return monkeypatch


def test_cores_share_what_can_be_shared():
    stage = Stage("train", core_seconds=60.0, driver_seconds=2.0)
    assert stage.seconds(1) == 62
    assert stage.seconds(4) == 60 / 4 + 2


def test_training_takes_4_d_r_flops_a_video_and_entity():
    layout, train = train_stages(50_000, 1024, 400, 4, 5, name="moe")
    flops = 4 * 1024 * 4 * 400 * 50_000 * 5  # docs/scale.md
    assert train.core_seconds == pytest.approx(flops / rate.TRAIN)
    assert layout.core_seconds == pytest.approx(4 * 1024 * 50_000 / rate.LAYOUT)


def test_a_covariance_is_8_d_squared_bytes_up_to_the_memory_given():
    wide = whiten_stage(1000, 7168, 0.0, 256 << 20)
    narrow = whiten_stage(1000, 128, 0.0, 256 << 20)
    assert wide.task_bytes == 256 << 20
    assert narrow.task_bytes == 2 * 8 * 128**2
    assert narrow.core_seconds == pytest.approx(1000 * 128**2 / rate.MOMENTS)


def test_a_job_without_a_model_reads_its_input_at_least(tmp_path):
    source = look_at(write_table(tmp_path / "table", x=4), "input", "build_explorer")
    (stage,) = stages_of("build_explorer", None, [source])
    assert stage.at_least
    assert stage.core_seconds == pytest.approx(source.n_bytes / rate.PARQUET)


def test_a_table_tells_rows_widths_and_labels(tmp_path):
    source = look_at(write_table(tmp_path / "t", mean_rgb=5, mean_audio=2), "input", "predict")
    assert (source.rows, source.exact, source.widths) == (
        30,
        True,
        {"mean_rgb": 5, "mean_audio": 2},
    )
    assert source.width == 5 + 2
    assert source.n_entities == len({0, 1, 2, 7})
    assert not source.of_shards


def test_shards_tell_about_how_many_records_of_what_width(tmp_path, monkeypatch):
    from yt8m_spark.formats.examples import FrameRecord, encode_frames
    from yt8m_spark.formats.tfrecord import write_records

    frames = {"rgb": np.zeros((3, 8), np.uint8)}
    records = [
        encode_frames(FrameRecord(f"v{i}", np.array([i % 2]), frames, None)) for i in range(12)
    ]
    write_records(str(tmp_path / "a.tfrecord"), records)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    source = look_at(str(tmp_path / "*.tfrecord"), "input", "convert_tfrecords")
    assert (source.rows, source.exact, source.of_shards) == (12, False, True)
    assert (source.widths, source.n_entities) == ({"rgb": 8}, 2)


def test_entities_are_those_asked_for_else_those_seen_that_the_vocabulary_has(tmp_path):
    source = look_at(write_table(tmp_path / "table", x=4), "input", "train_entities")
    vocabulary = tmp_path / "entities.csv"
    vocabulary.write_text("Index,Name\n0,a\n1,b\n7,c\n")
    asked = SimpleNamespace(entities="0,5-6", vocabulary=str(vocabulary))
    assert n_entities_of(asked, source) == 3
    assert n_entities_of(SimpleNamespace(vocabulary=None), source) == len({0, 1, 2, 7})
    known = SimpleNamespace(vocabulary=str(vocabulary))
    assert n_entities_of(known, source) == 3
    assert n_entities_of(known, source._replace(n_entities=2)) == 2
    assert n_entities_of(known, source._replace(n_entities=0)) == 3


def test_labels_are_counted_in_files_from_all_over(tmp_path):
    for number in range(9):
        rows = pa.array([[number], [number]], pa.list_(pa.int32()))
        pq.write_table(pa.table({"labels": rows}), tmp_path / f"part-{number}.parquet")
    assert look_at(str(tmp_path), "input", "predict").n_entities == 4


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([[[1]], [[2]]]),
        pa.array([[{"a": 1}], None]),
        pa.array([["a"], ["b"]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([1, 2]),
        pa.array([None, None], pa.list_(pa.int32())),
    ],
)
def test_labels_that_are_none_are_left_to_the_job(tmp_path, labels):
    pq.write_table(pa.table({"labels": labels}), tmp_path / "t.parquet")
    assert look_at(str(tmp_path / "t.parquet"), "input", "predict").n_entities == 0


def test_columns_of_one_name_are_left_to_the_job(tmp_path):
    x = pa.array([[0.5]], pa.list_(pa.float32()))
    table = pa.Table.from_arrays([x, x], names=["x", "x"])
    pq.write_table(table, tmp_path / "t.parquet")
    assert look_at(str(tmp_path / "t.parquet"), "input", "predict").rows == 1


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_of_either_size_are_frames(tmp_path, kind):
    x = pa.array([[0.5]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"rgb": pa.array([b"x"], kind), "x": x}), tmp_path / "t.parquet")
    assert look_at(str(tmp_path / "t.parquet"), "input", "predict").level == "frame"


def test_the_plan_of_a_pipeline_is_of_the_features_asked_for(tmp_path):
    source = look_at(write_table(tmp_path / "t", mean_rgb=5, mean_audio=2), "train", "run_pipeline")
    assert with_lists(source, ["rgb"]).width == with_lists(source, ["mean_rgb"]).width == 5
    assert with_lists(source, []).width == 7


def test_a_damaged_table_is_refused(tmp_path):
    path = write_table(tmp_path / "table", x=4)
    (tmp_path / "table" / "part-0.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"not a Parquet file.*part-0\.parquet"):
        look_at(path, "input", "predict")


@pytest.mark.parametrize(
    ("name", "value", "cores"),
    [
        (None, None, 6),
        ("SPARK_REMOTE", "local[3]", 3),
        ("SPARK_REMOTE", "local[*]", 6),
        ("SPARK_REMOTE", "sc://host", 1),
        ("PYSPARK_GATEWAY_PORT", "25333", 1),
        ("PYSPARK_SUBMIT_ARGS", "--master local[*] --master local[3] pyspark-shell", 3),
        ("PYSPARK_SUBMIT_ARGS", "--master=spark://host:7077 pyspark-shell", 1),
        ("PYSPARK_SUBMIT_ARGS", "--properties-file own.conf pyspark-shell", 1),
        ("PYSPARK_SUBMIT_ARGS", "--conf spark.master=local[4] pyspark-shell", 4),
        ("PYSPARK_SUBMIT_ARGS", "--name it's pyspark-shell", 1),
    ],
)
def test_cores_are_those_of_the_session_to_be(environment, name, value, cores):
    if name:
        environment.setenv(name, value)
    found, told = session_cores()
    assert found == cores
    assert ("divide them by its cores" in told) == (cores == 1)


def test_only_the_body_of_a_dry_run_is_one():
    assert not is_dry_run()
    with with_plan_of(JobConfig(output="x", dry_run=True)):
        assert is_dry_run()
    with with_plan_of(JobConfig(output="x")):
        assert not is_dry_run()
