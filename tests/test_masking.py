"""Which parts of a text are secrets. That jobs log no others is tested in test_tracking.py."""

import time

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AWS_SECRET_ACCESS_KEY=ab/+c== next", "AWS_SECRET_ACCESS_KEY=*** next"),
        ("export HF_TOKEN='a b'; run", "export HF_TOKEN=***; run"),
        ("spark.hadoop.fs.s3a.secret.key=abc", "spark.hadoop.fs.s3a.secret.key=***"),
        (
            "fs.azure.account.key.store.dfs.core.windows.net: abc==",
            "fs.azure.account.key.store.dfs.core.windows.net: ***",
        ),
        ("fs.azure.account.oauth2.client.secret=abc", "fs.azure.account.oauth2.client.secret=***"),
        ("AccountName=a;AccountKey=abc==;x", "AccountName=a;AccountKey=***;x"),
        ("MLFLOW_TRACKING_PASSWORD=abc", "MLFLOW_TRACKING_PASSWORD=***"),
        ("{'password': 'x y', 'a': 1}", "{'password': ***, 'a': 1}"),
        ("Authorization: Bearer eyJhb.Gci-Oi", "Authorization: Bearer ***"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("sc://host:443/;token=abc;user_id=me", "sc://host:443/;token=***;user_id=me"),
        ("spark.ssl.keyStorePassword=abc", "spark.ssl.keyStorePassword=***"),
        ("clientSecret: abc", "clientSecret: ***"),
        ("PGPASSWORD=abc", "PGPASSWORD=***"),
        ("AZURE_STORAGE_KEY=abc==", "AZURE_STORAGE_KEY=***"),
        ("clientsecret=abc", "clientsecret=***"),
        (r'{"token": "a\"bc", "x": 1}', '{"token": ***, "x": 1}'),
        (r"token='a\'bc' x", "token=*** x"),
        ("token=b'abc' x", "token=*** x"),
        ('token="""abc""" x', "token=*** x"),
        ("token => abc", "token => ***"),
        ("token := abc", "token := ***"),
        ("DB_PASS=abc REDIS_PW=abc", "DB_PASS=*** REDIS_PW=***"),
        ("encryption_key=abc, ssh-key: abc", "encryption_key=***, ssh-key: ***"),
        ("TOKEN_1=abc password2=abc", "TOKEN_1=*** password2=***"),
        ("run --db-password abc --token abc", "run --db-password *** --token ***"),
        ("spark.authenticate.secret abc", "spark.authenticate.secret ***"),
        ("<password>abc</password>", "<password>***</password>"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nab\n-----END PGP PRIVATE KEY BLOCK-----", "***"),
        (f"glpat-{'a1' * 10} eyJ{'a' * 12}.{'b' * 12}.{'c' * 12}", "*** ***"),
        ("https://host/f?code=abc&zipcode=1", "https://host/f?code=***&zipcode=1"),
        ("redis://:pw@host:6379/0", "redis://***@host:6379/0"),
        ("passphrase=abc", "passphrase=***"),
        ("Authorization: token 0123abc", "Authorization: token ***"),
        ("Authorization: Negotiate YIIabc", "Authorization: Negotiate ***"),
        (r'"{\"password\": \"abc\"}"', r'"{\"password\": ***}"'),
        ("Authorization: SharedKey me:abc== x", "Authorization: SharedKey *** x"),
        ("Authorization: 0123abc", "Authorization: ***"),
        (f"fs.s3a.bucket.{'b' * 63}.secret.key=abc", f"fs.s3a.bucket.{'b' * 63}.secret.key=***"),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- x", "*** x"),
        (f"got dapi{'0f' * 16}-2 today", "got *** today"),
        (f"AKIA{'A0' * 8} and hf_{'aB' * 12}", "*** and ***"),
    ],
)
def test_secrets_are_told_by_the_name_of_their_setting_or_by_their_look(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "unknown key 'token' in a.toml, expected one of a, b",
        "batch_size=32 n_tokens=5 columns=mean_rgb tokens: 5 token_count=7",
        "/data/secrets/x=3/secret.csv and has=3",
        "the basics, bearer of news, Basic statistics",
        "PWD=/home/me OLDPWD=/tmp pass=3 auth: none",
        "compass=3 mypassword seasas=1 a token of thanks, Negotiate",
    ],
)
def test_words_that_only_sound_secret_stay(text):
    assert masked(text) == text


LONG = (
    *("a.", "://a:", "http://a:", "?sig", "a.secret.", "secret.", "token ", 'token="', "a_"),
    *("--a-", "--password ", 'token="\\', "spark.a", "<token>", "token='''", "eyJ"),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "Authorization: ", "aB", "Authorization:a "),
)


@pytest.mark.parametrize("part", LONG)
def test_no_text_takes_long(part):
    # A pattern that tries all ways to divide such a text takes minutes.
    began = time.process_time()
    masked(part * (100_000 // len(part)))
    assert time.process_time() - began < 5
