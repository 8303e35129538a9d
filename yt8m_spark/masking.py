"""Text without the passwords that stand in it, for what is logged and printed."""

from __future__ import annotations

import re

__all__ = ["MASK", "masked"]

MASK = "***"

# user:password@ or token@ behind a scheme; the user stays, for people to see whose store it is.
# Passwords of databases may hold @, / and blanks: they go to the last @ of a word, or else to the
# next @ at all, but not into another address. A port is no password.
_LOGIN = re.compile(
    r"([a-zA-Z][a-zA-Z0-9+.-]*://)"
    r"(?:([^/@:\s]+):(?!\d{1,5}(?:[/?#\s]|$))(?:(?:(?!://)\S)*@|(?:(?!://)[^\n])*?@)"
    r"|(?:[^/@:\s]+:)?[^/@\s]*@)"
)
# Signed addresses: Azure's sig, S3's X-Amz-Signature and X-Amz-Security-Token, and the like.
_SIGNED = re.compile(
    r"([?&;#][^=&;\s]*(?:sig|signature|token|secret|password|passwd|key|credential)=)[^&;\s]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """``text`` with the password of every address, and every signature, as ``***``.

    A bare ``who@`` in front of a host is masked as well: some servers take a token there. Bucket
    names of ``abfss://container@account`` and ``wasbs://`` are no secrets and stay.
    """
    return _SIGNED.sub(rf"\1{MASK}", _LOGIN.sub(_mask_login, text))


def _mask_login(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    if user is None and scheme.lower() in ("abfs://", "abfss://", "wasb://", "wasbs://"):
        return found.group(0)
    return f"{scheme}{user}:{MASK}@" if user else f"{scheme}{MASK}@"
