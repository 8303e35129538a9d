"""A job's options: a frozen dataclass filled from a TOML file and from flags, which win."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

from yt8m_spark.errors import InputError
from yt8m_spark.formats.small_text import LARGEST_TOML, parse_toml, read_text

__all__ = ["Option", "check_counts", "describe_config", "list_options", "load_config", "option"]

Config = TypeVar("Config")

_LARGEST = 2**63 - 1  # of a long
_BOOL = "true/false"
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def option(help: str, default: Any = dataclasses.MISSING) -> Any:  # noqa: A002 - argparse's word
    """Declare a dataclass field that is an option with a ``help`` text; no default: required."""
    return dataclasses.field(default=default, metadata={"help": help})


class Option(NamedTuple):
    """One option of a job, as its users see it."""

    flag: str  # --batch-size
    value: str  # what it takes: N, X, TEXT, true/false, a/b/c
    help: str
    default: str | None  # None: it must be given; empty: nothing


def list_options(config_type: type[Any]) -> list[Option]:
    """Options of a job whose dataclass is ``config_type``, in their order."""
    hints = typing.get_type_hints(config_type)
    return [
        Option(
            flag="--" + field.name.replace("_", "-"),
            value=_metavar(hints[field.name]),
            help=str(field.metadata.get("help", "")),
            default=_default(field),
        )
        for field in dataclasses.fields(config_type)
    ]


def load_config(config_type: type[Config], argv: Sequence[str], *, job: str) -> Config:
    """Fill ``config_type`` from ``--config FILE.toml`` and one flag for each field.

    Fields may be str, int, float, bool, a Literal of strings, ``tuple[str, ...]`` (given as
    ``a,b,c``) or one of these ``| None``. Where the file names another TOML file, it is the one
    beside it, if there is one.

    Raises
    ------
    InputError
        For an unknown flag or key, a value of the wrong type or out of range, and a missing
        required option. A typing error that passed silently would cost a night of training.
    """
    fields = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(config_type)
    parsed, unknown = _parser(config_type, job).parse_known_args(list(argv))
    if unknown:
        flags = [known.flag for known in list_options(config_type)]
        raise InputError(f"{_unrecognized(unknown, list(argv), flags)}; see --help")
    given = vars(parsed)
    path = given.pop("config")
    values: dict[str, Any] = {}
    if path is not None:
        for key, value in _read_toml(path).items():
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise InputError(f"unknown key {key!r}", where=path, expected=f"one of {known}")
            values[key] = _beside(path, _from_toml(value, hints[key], f"{path}, key {key!r}"))
    for key, text in given.items():
        if text is not None:
            values[key] = _from_text(text, hints[key], "--" + key.replace("_", "-"))
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise InputError(f"option --{name.replace('_', '-')} is missing")
    try:
        return config_type(**values)
    except ValueError as error:
        raise InputError(str(error)) from error


def check_counts(config: Any, least: Mapping[str, int]) -> None:
    """Refuse options that are below their ``least``, or above what Spark's numbers hold.

    Raises
    ------
    ValueError
        If one is; it names the option.
    """
    for name, lowest in least.items():
        value = getattr(config, name)
        if value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, got {value}")
        if value > _LARGEST:
            raise ValueError(f"{name} must be at most {_LARGEST}, got {value}")


def describe_config(config: Any) -> dict[str, str]:
    """Every option of ``config`` as text, for the log of the run."""
    return {name: _as_text(value) for name, value in dataclasses.asdict(config).items()}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def _unrecognized(unknown: Sequence[str], argv: Sequence[str], flags: Sequence[str]) -> str:
    """What is wrong with the arguments ``unknown``, with a guess at what was meant."""
    if all(os.path.exists(word) for word in unknown):  # a shell has put files for a pattern
        before = argv[: argv.index(unknown[0])]
        flag = next((word for word in reversed(before) if word.startswith("--")), "an option")
        found = f"found {len(unknown)} more files, {unknown[0]} the first"
        flag = flag.partition("=")[0]
        return f"{flag} takes one path or pattern: put a pattern in quotes; {found}"
    near = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1, cutoff=0.7)
    hint = f" (is it {near[0]}?)" if near else ""
    return f"unrecognized arguments: {' '.join(unknown)}{hint}"


def _parser(config_type: type[Any], job: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"{job}.py", description=config_type.__doc__, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE.toml", help="options in a file; flags win")
    for known in list_options(config_type):
        is_bool = known.value == _BOOL
        parser.add_argument(
            known.flag,
            metavar=known.value,
            nargs="?" if is_bool else None,
            const="true" if is_bool else None,
            help=_help(known),
        )
    return parser


def _help(known: Option) -> str:
    if known.default is None:
        told = f"{known.help} (required)"
    elif known.default:
        told = f"{known.help} (default: {known.default})"
    else:
        told = known.help
    return told.replace("%", "%%")  # argparse fills in what follows a %


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is dataclasses.MISSING:
        return None
    if field.default is None or field.default is False:
        return ""
    return _as_text(field.default)


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _metavar(hint: Any) -> str:
    plain = _plain(hint)
    if typing.get_origin(plain) is Literal:
        return "/".join(typing.get_args(plain))
    names = {str: "TEXT", int: "N", float: "X", bool: _BOOL}
    return names.get(plain, "A,B,...")


def _plain(hint: Any) -> Any:
    """``hint`` without its ``| None``."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def _from_text(text: str, hint: Any, where: str) -> Any:
    plain = _plain(hint)
    if plain is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise InputError("wrong value", where=where, expected="true or false", found=text)
    if plain in (int, float):
        try:
            return _finite(plain(text))
        except ValueError:
            expected = {int: "a whole number", float: "a number"}[plain]
            raise InputError("wrong value", where=where, expected=expected, found=text) from None
    if typing.get_origin(plain) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return _checked_choice(text, plain, where)


