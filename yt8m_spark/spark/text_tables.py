"""Tables that people bring: CSV with a header, JSON lines or Parquet, told by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from yt8m_spark.errors import InputError
from yt8m_spark.spark.storage import absolute
from yt8m_spark.spark.tables import read_table

__all__ = [
    "BAD_ROW",
    "LIST_SIGN",
    "Fault",
    "is_text_table",
    "parts",
    "place",
    "read_rows",
    "refuse_rows",
    "texts",
    "trim",
    "trimmed",
]

BAD_ROW = "_bad_row"  # text of a row that cannot be read; null for all others
LIST_SIGN = "|"  # between the parts of a list in a CSV field

_CSV = (".csv", ".csv.gz")
_JSON = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_PATTERN = re.compile(r"([\[\]{}*?\\])")
_NO_UTF8 = "\ufffd"  # what Spark reads for bytes that are none
_SHOWN = 120  # characters of a row, or of one of its fields, in an error


class Fault(NamedTuple):
    """What makes a row bad."""

    is_wrong: Column
    expected: str
    found: Column  # what to show of the row


def is_text_table(path: str) -> bool:
    """Whether a name is one of CSV or JSON lines."""
    return path.lower().endswith(_CSV + _JSON)


def read_rows(
    spark: SparkSession, path: str, columns: StructType, *, multiline: bool = False
) -> DataFrame:
    """Rows of the table at ``path``, all that it has of ``columns``, and `BAD_ROW`.

    Columns of texts and lists of texts are meant: CSV gives texts alone, JSON what ``columns``
    say, Parquet what it stores. `texts` and `trimmed` make one of it.

    Parameters
    ----------
    spark : SparkSession
    path : str
        ``.csv`` (with a header, quotes doubled inside quotes), ``.json``, ``.jsonl``, ``.ndjson``
        (an object a line), each plain or ``.gz``, or else a Parquet table.
    columns : StructType
        Those that are not nullable must be there.
    multiline : bool
        A quoted CSV field may hold line breaks. Such a file is read by one task.

    Raises
    ------
    InputError
        If the table is missing or lacks a column.
    """
    name = path.lower()
    if name.endswith(_CSV):
        table = _read_csv(spark, path, multiline=multiline)
    elif name.endswith(_JSON):
        kept = [StructField(f.name, f.dataType) for f in columns]
        schema = StructType([*kept, StructField(BAD_ROW, StringType())])
        table = spark.read.schema(schema).json(
            _literal(path), mode="PERMISSIVE", columnNameOfCorruptRecord=BAD_ROW
        )
    else:
        table = read_table(spark, path).withColumn(BAD_ROW, F.lit(None).cast("string"))
    for field in columns:
        if not field.nullable and field.name not in table.columns:
            found = ", ".join(c for c in table.columns if c != BAD_ROW)
            raise InputError(f"no column {field.name!r}", where=path, found=found)
    names = [field.name for field in columns if field.name in table.columns]
    bad_row = _with_bad_bytes(names) if is_text_table(path) else F.col(BAD_ROW)
    return table.select(*names, bad_row.alias(BAD_ROW))


def refuse_rows(
    table: DataFrame,
    path: str,
    faults: Mapping[str, Fault],
    counted: Mapping[str, Column] | None = None,
) -> dict[str, int]:
    """Refuse a table of `read_rows` that has a bad row, or no row; counts rows in the same pass.

    Parameters
    ----------
    table : DataFrame
        With `BAD_ROW`.
    path : str
        What errors call it.
    faults : mapping of str to Fault
        By what is wrong, the worst first; what cannot be read is looked for before all.
    counted : mapping of str to Column
        Conditions to count the rows of.

    Returns
    -------
    dict of str to int
        Rows by the names of ``counted``, and all of them as ``n``.

    Raises
    ------
    InputError
        With how many rows have the first fault that occurs, and one of them.
    """
    # With all columns: of a column that nothing asks for Spark does not see what is wrong with it.
    all_columns = F.concat_ws("", *(F.col(c).cast("string") for c in table.columns))
    shown = F.coalesce(F.substring(BAD_ROW, 1, _SHOWN), all_columns)
    expected = "as many fields as the head has, or one JSON object, of the right types, in UTF-8"
    unreadable = Fault(F.col(BAD_ROW).isNotNull(), expected, shown)
    all_faults = {"row that cannot be read": unreadable, **faults}
    sums = [_rows_where(condition).alias(name) for name, condition in (counted or {}).items()]
    for i, fault in enumerate(all_faults.values()):
        is_wrong = F.coalesce(fault.is_wrong, F.lit(False))
        # Spark hands on bytes that are no UTF-8 as they are; Spark Connect cannot take them.
        text = F.make_valid_utf8(fault.found.cast("string"))
        sums += [
            _rows_where(is_wrong).alias(f"n_{i}"),
            F.min(F.when(is_wrong, text)).alias(f"found_{i}"),
        ]
    row = table.agg(F.count("*").alias("n"), *sums).collect()[0]
    if not row.n:
        raise InputError("table has no rows", where=path)
    for i, (what, fault) in enumerate(all_faults.items()):
        if row[f"n_{i}"]:
            more = f" and {row[f'n_{i}'] - 1:,} more" if row[f"n_{i}"] > 1 else ""
            found = f"{row[f'found_{i}']}{more}"
            raise InputError(what, where=path, expected=fault.expected, found=found)
    return {name: int(row[name]) for name in ("n", *(counted or {}))}


def place(*columns: str) -> Column:
    """What errors show of a row: its ``columns`` with their names."""
    cells = (F.coalesce(F.col(c).cast("string"), F.lit("null")) for c in columns)
    named = (
        F.concat(F.lit(f"{c} '"), F.substring(cell, 1, _SHOWN), F.lit("'"))
        for c, cell in zip(columns, cells, strict=True)
    )
    return F.concat_ws(", ", *named)


def trimmed(column: str) -> Column:
    """Text of ``column`` without white space around it; empty for null."""
    return F.coalesce(trim(F.col(column).cast("string")), F.lit("")).alias(column)


def parts(table: DataFrame, column: str) -> Column:
    """Texts of a list column as they stand; an empty list for null.

    In CSV, where a list is one text, its parts stand between `LIST_SIGN`.
    """
    empty = F.array().cast("array<string>")
    if isinstance(table.schema[column].dataType, ArrayType):
        return F.coalesce(F.col(column).cast("array<string>"), empty).alias(column)
    text = trimmed(column)
    return F.when(text == "", empty).otherwise(F.split(text, re.escape(LIST_SIGN))).alias(column)


def texts(table: DataFrame, column: str) -> Column:
    """Distinct trimmed texts of a list column (see `parts`), sorted, empty ones left out."""
    trimmed_parts = F.transform(parts(table, column), trim)
    kept = F.filter(trimmed_parts, lambda part: part.isNotNull() & (part != ""))
    return F.array_sort(F.array_distinct(kept)).alias(column)


def trim(text: Column) -> Column:
    """``text`` without white space around it."""
    return F.btrim(text, F.lit(" \t\r\n"))


def _with_bad_bytes(names: Sequence[str]) -> Column:
    """`BAD_ROW`, which rows get that have bytes which are no UTF-8 in one of the columns ``names``.

    Their ids would be other ids, without a word.
    """
    cells = [F.col(name).cast("string") for name in names]
    spoilt = reduce(or_, (F.contains(cell, F.lit(_NO_UTF8)) for cell in cells), F.lit(False))
    return F.coalesce(F.col(BAD_ROW), F.when(spoilt, F.concat_ws(", ", *cells)))


def _rows_where(condition: Column) -> Column:
    return F.coalesce(F.sum(condition.cast("long")), F.lit(0))


def _read_csv(spark: SparkSession, path: str, *, multiline: bool) -> DataFrame:
    reader = spark.read.options(header=True, escape='"')
    # Not multiLine yet: to look for the head, Spark would take the path for a pattern once more.
    names = [name.strip() for name in reader.csv(_literal(path)).columns]
    schema = StructType([StructField(name, StringType()) for name in [*names, BAD_ROW]])
    # Pruning: Spark would see nothing but the columns asked for, and so no row cut short.
    reader = reader.schema(schema).options(multiLine=multiline, columnPruning=False)
    reader = reader.option("columnNameOfCorruptRecord", BAD_ROW)
    return reader.csv(_literal(path), mode="PERMISSIVE")


def _literal(path: str) -> str:
    """``path`` as Spark takes it as it stands: it sees a pattern in [ ] { } * ?."""
    return path if "://" in path else _PATTERN.sub(r"\\\1", absolute(path))
