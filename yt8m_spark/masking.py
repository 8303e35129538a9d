"""Text without the passwords that stand in it, for what is logged and printed."""

from __future__ import annotations

import re

__all__ = ["MASK", "masked"]

MASK = "***"

# user:password@ or token@ behind a scheme; the user stays, for people to see whose store it is.
# Passwords of databases may hold @, / and blanks: they go to the last @ of a word, or else to the
# next @ at all, but not into another address. A port is no password.
_LOGIN = re.compile(
    r"(?<![a-zA-Z0-9+.-])([a-zA-Z][a-zA-Z0-9+.-]*://)"
    r"(?:([^/@:\s]+):(?!\d{1,5}(?:[/?#\s]|$))(?:(?:(?!://)\S)*@|(?:(?!://)[^\n])*?@)"
    r"|(?:[^/@:\s]+:)?[^/@\s]*@)"
)
# Signed addresses: sig and code of Azure, X-Amz-Signature, X-Amz-Security-Token, and the like.
_SIGNED = re.compile(
    r"([?&;#](?:code|[^=&;\s]{0,80}?"
    r"(?:sig|signature|token|secret|password|passwd|key|credential))=)[^&;\s]+",
    re.IGNORECASE,
)
# Settings of the environment, of Spark and Hadoop, and of programs, whose name says that the value
# is a secret: AWS_SECRET_ACCESS_KEY=, fs.azure.account.key.NAME.dfs.core.windows.net=, PGPASSWORD=,
# spark.ssl.keyPassword=, "token": "". The value ends with its quotes, or else with the word.
_SETTING = re.compile(
    r"(?<![\w.-])(?!(?:OLD)?PWD=)("
    r"(?:[\w.-]{0,160}(?:[_.-]|(?-i:(?<=[a-z0-9])(?=[A-Z]))|(?=PASSWORD|PWD)))?"
    r"(?:secret|token|password|passphrase|passwd|pwd|credentials?|sas|SharedAccessSignature"
    r"|(?-i:(?<=_)(?:PASS|PW|AUTH))|clientsecret"
    r"|(?:api|access|secret|account|storage|private|shared_?access|encryption|signing|master|ssh"
    r"|subscription)[_.-]?key)"
    r"(?:[_.-](?:key|id|value|fixed|access_key)|\.[\w.-]{1,80}|_?\d{1,3})?"
    r"\\?[\"']?\s*(?:=>|:=|[=:])\s*)"
    r"(?:\\\"[^\"\n]*\"?|[rbu]{0,2}(?:\"{3}[^\"]*\"{0,3}|'{3}[^']*'{0,3}"
    r"|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?)|[^\s,;&\"'})\]]+)",
    re.IGNORECASE,
)
# The same with a blank between: options of programs, files of properties, elements of XML.
_BESIDE = re.compile(
    r"((?<!\S)--(?:[\w-]{0,40}-)?(?:password|token|secret|api-key)\s+"
    r"|\bspark\.[\w.]{1,120}(?:secret|password|token)\s+|<(?:password|secret|token)>)[^\s<]+",
    re.IGNORECASE,
)
# A word alone after Basic is a word; what is encoded has capitals or digits.
_HEADER = re.compile(
    r"\b((?:Bearer|Basic)\s+)(?=(?-i:[a-z]*[A-Z0-9+/=]))[\w.~+/=-]{6,}", re.IGNORECASE
)
_AUTHORIZATION = re.compile(
    r"\b(Authorization[\"']?\s*[:=]\s*[\"']?(?:[A-Za-z]+\s+)?)[^\s\"',;}]+", re.IGNORECASE
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S])*"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
# What is a secret by its look: tokens of Databricks, GitHub, GitLab, Hugging Face, Slack, npm and
# PyPI, keys of AWS, Google and Stripe, JSON web tokens.
_TOKEN = re.compile(
    r"\b(?:dapi[0-9a-f]{32}(?:-\d+)?|dkea[0-9a-f]{32}|gh[oprsu]_\w{20,}|github_pat_\w{20,}"
    r"|hf_[A-Za-z0-9]{20,}|xox[abprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}"
    r"|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|AIza[\w-]{35}|[sr]k_live_\w{16,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})\b"
)


def masked(text: str) -> str:
    """``text`` with passwords of addresses, signatures, tokens and secret settings as ``***``.

    A bare ``who@`` in front of a host is masked as well: some servers take a token there. Bucket
    names of ``abfss://container@account`` and ``wasbs://`` are no secrets and stay. Secrets are
    told by where they stand and by the names of settings; a password alone looks like any word.
    """
    text = _LOGIN.sub(_mask_login, _PRIVATE_KEY.sub(MASK, text))
    for pattern in (_SIGNED, _HEADER, _AUTHORIZATION, _SETTING, _BESIDE):
        text = pattern.sub(rf"\1{MASK}", text)
    return _TOKEN.sub(MASK, text)


def _mask_login(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    if user is None and scheme.lower() in ("abfs://", "abfss://", "wasb://", "wasbs://"):
        return found.group(0)
    return f"{scheme}{user}:{MASK}@" if user else f"{scheme}{MASK}@"