def _finite(number: float) -> float:
    try:
        if math.isfinite(number):
            return number
    except OverflowError:  # a whole number of hundreds of digits
        pass
    raise ValueError(number)


def _from_toml(value: Any, hint: Any, where: str) -> Any:
    plain = _plain(hint)
    if typing.get_origin(plain) is tuple and isinstance(value, list):
        if all(isinstance(part, str) for part in value):
            return tuple(_checked_choice(part, str, where) for part in value)
        raise InputError("wrong value", where=where, expected="a list of texts", found=value)
    if plain is float and type(value) is int:
        return float(value)
    if plain in (int, float, bool):
        if type(value) is plain and math.isfinite(value):
            return value
        raise InputError("wrong value", where=where, expected=plain.__name__, found=repr(value))
    if not isinstance(value, str):
        raise InputError("wrong value", where=where, expected="text", found=repr(value))
    if typing.get_origin(plain) is tuple:
        return _from_text(value, hint, where)
    return _checked_choice(value, plain, where)


def _beside(path: str, value: Any) -> Any:
    """``value`` of the TOML file at ``path``: another TOML file is looked for beside it first.

    So settings that name each other work from every folder, those in the wheel, too.
    """
    if isinstance(value, str) and value.endswith(".toml"):
        near = os.path.join(os.path.dirname(path), value)
        return near if os.path.isfile(near) else value
    return value


def _checked_choice(text: str, plain: Any, where: str) -> str:
    if "\0" in text:  # TOML has a way to write it, and no path can hold it
        raise InputError("wrong value", where=where, expected="no zero byte", found=repr(text[:40]))
    if typing.get_origin(plain) is Literal and text not in typing.get_args(plain):
        choices = ", ".join(typing.get_args(plain))
        raise InputError("wrong value", where=where, expected=f"one of {choices}", found=text)
    return text


def _read_toml(path: str) -> dict[str, Any]:
    try:
        return parse_toml(read_text(path, "not a TOML file", LARGEST_TOML), path)
    except OSError as error:
        raise InputError("cannot read config", where=path, found=error.strerror) from None
