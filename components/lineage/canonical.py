"""Canonical JSON (RFC 8785): the one byte string of a value, and its SHA-256.

Numbers that are not integers are refused: they are written as strings (`decimal`), since two writers of floating-point
numbers are a classic source of two digests for one value.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import rfc8785

MAX_SAFE_INTEGER = 2**53 - 1
_DEEP = "values lie in one another too deeply"


class CanonicalError(ValueError):
    """A value that has no canonical form here, or bytes that are not the canonical form of anything."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of `value`: objects, arrays, strings, integers of at most 53 bits, true, false, null.

    Raises:
        CanonicalError: names the place of a float, a large integer, half a character or another type.
    """
    try:
        _check(value, "$")
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        # In ASCII both write the same, ten times as fast; beyond it keys are sorted otherwise (RFC 8785 section 3.2.3).
        return text.encode() if text.isascii() else rfc8785.dumps(value)
    except RecursionError:
        raise CanonicalError(_DEEP) from None


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes of `value`, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def parse(data: bytes) -> Any:
    """The value whose canonical form `data` is.

    Raises:
        CanonicalError: `data` is no JSON, or another writing of its value than the canonical one.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise CanonicalError(_DEEP) from None
    except ValueError as error:
        raise CanonicalError(f"no JSON: {error}") from None
    if canonical(value) != data:
        raise CanonicalError("not written canonically (RFC 8785)")
    return value


def decimal(value: float) -> str:
    """A number as the shortest string that gives the same double back; an integer without a fraction."""
    return str(value) if isinstance(value, int) else repr(value)


def plain(value: Any) -> Any:
    """`value` with every float as its `decimal` string, tuples as lists and keys as strings: what `canonical` takes."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= MAX_SAFE_INTEGER else str(value)
        case float():
            return decimal(value)
        case Mapping():
            return {str(key): plain(one) for key, one in cast(Mapping[Any, Any], value).items()}
        case Sequence():
            return [plain(one) for one in cast(Sequence[Any], value)]
        case _:
            return str(value)


def _check(value: Any, place: str) -> None:
    match value:
        case bool() | None:
            return
        case str():
            _check_text(value, place)
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise CanonicalError(f"{place}: {value} has more than 53 bits; write it as a string")
        case dict():
            for key, one in cast(dict[Any, Any], value).items():
                if not isinstance(key, str):
                    raise CanonicalError(f"{place}: key {key!r} is no string")
                _check_text(key, place)
                _check(one, f"{place}.{key}")
        case list() | tuple():
            for number, one in enumerate(cast(Sequence[Any], value)):
                _check(one, f"{place}[{number}]")
        case _:
            raise CanonicalError(f"{place}: {value!r} is {type(value).__name__}; write it as a string")


def _check_text(text: str, place: str) -> None:
    """Half of a surrogate pair, as of a file name that is no UTF-8, has no bytes in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CanonicalError(f"{place}: {text!r} is no Unicode text") from None
