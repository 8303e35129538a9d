"""Tables as people bring them: CSV, JSON lines, Parquet. What is in them: test_vocabulary_input."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.text_tables import (
    BAD_ROW,
    Fault,
    place,
    read_rows,
    refuse_rows,
    texts,
    trimmed,
)

COLUMNS = StructType(
    [
        StructField("id", StringType(), nullable=False),
        StructField("types", ArrayType(StringType()), nullable=False),
        StructField("note", StringType()),
    ]
)
CSV = '\ufeffother, id ,types,note\r\n1, a ,x| y |x||,"two\nlines, ""quoted"""\r\n\r\n2,b,,\r\n'
EXPECTED = [("a", ["x", "y"], 'two\nlines, "quoted"'), ("b", [], "")]


def rows(spark, path, **options):
    table = read_rows(spark, str(path), COLUMNS, **options)
    note = trimmed("note") if "note" in table.columns else F.lit("")
    found = table.select(trimmed("id"), texts(table, "types"), note, BAD_ROW).orderBy("id")
    return [tuple(row) for row in found.collect()]


def test_csv_as_spreadsheets_write_it(spark, tmp_path):
    (tmp_path / "[a]*.csv").write_text(CSV, newline="")  # a name that Spark takes for a pattern
    found = rows(spark, tmp_path / "[a]*.csv", multiline=True)
    assert found == [(*row, None) for row in EXPECTED]


def test_json_lines_and_parquet_say_the_same(spark, tmp_path):
    with gzip.open(tmp_path / "t.jsonl.gz", "wt") as file:
        file.write('{"types": [" x", null, "", "y", "x"], "id": "a ", "more": 1}\n')
        file.write('{"id": "b", "types": null, "note": null}\n{"id": 12}\n')
    assert rows(spark, tmp_path / "t.jsonl.gz") == [
        ("12", [], "", None), ("a", ["x", "y"], "", None), ("b", [], "", None)
    ]  # fmt: skip
    lists = pa.array([["x", "y ", "x"], None], pa.list_(pa.string()))
    pq.write_table(pa.table({"id": [7, None], "types": lists}), tmp_path / "t.parquet")
    assert rows(spark, tmp_path / "t.parquet") == [("", [], "", None), ("7", ["x", "y"], "", None)]


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("t.csv", "id,types,note\na,x,\nb,x\nc,x,,more\n", r"b,x and 1 more"),
        ("t.jsonl", '{"id": "a"}\n{"id": "b", "types": "x"}\n', r'\{"id": "b", "types": "x"\}$'),
        ("t.jsonl", '{"id": "a"}\nnonsense\n', r"nonsense$"),
    ],
)
def test_rows_that_cannot_be_read_are_shown(spark, tmp_path, name, text, shown):
    (tmp_path / name).write_text(text)
    table = read_rows(spark, str(tmp_path / name), COLUMNS)
    with pytest.raises(InputError, match=rf"cannot be read in .*{name}, .*found {shown}"):
        refuse_rows(table, str(tmp_path / name), {})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", b"id,types,note\na,x,M\xfcnchen\nb,x,M\xc3\xbcnchen\n"),
        ("t.jsonl", b'{"id": "a", "types": ["M\xfcnchen"]}\n{"id": "b"}\n'),
    ],
)
def test_bytes_that_are_no_text_are_refused(spark, tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    table = read_rows(spark, str(tmp_path / name), COLUMNS)
    assert table.where(F.col(BAD_ROW).isNotNull()).count() == 1  # of two
    with pytest.raises(InputError, match=rf"cannot be read in .*{name}, .*in UTF-8, found .*a"):
        refuse_rows(table, str(tmp_path / name), {})


def test_faults_are_counted_and_the_worst_comes_first(spark):
    table = spark.createDataFrame(
        [("a", "1", None), ("b", None, None), ("c", "3", None)],
        f"x string, y string, {BAD_ROW} string",
    )
    faults = {
        "none of these": Fault(F.col("x") == "z", "", F.lit("")),
        "wrong y": Fault(F.col("y").isNull(), "a y", place("x", "y")),
        "late x": Fault(F.col("x") > "a", "an early x", place("x")),
    }
    with pytest.raises(InputError, match=r"^wrong y in t, expected a y, found x 'b', y 'null'$"):
        refuse_rows(table, "t", faults)
    del faults["wrong y"]
    with pytest.raises(InputError, match=r"^late x in t, .* found x 'b' and 1 more$"):
        refuse_rows(table, "t", faults)
    del faults["late x"]
    assert refuse_rows(table, "t", faults, {"late": F.col("x") > "a"}) == {"n": 3, "late": 2}
    with pytest.raises(InputError, match="no rows in t"):
        refuse_rows(table.where("x = 'z'"), "t", faults)


def test_a_column_that_must_be_there_is_missed(spark, tmp_path):
    (tmp_path / "t.csv").write_text("id,kinds\na,b\n")
    with pytest.raises(InputError, match=r"no column 'types' in .*t\.csv, found id, kinds"):
        read_rows(spark, str(tmp_path / "t.csv"), COLUMNS)
