"""Which parts of a text are secrets. That jobs log no others is tested in test_tracking.py."""

import pytest

from yt8m_spark.masking import masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ana:hunter2@host:5000/mlflow", "https://ana:***@host:5000/mlflow"),
        ("postgresql+psycopg2://me:p%40ss@db/mlflow", "postgresql+psycopg2://me:***@db/mlflow"),
        ("https://dapi0123@host", "https://***@host"),
        (
            "https://host/x?sv=1&sig=ab%2Bc&X-Amz-Signature=00ff#top",
            "https://host/x?sv=1&sig=***&X-Amz-Signature=***",
        ),
        ("no store in a://b:c@d and e://f:g@h", "no store in a://b:***@d and e://f:***@h"),
    ],
)
def test_passwords_and_signatures_are_masked(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000",
        "sqlite:////tmp/a@b.db",
        "abfss://container@account.dfs.core.windows.net/videos",
        "s3://bucket/train*.tfrecord",
        "/data/a:b@c",
        "features,labels",
        "rare",
    ],
)
def test_what_is_no_secret_stays(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://user:p/w@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:a@b@host/db", "postgresql://user:***@host/db"),
        ("postgresql://user:a b@host/db", "postgresql://user:***@host/db"),
        ("https://host/path#access_token=abc", "https://host/path#access_token=***"),
        ("http://127.0.0.1:5000/#/runs and models:/tagger@champion",) * 2,
        ("http://u:p@a, http://v:q@b", "http://u:***@a, http://v:***@b"),
    ],
)
def test_passwords_of_databases_may_hold_what_addresses_may_not(text, expected):
    assert masked(text) == expected
