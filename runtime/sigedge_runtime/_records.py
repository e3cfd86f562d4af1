"""Strict conversion between JSON values and frozen dataclasses.

A phone reads manifests written by another machine, so nothing is guessed: every field must be there, be known, and
have exactly its declared type. A field may be left out only where its default is None, which says the same. Domain
rules live in each dataclass's `__post_init__` as `ValueError`.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import fields
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from sigedge_runtime.errors import BundleError

R = TypeVar("R", bound="Record")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Record:
    """Base of the frozen dataclasses that are stored as JSON objects."""

    @classmethod
    def from_dict(cls: type[R], data: object, where: str | None = None) -> R:
        """Build the record from parsed JSON.

        Args:
            data: the parsed JSON value.
            where: how error messages call this value; default: the class name in lower case.

        Raises:
            BundleError: a field is missing, unknown, of another type or outside its range.
        """
        return _read_record(cls, data, where or cls.__name__.lower())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back to an equal record."""
        return {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def to_plain(value: Any) -> Any:
    """Turn records into dicts and tuples into lists, all the way down."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def dump_json(value: Any) -> str:
    """Canonical JSON: sorted keys, indent 2, a final newline, no NaN.

    Raises:
        BundleError: the value holds NaN, infinity or something JSON cannot hold.
    """
    try:
        return json.dumps(to_plain(value), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"A record cannot be written as JSON ({error}); use plain finite values.") from None


def parse_json(text: str, where: str) -> Any:
    """Parse JSON, refusing what Python's parser lets through.

    That is: duplicate keys, NaN, infinities, integers beyond 64 bits and halves of surrogate pairs, which no text
    that is written or printed may hold.

    Raises:
        BundleError: the text is not such JSON.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not valid JSON ({error}); export the bundle again.") from None


def require(condition: bool, problem: str) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError(f"is invalid: {problem}")


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless the value is one of those allowed."""
    require(value in allowed, f"{field} is {value!r}, not one of {', '.join(allowed) or '(none)'}")


def unique(field: str, keys: Iterable[Hashable]) -> None:
    """Raise ValueError when a key comes twice."""
    doubled = [str(key) for key, count in Counter(keys).items() if count > 1]
    require(not doubled, f"{field} lists {', '.join(doubled)} twice")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("an object names one key twice")
    return values


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _integer(text: str) -> int:
    # Python refuses thousands of digits itself; what is longer than 64 bits fits neither a float nor an array.
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text[:20]}... is too large")
    return value


def _read_record(cls: type[R], data: object, where: str) -> R:
    if not isinstance(data, dict):
        _fail(where, f"must be an object, not {_kind(data)}")
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    needed = {field.name for field in fields(cls) if field.default is not None}  # type: ignore[arg-type]
    if missing := sorted(needed - set(data)):
        _fail(where, f"lacks {', '.join(missing)}")
    if unknown := sorted(set(data) - set(names), key=str):
        _fail(where, f"has unknown fields {', '.join(map(str, unknown))}")
    values = {name: _read(hints[name], data[name], f"{where}.{name}") for name in names if name in data}
    try:
        return cls(**values)
    except ValueError as error:
        _fail(where, str(error))


def _read(kind: Any, value: object, where: str) -> Any:
    """Check one value against its type hint and convert lists and objects."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(option for option in get_args(kind) if option is not type(None))
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        items = _checked(list, value, where, "a list")
        return tuple(_read(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        entries = _checked(dict, value, where, "an object")
        return {str(key): _read(get_args(kind)[1], item, f"{where}.{key}") for key, item in entries.items()}
    if kind is Any:
        return value
    if issubclass(kind, Record):
        return _read_record(kind, value, where)
    if hasattr(kind, "from_dict"):
        try:
            return kind.from_dict(_checked(dict, value, where, "an object"))
        except BundleError as error:
            # It does not know where the value stands.
            raise error if where in str(error) else BundleError(f"{where}: {error}") from None
    return _read_scalar(kind, value, where)


def _read_scalar(kind: type, value: object, where: str) -> Any:
    # bool is an int in Python, but true is no number in JSON.
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and kind is not bool:
        _fail(where, f"must be {kind.__name__}, not bool")
    return _checked(kind, value, where, kind.__name__)


def _checked(kind: type, value: Any, where: str, expected: str) -> Any:
    if not isinstance(value, kind):
        _fail(where, f"must be {expected}, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _fail(where: str, problem: str) -> NoReturn:
    raise BundleError(f"{where} {problem}; export the bundle again with the sigedge version that this device runs.")
