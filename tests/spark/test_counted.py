"""Counts of what tasks have done. The bar that shows them is tested in tests/test_progress.py."""

from pathlib import Path

from yt8m_spark.spark.counted import counted, counted_rows, counting


def total(folder):
    return sum(int(path.read_text()) for path in Path(folder).glob("[!.]*"))


def double(batches):
    """A task that gives each of its batches twice."""
    for batch in batches:
        yield batch
        yield batch


def test_rows_that_a_task_gives_are_counted_over_all_partitions(spark, tmp_path):
    task = counted(double, str(tmp_path))
    assert spark.range(0, 50, 1, 3).mapInArrow(task, "id long").count() == 100
    assert total(tmp_path) == 100


def test_rows_that_pass_are_counted_and_stay_the_same(spark, tmp_path):
    numbers = spark.range(0, 50, 1, 3)
    passed = counted_rows(numbers, str(tmp_path))
    assert sorted(row.id for row in passed.collect()) == list(range(50))
    assert total(tmp_path) == 50


def test_without_a_folder_nothing_changes():
    assert counted(double, None) is double
    assert list(counting([3, 4], None, lambda n: n)) == [3, 4]


def test_items_count_as_many_videos_as_they_hold(tmp_path):
    assert list(counting([3, 4], str(tmp_path), lambda n: n)) == [3, 4]
    assert total(tmp_path) == 7
